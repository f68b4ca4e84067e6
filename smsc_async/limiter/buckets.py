"""Every login's bucket, for any number of threads: no clock, no loop.

Most permits of a fleet are the only one of their login, and those cost no lock. The rules that make it right:

1. A login that is not in the table is entered by ``dict.setdefault`` alone, which hands out what is there or puts in what
   it is given: one step, in CPython with the GIL and without, since a login is text. Whoever's permit it hands out has it.
2. What is in the table is changed or replaced under the lock alone, and only removed once nothing of it is held.
3. That a permit is given back is written into the permit itself, by its holder and without the lock: it is where everybody
   looks. Only where no holder is left do others write it, under the lock, as an end without an answer. Should two write
   at once, what either writes is true.
4. The table is made anew, so that it takes no more room than it needs, while it is closed to those without the lock.
   Whoever has entered a login and finds the table still open has done so before it was copied. Whoever finds it closed
   asks again, with the lock and with the same permit, which is then known if it was copied.

tests/limiter/test_interleavings.py tries every way in which two threads can get between each other's steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Final

from smsc_async.limiter.bucket import (
    FREE,
    OUT,
    Bucket,
    Completion,
    Held,
    Permit,
    Refusal,
    closed,
    free_at,
    held_of,
    refused,
)
from smsc_async.limiter.quota import Quota

__all__ = ["Buckets"]

_SWEEP_EVERY: Final = 60.0  # seconds, where the window is not shorter
_SWEPT_AT_ONCE: Final = 500  # some 0.2 ms
_WHOLE: Final = Completion.COMPLETE  # an enumeration looks its members up as slowly as a call


class Buckets:
    """Every login's bucket; thread-safe. What is free is dropped by those who give back later, a part at a time.

    Times are seconds by one clock, which whoever asks has read.
    """

    __slots__ = ("_lock", "_open", "_size", "_sweep_at", "_table", "_unswept")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: dict[str, Bucket] = {}
        self._open: dict[str, Bucket] | None = self._table  # the same, for those without the lock
        self._sweep_at = FREE
        self._unswept: dict[str, Bucket] = {}
        self._size = 0  # of the table when its sweeping began

    def claim(self, permit: Permit) -> bool:
        """Take a permit if it is the only one of its login, and say whether it is taken; no clock is needed for that."""
        table = self._open
        return table is not None and table.setdefault(permit.login, permit) is permit and self._open is table

    def acquire(
        self, permit: Permit, now: float, is_other_closed_loop: Callable[[Hashable], bool] = lambda _: False
    ) -> Refusal | None:
        """Take a permit, its slot and its token: both or neither.

        Args:
            permit: What is wanted.
            now: The instant.
            is_other_closed_loop: Whether a holder never will give back what it has: where something is missing, that ends then, as an
                exchange without an answer.

        Returns:
            ``None`` where it is taken, else when to ask again.
        """
        with self._lock:
            bucket = self._table.setdefault(permit.login, permit)
            if bucket is permit:
                return None
            held = held_of(bucket, now)
            if permit in held:
                return None  # claimed while the table was being made anew
            refusal = refused(held, now, permit)
            if refusal is not None and self._end_lost(held, now, is_other_closed_loop):
                refusal = refused(held, now, permit)
            if refusal is None:
                self._table[permit.login] = (*held, permit) if held else permit
            return refusal

    def release(self, permit: Permit, now: float, ending: Completion) -> None:
        """Take back what was taken; nothing happens where it was given back before.

        Args:
            permit: What was taken.
            now: When the exchange ended.
            ending: How.
        """
        if permit.slot_free_at != OUT:
            return
        seen = permit.seen
        if (
            ending is _WHOLE
            and permit.token_free_at == OUT
            and seen is not None
            and now < self._sweep_at
            and self._table.get(permit.login) is permit
        ):
            # As below, for most. Whoever joins it meanwhile puts this same permit beside theirs, and sees what is written.
            permit.token_free_at = seen + permit.quota.window
            permit.slot_free_at = FREE
            permit.holder = None
            return
        self._end(permit, now, ending)
        # The rest is tidying. Not waited for: this may be a finalizer's work, in the very thread that has the lock.
        if self._lock.acquire(blocking=False):
            try:
                self._keep_less(permit.login, now)
                if now >= self._sweep_at and self._sweep_some(now):
                    self._sweep_at = now + min(permit.quota.absence, _SWEEP_EVERY)
            finally:
                self._lock.release()

    def drain_tokens(self, login: str, now: float, quota: Quota) -> None:
        """Let no tariff request of the login through for a window: the service says that it has had enough."""
        until = (now + quota.window,) * quota.requests
        with self._lock:
            bucket = self._table.setdefault(login, until)
            if bucket is not until:
                self._table[login] = closed(held_of(bucket, now), until)

    def sweep(self, now: float) -> None:
        """Drop all that is free. Giving back does so by itself, a part at a time."""
        with self._lock:
            self._unswept = {}
            while not self._sweep_some(now):
                pass
            self._make_anew()

    def forget_holders(self, now: float) -> None:
        """In a forked process: end every exchange that is under way as one without an answer, for nobody is left to do so."""
        self._lock = threading.Lock()
        self._open = self._table
        for permit in self._permits():
            if permit.slot_free_at == OUT:
                ends = now + permit.quota.absence
                permit.token_free_at, permit.slot_free_at = ends if permit.token else FREE, ends

    def count(self) -> Mapping[str, int]:
        """How many logins there is an entry of, and how many tokens and slots are out, and slots come free by themselves.

        What has come free and is not swept yet counts too.
        """
        with self._lock:
            permits = self._permits()
            return {
                "buckets": len(self._table),
                "tokens_out": sum(permit.token_free_at == OUT for permit in permits),
                "slots": sum(permit.slot_free_at == OUT for permit in permits),
                "lingering": sum(FREE < permit.slot_free_at < OUT for permit in permits),
            }

    def _permits(self) -> list[Permit]:
        buckets = self._table.copy().values()
        held = [bucket if isinstance(bucket, tuple) else (bucket,) for bucket in buckets]
        return [each for bucket in held for each in bucket if isinstance(each, Permit)]

    @staticmethod
    def _end(permit: Permit, now: float, ending: Completion) -> None:
        # In this order: token, slot.
        permit.token_free_at, permit.slot_free_at = free_at(
            now, permit.quota, ending, token=permit.token, seen=permit.seen
        )
        permit.holder = None  # what is left of it keeps no event loop

    def _end_lost(self, held: Held, now: float, is_other_closed_loop: Callable[[Hashable], bool]) -> bool:
        out = [each for each in held if isinstance(each, Permit) and each.slot_free_at == OUT]
        lost = [permit for permit in out if permit.holder is not None and is_other_closed_loop(permit.holder)]
        for permit in lost:
            self._end(permit, now, Completion.INCOMPLETE)
        return bool(lost)

    def _keep_less(self, login: str, now: float) -> None:
        bucket = self._table.get(login)
        if bucket is None:
            return
        if held := held_of(bucket, now):
            self._table[login] = held
        else:
            del self._table[login]

    def _sweep_some(self, now: float) -> bool:
        """Drop what is free in a part of the table, and say whether it was the last: nobody is to wait for all of it."""
        if not self._unswept:
            # A copy is one step, unlike a walk: others may enter something meanwhile.
            self._unswept = self._table.copy()
            self._size = len(self._unswept)
        for _ in range(min(len(self._unswept), _SWEPT_AT_ONCE)):
            self._keep_less(self._unswept.popitem()[0], now)
        if self._unswept:
            return False
        self._unswept = {}
        if len(self._table) < self._size // 4:
            self._make_anew()
        return True

    def _make_anew(self) -> None:
        """Have the table take no more room than it needs: what is removed from a ``dict`` leaves its place behind."""
        self._open = None
        self._table = self._table.copy()
        self._open = self._table
