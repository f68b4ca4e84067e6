"""When a service that does not answer gets the next request: arithmetic over ``now``.

Without a circuit breaker an outage multiplies requests: a list is cached for a minute and a failure is not, so every
caller would try again as fast as the quota permits.

A failure is a fact about the service: no reply for 10 s, a cut connection, a 5xx, a foreign page. The end of a caller's
deadline is none, so callers with short deadlines never open the circuit.

Invariant: an open circuit always has a next probe at a known instant. A probe whose caller disappears is over after 10 s;
otherwise a cancelled probe would keep the circuit open for ever.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final


class Circuit:
    """Whether a service is down, and which request is sent as a probe meanwhile."""

    FAILURES: Final = 5
    """So many failures in a row, from at least two logins if two are in use, open the circuit."""
    WAITS: Final = (2.0, 4.0, 8.0, 10.0)
    """Seconds from the opening to the first probe, and then from probe to probe; the last one repeats."""
    SILENCE: Final = 10.0
    """No reply for so long is a failure."""
    IN_USE: Final = 60.0
    """A login that sent a request within so many seconds is in use."""

    def __init__(self) -> None:
        # The requests in flight whose silence has not counted as a failure: the login, and when the request was sent.
        self._pending: dict[Hashable, tuple[str, float]] = {}
        self._failures = 0
        # Two logins are enough for each decision, so no more are stored.
        self._failed: set[str] = set()
        self._sent: dict[str, float] = {}
        self._probes = 0
        self._probe: Hashable = None
        self._next_probe = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the service is taken to be down."""
        return self._probes > 0

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 if one may be sent now."""
        # Without a timer: silence matters only when another request wants to be sent.
        while self._pending:
            request, (_, sent_at) = next(iter(self._pending.items()))  # the oldest
            if now - sent_at < self.SILENCE:
                break
            self._fail(request, now)
        if not self.is_open:
            return 0.0
        probe_until = -math.inf if self._probe is None else self._pending[self._probe][1] + self.SILENCE
        return max(0.0, self._next_probe - now, probe_until - now)

    def start(self, request: Hashable, login: str, now: float) -> None:
        """Record a request that ``wait`` permits; ``settle`` must follow. In an open circuit the request is the probe.

        Args:
            request: The request.
            login: The login, or a digest of it.
            now: The instant.
        """
        self._pending[request] = login, now
        self._sent.pop(login, None)
        self._sent[login] = now
        if len(self._sent) > 2:
            del self._sent[next(iter(self._sent))]
        if self.is_open:
            self._probe = request
            self._schedule(now)

    def settle(self, request: Hashable, now: float, *, responds: bool | None) -> None:
        """Record the end of a request.

        Args:
            request: As in ``start``.
            now: The instant.
            responds: Whether the service replied, also if the request has counted as a failure by now. ``None`` if the
                request was not sent: if it was the probe, the next request is a probe again.
        """
        if responds:
            self.reset()
        elif responds is None and request == self._probe:
            self._probe, self._next_probe = None, -math.inf
        elif responds is False and request in self._pending:
            self._fail(request, now)
        self._pending.pop(request, None)

    def reset(self) -> None:
        """Close the circuit."""
        self._failures = self._probes = 0
        self._failed.clear()
        self._probe = None

    def _fail(self, request: Hashable, now: float) -> None:
        """Count a failure; while the circuit is open, only that of the probe matters."""
        login, _ = self._pending.pop(request)
        if request == self._probe:
            self._probe = None
        if self.is_open:
            return
        self._failures += 1
        if len(self._failed) < 2:
            self._failed.add(login)
        in_use = sum(at > now - self.IN_USE for at in self._sent.values())
        if self._failures >= self.FAILURES and len(self._failed) >= min(in_use, 2):
            self._schedule(now)

    def _schedule(self, now: float) -> None:
        self._next_probe = now + self.WAITS[min(self._probes, len(self.WAITS) - 1)]
        self._probes += 1
