"""The arithmetic of permits that are rows in a store which processes share: no clock, no store.

A row is one permit: when its token comes free, when its slot does, and whether its exchange is under way. While it is,
the two instants are those that hold should nobody ever give the permit back: ``linger`` after the end of its lease for
the slot, a window more for the token. Giving it back writes the truth, which is never later.

``permit.lua`` says the same in Lua; tests/stores/test_permits.py holds both to ``limiter/bucket.py``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from smsc_async.limiter.bucket import Completion, Refusal, free_at
from smsc_async.limiter.quota import Quota

__all__ = ["Row", "after", "poll", "refusal", "taken"]


class Row(NamedTuple):
    """One permit.

    Attributes:
        token_free_at: When its token is free; 0 where it has none.
        slot_free_at: When its slot is free.
        out: Whether its exchange is under way.
    """

    token_free_at: float
    slot_free_at: float
    out: bool


def taken(now: float, quota: Quota, *, token: bool, lease: float) -> Row:
    """Return the row of a permit that is taken now."""
    ends = now + lease + quota.linger
    return Row(ends + quota.window if token else 0.0, ends, out=True)


def after(now: float, quota: Quota, ending: Completion, *, token: bool, seen: float | None) -> Row | None:
    """Return the row of a permit whose exchange has ended, or ``None`` where nothing of it is away."""
    token_free_at, slot_free_at = free_at(now, quota, ending, token=token, seen=seen)
    return (
        Row(max(token_free_at, 0.0), max(slot_free_at, 0.0), out=False)
        if max(token_free_at, slot_free_at) > now
        else None
    )


def refusal(rows: Sequence[Row], now: float, quota: Quota, *, token: bool) -> Refusal | None:
    """Return why there is no permit among those rows, or ``None`` where there is one."""
    if token and (over := sum(row.token_free_at > now for row in rows) - quota.requests) >= 0:
        away = [row for row in rows if row.token_free_at > now]
        certain = sorted(row.token_free_at - now for row in away)
        # A token whose answer is seen this instant is free a window from now: no sooner, unless nothing was sent.
        soonest = sorted(
            min(row.token_free_at - now, quota.window) if row.out else row.token_free_at - now for row in away
        )
        bound = poll(quota.window) if any(row.out for row in away) else certain[over]
        return Refusal(min(certain[over], bound), tuple(soonest[over:]))
    held = sorted(row.slot_free_at - now for row in rows if row.slot_free_at > now)
    if (over := len(held) - quota.concurrent) >= 0:
        return Refusal(min(held[over], poll(2.0)))
    return None


def poll(window: float) -> float:
    """Return seconds after which to look whether another process has given something back.

    What it gives back is free a window later, so that a look now and then within the window misses nothing but a
    request that was never sent. Random, so that those who were refused together do not come back together.
    """
    return min(window / 20.0, 1.0) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load; no secret hangs on it
