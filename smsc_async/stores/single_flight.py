"""The fetches in flight: one for each account, whatever the number of callers.

All threads and event loops of a process share a flight. The first caller leads it; the others wait. It ends with a list or an
error for all of them, or with ``None`` if its leader was lost (its event loop was closed): then one of the others leads the
next flight. A closed event loop cannot notify waiters: new callers detect it, and existing waiters stop ``_OVERDUE`` seconds
after the flight's deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final, Protocol, TypeAlias

from smsc_async.errors import SmscError
from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import is_other_closed_loop, new_waiter, running_loop
from smsc_async.records import Tariffs

__all__ = ["Flight", "Progress", "Result", "SingleFlight"]


# Seconds that a flight may take beyond its deadline: the release of its permits and of its lease take a second each.
_OVERDUE: Final = 5.0

# An exception that is not an SmscError is a bug, which every caller raises unchanged.
Result: TypeAlias = Tariffs | Exception | None


class Progress(Protocol):
    """The progress of a flight.

    Attributes:
        failure: The error of the last attempt if another one follows, or ``None``.
    """

    failure: SmscError | None

    @property
    def attempts(self) -> int:
        """Number of attempts so far."""
        ...

    @property
    def waited(self) -> float:
        """Seconds that the attempts waited for their permits, in total."""
        ...

    def may_have_left(self) -> bool:
        """Whether a byte of any request can have left."""
        ...

    def abandon(self) -> None:
        """Release the flight's permits as after a request without a reply: its leader no longer can."""
        ...


class Flight:
    """One fetch in flight.

    Attributes:
        deadline: The instant by which the flight ends, on the clock of the library.
        progress: The progress; ``None`` before the first attempt. The leader sets it.
        landed: Whether the flight has ended.
        result: A list, an error, or ``None`` if the leader was lost.
        max_age: The greatest possible age of the list in seconds if it came from the store; else 0.
    """

    __slots__ = ("_callbacks", "_lock", "_loop", "deadline", "landed", "max_age", "progress", "result")

    def __init__(self, deadline: float) -> None:
        self.deadline: float = deadline
        self.progress: Progress | None = None
        self.landed: bool = False
        self.result: Result = None
        self.max_age: float = 0.0
        # Reentrant: a finalizer may end an abandoned call in a thread that holds the lock.
        self._lock = threading.RLock()
        self._callbacks: dict[Callable[[], object], None] = {}
        self._loop = running_loop()

    def is_lost(self) -> bool:
        """Whether the flight has ended without its leader, is overdue, or its event loop is closed."""
        return self.landed or now() >= self.deadline + _OVERDUE or self._has_no_loop()

    def abandon_lost(self) -> None:
        """End the flight in place of its lost leader."""
        if self.progress is not None and self._has_no_loop():
            self.progress.abandon()
        self.complete(None)

    def complete(self, result: Result) -> None:
        """End the flight for all waiters; a second result is ignored."""
        with self._lock:
            if self.landed:
                return
            self.result = result
            self.landed = True
        # No callback is added after the end, so no other thread uses them now.
        for call in self._callbacks:
            call()
        self._callbacks.clear()

    def add_done_callback(self, call: Callable[[], object]) -> bool:
        """Call ``call`` at the end, in the leader's thread; return ``False`` if the flight has ended already."""
        with self._lock:
            if not self.landed:
                self._callbacks[call] = None
            return not self.landed

    def remove_done_callback(self, call: Callable[[], object]) -> None:
        """Remove a callback."""
        with self._lock:
            if not self.landed:
                self._callbacks.pop(call, None)

    async def wait(self, until: float) -> None:
        """Return at the end of the flight, at the instant ``until``, or when the flight is overdue."""
        until = min(until, self.deadline + _OVERDUE)
        waiter = new_waiter()
        notify = waiter.notify
        if not self.add_done_callback(notify):
            return
        try:
            while not self.landed and (left := until - now()) > 0:
                await waiter.wait(left)
        finally:
            self.remove_done_callback(notify)

    def _has_no_loop(self) -> bool:
        return is_other_closed_loop(self._loop)


class SingleFlight:
    """The fetches in flight of a process, by account."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[Hashable, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: Hashable, deadline: float) -> tuple[Flight, bool]:
        """Return the flight for that key, and whether the caller leads it.

        Args:
            key: The account and endpoint.
            deadline: The instant by which a new flight ends.
        """
        with self._lock:
            former = self._flights.get(key)
            if former is not None and not former.is_lost():
                return former, False
            flight = self._flights[key] = Flight(deadline)
        if former is not None:
            former.abandon_lost()
        return flight, True

    def complete(self, key: Hashable, flight: Flight, result: Result) -> None:
        """End a flight; the next caller begins another one."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.complete(result)

    def abandon(self) -> None:
        """Forget all flights: for a forked child, in which no leader runs."""
        self._lock = threading.RLock()
        self._flights = {}
