"""The waiters of a process: in their order, for each bucket and for the places of each service; for any number of threads.

Invariants:

- A notification that comes between a failed try and the wait ends that wait, so none is missed.
- ``notify`` and ``leave`` may run in a finalizer of the thread that already holds the lock. They never wait for the lock:
  they append an event, and the thread that holds the lock handles all events.
- A waiter whose event loop is closed or hangs does not hold back the others.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from smsc_async.errors import NotSent, QuotaExhausted
from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter

# Seconds by which an event loop may be late in leaving a queue at a deadline, before it counts as a loop that hangs.
_OVERDUE: Final = 1.0

# The login and whether the waiters need a token; the service and ``None`` for places. Nobody waits for ``None``.
Key: TypeAlias = tuple[str | None, bool | None]


class _Rank(NamedTuple):
    """The place of a waiter, the lowest priority first, and the instant at which the waiter gives up."""

    priority: int
    gives_up_at: float


class Waiting:
    """The waiters of one queue in their order, and what the last refusal said."""

    __slots__ = ("error", "tokens_free_at", "waiters")

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter, _Rank] = OrderedDict()
        self.tokens_free_at: tuple[float, ...] = ()
        self.error: Callable[[float], NotSent] = QuotaExhausted

    def add(self, waiter: Waiter, gives_up_at: float, priority: int) -> None:
        """Add a waiter behind all whose priority is not worse."""
        last = next(reversed(self.waiters.values()), None)
        self.waiters[waiter] = _Rank(priority, gives_up_at)
        if last is not None and last.priority > priority:
            # Those of one priority stay in their order.
            self.waiters = OrderedDict(sorted(self.waiters.items(), key=lambda each: each[1].priority))

    def note(self, refusal: Refusal, instant: float) -> None:
        """Remember what a refusal said about the tokens."""
        self.tokens_free_at = tuple(instant + seconds for seconds in refusal.tokens_in)
        self.error = refusal.error

    def shortest_wait(self, position: int, instant: float, quota: Quota) -> float:
        """Return the seconds until the waiter with that many others before it can have a token at the earliest."""
        if not self.tokens_free_at:
            return 0.0
        rounds, nth = divmod(position, len(self.tokens_free_at))
        return max(self.tokens_free_at[nth] - instant, 0.0) + rounds * quota.window


class WaitLists:
    """The lists of waiters, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: dict[Key, Waiting] = {}
        # (key, None): try again, something was released. (key, waiter): the waiter leaves.
        self._events: deque[tuple[Key, Waiter | None]] = deque()

    def __bool__(self) -> bool:
        return bool(self._lists)

    def find(self, key: Key) -> Waiting | None:
        """Return the waiters of a key, or ``None`` if nobody waits."""
        return self._lists.get(key)

    def enter(self, key: Key, waiter: Waiter, gives_up_at: float, quota: Quota, priority: int) -> tuple[Waiting, float]:
        """Add a waiter; return its list and its shortest wait."""
        instant = now()
        with self._lock:
            former = self._lists.get(key)
            if former is not None and _is_lost(*next(iter(former.waiters.items())), instant):
                self._notify_head(key, former)
            waiting = self._lists.setdefault(key, Waiting())
            wait = waiting.shortest_wait(len(waiting.waiters), instant, quota)
            waiting.add(waiter, gives_up_at, priority)
        self._handle_events()
        return waiting, wait

    def leave(self, key: Key, waiter: Waiter) -> None:
        """Remove a waiter, and let the next one try if it was the head."""
        self._events.append((key, waiter))
        self._handle_events()

    def notify(self, *keys: Key) -> None:
        """Let the heads try again."""
        self._events.extend([(key, None) for key in keys])
        self._handle_events()

    def is_head(self, waiting: Waiting, waiter: Waiter) -> bool:
        """Whether a waiter is the first one."""
        with self._lock:
            is_head = next(iter(waiting.waiters), None) is waiter
        self._handle_events()
        return is_head

    def _handle_events(self) -> None:
        """Handle all events, unless another holder of the lock will.

        The outer loop looks again after the lock is free: an event may come between the inner loop and that moment.
        """
        while self._events and self._lock.acquire(blocking=False):
            try:
                while self._events:
                    self._handle(*self._events.popleft())
            finally:
                self._lock.release()

    def _handle(self, key: Key, leaving: Waiter | None) -> None:
        waiting = self._lists.get(key)
        if waiting is None:
            return
        head_changed = leaving is None or next(iter(waiting.waiters)) is leaving
        if leaving is not None:
            waiting.waiters.pop(leaving, None)
        if head_changed:
            self._notify_head(key, waiting)

    def _notify_head(self, key: Key, waiting: Waiting) -> None:
        """Let the first waiter try again, after the removal of lost ones: a lost head would block the others forever."""
        instant = now()
        while waiting.waiters:
            head, rank = next(iter(waiting.waiters.items()))
            if not _is_lost(head, rank, instant) and head.notify():
                return
            del waiting.waiters[head]
        del self._lists[key]


def _is_lost(waiter: Waiter, rank: _Rank, instant: float) -> bool:
    """Whether a waiter's event loop is closed or hangs: a loop that runs would have left the queue at the deadline."""
    return instant > rank.gives_up_at + _OVERDUE or waiter.is_lost()
