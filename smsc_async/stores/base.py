"""The interface of a store, as the client and the limiter use it, and what all stores have in common."""

from __future__ import annotations

import math
import os
import weakref
from typing import Final, Literal, Protocol, Self, TypeAlias

from smsc_async.accounts import Account
from smsc_async.fetch.lockout import LockoutView
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.permit_source import PermitSource
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.records import Tariffs, checked_type
from smsc_async.stores.reply_cache import ReplyCache, cacheable
from smsc_async.stores.single_flight import SingleFlight

KEEP_BYTES: Final = 64 * 2**20
ColdStart: TypeAlias = Literal["grant", "wait"]


class Store(PermitSource, Protocol):
    """Permits, the last list of each account, and the fetches in flight.

    Permits belong to a login. Lists belong to an endpoint, a login and its credentials: a list is returned only for the
    credentials that fetched it.
    """

    queue: WaiterQueue
    """This process's queue for the permits of the store."""
    flights: SingleFlight
    """This process's fetches in flight."""
    rejected_lists: int = 0
    """How many stored lists counted as absent because somebody has damaged, exchanged or forged them."""
    _cache: ReplyCache
    _CACHE_DIVISOR: int = 1
    _closed_until: float = -math.inf

    def __init__(self, keep_bytes: int, cold_start: ColdStart) -> None:
        checked_type("keep_bytes", keep_bytes, int, "a whole number")
        if keep_bytes < 0:
            raise ValueError(f"keep_bytes={keep_bytes}: must be 0 (keep nothing) or more")
        if cold_start not in ("grant", "wait"):
            raise ValueError(f'cold_start={cold_start!r}: must be "grant" or "wait"')
        self.queue = WaiterQueue(self)
        self.flights = SingleFlight()
        self._cache = ReplyCache(keep_bytes // self._CACHE_DIVISOR)
        STORES.add(self)

    @property
    def closed_for(self) -> float:
        """Seconds until a store that lost its state grants permits again, as this process saw it last; else 0.0."""
        return max(self._closed_until - now(), 0.0)

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.aclose()

    def _after_fork(self) -> None:
        """Start with an empty state in a forked child: no thread of it can release a lock, and no task of the parent runs in it."""
        self._cache.after_fork()
        self.queue = WaiterQueue(self)
        self.flights = SingleFlight()

    async def aclose(self) -> None:
        """Close the files and connections of the store; the next use opens them again."""
        ...

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list in this process's memory if it is at most ``max_age`` seconds old."""
        return self._cache.find((endpoint, account.fingerprint), max_age)

    async def forget(self, account: Account) -> None:
        """Remove the lists of an account, for example because its owner has left."""
        ...

    async def lease_or_reply(
        self, endpoint: str, account: Account, max_age: float, permit: Permit | None = None
    ) -> Tariffs | FetchLease:
        """Return a list that another process fetched, or the right to fetch one.

        The leader of a flight calls it once for its whole process. The list is at most ``max_age`` seconds old, or it was
        fetched by another process during the call.

        Args:
            endpoint: The URL of the request.
            account: The account.
            max_age: Seconds; 0 for a list that is fetched from now on.
            permit: The permit of the first request, which a store acquires together with the lease if it can.
        """
        ...

    async def release_lease(self, lease: FetchLease) -> None:
        """Release a lease and a permit that it still has, and cache its list, if any; a second release does nothing."""
        ...

    async def release_unused(self, lease: FetchLease) -> None:
        """Release the permit that came with a lease, if no request has taken it."""
        if (permit := lease.take_permit()) is not None:
            await self.queue.release(permit, Completion.NOT_SENT)

    def _end(self, lease: FetchLease) -> bool:
        """Cache the list of a lease; return whether the lease was not released before."""
        was_released, lease.is_released = lease.is_released, True
        if not was_released and lease.tariffs is not None:
            self._cache.put((lease.endpoint, lease.account.fingerprint), cacheable(lease.reply, lease.tariffs), 0.0)
        return not was_released

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

    async def load_lockouts(self, service: str, account: Account) -> None:
        """Let ``lockouts()`` know what other processes have learned about an account and its service; changes nothing."""
        ...

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""
        ...


STORES: Final[weakref.WeakSet[Store]] = weakref.WeakSet()
"""The stores of this process."""


def _after_fork() -> None:
    for store in list(STORES):
        store._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
