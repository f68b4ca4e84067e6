"""The permits of a shared store, which are rows in it: no clock, no store. ``limiter/bucket.py`` has their arithmetic.

While an exchange is in flight, the two instants of its row are those that hold if nobody ever releases the permit:
``linger`` after the end of its lease for the slot, and a window more for the token. The release writes the true instants,
which are never later.

``permit.lua`` does the same in Lua; tests/stores/test_permits.py compares both with the buckets of one process.
"""

from __future__ import annotations

import random

import attrs

from smsc_async.limiter.bucket import FREE, Completion, Refusal, Row, free_at
from smsc_async.limiter.quota import Quota


def taken(now: float, quota: Quota, *, token: bool, lease: float) -> Row:
    """Return the row of a permit that is acquired now."""
    ends = now + lease + quota.linger
    return Row(ends + quota.window if token else FREE, ends, in_flight=True)


def released(now: float, quota: Quota, completion: Completion, *, token: bool, seen: float | None) -> Row | None:
    """Return the row of a permit whose exchange has ended, or ``None`` if nothing of it is in use."""
    row = Row(*free_at(now, quota, completion, token=token, seen=seen), in_flight=False)
    return row if max(row.token_free_at, row.slot_free_at) > now else None


def polled(refusal: Refusal, quota: Quota) -> Refusal:
    """Return a refusal because of a permit in flight, which another process may release before the end of its lease."""
    pause = poll_pause(quota.window if refusal.tokens_in else 2.0)
    return attrs.evolve(refusal, retry_in=min(refusal.retry_in, pause))


def poll_pause(window: float) -> float:
    """Return the seconds until the next look whether another process has released something.

    A released token is free a window later, so a look now and then within the window misses only the release of a request
    that was not sent. Random, so that callers that were refused together do not come back together.
    """
    return min(window / 20.0, 1.0) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load; not a secret
