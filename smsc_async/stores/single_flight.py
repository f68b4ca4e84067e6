"""Requests under way, and everybody who waits for one: one flight for an account, however many ask.

A flight is shared by all threads and loops of a process. Whoever asks first leads it; the others wait. It lands with a
list or an error for everybody, or with nothing where its leader was lost (its loop ended): then one who waits leads
the next. A loop that is closed in the middle tells nobody: whoever comes next looks, and whoever waits stops waiting once
the flight is overdue.
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


# What a flight may take beyond its deadline: its permits are given back and its store is told, a second each.
_OVERDUE: Final = 5.0

# An exception that is not an SmscError is a fault of the library itself, passed on as it is.
Result: TypeAlias = Tariffs | Exception | None


class Progress(Protocol):
    """How far a flight has come.

    Attributes:
        failure: What an attempt ended with that another follows, or ``None``.
    """

    failure: SmscError | None

    @property
    def attempts(self) -> int:
        """Requests let through for it so far."""
        ...

    @property
    def waited(self) -> float:
        """Seconds that they waited for their permits, together."""
        ...

    def may_have_left(self) -> bool:
        """Whether a byte of any of its requests can have left."""
        ...

    def abandon(self) -> None:
        """Give back what it holds of the quota, as after a request without an answer: it will never do so itself."""
        ...


class Flight:
    """One request under way.

    Attributes:
        deadline: The instant, on the limiter's clock, by which it lands in any case.
        progress: How far it is; ``None`` where there is no request for it yet; set by whoever leads it.
        landed: Whether it has.
        result: What it landed with: a list, an error, or ``None`` where it was lost.
        max_age: How many seconds old its list may be, where it was not fetched but found in the store; else 0.
    """

    __slots__ = ("_lock", "_loop", "_on_landing", "deadline", "landed", "max_age", "progress", "result")

    def __init__(self, deadline: float) -> None:
        self.deadline: float = deadline
        self.progress: Progress | None = None
        self.landed: bool = False
        self.result: Result = None
        self.max_age: float = 0.0
        # Reentrant, as the garbage collector may end an abandoned call in the middle of what the lock is for.
        self._lock = threading.RLock()
        self._on_landing: dict[Callable[[], object], None] = {}
        self._loop = running_loop()

    def is_lost(self) -> bool:
        """Whether nobody is left who would land it in its place among the others, or somebody has given it up."""
        return self.landed or now() >= self.deadline + _OVERDUE or self._has_no_loop()

    def abandon_lost(self) -> None:
        """End it in place of whoever leads it, who is lost."""
        if self.progress is not None and self._has_no_loop():
            self.progress.abandon()
        self.land(None)

    def land(self, result: Result) -> None:
        """End it, for everybody who waits; what comes after the first time is ignored."""
        with self._lock:
            if self.landed:
                return
            self.result = result
            self.landed = True
        # Nobody is added once it has landed, so nothing but this thread looks at them now.
        for call in self._on_landing:
            call()
        self._on_landing.clear()

    def on_landing(self, call: Callable[[], object]) -> bool:
        """Have ``call`` called when it lands, in whatever thread that is; ``False`` where it has landed."""
        with self._lock:
            if not self.landed:
                self._on_landing[call] = None
            return not self.landed

    def forget(self, call: Callable[[], object]) -> None:
        """Call ``call`` no more."""
        with self._lock:
            if not self.landed:
                self._on_landing.pop(call, None)

    async def wait(self, until: float) -> None:
        """Return when it has landed, at that instant, or as soon as it is overdue."""
        until = min(until, self.deadline + _OVERDUE)
        waiter = new_waiter()
        wake = waiter.wake
        if not self.on_landing(wake):
            return
        try:
            while not self.landed and (left := until - now()) > 0:
                await waiter.sleep(left)
        finally:
            self.forget(wake)

    def _has_no_loop(self) -> bool:
        return is_other_closed_loop(self._loop)


class SingleFlight:
    """The requests of a process that are under way, by whose they are."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[Hashable, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: Hashable, deadline: float) -> tuple[Flight, bool]:
        """Return the flight for that key, and whether the caller is to lead it.

        Args:
            key: Whose list it fetches.
            deadline: The instant by which it would land, were it the caller's.
        """
        with self._lock:
            lost = self._flights.get(key)
            if lost is not None and not lost.is_lost():
                return lost, False
            flight = self._flights[key] = Flight(deadline)
        if lost is not None:
            lost.abandon_lost()
        return flight, True

    def complete(self, key: Hashable, flight: Flight, result: Result) -> None:
        """End a flight: whoever asks from now on begins another."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.land(result)

    def abandon(self) -> None:
        """Forget all flights: for a process that was forked, where nobody leads them."""
        self._lock = threading.RLock()
        self._flights = {}
