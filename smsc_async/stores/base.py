"""What the client and the limiter need of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from smsc_async.accounts import Account
from smsc_async.limiter.queue import Gate, Ledger
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.single_flight import Flights

__all__ = ["OWN", "Lead", "Store"]

OWN: Final = "\0"
"""What a name begins with under which the library keeps a count of its own: no login of the service's can.

A store that has lost its memory is closed to a login for as long as what it forgot could matter. To these it is open at
once: the breakers count authorization errors over half an hour, and to send nothing for so long after every first use,
flush or restart would cost more than the count that was lost.
"""


@attrs.frozen
class Lead:
    """The right to fetch a list for everybody who shares a store, until it is given back or its time is up.

    Attributes:
        lease: What the store knows it by; ``None`` where nobody else is to be told.
    """

    lease: object = None


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

    async def board(self, endpoint: str, account: Account, max_age: float, seconds: float) -> Tariffs | Lead:
        """Return a list that somebody else who shares the store has, or the right to fetch one.

        Called by the leader of a flight, once for all of this process. A list is one that is at most ``max_age``
        seconds old, or one that came while this waited for another process that was fetching it.

        Args:
            endpoint: Where it is fetched.
            account: Whose.
            max_age: Seconds; 0 for a list that comes after now.
            seconds: What is left of the call's time: a lead is given for as long.
        """
        ...

    async def land(
        self, endpoint: str, account: Account, lead: Lead, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Give a lead back, with what came of it: the answer and the list in it, or ``None`` where there is no list."""
        ...

    async def hold(self, lead: Lead) -> None:
        """Renew a lead until it has landed; raises nothing.

        To be run beside the fetching, in a task of its own, where the lead has a lease.
        """
        ...

    async def shut(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window: the service has refused with error 9."""
        ...

    async def label(self, account: Account) -> str:
        """Return what credentials are marked under: the same for everybody who shares the store, and no way back."""
        ...

    async def mark(self, name: str, seconds: float) -> None:
        """Mark a name for that long: extends what is left of a mark, never shortens it."""
        ...

    async def marked(self, names: Sequence[str]) -> list[float]:
        """Return the seconds that are left of the mark of each name; 0.0 where there is none."""
        ...

    async def unmark(self, name: str) -> None:
        """Take a mark away, if there is one."""
        ...
