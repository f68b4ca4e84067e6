"""The store of one process: any number of clients, threads and event loops."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal

import attrs

from smsc_async.accounts import Account
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import is_other_closed_loop
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.base import INTERNAL_PREFIX, FetchLease
from smsc_async.stores.single_flight import SingleFlight

__all__ = ["MemoryStore"]

KEEP_BYTES: Final = 64 * 2**20

# What a list takes in memory, at most: measured with tracemalloc on CPython 3.11 where no two prices are equal (a
# Decimal is 104 bytes, and a list has few distinct ones). tests/stores/test_memory.py holds it to the truth.
_LIST_BYTES: Final = 1_500
_ZONE_BYTES: Final = 900
_CODE_BYTES: Final = 300
_WHOLE: Final = Completion.COMPLETE  # an enumeration looks its members up as slowly as a call
# A mark that is forgotten costs one request that is refused once more.
_MARKS: Final = 20_000


class _Kept:
    """A list, and when it came by both clocks: the monotonic one stands still while a machine sleeps."""

    __slots__ = ("at", "size", "tariffs", "used", "wall")

    def __init__(self, tariffs: Tariffs) -> None:
        self.tariffs = tariffs
        self.used = False  # since it was put in line; set without the lock, which a look need not wait for
        self.at = now()
        self.wall = time.time()
        self.size = _LIST_BYTES + len(tariffs.zones) * _ZONE_BYTES + len(tariffs.codes) * _CODE_BYTES

    def is_older_than(self, seconds: float) -> bool:
        return now() - self.at > seconds or time.time() - self.wall > seconds


class MemoryStore:
    """Keeps the quota and the last answers in this process.

    Thread-safe, and good for any number of event loops. It knows nothing of other processes, nor of its predecessor:
    where several processes use one login, or one is restarted often, they need a store that they share.

    Args:
        keep_bytes: How many bytes of answers are kept, those going first that have not been asked for lately. What is kept
            of the quota is never dropped.
        cold_start: ``"grant"`` sends the first requests at once. ``"wait"`` sends none for the first window after the
            first call, in case a predecessor has just used the quota.

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
        self.gate: WaiterQueue = WaiterQueue(self)
        self.flights: SingleFlight = SingleFlight()
        self._lock = threading.Lock()
        self._buckets = Buckets()
        self._cold = cold_start == "wait"
        self._first_at: float | None = None
        self._kept: OrderedDict[tuple[str, bytes], _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._keep_bytes = keep_bytes
        self._marks: OrderedDict[str, float] = OrderedDict()
        _ALL.add(self)

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit, or ``None`` where there is none now."""
        if self._cold:
            return None
        permit = Permit(login, quota, token)
        if self._buckets.claim(permit) or self._buckets.acquire(permit, now()) is None:
            return permit
        return None

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:  # noqa: ARG002  # a process that dies takes its memory along
        """Return a permit, or when to ask again."""
        instant = now()
        permit = Permit(login, quota, token)
        with self._lock:
            too_early = self._cold and not login.startswith(INTERNAL_PREFIX) and self._too_early(instant, quota)
        if too_early:
            return too_early
        refusal = self._buckets.acquire(permit, instant, is_other_closed_loop)
        if refusal is None:
            return permit
        # Who has what is missing may come to be lost, and nobody would tell.
        return attrs.evolve(refusal, retry_in=min(refusal.retry_in, quota.window))

    def try_release(self, permit: Permit, ending: Completion) -> bool:
        """Take a permit back; nothing happens where it was given back before."""
        # Where the answer came whole, its sight is all that counts.
        seen = permit.seen
        self._buckets.release(permit, now() if seen is None or ending is not _WHOLE else seen, ending)
        return True

    async def release(self, permit: Permit, ending: Completion) -> None:
        """Take a permit back."""
        self.try_release(permit, ending)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window."""
        self._buckets.drain_tokens(login, now(), quota)

    def get_cached(self, endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most that many seconds old."""
        kept = self._kept.get((endpoint, account.fingerprint))
        if kept is None or kept.is_older_than(max_age):
            return None
        kept.used = True
        return kept.tariffs

    async def lease_or_reply(
        self,
        endpoint: str,  # noqa: ARG002  # the protocol's
        account: Account,  # noqa: ARG002  # the protocol's
        max_age: float,  # noqa: ARG002  # the protocol's
        seconds: float,  # noqa: ARG002  # the protocol's
    ) -> Tariffs | FetchLease:
        """Return the lead: within a process, the flights have seen to it that nobody else fetches the same."""
        return FetchLease()

    async def renew_lease(self, lead: FetchLease) -> None:
        """Do nothing: a lead has no lease here."""

    async def release_lease(
        self,
        endpoint: str,
        account: Account,
        lead: FetchLease,  # noqa: ARG002  # nobody else is to be told
        reply: Reply | None,  # noqa: ARG002  # the list itself is kept
        tariffs: Tariffs | None,
    ) -> None:
        """Remember the list that has come, if any."""
        if tariffs is not None:
            self._keep((endpoint, account.fingerprint), tariffs)

    async def credential_digest(self, account: Account) -> str:
        """Return what the credentials are marked under."""
        return account.fingerprint.hex()

    async def set_flag(self, name: str, seconds: float) -> None:
        """Mark a name for that long, or for what is left of its mark where that is longer."""
        with self._lock:
            self._marks[name] = max(self._marks.pop(name, 0.0), now() + seconds)
            if len(self._marks) > _MARKS:
                self._marks.popitem(last=False)

    async def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return the seconds that are left of each mark; 0.0 where there is none."""
        instant = now()
        return [max(self._marks.get(name, 0.0) - instant, 0.0) for name in names]

    async def clear_flag(self, name: str) -> None:
        """Take a mark away."""
        with self._lock:
            self._marks.pop(name, None)

    def _keep(self, key: tuple[str, bytes], tariffs: Tariffs) -> None:
        kept = _Kept(tariffs)
        with self._lock:
            # Put in the place of the former, and never taken out to be put back: those without the lock would miss it.
            if (former := self._kept.get(key)) is not None:
                self._kept_bytes -= former.size
            self._kept[key] = kept
            self._kept.move_to_end(key)
            self._kept_bytes += kept.size
            while self._kept_bytes > self._keep_bytes:
                oldest_key, oldest = next(iter(self._kept.items()))
                if oldest.used:
                    oldest.used = False
                    self._kept.move_to_end(oldest_key)
                else:
                    del self._kept[oldest_key]
                    self._kept_bytes -= oldest.size

    def _too_early(self, instant: float, quota: Quota) -> Refusal | None:
        if self._first_at is None:
            self._first_at = instant
        wait = self._first_at + quota.window - instant
        if wait > 0:
            return Refusal(wait, (wait,) * quota.requests)
        self._cold = False
        return None

    def _after_fork(self) -> None:
        # In the child no thread holds the lock any more, and nobody is left who would give a permit back. The parent's
        # requests are still under way: they count as ended without an answer, and are not the child's to give back.
        self._lock = threading.Lock()
        self._buckets.forget_holders(now())
        self.gate.abandon()
        self.flights.abandon()


_ALL: Final[weakref.WeakSet[MemoryStore]] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_ALL):
        store._after_fork()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same module


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
