"""The arithmetic of permits that are rows in a shared store: no clock, no store.

A row is one permit: the instants at which its token and its slot are free, and whether its exchange is in flight. While it
is in flight, the two instants are those that hold if nobody ever releases the permit: ``linger`` after the end of its lease
for the slot, and a window more for the token. The release writes the true instants, which are never later.

``permit.lua`` does the same in Lua; tests/stores/test_permits.py compares both with ``limiter/bucket.py``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from smsc_async.limiter.bucket import Completion, Refusal, Usage, free_at
from smsc_async.limiter.quota import Quota


class Row(NamedTuple):
    """One permit.

    Attributes:
        token_free_at: The instant at which its token is free; 0 if it has none.
        slot_free_at: The instant at which its slot is free.
        in_flight: Whether its exchange is in flight.
    """

    token_free_at: float
    slot_free_at: float
    in_flight: bool


def taken(now: float, quota: Quota, *, token: bool, lease: float) -> Row:
    """Return the row of a permit that is acquired now."""
    ends = now + lease + quota.linger
    return Row(ends + quota.window if token else 0.0, ends, in_flight=True)


def released(now: float, quota: Quota, completion: Completion, *, token: bool, seen: float | None) -> Row | None:
    """Return the row of a permit whose exchange has ended, or ``None`` if nothing of it is in use."""
    token_free_at, slot_free_at = free_at(now, quota, completion, token=token, seen=seen)
    if max(token_free_at, slot_free_at) <= now:
        return None
    return Row(max(token_free_at, 0.0), max(slot_free_at, 0.0), in_flight=False)


def refusal_of(rows: Sequence[Row], now: float, quota: Quota, *, token: bool) -> Refusal | None:
    """Return why a permit is not available beside those rows, or ``None`` if it is available."""
    if token:
        tokens = [row for row in rows if row.token_free_at > now]
        if (surplus := len(tokens) - quota.requests) >= 0:
            latest = sorted(row.token_free_at - now for row in tokens)
            earliest = usage_of(rows, now, quota).tokens_in
            is_certain = not any(row.in_flight for row in tokens)
            retry_in = latest[surplus] if is_certain else min(latest[surplus], poll_pause(quota.window))
            return Refusal(retry_in, earliest[surplus:])
    slots = sorted(row.slot_free_at - now for row in rows if row.slot_free_at > now)
    if (surplus := len(slots) - quota.concurrent) >= 0:
        return Refusal(min(slots[surplus], poll_pause(2.0)))
    return None


def usage_of(rows: Sequence[Row], now: float, quota: Quota) -> Usage:
    """Return what those rows have in use."""
    # The reply of a token in flight may be seen this instant: then the token is free one window from now.
    tokens_in = (
        min(row.token_free_at - now, quota.window) if row.in_flight else row.token_free_at - now
        for row in rows
        if row.token_free_at > now
    )
    return Usage(tuple(sorted(tokens_in)), sum(row.slot_free_at > now for row in rows))


def poll_pause(window: float) -> float:
    """Return the seconds until the next look whether another process has released something.

    A released token is free a window later, so a look now and then within the window misses only the release of a request
    that was not sent. Random, so that callers that were refused together do not come back together.
    """
    return min(window / 20.0, 1.0) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load; not a secret
