"""What the stores that processes share have in common: names, lists at hand, and the wait for another's answer.

Invariants: what a caller gets from another process is as fresh as it asked, or came while it waited; whoever leads is
followed only as long as its process lives (it renews its lead, see ``hold``); nobody waits without a pause, and no two
with the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import secrets
import weakref
from abc import ABC, abstractmethod
from typing import Final, Literal, TypeAlias

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import StoreError
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter
from smsc_async.protocol import Reply, quota_key, service_of
from smsc_async.records import Tariffs
from smsc_async.stores.base import INTERNAL_PREFIX, FetchLease
from smsc_async.stores.digests import Digests, Pepper
from smsc_async.stores.packed_reply import packed, unpacked_off_loop
from smsc_async.stores.reply_cache import ReplyCache
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["KEEP_BYTES", "OTHER_PEPPER", "ColdStart", "Place", "Seen", "SharedStore", "StoreLostError"]

KEEP_BYTES: Final = 64 * 2**20
ColdStart: TypeAlias = Literal["grant", "wait"]

OTHER_PEPPER: Final = "others use it with another pepper, and so with a quota of their own: pass theirs, or empty the store and restart all"

# Lists at hand are a copy of what the store has: a part of what it keeps is enough.
_AT_HAND: Final = 4
# A follower looks again after a wait that grows between these, each time at random.
_FIRST_POLL: Final = 0.02
_LAST_POLL: Final = 0.2


@attrs.frozen
class Place:
    """Under what the answer of an account is filed.

    Attributes:
        login: The digest of its login.
        key: The digest of endpoint, login and credentials.
    """

    login: str
    key: str


@attrs.frozen
class Seen:
    """What a look for a list has found.

    Attributes:
        leads: Whether the caller has the lead now.
        packed: The last answer, where it is wanted, or ``None``.
        age: Its age, in seconds.
        wall: When it came, in seconds since the epoch.
    """

    leads: bool
    packed: bytes | None = None
    age: float = 0.0
    wall: float = 0.0


class StoreLostError(Exception):
    """The store is not the one that digests were made for; asked again, they are made anew."""


@attrs.frozen
class _Held:
    place: Place
    holder: int


class SharedStore(ABC):
    """A store that other processes use as well.

    Args:
        pepper: See the stores.
        keep_bytes: See the stores.
        lease: See the stores.
        cold_start: See the stores.
    """

    LEAD_SECONDS: float = 5.0
    """How long a lead holds without being renewed: what followers wait for a leader whose process was killed."""

    def __init__(self, *, pepper: Pepper | None, keep_bytes: int, lease: float, cold_start: ColdStart) -> None:
        self._digests = Digests(pepper)
        self._peppered = pepper is not None
        del pepper
        if keep_bytes < 0:
            raise ValueError(f"keep_bytes={keep_bytes}: must be 0 (keep nothing) or more")
        if not 0 < lease < float("inf"):
            raise ValueError(f"lease={lease}: must be a finite number of seconds, more than 0")
        if cold_start not in {"grant", "wait"}:
            raise ValueError(f'cold_start={cold_start!r}: must be "grant" or "wait"')
        self.gate: WaiterQueue = WaiterQueue(self)
        self.flights: SingleFlight = SingleFlight()
        self._keep_bytes = keep_bytes
        self._lease = lease
        self._reply_cache = ReplyCache(keep_bytes // _AT_HAND)
        self._leads: dict[int, Waiter | None] = {}
        _all.add(self)

    def _closed_for(self, login: str, quota: Quota) -> float:
        """Seconds for which a store that has lost its memory gives nothing of a login."""
        return 0.0 if login.startswith(INTERNAL_PREFIX) else quota.absence + self._lease

    @abstractmethod
    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to ask again."""

    @abstractmethod
    async def release(self, permit: Permit, ending: Completion) -> None:
        """Take a permit back. Where the store does not answer, its lease ends it."""

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:  # noqa: ARG002  # the protocol's
        """Return ``None``: a shared store has to be asked."""
        return None

    def try_release(self, permit: Permit, ending: Completion) -> bool:  # noqa: ARG002  # the protocol's
        """Return ``False``: a shared store has to be told."""
        return False

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list that this process knows of if it is at most that many seconds old."""
        return self._reply_cache.find((endpoint, account.fingerprint), max_age)

    async def credential_digest(self, account: Account) -> str:
        """Return a digest of the account's credentials, equal in all processes that share the store."""
        return await self._digests.of_account(account, await self._salt())

    async def lease_or_reply(
        self,
        endpoint: str,
        account: Account,
        max_age: float,
        seconds: float,  # noqa: ARG002  # the protocol's
    ) -> Tariffs | FetchLease:
        """Return a list that another process has, or comes to have meanwhile, or the right to fetch one."""
        cache_key = (endpoint, account.fingerprint)
        began, pause, usable = now(), _FIRST_POLL, True
        holder = secrets.randbits(62)
        while True:
            place = await self._place(endpoint, account)
            fresh = max(max_age, now() - began) if usable else -1.0
            seen = Seen(leads=False)
            with contextlib.suppress(StoreLostError):
                seen = await self._look(place, fresh, holder, last=not self._reply_cache.has(cache_key))
            if seen.leads:
                if seen.packed is not None:
                    self._reply_cache.put(cache_key, seen.packed, seen.age)
                self._leads[holder] = None
                return FetchLease(_Held(place, holder))
            if seen.packed is not None:
                tariffs = await unpacked_off_loop(seen.packed, seen.wall)
                if tariffs is not None:
                    self._reply_cache.put(cache_key, tariffs, seen.age)
                    return tariffs
                usable = False
            await anyio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # spreads load
            pause = min(pause * 1.5, _LAST_POLL)

    async def renew_lease(self, lead: FetchLease) -> None:
        """Renew a lead until it lands."""
        held = _held(lead)
        if held.holder not in self._leads:
            return
        waiter = self._leads[held.holder] = new_waiter()
        while True:
            await waiter.sleep(self.LEAD_SECONDS / 3)
            if held.holder not in self._leads:
                return
            # Where the store is down, there is nobody to take the lead either.
            with contextlib.suppress(StoreError):
                await self._renew(held.place, held.holder)

    async def release_lease(
        self, endpoint: str, account: Account, lead: FetchLease, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Give a lead back, and share the answer, if it is a list."""
        held = _held(lead)
        waiter = self._leads.pop(held.holder, None)
        if waiter is not None:
            waiter.wake()
        if tariffs is not None:
            self._reply_cache.put((endpoint, account.fingerprint), tariffs, 0.0)
        shared = packed(reply) if reply is not None and tariffs is not None else None
        # The answer is here, and its caller shall have it; a lead that is not given back runs out.
        with contextlib.suppress(StoreError):
            await self._unlead(held.place, held.holder, shared)

    async def _place(self, endpoint: str, account: Account) -> Place:
        salt = await self._salt()
        login = await self._digests.of_login(quota_key(service_of(endpoint), account.login), salt)
        label = await self._digests.of_account(account, salt)
        return Place(login, hashlib.blake2b(f"{endpoint}\n{label}".encode(), digest_size=16).hexdigest())

    @abstractmethod
    async def _salt(self) -> bytes:
        """Return the salt of the store."""

    @abstractmethod
    async def _look(self, place: Place, fresh: float, holder: int, *, last: bool) -> Seen:
        """Return an answer less than ``fresh`` seconds old, or take the lead if nobody has it.

        With ``last``, a lead comes with the last answer, whatever its age.
        """

    @abstractmethod
    async def _renew(self, place: Place, holder: int) -> None:
        """Keep the lead for another ``LEAD_SECONDS``."""

    @abstractmethod
    async def _unlead(self, place: Place, holder: int, shared: bytes | None) -> None:
        """Give the lead back, and keep the answer, if any."""

    def _after_fork(self) -> None:
        self.gate.abandon()
        self.flights.abandon()
        self._reply_cache.after_fork()
        self._digests.after_fork()
        self._leads = {}


_all: Final[weakref.WeakSet[SharedStore]] = weakref.WeakSet()


def _held(lead: FetchLease) -> _Held:
    assert isinstance(lead.lease, _Held)
    return lead.lease


def _after_fork() -> None:
    for store in list(_all):
        store._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
