"""What the stores that processes share have in common: keys, the lists in memory, and the wait for another process.

Invariants:

- A list of another process is as fresh as the caller wants, or it was fetched while the caller waited.
- A follower waits for a leader only while the leader's process lives: the leader renews its lease (``renew_lease``).
- Followers poll with random pauses, so that they do not load the store together.
- A list whose seal is wrong counts as absent.
- A store that lost its state grants nothing until no lost permit can matter any more, counted from the loss.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import anyio
import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.arguments import checked_seconds
from smsc_async.errors import QuotaExhausted, StoreError, StoreNotReady
from smsc_async.fetch.lockout import LockoutView, Verdict
from smsc_async.limiter.attempt import LONGEST_EXCHANGE, FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import new_waiter
from smsc_async.protocol import quota_key
from smsc_async.records import Tariffs
from smsc_async.stores.base import ColdStart, Store
from smsc_async.stores.keys import Keys, ListKey
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates, LockoutStates
from smsc_async.stores.private_files import misconfigured
from smsc_async.stores.reply_cache import Undecoded
from smsc_async.stores.sealed_reply import Unsealed, sealed, unpacked, unpacked_off_loop, unsealed

OTHER_PEPPER: Final = (
    "another process uses the store with another pepper, and so with another quota: pass the same pepper everywhere (for "
    "a SQLite file without one: restore its key file), or stop all processes, wait two minutes and empty the store"
)

# The pause of a follower between two looks grows from the first to the second; each pause is random.
_FIRST_POLL: Final = 0.02
_LAST_POLL: Final = 0.2
# Seconds by which the wall clocks of two machines may differ. A list that is older than its store says, by more than this,
# is an old one that was put back.
_CLOCK_SKEW: Final = 60.0

_LOG: Final = logging.getLogger("smsc_async")


@attrs.frozen
class Lookup:
    """The result of a look into the store.

    Attributes:
        leads: Whether the caller has the lease now.
        has_permit: Whether the caller has the permit too.
        sealed: The last list, sealed; ``None`` if there is none, and empty if the value cannot be a list.
        age: The age of the list in seconds by the clock of the store; ``inf`` if it is unknown.
    """

    leads: bool
    sealed: bytes | None = None
    age: float = math.inf
    has_permit: bool = False


@attrs.define
class PermitId:
    """The identifier of a permit in the store.

    Attributes:
        login: The digest of the login.
        names: The names of the credentials that the lockout rules guard, or ``None``.
        request: The id of the request.
        number: The number of the row, in a SQLite store.
    """

    login: str
    names: CredentialNames | None = None
    request: str = attrs.field(factory=partial(secrets.token_hex, 8))
    number: int = 0


@attrs.frozen
class LeaseId:
    """The identifier of a lease in the store."""

    key: ListKey
    holder: int


class Ended(NamedTuple):
    """A lease that ends, and what its fetch brought.

    Attributes:
        key: The key of the list.
        holder: The holder of the lease.
        shared: The sealed list, or ``None`` if there is none.
    """

    key: str
    holder: int
    shared: bytes | None


class SharedStore(Store, ABC):
    """A store that several processes share.

    Attributes:
        name: The path, or host and port.

    Args:
        name: The path, or host and port.
        keep_bytes: See the stores.
        lease: See the stores.
        cold_start: See the stores.
    """

    LEASE_SECONDS: float = 5.0
    """Seconds until a lease ends that is not renewed: followers of a killed leader wait that long."""
    _warned_until: float = -math.inf
    # The lists in memory are copies of lists in the store, so a part of the store's size is enough.
    _CACHE_DIVISOR = 4
    LIST_TTL: float = 7 * 86_400.0
    """Seconds for which a list may be used, and after which a list that nobody uses is dropped."""
    # The first argument of the constructor, and the pepper, if one was passed.
    _address: Secret
    _pepper: Secret | None

    def __init__(self, name: str, *, keep_bytes: int, lease: float, cold_start: ColdStart) -> None:
        checked_seconds("lease", lease)
        super().__init__(keep_bytes, cold_start)
        self.name: str = name
        self._keep_bytes = keep_bytes
        self._lease = lease
        self._cold_start: ColdStart = cold_start
        self._lockout_view = LockoutStates()

    def try_acquire(self, permit: Permit) -> None:  # noqa: ARG002  # the protocol's
        """Return ``None``: a shared store needs an ``await``."""
        return

    def try_release(self, *_: object, **__: object) -> bool:
        """Return ``False``: a shared store needs an ``await``."""
        return False

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit, or when to try again.

        Raises:
            StoreNotReady: The store lost its state, and grants nothing for longer than ``patience``.
            StoreError: The store does not answer, or must not be used.
            RuntimeError: The event loop is not asyncio's, and the store is a ``RedisStore``.
        """
        bounded = self._lease if lease == math.inf else max(lease, 0.0)
        await self._name(permit)
        started = now()
        refusal = await self._acquire(permit, bounded)
        if refusal is not None:
            return self._checked(refusal, lease if patience is None else patience)
        if now() - started >= bounded:
            # The answer took longer than the lease, and another process may have the permit by now.
            await self.release(permit, Completion.NOT_SENT)
            return Refusal(0.0)
        return permit

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        """Release a permit. If the store does not answer, the permit ends with its lease."""
        unknown = Verdict.NOT_SENT if completion is Completion.NOT_SENT else Verdict.UNANSWERED
        await self._release(permit, completion, verdict or unknown, self._ended(lease))

    def lockouts(self, service: str) -> list[LockoutView]:
        """Return what the lockout rules refuse, the longest first, by the last view of this process."""
        return self._lockout_view.lockouts(service)

    async def load_lockouts(self, service: str, account: Account) -> None:
        """Let ``lockouts()`` know what other processes have learned about an account and its service."""
        await self._load_states(await self._names(service, account))

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""
        await self._change_states(await self._names(service, account), LoadedStates.reset)
        self.queue.notify(None, service)

    async def forget(self, account: Account) -> None:
        """Remove the lists of an account from the store and from the memory of this process.

        Other processes drop the copies in their memory when the copies are too old for their calls.

        Raises:
            StoreError: The store does not answer.
        """
        self._cache.forget(account)
        await self._delete_lists(f"{(await self._keys()).credentials(account)}:")

    async def lease_or_reply(
        self,
        endpoint: str,
        account: Account,
        max_age: float,
        permit: Permit | None = None,
    ) -> Tariffs | FetchLease:
        """Return a list that another process fetched, or the right to fetch one."""
        cache_key = (endpoint, account.fingerprint)
        started, pause, is_readable = now(), _FIRST_POLL, True
        holder = secrets.randbits(62)
        key = (await self._keys()).list_key(endpoint, account)
        while True:
            # A list that was fetched since the start of the call is fresh enough whatever max_age is.
            fresh = min(max(max_age, now() - started), self.LIST_TTL) if is_readable else -1.0
            with_last = is_readable and cache_key not in self._cache
            looked_at = now()
            lookup = await self._look(key.name, fresh, holder, permit, with_last=with_last)
            if lookup.has_permit and permit is not None and now() - looked_at >= LONGEST_EXCHANGE:
                # This process stood still for the whole lease: another process may have the permit by now.
                await self.release(permit, Completion.NOT_SENT)
                permit = None
            stored, age = self._unsealed(lookup, key)
            if lookup.leads:
                if stored is not None and age < self.LIST_TTL:
                    last = Undecoded(partial(unpacked, *stored), len(stored.packed))
                    self._cache.put(cache_key, last, age)
                return FetchLease(endpoint, account, LeaseId(key, holder), permit if lookup.has_permit else None)
            if lookup.sealed is not None:
                tariffs = await unpacked_off_loop(*stored) if stored is not None and age < fresh else None
                if tariffs is not None:
                    self._cache.put(cache_key, tariffs, age)
                    return tariffs
                is_readable = False
            await anyio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # spreads load
            pause = min(pause * 1.5, _LAST_POLL)

    async def renew_lease(self, lease: FetchLease) -> None:
        """Renew a lease until its release."""
        lease_id = _lease_id(lease)
        lease.renewal = new_waiter()
        while not lease.is_released:
            await lease.renewal.wait(self.LEASE_SECONDS / 3)
            # If the store is down, no other process can take the lease either.
            with contextlib.suppress(StoreError):
                if not lease.is_released:
                    await self._renew(lease_id.key.name, lease_id.holder)

    async def release_lease(self, lease: FetchLease) -> None:
        """Release a lease, and share its list, if any."""
        ended = self._ended(lease)  # before an await: a cancellation would leave the task that renews the lease
        await self.release_unused(lease)
        # The caller gets its list even if the store fails; a lease that is not released ends by itself.
        if ended is not None:
            with contextlib.suppress(StoreError):
                await self._unlease(ended)

    def _ended(self, lease: FetchLease | None) -> Ended | None:
        """End a lease in this process, and return what ends it in the store; ``None`` if that was done before."""
        if lease is None or not self._end(lease):
            return None
        if lease.renewal is not None:
            lease.renewal.notify()
        lease_id = _lease_id(lease)
        reply = None if lease.tariffs is None else lease.reply
        shared = None if reply is None else sealed(reply, lease_id.key, time.time())
        return Ended(lease_id.key.name, lease_id.holder, shared)

    def __repr__(self) -> str:
        name = getattr(self, "name", None)  # error reporters also show a store whose constructor has failed
        return f"{type(self).__name__}({'' if name is None else repr(name)})"

    def __reduce__(self) -> tuple[Callable[[], SharedStore], tuple[()]]:
        # The same arguments: the state is in the file or the server.
        kind: Callable[..., SharedStore] = type(self)
        options = {"keep_bytes": self._keep_bytes, "lease": self._lease, "cold_start": self._cold_start}
        pepper = None if self._pepper is None else self._pepper.reveal()
        return partial(kind, self._address.reveal(), pepper=pepper, **options), ()

    def _closed_for(self, quota: Quota) -> float:
        """Return the seconds after a loss of the store for which nothing is granted to a login."""
        return quota.absence + self._lease

    async def _names(self, service: str, account: Account | None) -> CredentialNames:
        """Return the names of credentials; ``None`` for a service alone."""
        if account is None:
            return CredentialNames(service, "", "")
        keys = await self._keys()
        login = keys.login(quota_key(service, account.quota_login))
        self._lockout_view.logins[login] = account.login
        return CredentialNames(service, login, f"{service} {keys.credentials(account)}")

    async def _name(self, permit: Permit) -> None:
        """Give a permit its identifier in the store."""
        credentials, login = permit.credentials, (await self._keys()).login(permit.login)
        names = None if credentials is None else await self._names(credentials.service, credentials.account)
        permit.lease, permit.place = PermitId(login, names), None

    def _closed(self, wait: float, event: str, quota: Quota) -> Refusal:
        """Return the refusal of a store that lost its state.

        Args:
            wait: Seconds until the lost state does not matter any more.
            event: What happened.
            quota: The quota of the caller.
        """
        self._closed_until = max(self._closed_until, now() + wait)
        error = partial(StoreNotReady, f"{event}, so permits may be lost", self.name, True)
        return Refusal(wait, (wait,) * quota.requests, error=error)

    def _checked(self, refusal: Refusal, seconds: float) -> Refusal:
        """Return a refusal.

        Raises:
            StoreNotReady: The store is closed for longer than those seconds.
        """
        if refusal.error is not QuotaExhausted:
            error = refusal.error(refusal.retry_in)
            if self._warned_until <= now():
                _LOG.warning("%s", error)
            self._warned_until = self._closed_until
            if refusal.retry_in > seconds:
                raise error
        return refusal

    def _other_quota(self, other: str, quota: Quota) -> StoreError:
        return misconfigured(
            f"other processes use this login with Quota {other}, and this one with {quota.stated}: pass the same "
            "Quota everywhere; after a change, wait two minutes",
            self.name,
        )

    def _unsealed(self, lookup: Lookup, key: ListKey) -> tuple[Unsealed | None, float]:
        """Return a stored list and its age, or ``None`` if there is none or its seal is wrong."""
        if lookup.sealed is None:
            return None, math.inf
        stored = unsealed(lookup.sealed, key)
        if stored is None:
            if not self.rejected_lists:
                _LOG.warning(
                    "%s: a cached list has a wrong seal and counts as absent: somebody has changed the store", self.name
                )
            self.rejected_lists: int = self.rejected_lists + 1
            return None, math.inf
        wall_age = max(time.time() - stored.wall, 0.0)
        return stored, wall_age if lookup.age == math.inf else max(lookup.age, wall_age - _CLOCK_SKEW)

    @abstractmethod
    async def _keys(self) -> Keys:
        """Return the keys of the store."""

    @abstractmethod
    async def _acquire(self, permit: Permit, lease: float) -> Refusal | None:
        """Acquire a permit with its identifier for ``lease`` seconds, or return why there is none."""

    @abstractmethod
    async def _release(self, permit: Permit, completion: Completion, verdict: Verdict, ended: Ended | None) -> None:
        """Release a permit and its place, and end the lease of its fetch, if any."""

    @abstractmethod
    async def _change_states(self, names: CredentialNames, change: Callable[[LoadedStates], object]) -> None:
        """Change the states of the lockouts."""

    @abstractmethod
    async def _load_states(self, names: CredentialNames) -> None:
        """Remember the states of the lockouts for ``lockouts()``."""

    @abstractmethod
    async def _look(self, key: str, fresh: float, holder: int, permit: Permit | None, *, with_last: bool) -> Lookup:
        """Return a list less than ``fresh`` seconds old by the store's clock, or take the lease if it is free.

        With ``with_last``, the lease comes with the last list, whatever its age. It comes with the permit if there is one
        for it.
        """

    @abstractmethod
    async def _renew(self, key: str, holder: int) -> None:
        """Extend the lease to ``LEASE_SECONDS`` from now."""

    @abstractmethod
    async def _unlease(self, ended: Ended) -> None:
        """Release the lease, and store the sealed list, if any."""

    @abstractmethod
    async def _delete_lists(self, prefix: str) -> None:
        """Delete the lists whose keys begin with that prefix."""


def permit_id_of(permit: Permit) -> PermitId:
    """Return the identifier of a permit in the store."""
    assert isinstance(permit.lease, PermitId), "_name() has set it"
    return permit.lease


def _lease_id(lease: FetchLease) -> LeaseId:
    assert isinstance(lease.lease, LeaseId)
    return lease.lease
