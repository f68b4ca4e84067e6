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

    __slots__ = ("_failed", "_failures", "_next_probe", "_probe_until", "_probes", "_sent")

    def __init__(self) -> None:
        self._failures = 0
        # Two logins are enough for each decision, so no more are stored.
        self._failed: set[str] = set()
        self._sent: dict[str, float] = {}
        self._probes = 0
        self._next_probe = -math.inf
        self._probe_until = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the service is taken to be down."""
        return self._probes > 0

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 if one may be sent now."""
        return max(0.0, self._next_probe - now, self._probe_until - now) if self.is_open else 0.0

    def start(self, login: str, now: float) -> bool:
        """Record a request that ``wait`` permits; return whether it is a probe.

        Args:
            login: The login, or a digest of it.
            now: The instant.
        """
        self._sent.pop(login, None)
        self._sent[login] = now
        if len(self._sent) > 2:
            del self._sent[next(iter(self._sent))]
        if self.is_open:
            self._probe_until = now + self.SILENCE
            self._schedule(now)
        return self.is_open

    def failed(self, login: str, now: float, *, probe: bool) -> None:
        """Record a failure; while the circuit is open, only that of a probe matters.

        Args:
            login: As in ``start``.
            now: The instant.
            probe: What ``start`` returned.
        """
        if probe:
            self._probe_until = -math.inf
        if self.is_open:
            return
        self._failures += 1
        if len(self._failed) < 2:
            self._failed.add(login)
        in_use = sum(at > now - self.IN_USE for at in self._sent.values())
        if self._failures >= self.FAILURES and len(self._failed) >= min(in_use, 2):
            self._schedule(now)

    def answered(self) -> None:
        """Record a reply of the service, also one that came after its request had counted as a failure."""
        self._failures = self._probes = 0
        self._failed.clear()
        self._probe_until = -math.inf

    def not_sent(self, *, probe: bool) -> None:
        """Record that a request was not sent; if it was the probe, the next request is a probe again."""
        if probe:
            self._probe_until = self._next_probe = -math.inf

    def _schedule(self, now: float) -> None:
        self._next_probe = now + self.WAITS[min(self._probes, len(self.WAITS) - 1)]
        self._probes += 1
