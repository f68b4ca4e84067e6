"""The hosts of the service: which one gets the next request, and how long its connection may take."""

from __future__ import annotations

from typing import Final

from smsc_async.errors import SmscError, TransportError
from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs

# Seconds for a connection. A host that drops packets is detected while there is time for the reserve host.
_CONNECT_SECONDS: Final = 10.0
_SHARE_OF_FIRST_HOST: Final = 3
# Seconds for which a host without a connection is not the first choice.
_DEAD_SECONDS: Final = 60.0


class Hosts:
    """The hosts of a client.

    Args:
        primary: The URL of the service.
        reserve: The URL of its reserve host, or ``None``.
    """

    def __init__(self, primary: str, reserve: str | None) -> None:
        self.primary: str = primary
        self._dead_until = dict.fromkeys([primary] if reserve is None else [primary, reserve], 0.0)

    def choose(self) -> str:
        """Return the first host that had a connection lately, else the one that was given up first."""
        return min(self._dead_until, key=lambda endpoint: max(self._dead_until[endpoint], now()))

    def connect_seconds(self, left: float) -> float:
        """Return how long the connection may take, of the seconds that are left."""
        if len(self._dead_until) == 1:
            return _CONNECT_SECONDS
        # httpx limits the connection and its TLS handshake by as much each.
        return min(max(left, 0.0) / (2 * _SHARE_OF_FIRST_HOST), _CONNECT_SECONDS)

    def note(self, endpoint: str, outcome: Tariffs | SmscError) -> None:
        """Note whether a host had a connection."""
        self._dead_until[endpoint] = now() + _DEAD_SECONDS if _is_unreached(outcome) else 0.0

    def has_other(self, outcome: SmscError, number: int) -> bool:
        """Whether a host that this fetch has not tried can take the next attempt at once."""
        return number < len(self._dead_until) and _is_unreached(outcome)


def _is_unreached(outcome: Tariffs | SmscError) -> bool:
    """Whether there was no connection."""
    return isinstance(outcome, TransportError) and not outcome.may_have_counted and outcome.retryable
