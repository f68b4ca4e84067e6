"""What the stores that processes share have in common: digests, the lists in memory, and the wait for another process.

Invariants:

- A list of another process is as fresh as the caller wants, or it was fetched while the caller waited.
- A follower waits for a leader only while the leader's process lives: the leader renews its lease (``renew_lease``).
- Followers poll with random pauses, so that they do not load the store together.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import secrets
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import StoreError
from smsc_async.fetch.lockout import LockoutView, Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter
from smsc_async.protocol import Reply, quota_key, service_of
from smsc_async.records import Tariffs
from smsc_async.stores.base import FetchLease
from smsc_async.stores.digests import Digests, Pepper, secret_of
from smsc_async.stores.lockout_states import CredentialNames, LockoutStates
from smsc_async.stores.packed_reply import packed, unpacked_off_loop
from smsc_async.stores.reply_cache import ReplyCache
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["KEEP_BYTES", "OTHER_PEPPER", "ColdStart", "ListKey", "Lookup", "SharedStore", "StoreLostError"]

KEEP_BYTES: Final = 64 * 2**20
ColdStart: TypeAlias = Literal["grant", "wait"]

OTHER_PEPPER: Final = (
    "another process uses the store with another pepper, and so with another quota: pass the same pepper everywhere, or "
    "empty the store and restart all processes"
)

# The lists in memory are copies of lists in the store, so a part of the store's size is enough.
_CACHE_DIVISOR: Final = 4
# The pause of a follower between two looks grows from the first to the second; each pause is random.
_FIRST_POLL: Final = 0.02
_LAST_POLL: Final = 0.2


@attrs.frozen
class ListKey:
    """The key of an account's list in the store.

    Attributes:
        login: The digest of the login.
        key: The digest of endpoint, login and credentials.
    """

    login: str
    key: str


@attrs.frozen
class Lookup:
    """The result of a look into the store.

    Attributes:
        leads: Whether the caller has the lease now.
        packed: The last list, packed, or ``None``.
        age: The age of the list, in seconds.
        wall: The instant of its fetch, in seconds since the epoch.
    """

    leads: bool
    packed: bytes | None = None
    age: float = 0.0
    wall: float = 0.0


class StoreLostError(Exception):
    """The store was lost since the digests were made; the next call makes them anew."""


@attrs.frozen
class _LeaseId:
    key: ListKey
    holder: int


class SharedStore(ABC):
    """A store that several processes share.

    Args:
        pepper: See the stores.
        keep_bytes: See the stores.
        lease: See the stores.
        cold_start: See the stores.
    """

    LEASE_SECONDS: float = 5.0
    """Seconds until a lease ends that is not renewed: followers of a killed leader wait that long."""

    def __init__(self, *, pepper: Pepper | None, keep_bytes: int, lease: float, cold_start: ColdStart) -> None:
        self._digests = Digests(pepper)
        self._pepper = secret_of(pepper)
        self._peppered = pepper is not None
        del pepper
        if keep_bytes < 0:
            raise ValueError(f"keep_bytes={keep_bytes}: must be 0 (keep nothing) or more")
        if not 0 < lease < float("inf"):
            raise ValueError(f"lease={lease}: must be a finite number of seconds, more than 0")
        if cold_start not in {"grant", "wait"}:
            raise ValueError(f'cold_start={cold_start!r}: must be "grant" or "wait"')
        self.queue: WaiterQueue = WaiterQueue(self)
        self.flights: SingleFlight = SingleFlight()
        self._keep_bytes = keep_bytes
        self._lease = lease
        self._cold_start: ColdStart = cold_start
        self._cache = ReplyCache(keep_bytes // _CACHE_DIVISOR)
        # The leases of this process, by holder, each with the waiter of its renewal.
        self._leases: dict[int, Waiter | None] = {}
        self._lockout_view = LockoutStates()
        _all.add(self)

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close the files and connections of the store; the next use opens them again."""

    @abstractmethod
    async def acquire(
        self, login: str, quota: Quota, *, token: bool, lease: float, credentials: Credentials | None = None
    ) -> Permit | Refusal:
        """Return a permit, or when to try again."""

    @abstractmethod
    async def release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> None:
        """Release a permit. If the store does not answer, the permit ends with its lease."""

    @abstractmethod
    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""

    def try_acquire(
        self,
        login: str,  # noqa: ARG002  # the protocol's
        quota: Quota,  # noqa: ARG002  # the protocol's
        *,
        token: bool,  # noqa: ARG002  # the protocol's
        credentials: Credentials | None = None,  # noqa: ARG002  # the protocol's
    ) -> Permit | None:
        """Return ``None``: a shared store needs an ``await``."""
        return None

    def try_release(
        self,
        permit: Permit,  # noqa: ARG002  # the protocol's
        completion: Completion,  # noqa: ARG002  # the protocol's
        verdict: Verdict | None = None,  # noqa: ARG002  # the protocol's
    ) -> bool:
        """Return ``False``: a shared store needs an ``await``."""
        return False

    def lockouts(self, service: str) -> list[LockoutView]:
        """Return what the lockout rules refuse, the longest first, by the last view of this process."""
        return self._lockout_view.lockouts(service)

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list in this process's memory if it is at most ``max_age`` seconds old."""
        return self._cache.find((endpoint, account.fingerprint), max_age)

    async def lease_or_reply(
        self,
        endpoint: str,
        account: Account,
        max_age: float,
        seconds: float,  # noqa: ARG002  # the protocol's
    ) -> Tariffs | FetchLease:
        """Return a list that another process fetched, or the right to fetch one."""
        cache_key = (endpoint, account.fingerprint)
        started, pause, is_readable = now(), _FIRST_POLL, True
        holder = secrets.randbits(62)
        while True:
            key = await self._key(endpoint, account)
            # A list that was fetched since the start of the call is fresh enough whatever max_age is.
            fresh = max(max_age, now() - started) if is_readable else -1.0
            lookup = Lookup(leads=False)
            with contextlib.suppress(StoreLostError):
                lookup = await self._look(key, fresh, holder, with_last=not self._cache.has(cache_key))
            if lookup.leads:
                if lookup.packed is not None:
                    self._cache.put(cache_key, lookup.packed, lookup.age)
                self._leases[holder] = None
                return FetchLease(_LeaseId(key, holder))
            if lookup.packed is not None:
                tariffs = await unpacked_off_loop(lookup.packed, lookup.wall)
                if tariffs is not None:
                    self._cache.put(cache_key, tariffs, lookup.age)
                    return tariffs
                is_readable = False
            await anyio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # spreads load
            pause = min(pause * 1.5, _LAST_POLL)

    async def renew_lease(self, lease: FetchLease) -> None:
        """Renew a lease until its release."""
        lease_id = _lease_id(lease)
        if lease_id.holder not in self._leases:
            return
        waiter = self._leases[lease_id.holder] = new_waiter()
        while True:
            await waiter.wait(self.LEASE_SECONDS / 3)
            if lease_id.holder not in self._leases:
                return
            # If the store is down, no other process can take the lease either.
            with contextlib.suppress(StoreError):
                await self._renew(lease_id.key, lease_id.holder)

    async def release_lease(
        self, endpoint: str, account: Account, lease: FetchLease, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Release a lease, and share the reply if it contains a list."""
        lease_id = _lease_id(lease)
        waiter = self._leases.pop(lease_id.holder, None)
        if waiter is not None:
            waiter.notify()
        if tariffs is not None:
            self._cache.put((endpoint, account.fingerprint), tariffs, 0.0)
        shared = packed(reply) if reply is not None and tariffs is not None else None
        # The caller gets its list even if the store fails; a lease that is not released ends by itself.
        with contextlib.suppress(StoreError):
            await self._unlease(lease_id.key, lease_id.holder, shared)

    def _reduced(self, address: str) -> tuple[Callable[..., SharedStore], tuple[object, ...]]:
        """Return how to make a store with the same arguments; the state is in the file or the server."""
        options = {"keep_bytes": self._keep_bytes, "lease": self._lease, "cold_start": self._cold_start}
        return _restored, (type(self), address, None if self._pepper is None else self._pepper.reveal(), options)

    def _closed_for(self, quota: Quota) -> float:
        """Return the seconds for which a store that has lost its state grants nothing for a login."""
        return quota.absence + self._lease

    async def _credential_names(self, credentials: Credentials, salt: bytes) -> CredentialNames:
        account = credentials.account
        login = await self._digests.of_login(quota_key(credentials.service, account.login), salt)
        digest = await self._digests.of_account(account, salt)
        self._lockout_view.logins[login] = account.login
        return CredentialNames(credentials.service, login, f"{credentials.service} {digest}")

    async def _key(self, endpoint: str, account: Account) -> ListKey:
        salt = await self._salt()
        login = await self._digests.of_login(quota_key(service_of(endpoint), account.login), salt)
        credentials = await self._digests.of_account(account, salt)
        return ListKey(login, hashlib.blake2b(f"{endpoint}\n{credentials}".encode(), digest_size=16).hexdigest())

    @abstractmethod
    async def _salt(self) -> bytes:
        """Return the salt of the store."""

    @abstractmethod
    async def _look(self, key: ListKey, fresh: float, holder: int, *, with_last: bool) -> Lookup:
        """Return a list less than ``fresh`` seconds old, or take the lease if it is free.

        With ``with_last``, the lease comes with the last list, whatever its age.
        """

    @abstractmethod
    async def _renew(self, key: ListKey, holder: int) -> None:
        """Extend the lease to ``LEASE_SECONDS`` from now."""

    @abstractmethod
    async def _unlease(self, key: ListKey, holder: int, shared: bytes | None) -> None:
        """Release the lease, and store the packed list, if any."""

    def _after_fork(self) -> None:
        self.queue.abandon()
        self.flights.abandon()
        self._cache.after_fork()
        self._digests.after_fork()
        self._leases = {}


_all: Final[weakref.WeakSet[SharedStore]] = weakref.WeakSet()


def _restored(
    kind: Callable[..., SharedStore], address: str, pepper: str | None, options: dict[str, object]
) -> SharedStore:
    return kind(address, pepper=pepper, **options)


def _lease_id(lease: FetchLease) -> _LeaseId:
    assert isinstance(lease.lease, _LeaseId)
    return lease.lease


def _after_fork() -> None:
    for store in list(_all):
        store._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
