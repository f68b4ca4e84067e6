"""The store of one process: for any number of clients, threads and event loops."""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from smsc_async.accounts import Account
from smsc_async.errors import StoreNotReady
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import CredentialsState, LockoutView, Refused, ServiceState, Verdict
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import is_closed_loop
from smsc_async.records import Tariffs
from smsc_async.stores.base import KEEP_BYTES, ColdStart, Store

_NOT_READY: Final = partial(
    StoreNotReady,
    'the process has started (cold_start="wait"), and another may have used the quota before',
    "memory",
    True,
)
# How many credentials without a list `lockouts()` shows at most.
_MAX_SUSPECTS: Final = 1_000
# Seconds after which the head of a queue looks for places that a closed event loop holds.
_LOST_CHECK_SECONDS: Final = 1.0


class MemoryStore(Store):
    """Stores the quota and the last lists in this process.

    Thread-safe, for any number of event loops. The store knows nothing of other processes or of an earlier one: if several
    processes use one login, or a process restarts often, use a store that they share. A store can be pickled and copied
    before its first use.

    Args:
        keep_bytes: Bytes of lists in memory: a quarter of them for the replies of lists that nobody has used again, and the
            rest for decoded lists. The least recently used are dropped first, and the state of the quota never.
        cold_start: ``"grant"`` sends the first requests at once. ``"wait"`` sends none for the first window after the
            first call, in case an earlier process has just used the quota.

    Raises:
        ValueError: ``keep_bytes`` is negative, or ``cold_start`` is neither of the two.

    Example:
        >>> from smsc_async import MemoryStore
        >>> store = MemoryStore(keep_bytes=8 * 2**20)
    """

    def __init__(self, *, keep_bytes: int = KEEP_BYTES, cold_start: ColdStart = "grant") -> None:
        super().__init__(keep_bytes, cold_start)
        self._new_copy: Callable[[], MemoryStore] = partial(type(self), keep_bytes=keep_bytes, cold_start=cold_start)
        self._buckets = Buckets()
        self._waits = cold_start == "wait"
        self._first_used_at: float | None = None
        self._rules_lock = threading.Lock()
        self._services: defaultdict[str, ServiceState] = defaultdict(ServiceState)
        self._states: dict[tuple[str, bytes], CredentialsState] = {}
        self._sweep_states_at = _MAX_SUSPECTS
        self._suspects: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._in_flight: dict[str, Permit] = {}
        self._settlements: deque[tuple[Permit, Verdict, float]] = deque()
        self._request_ids = itertools.count()
        self.was_forked_in_use: bool = False
        """Whether this is the copy, in a child process, of a store that its parent had used."""

    @property
    def _is_used(self) -> bool:
        return bool(
            self._buckets.is_in_use(now()) or len(self._cache) or self._states or self._first_used_at is not None
        )

    def __reduce__(self) -> tuple[Callable[[], MemoryStore], tuple[()]]:
        if self._is_used:
            raise TypeError(
                "a MemoryStore in use cannot be pickled or copied: the copy would grant the same quota again"
            )
        return self._new_copy, ()

    async def aclose(self) -> None:
        """Do nothing: the store has no file and no connection, and its quota stays in use."""

    def try_acquire(self, permit: Permit) -> Permit | None:
        """Return the permit, or ``None`` if it is not available now."""
        return None if self._waits or self._admit(permit, now()) is not None else permit

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit, or when to try again.

        Raises:
            StoreNotReady: The store waits after its first use, for longer than ``patience``.
        """
        instant = now()
        refusal = self._closed_by_cold_start(instant, permit.quota)
        if refusal is not None and refusal.retry_in > (lease if patience is None else patience):
            raise refusal.error(refusal.retry_in)
        refusal = refusal or self._admit(permit, instant)
        if refusal is None:
            return permit
        # A holder's event loop may close, of which nothing notifies the queue: try again after a window at the latest.
        return attrs.evolve(refusal, retry_in=min(refusal.retry_in, permit.quota.window))

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        """Release a permit; a second release does nothing."""
        instant = now()
        self._buckets.release(permit, instant, completion)
        if permit.place is not None:
            unknown = Verdict.NOT_SENT if completion is Completion.NOT_SENT else Verdict.UNANSWERED
            self._settlements.append((permit, verdict or unknown, instant))
            # A finalizer may run here while this thread holds the lock; then the next request settles.
            if self._rules_lock.acquire(blocking=False):
                try:
                    self._settle_all()
                finally:
                    self._rules_lock.release()
        return True

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,  # noqa: ARG002  # released by itself, without an await
    ) -> None:
        """Release a permit."""
        self.try_release(permit, completion, verdict)

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota."""
        closed = self._closed_by_cold_start(now(), quota)
        return self._buckets.usage(login, now(), quota) if closed is None else Usage(closed.tokens_in)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        self._buckets.drain_tokens(login, now(), quota)

    async def lease_or_reply(
        self,
        endpoint: str,
        account: Account,
        max_age: float,
        permit: Permit | None = None,  # noqa: ARG002  # acquired by itself, without an await
    ) -> Tariffs | FetchLease:
        """Return a lease, or the list of a flight of another thread, which may have completed a moment ago."""
        cached = self.get_cached(endpoint, account, max_age) if max_age > 0 else None
        return FetchLease(endpoint, account) if cached is None else cached

    async def renew_lease(self, lease: FetchLease) -> None:
        """Do nothing: a lease has no end here."""

    async def release_lease(self, lease: FetchLease) -> None:
        """Cache the list, if there is one."""
        self._end(lease)

    async def forget(self, account: Account) -> None:
        """Remove the lists of an account."""
        self._cache.forget(account)

    def lockouts(self, service: str) -> list[LockoutView]:
        """Return what the lockout rules refuse at present, the longest first."""
        with self._rules_lock:
            self._settle_all()
            suspects = [self._states[key] for key in self._suspects if key[0] == service and key in self._states]
            return rules.lockouts(self._services[service], suspects, now())

    async def load_lockouts(self, service: str, account: Account) -> None:
        """Do nothing: no other process can know more."""

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""
        with self._rules_lock:
            self._settle_all()
            state = None if account is None else self._state_of(service, account)
            rules.reset(self._services[service], state, now())
        self.queue.notify(None, service)

    def _admit(self, permit: Permit, instant: float) -> Refusal | None:
        """Take place, token and slot together, or nothing."""
        credentials = permit.credentials
        if credentials is None:
            return self._buckets.acquire(permit, instant, is_closed_loop)
        with self._rules_lock:
            self._settle_all()
            service = self._services[credentials.service]
            state = self._state_of(credentials.service, credentials.account)
            place = rules.check(service, state, str(next(self._request_ids)), instant)
            if isinstance(place, Refused) and self._settle_lost():
                place = rules.check(service, state, str(next(self._request_ids)), instant)
            if isinstance(place, Refused):
                retry_in = min(place.retry_in or math.inf, _LOST_CHECK_SECONDS)
                return Refusal(retry_in, (), place, rules.priority(service, state, instant))
            refusal = self._buckets.acquire(permit, instant, is_closed_loop)
            if refusal is None:
                rules.enter(service, state, place)
                permit.place = place
                self._states[credentials.service, credentials.account.fingerprint] = state
                self._in_flight[place.request] = permit
            return refusal

    def _state_of(self, service: str, account: Account) -> CredentialsState:
        state = self._states.get((service, account.fingerprint))
        return CredentialsState(account.login.strip().casefold()) if state is None else state

    def _settle_all(self) -> None:
        """Settle the places of released permits; the caller holds the lock."""
        while self._settlements:
            permit, verdict, instant = self._settlements.popleft()
            credentials, place = permit.credentials, permit.place
            if credentials is None or place is None or self._in_flight.pop(place.request, None) is None:
                continue
            key = (credentials.service, credentials.account.fingerprint)
            state = self._state_of(credentials.service, credentials.account)
            rules.settle(self._services[credentials.service], state, place, verdict, instant)
            self._states[key] = state
            if verdict is not Verdict.LIST:
                self._suspects[key] = None
                if len(self._suspects) > _MAX_SUSPECTS:
                    self._suspects.popitem(last=False)
        if len(self._states) > self._sweep_states_at:
            instant = now()
            self._states = {key: each for key, each in self._states.items() if each.expires_at > instant}
            self._sweep_states_at = 2 * len(self._states) + _MAX_SUSPECTS

    def _settle_lost(self) -> bool:
        """Settle the places of permits whose event loop is closed; return whether there were any."""
        lost = [each for each in self._in_flight.values() if _is_lost(each)]
        self._settlements.extend((each, Verdict.UNANSWERED, now()) for each in lost)
        self._settle_all()
        return bool(lost)

    def _closed_by_cold_start(self, instant: float, quota: Quota) -> Refusal | None:
        # Without a lock: threads that come here at the same time write the same, apart from microseconds.
        if not self._waits:
            return None
        if self._first_used_at is None:
            self._first_used_at = instant
        wait = self._first_used_at + quota.window - instant
        self._waits = wait > 0
        self._closed_until = max(self._closed_until, instant + wait)
        return Refusal(wait, (wait,) * quota.requests, error=_NOT_READY) if wait > 0 else None

    def _after_fork(self) -> None:
        # No thread of the child can release the lock, and no task of the child releases a permit. The parent's requests
        # are still in flight: they count as ended without a reply.
        self._rules_lock = threading.Lock()
        self._settlements.extend((each, Verdict.UNANSWERED, now()) for each in self._in_flight.values())
        self._buckets.after_fork(now())
        self.was_forked_in_use = self._is_used
        super()._after_fork()


def _is_lost(permit: Permit) -> bool:
    return permit.owner_loop is not None and is_closed_loop(permit.owner_loop)
