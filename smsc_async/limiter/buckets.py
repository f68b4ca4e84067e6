"""The buckets of all logins, for any number of threads: no clock, no event loop.

Invariants:

- The table is read and changed under the lock only.
- The release of a permit is written into the permit, without the lock. ``release`` may run in a finalizer of the thread
  that already holds the lock, so waiting for the lock there would be a deadlock. Every bucket that contains the permit
  sees the written instants. The next acquire of the login, or the next sweep, removes the permit from the table.
- Only the holder of a permit releases it. If the holder's event loop is closed, ``acquire`` releases the permit, under the
  lock, as an exchange without a reply. Two releases at once do no harm: each writes instants that are safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final

from smsc_async.limiter.bucket import (
    FREE,
    IN_USE,
    Bucket,
    Completion,
    Held,
    Permit,
    Refusal,
    Usage,
    drained,
    free_at,
    held_of,
    refusal_of,
    row_of,
    usage_of,
)
from smsc_async.limiter.quota import Quota

# Seconds, if the window is not shorter. A sweep of 10,000 buckets takes some 5 ms.
_SWEEP_EVERY: Final = 60.0


class Buckets:
    """Every login's bucket; thread-safe. A login of which nothing is in use costs nothing after a minute at most.

    All instants are readings of one clock; the caller supplies them.
    """

    __slots__ = ("_lock", "_sweep_at", "_table")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: dict[str, Bucket] = {}
        self._sweep_at = FREE

    def acquire(
        self, permit: Permit, now: float, is_closed: Callable[[Hashable], bool] = lambda _: False
    ) -> Refusal | None:
        """Take the slot and the token of a permit: both or neither.

        Args:
            permit: The permit that the caller wants.
            now: The current instant.
            is_closed: Whether an event loop is closed. If something is missing, the permits of closed loops are released.

        Returns:
            ``None`` if the permit is taken, else when to try again.
        """
        login = permit.login
        with self._lock:
            if now >= self._sweep_at:
                self._sweep(now)
                self._sweep_at = now + min(permit.quota.absence, _SWEEP_EVERY)
            bucket = self._table.get(login)
            if bucket is None:
                self._table[login] = permit
                return None
            held = held_of(bucket, now)
            refusal = _refusal_of(held, now, permit)
            if refusal is not None and _release_lost(held, now, is_closed):
                refusal = _refusal_of(held, now, permit)
            if refusal is None:
                self._table[login] = (*held, permit) if held else permit
            return refusal

    def release(self, permit: Permit, now: float, completion: Completion) -> None:
        """Release a permit; a second release does nothing.

        Args:
            permit: The permit.
            now: The instant at which the exchange ended.
            completion: How it ended.
        """
        if permit.slot_free_at == IN_USE:
            _write_release(permit, now, completion)

    def usage(self, login: str, now: float, quota: Quota) -> Usage:
        """Return what is in use of a login's quota."""
        with self._lock:
            return usage_of([*map(row_of, held_of(self._table.get(login, ()), now))], now, quota)

    def drain_tokens(self, login: str, now: float, quota: Quota) -> None:
        """Grant no token of the login for a window: the service has refused a request with error 9."""
        with self._lock:
            held = held_of(self._table.get(login, ()), now)
            self._table[login] = drained(held, (now + quota.window,) * quota.requests)

    def after_fork(self, now: float) -> None:
        """In a forked child: release all permits in flight as exchanges without a reply, for the parent sends them."""
        self._lock = threading.Lock()
        with self._lock:
            for bucket in self._table.values():
                for permit in _permits_in_use(bucket):
                    ends = now + permit.quota.absence
                    permit.token_free_at, permit.slot_free_at = ends if permit.token else FREE, ends

    def is_in_use(self, now: float) -> bool:
        """Return whether anything is in use, of any login."""
        with self._lock:
            self._sweep(now)
            return bool(self._table)

    def _sweep(self, now: float) -> None:
        # A new dict: a dict from which entries were removed keeps their memory.
        self._table = {login: held for login, bucket in self._table.items() if (held := held_of(bucket, now))}


def _refusal_of(held: Held, now: float, permit: Permit) -> Refusal | None:
    return refusal_of([*map(row_of, held)], now, permit.quota, token=permit.token)


def _write_release(permit: Permit, now: float, completion: Completion) -> None:
    # The token first: see the invariants of bucket.py. An assignment to two targets works from left to right.
    permit.token_free_at, permit.slot_free_at = free_at(
        now, permit.quota, completion, token=permit.token, seen=permit.seen
    )
    permit.owner_loop = None  # what remains of the permit must not keep the event loop alive


def _release_lost(held: Held, now: float, is_closed: Callable[[Hashable], bool]) -> bool:
    """Release the permits whose event loop is closed; return whether there was one."""
    in_use = _permits_in_use(held)
    lost = [permit for permit in in_use if permit.owner_loop is not None and is_closed(permit.owner_loop)]
    for permit in lost:
        _write_release(permit, now, Completion.INCOMPLETE)
    return bool(lost)


def _permits_in_use(bucket: Bucket) -> list[Permit]:
    held = (bucket,) if isinstance(bucket, Permit) else bucket
    return [each for each in held if isinstance(each, Permit) and each.slot_free_at == IN_USE]
