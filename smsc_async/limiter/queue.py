"""The line of those who wait for a permit, first come first served.

A line belongs to one bucket: tariff requests of a login wait in one, its other requests in another, and nobody else's
are ever in the way. Only the head of a line asks and sleeps by the clock; the others sleep until they are the head.

Invariants:

- A permit is taken as the last step before it is handed over, with nothing awaited between: no cancellation can lose
  one (a store that has to wait for its own answer gives the permit back itself when it is cancelled).
- A wake that comes between an unsuccessful try and the sleep is kept by the waiter, so none is missed.
- Nothing runs in the background, and nothing is kept for a bucket that nobody waits for.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

import anyio

from smsc_async.errors import QuotaExhausted
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter

__all__ = ["PermitSource", "WaiterQueue"]


class PermitSource(Protocol):
    """Where permits are kept: what a gate needs of a store."""

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit if it can be had without awaiting anything, else ``None``."""
        ...

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to ask again.

        Args:
            login: Whose.
            quota: The rule.
            token: Whether it is a tariff request.
            lease: Seconds after which the request has ended in any case, should its holder die; ``inf`` if unknown.
        """
        ...

    def try_release(self, permit: Permit, ending: Completion) -> bool:
        """Take a permit back if that can be done without awaiting anything, and say whether it was."""
        ...

    async def release(self, permit: Permit, ending: Completion) -> None:
        """Take a permit back. Comes to its end even where the caller is being cancelled."""
        ...


class _Line:
    """Those who wait for permits of one bucket, and what its head was told last."""

    __slots__ = ("tokens_at", "waiters")

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter, float] = OrderedDict()  # each with the instant at which it leaves by itself
        self.tokens_at: tuple[float, ...] = ()

    def heard(self, refusal: Refusal, instant: float) -> None:
        self.tokens_at = tuple(instant + seconds for seconds in refusal.tokens_in)

    def due(self, position: int, instant: float, quota: Quota) -> float:
        """Seconds until whoever has that many before them can have a token at the earliest."""
        if not self.tokens_at:
            return 0.0
        rounds, nth = divmod(position, len(self.tokens_at))
        return max(self.tokens_at[nth] - instant, 0.0) + rounds * quota.window


_Key: TypeAlias = tuple[str, bool]
# What a loop may be late with leaving the line at a deadline, before it counts as one that nobody runs.
_OVERDUE: Final = 1.0


class WaiterQueue:
    """Admits the requests of a process, in order, as fast as a ledger has permits for them."""

    def __init__(self, ledger: PermitSource) -> None:
        self._ledger = ledger
        self._take_at_once = ledger.try_acquire
        self._give_back_at_once = ledger.try_release
        self._lock = threading.Lock()
        self._lines: dict[_Key, _Line] = {}
        # What is to be done under the lock, by whoever has it next: giving back may be the work of a finalizer, in a thread
        # that has the lock already, and must not wait for it.
        self._due: deque[Callable[[], None]] = deque()

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit if nobody waits for one and it can be had without awaiting anything, else ``None``."""
        if self._lines and (login, token) in self._lines:
            return None
        return self._take_at_once(login, quota, token=token)

    async def acquire(self, login: str, quota: Quota, *, token: bool) -> Permit:
        """Return a permit, as soon as one is free and everybody who came before has one.

        Where the caller is in a cancel scope with a deadline (``anyio.fail_after`` and the like), the wait ends there.

        Raises:
            QuotaExhausted: The permit is known to come after the caller's deadline.
            StoreError: The store does not answer.
        """
        permit = self.try_acquire(login, quota, token=token)
        return permit or await self._acquire_in_line(login, quota, token=token)

    def try_release(self, permit: Permit, ending: Completion) -> bool:
        """Give a permit back as ``release`` does, if that can be done without awaiting anything; say whether it was."""
        if not self._give_back_at_once(permit, ending):
            return False
        if self._lines:
            self.wake(permit.login)
        return True

    async def release(self, permit: Permit, ending: Completion) -> None:
        """Give a permit back, and wake those who can go now."""
        if self.try_release(permit, ending):
            return
        try:
            await self._ledger.release(permit, ending)
        finally:
            self.wake(permit.login)

    def wake(self, login: str) -> None:
        """Have the heads of the lines of a login try again."""
        self._due.append(partial(self._wake_heads, login))
        self._work_off()

    def expected_wait(self, login: str, *, token: bool) -> float:
        """Return seconds before which no request that waits for this bucket can have its permit, or 0 if none waits."""
        line = self._lines.get((login, token))
        return max(line.tokens_at[0] - now(), 0.0) if line is not None and line.tokens_at else 0.0

    def waiting(self) -> int:
        """How many wait in all lines."""
        with self._lock:
            waiting = sum(len(line.waiters) for line in self._lines.values())
        self._work_off()
        return waiting

    def abandon(self) -> None:
        """Forget all lines: for a process that was forked, where nobody of them is left."""
        self._lock = threading.Lock()
        self._lines = {}
        self._due.clear()

    async def _acquire_in_line(self, login: str, quota: Quota, *, token: bool) -> Permit:
        key = (login, token)
        started = now()
        # anyio counts deadlines by the loop's clock; only what is left of it can be compared.
        ends_in = anyio.current_effective_deadline() - anyio.current_time()
        if ends_in == -math.inf:
            ends_in = math.inf  # cancelled already: that is what the first sleep will say, and not that it is late
        waiter = new_waiter()
        with self._lock:
            before = self._lines.get(key)
            if before is not None and _is_lost(*next(iter(before.waiters.items())), started):
                # It would lead the line for good.
                self._wake_head(key)
            line = self._lines.setdefault(key, _Line())
            due = line.due(len(line.waiters), started, quota)
            line.waiters[waiter] = started + ends_in
        self._work_off()
        try:
            if due > ends_in:
                raise QuotaExhausted(due)
            while True:
                seconds = math.inf
                if self._leads(line, waiter):
                    answer = await self._ledger.acquire(login, quota, token=token, lease=ends_in - (now() - started))
                    if isinstance(answer, Permit):
                        answer.waited = now() - started
                        return answer
                    line.heard(answer, now())
                    left = ends_in - (now() - started)
                    if (due := line.due(0, now(), quota)) > left:
                        raise QuotaExhausted(due)
                    seconds = answer.retry_in
                await waiter.sleep(max(seconds, 0.0))
        finally:
            self._leave(key, line, waiter)

    def _leads(self, line: _Line, waiter: Waiter) -> bool:
        with self._lock:
            leads = next(iter(line.waiters), None) is waiter
        self._work_off()
        return leads

    def _leave(self, key: _Key, line: _Line, waiter: Waiter) -> None:
        self._due.append(partial(self._strike_out, key, line, waiter))
        self._work_off()

    def _work_off(self) -> None:
        """Do what is due, unless somebody has the lock, who will. Looks again after it is given up, so that nothing stays."""
        while self._due and self._lock.acquire(blocking=False):
            try:
                while self._due:
                    self._due.popleft()()
            finally:
                self._lock.release()

    def _strike_out(self, key: _Key, line: _Line, waiter: Waiter) -> None:
        led = next(iter(line.waiters), None) is waiter
        line.waiters.pop(waiter, None)
        if led:
            self._wake_head(key)

    def _wake_heads(self, login: str) -> None:
        for token in (True, False):
            self._wake_head((login, token))

    def _wake_head(self, key: _Key) -> None:
        line = self._lines.get(key)
        if line is None:
            return
        instant = now()
        while line.waiters:
            head, leaves_at = next(iter(line.waiters.items()))
            if not _is_lost(head, leaves_at, instant) and head.wake():
                return
            # Nobody would ever wake the next.
            del line.waiters[head]
        del self._lines[key]


def _is_lost(waiter: Waiter, leaves_at: float, instant: float) -> bool:
    """Whether somebody's loop was closed under them, or nobody runs it: else they would have left by themselves."""
    return instant > leaves_at + _OVERDUE or waiter.is_lost()
