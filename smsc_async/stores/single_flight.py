"""Fetches in progress, and everybody who waits for one: one flight for an account, however many callers.

A flight is a background task: all attempts for one account. Callers only wait for it, each within its own deadline, and
all threads and event loops of a process share it. A flight belongs to its exchange, not to the caller that began it.

A closed event loop cannot notify the callers of its flights. New callers detect the closed loop and start another flight.
Callers that already wait detect it when the flight is overdue.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Hashable
from typing import Final, TypeAlias

import anyio

from smsc_async.errors import SmscError, TrialsExhausted
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import Waiters, call_in_loop, is_closed_loop, running_loop
from smsc_async.records import Tariffs

# A flight may outlast its deadline by one exchange, and by the time to settle it with the store.
_OVERDUE: Final = 35.0

# An exception that is no SmscError is a bug of a user's code or of the library, or a signal, and is passed on unchanged.
Result: TypeAlias = Tariffs | BaseException | None


class InFlight:
    """One fetch in progress.

    Attributes:
        started_at: When the flight began, on the limiter's clock.
        deadline: The instant, on the limiter's clock, after which no attempt starts.
        scope: The cancel scope of the flight's task.
        attempts: The requests so far.
        failure: The error of an attempt that is being retried, or ``None``.
        refusal: Why the next request cannot be sent now, or ``None`` if it can, or if that is unknown.
        due_at: The instant before which the next request cannot be sent; ``-inf`` while that is unknown.
        is_complete: Whether the result is there.
        result: A list, an error, or ``None`` if the flight was lost.
        max_age: Seconds that the list may be old if it came from the store, or 0 if it was fetched.
        is_refresh: Whether the flight began in the background; then it never takes the last token.
        is_abandoned: Whether the last caller has left while nothing was in progress, so that the flight ends by itself.
    """

    def __init__(self, deadline: float) -> None:
        self.started_at: float = now()
        self.deadline: float = deadline
        self.scope: anyio.CancelScope = anyio.CancelScope(deadline=anyio.current_time() + deadline - now())
        self.attempts: list[Attempt] = []
        self.failure: SmscError | None = None
        self.refusal: SmscError | None = None
        self.due_at: float = -math.inf
        self.is_complete: bool = False
        self.result: Result = None
        self.max_age: float = 0.0
        self.is_refresh: bool = False
        self.is_abandoned: bool = False
        # Reentrant: the garbage collector may end an abandoned caller while this thread holds the lock.
        self._lock = threading.RLock()
        self._callers = 0
        self._waiters = Waiters()
        self._loop = running_loop()
        self._is_in_exchange = False

    @property
    def is_wanted(self) -> bool:
        """Whether a caller still waits."""
        return self._callers > 0

    @property
    def may_have_counted(self) -> bool:
        """Whether the service may have counted a request of this flight."""
        return any(attempt.may_have_counted for attempt in self.attempts)

    @property
    def is_connecting(self) -> bool:
        """Whether an exchange is in progress whose request was not sent yet."""
        return self._is_in_exchange and not self.is_complete and not self.attempts[-1].readings

    def join(self) -> None:
        """Count a caller, until it leaves."""
        with self._lock:
            self._callers += 1

    def leave(self) -> None:
        """Count a caller less; without callers a flight does not wait for its next attempt."""
        with self._lock:
            self._callers -= 1
        if not (self._callers or self.is_complete):
            call_in_loop(self._loop, self._abandon)

    def _abandon(self) -> None:
        """Cancel the flight in its event loop, unless another caller has joined or an exchange has begun meanwhile."""
        if not (self._callers or self.is_complete or self._is_in_exchange):
            self.refusal, self.is_abandoned = None, True
            self.scope.cancel()

    def begin_exchange(self) -> None:
        """Let the exchange that begins now continue to its end, because the service counts it."""
        with self._lock:
            self._is_in_exchange = True
        self.scope.deadline = math.inf
        self.refusal = None
        self.due_at = -math.inf

    def end_exchange(self) -> None:
        """Let the deadline, or the leaving of the last caller, cancel the flight again."""
        with self._lock:
            self._is_in_exchange = False
        self.scope.deadline = anyio.current_time() + self.deadline - now()
        if not self.is_wanted:
            self.scope.cancel()

    def refuse(self, error: SmscError) -> None:
        """Note why the next request is not sent now: callers with less time, and those that do not wait, leave at once."""
        # The end of another trial can free a place earlier.
        if error.retry_after is not None and not isinstance(error, TrialsExhausted):
            self.due_at = now() + error.retry_after
        self.refusal = error
        self._waiters.notify()

    def refusal_by(self, until: float, *, is_impatient: bool) -> SmscError | None:
        """Return why the next request is not sent by ``until``, or now for an impatient caller; else ``None``."""
        refusal = self.refusal
        # The deadline of a caller may end while the flight still leaves the queue for a place.
        is_over = isinstance(refusal, TrialsExhausted) and self.failure is None and now() >= until
        if refusal is None or (self.due_at <= until and not is_impatient and not is_over):
            return None
        if self.failure is not None and not is_impatient:
            return copy.copy(self.failure)  # another attempt cannot be made in time: the last one says more
        error = copy.copy(refusal)
        if self.due_at > now():
            error.retry_after = self.due_at - now()
        return error

    def is_lost(self) -> bool:
        """Whether nothing will complete this flight."""
        return self.is_complete or now() >= self.deadline + _OVERDUE or is_closed_loop(self._loop)

    def complete(self, result: Result) -> None:
        """Give the result to everybody who waits; a second call has no effect."""
        with self._lock:
            if self.is_complete:
                return
            self.result = result
            self.is_complete = True
        self._waiters.notify()

    async def wait(self, until: float, *, is_impatient: bool = False) -> SmscError | None:
        """Return when the flight is complete, at ``until``, or when ``refusal_by`` has an error, which is the result."""
        ends_at = min(until, self.deadline + _OVERDUE)
        with self._waiters.new() as waiter:
            while not self.is_complete and (left := ends_at - now()) > 0:
                refusal = self.refusal_by(until, is_impatient=is_impatient)
                if refusal is not None:
                    return refusal
                await waiter.wait(left)
        return self.refusal_by(until, is_impatient=is_impatient)


class SingleFlight:
    """The flights of a process, by credentials."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[Hashable, InFlight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: Hashable, deadline: float) -> tuple[InFlight, bool]:
        """Return the flight for a key, and whether the caller has to start it.

        The caller has joined the flight, and has to leave it.

        Args:
            key: The credentials.
            deadline: The instant by which a new flight would be over.
        """
        with self._lock:
            flight = lost = self._flights.get(key)
            is_new = flight is None or flight.is_lost()
            if flight is None or is_new:
                flight = self._flights[key] = InFlight(deadline)
            flight.join()
        if lost is not None and is_new:
            lost.complete(None)
        return flight, is_new

    def complete(self, key: Hashable, flight: InFlight, result: Result) -> None:
        """Complete a flight; the next caller starts another."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.complete(result)
