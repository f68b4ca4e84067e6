"""What the client and the limiter need of a store."""

from __future__ import annotations

from typing import Protocol

from smsc_async.accounts import Account
from smsc_async.flights import Flights
from smsc_async.limiter.gate import Gate, Ledger
from smsc_async.limiter.quota import Quota
from smsc_async.records import Tariffs

__all__ = ["Store"]


class Store(Ledger, Protocol):
    """Permits, the last answer of each account, and the requests that are under way.

    Permits are filed under the login alone, answers under endpoint, login and credentials: an answer goes to nobody
    but the credentials that fetched it.
    """

    @property
    def gate(self) -> Gate:
        """The line of this process for the permits of this store."""
        ...

    @property
    def flights(self) -> Flights:
        """The requests of this process that are under way."""
        ...

    def recall_at_once(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most that many seconds old and can be had without awaiting anything."""
        ...

    async def keep(self, endpoint: str, account: Account, tariffs: Tariffs) -> None:
        """Remember the list that has just come."""
        ...

    async def shut(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window: the service has refused with error 9."""
        ...
