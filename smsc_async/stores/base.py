"""What the client and the limiter need of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from smsc_async.accounts import Account
from smsc_async.limiter.queue import PermitSource, WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["INTERNAL_PREFIX", "FetchLease", "Store"]

INTERNAL_PREFIX: Final = "\0"
"""What a name begins with under which the library keeps a count of its own: no login of the service's can.

A store that has lost its memory is closed to a login for as long as what it forgot could matter. To these it is open at
once: the breakers count authorization errors over half an hour, and to send nothing for so long after every first use,
flush or restart would cost more than the count that was lost.
"""


@attrs.frozen
class FetchLease:
    """The right to fetch a list for everybody who shares a store, until it is given back or its time is up.

    Attributes:
        lease: What the store knows it by; ``None`` where nobody else is to be told.
    """

    lease: object = None


class Store(PermitSource, Protocol):
    """Permits, the last answer of each account, and the requests that are under way.

    Permits are filed under the login alone, answers under endpoint, login and credentials: an answer goes to nobody
    but the credentials that fetched it.
    """

    @property
    def gate(self) -> WaiterQueue:
        """The line of this process for the permits of this store."""
        ...

    @property
    def flights(self) -> SingleFlight:
        """The requests of this process that are under way."""
        ...

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most that many seconds old and can be had without awaiting anything."""
        ...

    async def lease_or_reply(
        self, endpoint: str, account: Account, max_age: float, seconds: float
    ) -> Tariffs | FetchLease:
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

    async def release_lease(
        self, endpoint: str, account: Account, lead: FetchLease, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Give a lead back, with what came of it: the answer and the list in it, or ``None`` where there is no list."""
        ...

    async def renew_lease(self, lead: FetchLease) -> None:
        """Renew a lead until it has landed; raises nothing.

        To be run beside the fetching, in a task of its own, where the lead has a lease.
        """
        ...

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window: the service has refused with error 9."""
        ...

    async def credential_digest(self, account: Account) -> str:
        """Return what credentials are marked under: the same for everybody who shares the store, and no way back."""
        ...

    async def set_flag(self, name: str, seconds: float) -> None:
        """Mark a name for that long: extends what is left of a mark, never shortens it."""
        ...

    async def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return the seconds that are left of the mark of each name; 0.0 where there is none."""
        ...

    async def clear_flag(self, name: str) -> None:
        """Take a mark away, if there is one."""
        ...
