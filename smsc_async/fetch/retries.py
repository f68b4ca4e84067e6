"""Whether a failed request may be repeated, and when."""

from __future__ import annotations

import random
from typing import Final

from smsc_async.errors import SmscError, TooManyRequests, TransportError
from smsc_async.limiter.attempt import Attempt

# Full jitter (a wait anywhere between nothing and the step) spreads requests that failed together; the step doubles.
_FIRST_STEP: Final = 0.5
_LONGEST_STEP: Final = 20.0


def may_retry(error: SmscError, before: SmscError | None, attempt: Attempt) -> bool:
    """Whether a request may be repeated after an error.

    Args:
        error: The error.
        before: The error of the request before it, if there was one.
        attempt: The record of the request.
    """
    if isinstance(error, TooManyRequests):
        # The second one in a row, each after a minute: another program uses the login, and a retry would only add to it.
        return not isinstance(before, TooManyRequests)
    if attempt.place is not None and not attempt.place.tested and attempt.may_have_counted:
        return False  # the request may have been an authorization error that nobody saw
    return error.retryable and isinstance(error, TransportError)


def backoff(error: SmscError, number: int) -> float:
    """Return the seconds before the next request; ``number`` is 1 for the first repetition."""
    if isinstance(error, TooManyRequests):
        return 0.0  # the bucket is empty, so the permit takes its time by itself
    step = min(_FIRST_STEP * 2 ** min(number - 1, 10), _LONGEST_STEP)  # a thousand doublings would overflow a float
    jitter = random.uniform(0.0, step)  # noqa: S311  # protects no secret
    return max(error.retry_after or 0.0, jitter)
