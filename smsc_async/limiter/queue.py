"""The queue of tasks that wait for a permit: first in, first out, for each bucket.

A bucket has two queues: one for its tariff requests, which need a token, and one for its other requests. Buckets never
block each other. Only the head of a queue tries to acquire a permit and waits by the clock; the others wait until they
are the head.

Invariants:

- A permit is acquired as the last step before it is returned, without an ``await`` in between: a cancellation cannot lose
  a permit. A store that must wait for its own answer releases the permit itself when it is cancelled.
- A notification that comes between a failed try and the wait ends that wait, so none is missed.
- Nothing runs in the background. A bucket without waiters costs nothing.
- ``release``, ``notify`` and the departure of a waiter may run in a finalizer of the thread that already holds the lock.
  They never wait for the lock: they append an event, and the thread that holds the lock handles all events.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import anyio

from smsc_async.errors import NotSent, QuotaExhausted
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter

__all__ = ["PermitSource", "WaiterQueue"]

# Seconds by which an event loop may be late in leaving a queue at a deadline, before it counts as a loop that hangs.
_OVERDUE: Final = 1.0

_Key: TypeAlias = tuple[str, bool]  # the login, and whether the waiters need a token


class PermitSource(Protocol):
    """The part of a store that a queue needs."""

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit if one is available without an ``await``, else ``None``."""
        ...

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to try again.

        Args:
            login: The login that the request belongs to.
            quota: The quota of the login.
            token: Whether the request is a tariff request.
            lease: Seconds after which the request has ended even if this process dies; ``inf`` if unknown.
        """
        ...

    def try_release(self, permit: Permit, completion: Completion) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        ...

    async def release(self, permit: Permit, completion: Completion) -> None:
        """Release a permit. A cancellation of the caller does not interrupt the release."""
        ...


class _BucketWaiters:
    """The waiters of one bucket, and what the last refusal said."""

    __slots__ = ("error", "tokens_free_at", "waiters")

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter, float] = OrderedDict()  # with the instant at which each gives up
        self.tokens_free_at: tuple[float, ...] = ()
        self.error: Callable[[float], NotSent] = QuotaExhausted

    def note(self, refusal: Refusal, instant: float) -> None:
        self.tokens_free_at = tuple(instant + seconds for seconds in refusal.tokens_in)
        self.error = refusal.error

    def shortest_wait(self, position: int, instant: float, quota: Quota) -> float:
        """Return the seconds until the waiter with that many others before it can have a token at the earliest."""
        if not self.tokens_free_at:
            return 0.0
        rounds, nth = divmod(position, len(self.tokens_free_at))
        return max(self.tokens_free_at[nth] - instant, 0.0) + rounds * quota.window


class WaiterQueue:
    """Gives the permits of a source to the tasks of a process, in order; for any number of threads and event loops."""

    def __init__(self, source: PermitSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._buckets: dict[_Key, _BucketWaiters] = {}
        # (key, None): try again, something was released. (key, waiter): the waiter leaves.
        self._events: deque[tuple[_Key, Waiter | None]] = deque()

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        """Return a permit if nobody waits for one and one is available without an ``await``, else ``None``."""
        if self._buckets and (login, token) in self._buckets:
            return None
        return self._source.try_acquire(login, quota, token=token)

    async def acquire(self, login: str, quota: Quota, *, token: bool) -> Permit:
        """Return a permit as soon as one is free and all earlier waiters have theirs.

        The wait ends at the deadline of the caller's cancel scope (``anyio.fail_after`` and the like).

        Raises:
            QuotaExhausted: The permit is known to come after the caller's deadline.
            StoreNotReady: The store lost its state, and grants nothing before the caller's deadline.
            StoreError: The store does not answer.
        """
        permit = self.try_acquire(login, quota, token=token)
        return permit or await self._wait_and_acquire(login, quota, token=token)

    def try_release(self, permit: Permit, completion: Completion) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        if not self._source.try_release(permit, completion):
            return False
        if self._buckets:
            self.notify(permit.login)
        return True

    async def release(self, permit: Permit, completion: Completion) -> None:
        """Release a permit, and let the first waiters try again."""
        if self.try_release(permit, completion):
            return
        try:
            await self._source.release(permit, completion)
        finally:
            self.notify(permit.login)

    def notify(self, login: str) -> None:
        """Let the first waiters of a login try again."""
        self._events.append(((login, True), None))
        self._events.append(((login, False), None))
        self._handle_events()

    def expected_wait(self, login: str, *, token: bool) -> float:
        """Return seconds before which no request that waits for this bucket can have its permit, or 0 if none waits."""
        bucket = self._buckets.get((login, token))
        return max(bucket.tokens_free_at[0] - now(), 0.0) if bucket is not None and bucket.tokens_free_at else 0.0

    def waiting(self) -> int:
        """Return the number of waiters of all buckets."""
        with self._lock:
            count = sum(len(bucket.waiters) for bucket in self._buckets.values())
        self._handle_events()
        return count

    def abandon(self) -> None:
        """Forget all waiters: for a forked child, in which none of them runs."""
        self._lock = threading.Lock()
        self._buckets = {}
        self._events.clear()

    async def _wait_and_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit:
        key = (login, token)
        started = now()
        # Only the remaining time is comparable: deadlines are readings of the event loop's own clock.
        ends_in = anyio.current_effective_deadline() - anyio.current_time()
        if ends_in == -math.inf:
            ends_in = math.inf  # cancelled already: the first wait raises the cancellation, which is not QuotaExhausted
        waiter = new_waiter()
        bucket, wait = self._enter(key, waiter, quota, started, started + ends_in)
        try:
            if wait > ends_in:
                raise bucket.error(wait)
            while True:
                retry_in = math.inf
                if self._is_head(bucket, waiter):
                    answer = await self._source.acquire(login, quota, token=token, lease=ends_in - (now() - started))
                    instant = now()
                    if isinstance(answer, Permit):
                        answer.waited = instant - started
                        return answer
                    bucket.note(answer, instant)
                    if (wait := bucket.shortest_wait(0, instant, quota)) > ends_in - (instant - started):
                        raise bucket.error(wait)
                    retry_in = answer.retry_in
                await waiter.wait(max(retry_in, 0.0))
        finally:
            self._events.append((key, waiter))
            self._handle_events()

    def _enter(
        self, key: _Key, waiter: Waiter, quota: Quota, instant: float, gives_up_at: float
    ) -> tuple[_BucketWaiters, float]:
        """Add a waiter at the end; return its bucket and its shortest wait."""
        with self._lock:
            former = self._buckets.get(key)
            if former is not None and _is_lost(*next(iter(former.waiters.items())), instant):
                self._notify_head(key, former)
            bucket = self._buckets.setdefault(key, _BucketWaiters())
            wait = bucket.shortest_wait(len(bucket.waiters), instant, quota)
            bucket.waiters[waiter] = gives_up_at
        self._handle_events()
        return bucket, wait

    def _is_head(self, bucket: _BucketWaiters, waiter: Waiter) -> bool:
        with self._lock:
            is_head = next(iter(bucket.waiters), None) is waiter
        self._handle_events()
        return is_head

    def _handle_events(self) -> None:
        """Handle all events, unless another holder of the lock will.

        The outer loop looks again after the lock is free: an event may come between the inner loop and that moment.
        """
        while self._events and self._lock.acquire(blocking=False):
            try:
                while self._events:
                    self._handle(*self._events.popleft())
            finally:
                self._lock.release()

    def _handle(self, key: _Key, leaving: Waiter | None) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            return
        head_changed = leaving is None or next(iter(bucket.waiters)) is leaving
        if leaving is not None:
            bucket.waiters.pop(leaving, None)
        if head_changed:
            self._notify_head(key, bucket)

    def _notify_head(self, key: _Key, bucket: _BucketWaiters) -> None:
        """Let the first waiter try again, after the removal of lost ones: a lost head would block the others forever."""
        instant = now()
        while bucket.waiters:
            head, gives_up_at = next(iter(bucket.waiters.items()))
            if not _is_lost(head, gives_up_at, instant) and head.notify():
                return
            del bucket.waiters[head]
        del self._buckets[key]


def _is_lost(waiter: Waiter, gives_up_at: float, instant: float) -> bool:
    """Whether a waiter's event loop is closed or hangs: a loop that runs would have left the queue at the deadline."""
    return instant > gives_up_at + _OVERDUE or waiter.is_lost()
