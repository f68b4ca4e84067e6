"""The interface of a store, as the client and the limiter use it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import attrs

from smsc_async.accounts import Account
from smsc_async.fetch.lockout import LockoutView
from smsc_async.limiter.bucket import Usage
from smsc_async.limiter.queue import PermitSource, WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["FetchLease", "Store"]


@attrs.frozen
class FetchLease:
    """The right to fetch a list for all users of a store, until the release or the end of the lease.

    Attributes:
        lease: The store's identifier of the lease; ``None`` if no other process can wait for the list.
    """

    lease: object = None


class Store(PermitSource, Protocol):
    """Permits, the last list of each account, and the fetches in flight.

    Permits belong to a login. Lists belong to an endpoint, a login and its credentials: a list is returned only for the
    credentials that fetched it.
    """

    @property
    def queue(self) -> WaiterQueue:
        """This process's queue for the permits of the store."""
        ...

    @property
    def flights(self) -> SingleFlight:
        """This process's fetches in flight."""
        ...

    async def __aenter__(self) -> Self:
        """Return the store."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        ...

    async def aclose(self) -> None:
        """Close the files and connections of the store; the next use opens them again."""
        ...

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most ``max_age`` seconds old and available without an ``await``."""
        ...

    async def lease_or_reply(
        self, endpoint: str, account: Account, max_age: float, seconds: float
    ) -> Tariffs | FetchLease:
        """Return a list that another process fetched, or the right to fetch one.

        The leader of a flight calls it once for its whole process. The list is at most ``max_age`` seconds old, or it was
        fetched by another process during the call.

        Args:
            endpoint: The URL of the request.
            account: The account.
            max_age: Seconds; 0 for a list that is fetched from now on.
            seconds: The remaining seconds of the call; the lease lasts as long.
        """
        ...

    async def release_lease(
        self, endpoint: str, account: Account, lease: FetchLease, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Release a lease, and cache its result: the reply and the list in it, or ``None`` if there is no list."""
        ...

    async def renew_lease(self, lease: FetchLease) -> None:
        """Renew a lease until its release; raises nothing.

        Runs beside the fetch, in a task of its own, if the lease has an identifier.
        """
        ...

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota; acquires nothing.

        Raises:
            StoreError: The store does not answer.
        """
        ...

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window: the service has refused a request with error 9."""
        ...

    def lockouts(self, service: str) -> list[LockoutView]:
        """Return what the lockout rules refuse at present, the longest first, as far as this process knows."""
        ...

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""
        ...
