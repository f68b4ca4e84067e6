"""The circuit breaker of a client: the rules of ``circuit`` with a clock, for any number of threads and event loops."""

from __future__ import annotations

import math
import os
import threading
import weakref

import anyio

from smsc_async.errors import ApiError, CircuitOpen, DecodeError, IncompleteReply, SmscError, TlsError, TransportError
from smsc_async.fetch.circuit import Circuit
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import Waiters
from smsc_async.records import Tariffs


class CircuitBreaker:
    """Lets requests through, or holds them back while the service does not respond."""

    def __init__(self) -> None:
        self.after_fork()
        _all.add(self)

    def after_fork(self) -> None:
        """Start from nothing in a forked child: the requests in flight are the parent's, and no thread of it can release the lock."""
        self._circuit = Circuit()
        # Reentrant: the garbage collector may end an abandoned call while this thread holds the lock.
        self._lock = threading.RLock()
        self._waiters = Waiters()

    async def wait(self, patience: float = math.inf) -> None:
        """Return when a request may be sent.

        Raises:
            CircuitOpen: The next probe comes in more than ``patience`` seconds, or after the deadline of the enclosing cancel
                scope.
        """
        while wait := self.seconds():
            if wait > min(patience, anyio.current_effective_deadline() - anyio.current_time()):
                raise CircuitOpen(wait)
            with self._waiters.new() as waiter:
                await waiter.wait(wait)

    def seconds(self) -> float:
        """Return the seconds until a request may be sent; 0 if one may be sent now."""
        with self._lock:
            return self._circuit.wait(now())

    def try_start(self, attempt: Attempt) -> bool:
        """Record a request that is sent now; return ``False`` if it may not be, because another one is the probe."""
        with self._lock:
            may_start = not self.seconds()
            if may_start:
                self._circuit.start(attempt, attempt.login, now())
            return may_start

    def settle(self, attempt: Attempt) -> None:
        """Learn from the outcome of a request that has ended."""
        with self._lock:
            self._circuit.settle(attempt, now(), responds=_responds(attempt.outcome))
        self._waiters.notify()

    def reset(self) -> None:
        """Close the circuit."""
        with self._lock:
            self._circuit.reset()
        self._waiters.notify()


_all = weakref.WeakSet[CircuitBreaker]()


def _after_fork() -> None:
    for circuit in list(_all):
        circuit.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def _responds(outcome: Tariffs | SmscError | None) -> bool | None:
    """Return whether an outcome shows that the service responds; ``None`` if it shows nothing, or there is none."""
    if isinstance(outcome, Tariffs | ApiError):
        return True
    if isinstance(outcome, DecodeError):
        # A page of a gateway is no reply of the service.
        return outcome.format is not None or isinstance(outcome, IncompleteReply)
    if isinstance(outcome, TransportError) and not isinstance(outcome, TlsError):
        return outcome.status is not None and outcome.status < 500
    return None
