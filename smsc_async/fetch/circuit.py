"""The circuit breaker: when a service that does not respond gets another request. Arithmetic over ``now``.

Without it an outage multiplies requests: a list is cached for a minute, a failure is not, so every caller would retry as
fast as the quota allows. With it a service that failed five times in a row gets one request at a time, less and less
often, and every half minute at the least, so its return is noticed within a window.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Outage"]


class Outage:
    """Whether a service is down, and who may ask it meanwhile.

    Each time that its rest is over, one request goes out to see, and the rest begins anew at once: so a request that
    hangs keeps nobody from the next try, and one that is cancelled leaves nothing to clear up.
    """

    FAILURES: Final = 5
    """So many failures running, of whichever accounts, and no answer between them, are an outage."""
    FIRST_REST: Final = 1.0
    LONGEST_REST: Final = 30.0

    __slots__ = ("_failures", "_rest", "_until", "round")

    def __init__(self) -> None:
        self._failures = 0
        self._rest = 0.0
        self._until = -math.inf
        self.round: int = 0
        """Changes with each rest; whoever asks remembers it, so that failures of one round lengthen the rest once."""

    @property
    def is_down(self) -> bool:
        """Whether the service is taken to be down."""
        return self._rest > 0

    def rest(self, now: float) -> float:
        """Return the seconds that are left of the rest; 0 where a request may go out."""
        return max(self._until - now, 0.0) if self._rest else 0.0

    def ask(self, now: float, chance: float) -> float:
        """Return 0 where this request may go out, else the seconds until one may.

        Args:
            now: The instant.
            chance: Between 0 and 1: spreads those who were told the same rest.
        """
        left = self.rest(now)
        if left <= 0 and self._rest:
            self._until = now + self._spread(chance)
        return left

    def failed(self, round_asked: int, now: float, chance: float) -> None:
        """Note that a request of that round got no answer."""
        self._failures += 1
        if self._failures >= self.FAILURES and round_asked == self.round:
            self._rest = min(self._rest * 2, self.LONGEST_REST) if self._rest else self.FIRST_REST
            self._until = max(self._until, now + self._spread(chance))
            self.round += 1

    def answered(self) -> None:
        """Note that there was an answer: the service is there."""
        self._failures = 0
        self._rest = 0.0

    def _spread(self, chance: float) -> float:
        return self._rest * (0.5 + chance / 2)
