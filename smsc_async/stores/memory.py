"""The store of one process: for any number of clients, threads and event loops."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self

import attrs

from smsc_async.accounts import Account
from smsc_async.errors import StoreNotReady
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import is_other_closed_loop
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.base import INTERNAL_PREFIX, FetchLease
from smsc_async.stores.reply_cache import ReplyCache
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["MemoryStore"]

KEEP_BYTES: Final = 64 * 2**20
# A flag that is dropped costs one request that the service refuses once more.
_MAX_FLAGS: Final = 20_000
_NOT_READY: Final = partial(
    StoreNotReady,
    'the process has started (cold_start="wait"), and another may have used the quota before',
    "memory",
    True,
)


class MemoryStore:
    """Stores the quota and the last lists in this process.

    Thread-safe, for any number of event loops. The store knows nothing of other processes or of an earlier one: if several
    processes use one login, or a process restarts often, use a store that they share. A store can be pickled and copied
    before its first use.

    Args:
        keep_bytes: Bytes of lists in memory; the least recently used lists are dropped first. The state of the quota is
            never dropped.
        cold_start: ``"grant"`` sends the first requests at once. ``"wait"`` sends none for the first window after the
            first call, in case an earlier process has just used the quota.

    Raises:
        ValueError: ``keep_bytes`` is negative, or ``cold_start`` is neither of the two.

    Example:
        >>> from smsc_async import MemoryStore
        >>> store = MemoryStore(keep_bytes=8 * 2**20)
    """

    def __init__(self, *, keep_bytes: int = KEEP_BYTES, cold_start: Literal["grant", "wait"] = "grant") -> None:
        if keep_bytes < 0:
            raise ValueError(f"keep_bytes={keep_bytes}: must be 0 (keep nothing) or more")
        if cold_start not in {"grant", "wait"}:
            raise ValueError(f'cold_start={cold_start!r}: must be "grant" or "wait"')
        self._new_copy: Callable[[], MemoryStore] = partial(type(self), keep_bytes=keep_bytes, cold_start=cold_start)
        self.queue: WaiterQueue = WaiterQueue(self)
        self.flights: SingleFlight = SingleFlight()
        self._lock = threading.Lock()
        self._buckets = Buckets()
        self._waits = cold_start == "wait"
        self._first_used_at: float | None = None
        self._closed_until = 0.0
        self.rejected_lists: int = 0  # nobody else can write to the memory of this process
        self._cache = ReplyCache(keep_bytes)
        self._flags: OrderedDict[str, float] = OrderedDict()
        _ALL.add(self)

    def __reduce__(self) -> tuple[Callable[[], MemoryStore], tuple[()]]:
        if self._buckets.count()["buckets"] or len(self._cache) or self._flags or self._first_used_at is not None:
            raise TypeError(
                "a MemoryStore in use cannot be pickled or copied: the copy would grant the same quota again"
            )
        return self._new_copy, ()

    async def __aenter__(self) -> Self:
        """Return the store."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        await self.aclose()

    @property
    def closed_for(self) -> float:
        """Seconds until a store that waits after its first use grants permits; else 0.0."""
        return max(self._closed_until - now(), 0.0)

    async def aclose(self) -> None:
        """Do nothing: the store has no file and no connection, and its quota stays in use."""

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit, or ``None`` if none is available now."""
        if self._waits:
            return None
        permit = Permit(login, quota, token)
        return permit if self._buckets.acquire(permit, now()) is None else None

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to try again.

        Raises:
            StoreNotReady: The store waits after its first use, for longer than ``lease``.
        """
        instant = now()
        permit = Permit(login, quota, token)
        refusal = self._closed_by_cold_start(instant, login, quota)
        if refusal is not None and refusal.retry_in > lease:
            raise refusal.error(refusal.retry_in)
        if refusal is None:
            refusal = self._buckets.acquire(permit, instant, is_other_closed_loop)
        if refusal is None:
            return permit
        # A holder's event loop may close, of which nothing notifies the queue: try again after a window at the latest.
        return attrs.evolve(refusal, retry_in=min(refusal.retry_in, quota.window))

    def try_release(self, permit: Permit, completion: Completion) -> bool:
        """Release a permit; a second release does nothing."""
        self._buckets.release(permit, now(), completion)
        return True

    async def release(self, permit: Permit, completion: Completion) -> None:
        """Release a permit."""
        self.try_release(permit, completion)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        self._buckets.drain_tokens(login, now(), quota)

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most ``max_age`` seconds old."""
        return self._cache.find((endpoint, account.fingerprint), max_age)

    async def lease_or_reply(
        self,
        endpoint: str,  # noqa: ARG002  # the protocol's
        account: Account,  # noqa: ARG002  # the protocol's
        max_age: float,  # noqa: ARG002  # the protocol's
        seconds: float,  # noqa: ARG002  # the protocol's
    ) -> Tariffs | FetchLease:
        """Return a lease: within a process, the single flight ensures that nobody else fetches the same list."""
        return FetchLease()

    async def renew_lease(self, lease: FetchLease) -> None:
        """Do nothing: a lease has no end here."""

    async def release_lease(
        self,
        endpoint: str,
        account: Account,
        lease: FetchLease,  # noqa: ARG002  # no other process waits for the list
        reply: Reply | None,  # noqa: ARG002  # the list itself is cached
        tariffs: Tariffs | None,
    ) -> None:
        """Cache the list, if there is one."""
        if tariffs is not None:
            self._cache.put((endpoint, account.fingerprint), tariffs, 0.0)

    async def forget(self, account: Account) -> None:
        """Remove the lists of an account."""
        self._cache.forget(account)

    async def credential_digest(self, account: Account) -> str:
        """Return a digest of the credentials."""
        return account.fingerprint.hex()

    async def set_flag(self, name: str, seconds: float) -> None:
        """Set a flag for that long; a flag that lasts longer is not shortened."""
        with self._lock:
            self._flags[name] = max(self._flags.pop(name, 0.0), now() + seconds)
            if len(self._flags) > _MAX_FLAGS:
                self._flags.popitem(last=False)

    async def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return the remaining seconds of each flag; 0.0 for a flag that is not set."""
        instant = now()
        return [max(self._flags.get(name, 0.0) - instant, 0.0) for name in names]

    async def clear_flag(self, name: str) -> None:
        """Clear a flag, if it is set."""
        with self._lock:
            self._flags.pop(name, None)

    def _closed_by_cold_start(self, instant: float, login: str, quota: Quota) -> Refusal | None:
        with self._lock:
            if not self._waits or login.startswith(INTERNAL_PREFIX):
                return None
            if self._first_used_at is None:
                self._first_used_at = instant
            wait = self._first_used_at + quota.window - instant
            self._waits = wait > 0
            self._closed_until = max(self._closed_until, instant + wait)
            return Refusal(wait, (wait,) * quota.requests, error=_NOT_READY) if wait > 0 else None

    def _after_fork(self) -> None:
        # No thread of the child can release the locks, and no task of the child releases a permit. The parent's requests
        # are still in flight: they count as ended without a reply.
        self._lock = threading.Lock()
        self._cache.after_fork()
        self._buckets.after_fork(now())
        self.queue.abandon()
        self.flights.abandon()


_ALL: Final[weakref.WeakSet[MemoryStore]] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_ALL):
        store._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
