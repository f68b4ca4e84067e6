"""A part of the quota that a worker may use without asking anybody: so that it can go on while the server is away.

The quota is divided for good, and not only in an outage: nobody can know whether the others still reach the server. Of
``n`` tokens each of ``w`` workers has ``(n - 1) // w`` for itself, the server gives out the rest, and together that is
never more than ``n``. The same goes for slots. A worker's part is closed for an absence and a lease after its start, in
case a predecessor has just used it.

Beside it stand the marks that the worker has heard of: credentials that have worked before need no permission to be tried.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

import attrs

from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import is_other_closed_loop

__all__ = ["LocalShare"]

_MARKS: Final = 20_000  # as many as a store of this process alone remembers


class LocalShare:
    """The part of one worker of ``workers``; thread-safe."""

    def __init__(self, workers: int, lease: float) -> None:
        self._workers = workers
        self._lease = lease
        self.start()

    def start(self) -> None:
        """Begin, or begin anew in a child process."""
        self._lock = threading.Lock()
        self._buckets = Buckets()
        self._marks: dict[str, float] = {}
        self._started = time.monotonic()

    def rest(self, quota: Quota) -> Quota:
        """Return what is left for the server to give out."""
        return attrs.evolve(
            quota,
            requests=quota.requests - self._workers * self._of(quota.requests),
            concurrent=quota.concurrent - self._workers * self._of(quota.concurrent),
        )

    def acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | Refusal | None:
        """Return a permit of this worker's own, when to ask again, or ``None`` where it has no part to give."""
        requests, concurrent = self._of(quota.requests), self._of(quota.concurrent)
        if (token and not requests) or not concurrent:
            return None
        wait = self._started + quota.absence + self._lease - time.monotonic()
        if wait > 0:
            return None
        mine = attrs.evolve(quota, requests=max(requests, 1), concurrent=concurrent)
        permit = Permit(login, mine, token)
        permit.lease = self._buckets
        return self._buckets.acquire(permit, now(), is_other_closed_loop) or permit

    def release(self, permit: Permit, ending: Completion) -> bool:
        """Take a permit back if it is of this part, and say whether it is."""
        mine = permit.lease is self._buckets
        if mine:
            self._buckets.release(permit, now(), ending)
        return mine

    def drain_tokens(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window."""
        self._buckets.drain_tokens(login, now(), quota)

    def heard(self, names: Sequence[str], seconds: Sequence[float]) -> None:
        """Remember how long marks have left, 0.0 where there is none, as the server says."""
        instant = now()
        with self._lock:
            for name, left in zip(names, seconds, strict=True):
                if left:
                    self._marks[name] = instant + left
                else:
                    self._marks.pop(name, None)
            while len(self._marks) > _MARKS:
                del self._marks[next(iter(self._marks))]

    def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return how long marks have left, as far as this worker has heard."""
        instant = now()
        return [max(self._marks.get(name, 0.0) - instant, 0.0) for name in names]

    def _of(self, count: int) -> int:
        return (count - 1) // self._workers
