"""The circuit breaker of a client: the rules of ``circuit`` with a clock, for any number of threads and event loops."""

from __future__ import annotations

import math
import threading

import anyio
import attrs

from smsc_async.errors import ApiError, CircuitOpen, DecodeError, IncompleteReply, SmscError, TlsError, TransportError
from smsc_async.fetch.circuit import Circuit
from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import Waiter, new_waiter
from smsc_async.records import Tariffs


@attrs.define(eq=False, repr=False)
class Sending:
    """One request in flight, as the circuit breaker counts it.

    Attributes:
        login: The login.
        sent_at: When the request was sent.
        is_probe: Whether it is the probe of an open circuit.
        is_counted: Whether its silence has been counted as a failure.
    """

    login: str
    sent_at: float
    is_probe: bool
    is_counted: bool = False


class CircuitBreaker:
    """Lets requests through, or holds them back while the service does not respond."""

    def __init__(self) -> None:
        self._circuit = Circuit()
        # Reentrant: the garbage collector may end an abandoned call while this thread holds the lock.
        self._lock = threading.RLock()
        self._sendings: set[Sending] = set()
        self._waiters: set[Waiter] = set()

    async def wait(self, patience: float = math.inf) -> None:
        """Return when a request may be sent.

        Raises:
            CircuitOpen: The next probe comes in more than ``patience`` seconds, or after the deadline of the enclosing cancel
                scope.
        """
        while wait := self.seconds():
            if wait > min(patience, anyio.current_effective_deadline() - anyio.current_time()):
                raise CircuitOpen(wait)
            waiter = new_waiter()
            self._waiters.add(waiter)
            try:
                await waiter.wait(wait)
            finally:
                self._waiters.discard(waiter)

    def seconds(self) -> float:
        """Return the seconds until a request may be sent; 0 if one may be sent now."""
        instant = now()
        with self._lock:
            # Without a timer: silence matters only when another request wants to be sent.
            for each in self._sendings:
                if not each.is_counted and instant - each.sent_at >= Circuit.SILENCE:
                    each.is_counted = True
                    self._circuit.failed(each.login, instant, probe=each.is_probe)
            return self._circuit.wait(instant)

    def try_start(self, login: str) -> Sending | None:
        """Record a request that is sent now, or return ``None`` if another one has become the probe."""
        with self._lock:
            if self.seconds():
                return None
            sending = Sending(login, now(), self._circuit.start(login, now()))
            self._sendings.add(sending)
            return sending

    def settle(self, sending: Sending, outcome: Tariffs | SmscError | None) -> None:
        """Learn from a request that has ended; ``None`` if it was cancelled, or ended in a bug."""
        with self._lock:
            self._sendings.discard(sending)
            was_open = self._circuit.is_open
            responds = _responds(outcome)
            if responds:
                self._circuit.answered()
            elif responds is None:
                self._circuit.not_sent(probe=sending.is_probe)
            elif not sending.is_counted:
                self._circuit.failed(sending.login, now(), probe=sending.is_probe)
            waiters = list(self._waiters) if was_open else []
        for waiter in waiters:
            waiter.notify()

    def reset(self) -> None:
        """Close the circuit."""
        with self._lock:
            self._circuit.answered()
            waiters = list(self._waiters)
        for waiter in waiters:
            waiter.notify()


def _responds(outcome: Tariffs | SmscError | None) -> bool | None:
    """Return whether an outcome shows that the service responds; ``None`` if it shows nothing."""
    if isinstance(outcome, Tariffs | ApiError):
        return True
    if isinstance(outcome, DecodeError):
        # A page of a gateway is no reply of the service.
        return outcome.format is not None or isinstance(outcome, IncompleteReply)
    if isinstance(outcome, TransportError) and not isinstance(outcome, TlsError):
        return outcome.status is not None and outcome.status < 500
    return None
