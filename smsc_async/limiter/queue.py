"""The queues of tasks that wait for a permit: first in, first out, for each bucket and for the places of a service.

A request needs a token and a slot of its bucket, and a place of the lockout rules if its credentials are at risk. It gets
all of them together, or none. It waits in the queue of what is missing, and holds nothing meanwhile. Buckets never block
each other. Only the head of a queue tries to acquire a permit and waits by the clock; the others wait until they are the
head.

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
import attrs

from smsc_async.errors import AddressPaused, CredentialsRefused, NotSent, QuotaExhausted, TrialsExhausted
from smsc_async.fetch.lockout import Cause, Refused, Verdict
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter

__all__ = ["PermitSource", "WaiterQueue", "not_sent"]

# Seconds by which an event loop may be late in leaving a queue at a deadline, before it counts as a loop that hangs.
_OVERDUE: Final = 1.0

# Seconds before a deadline at which a wait for a place ends with its own error, and not as a cancellation.
_MARGIN: Final = 0.01

_OWN_REASON: Final = (
    "two requests of this login were refused or have no reply (if its credentials are right, reset_lockouts(account))"
)

_Key: TypeAlias = tuple[
    str, bool | None
]  # the login and whether the waiters need a token; the service and None for places


class PermitSource(Protocol):
    """The part of a store that a queue needs."""

    def try_acquire(self, permit: Permit) -> Permit | None:
        """Return the permit if it is available without an ``await``, else ``None``."""
        ...

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit when it is acquired, or when to try again.

        Args:
            permit: The permit that the caller wants.
            lease: Seconds after which the request has ended even if this process dies; ``inf`` if unknown.
            patience: Seconds for which the caller can wait, ``None`` for as long as ``lease``. A store that is closed for
                longer raises ``StoreNotReady``.
        """
        ...

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        ...

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        """Release a permit. A cancellation of the caller does not interrupt the release.

        Args:
            permit: The permit.
            completion: How the exchange ended.
            verdict: What the exchange showed about the credentials.
            lease: The lease of a fetch that ends with this request, with its list.
        """
        ...


class _Waiting:
    """The waiters of one queue in their order, and what the last refusal said."""

    __slots__ = ("error", "priorities", "tokens_free_at", "waiters")

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter, float] = OrderedDict()  # with the instant at which each gives up
        self.priorities: dict[Waiter, int] = {}  # of those whose priority is not 0
        self.tokens_free_at: tuple[float, ...] = ()
        self.error: Callable[[float], NotSent] = QuotaExhausted

    def add(self, waiter: Waiter, gives_up_at: float, priority: int) -> None:
        """Add a waiter behind all whose priority is not worse."""
        self.waiters[waiter] = gives_up_at
        if priority:
            self.priorities[waiter] = priority
        for behind in [each for each in self.waiters if self.priorities.get(each, 0) > priority]:
            self.waiters.move_to_end(behind)

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter, if it is there."""
        self.waiters.pop(waiter, None)
        self.priorities.pop(waiter, None)

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
        self._queues: dict[_Key, _Waiting] = {}
        # (key, None): try again, something was released. (key, waiter): the waiter leaves.
        self._events: deque[tuple[_Key, Waiter | None]] = deque()

    def try_acquire(self, permit: Permit) -> Permit | None:
        """Return the permit if nobody waits for one and it is available without an ``await``, else ``None``."""
        return None if self._queues and self.has_waiters(permit) else self._source.try_acquire(permit)

    async def acquire(self, permit: Permit, *, lease: float | None = None) -> Permit:
        """Return the permit as soon as it is free and all earlier waiters have theirs.

        The wait ends at the deadline of the caller's cancel scope (``anyio.fail_after`` and the like).

        Args:
            permit: The permit that the caller wants.
            lease: Seconds that the exchange lasts at most, or ``None`` if it ends with the caller's deadline.

        Raises:
            QuotaExhausted: The permit is known to come after the caller's deadline.
            StoreNotReady: The store lost its state, and grants nothing before the caller's deadline.
            NotSent: The lockout rules refuse the request until after the caller's deadline.
            StoreError: The store does not answer.
        """
        if self.try_acquire(permit) is not None:
            return permit
        started = now()
        # Only the remaining time is comparable: deadlines are readings of the event loop's own clock.
        ends_in = anyio.current_effective_deadline() - anyio.current_time()
        if ends_in == -math.inf:
            ends_in = math.inf  # cancelled already: the first wait raises the cancellation, which is not QuotaExhausted
        request = _Request(permit, lease, started + ends_in)
        answer: Permit | Refusal | None = None
        while not isinstance(answer, Permit):
            answer = await self._wait_in_bucket(request)
            if isinstance(answer, Refusal):
                answer = await self._wait_for_place(request, answer)
        permit.waited = now() - started
        return permit

    async def acquire_now(self, permit: Permit, *, lease: float | None) -> Permit:
        """Return the permit without a wait for it; the arguments are those of ``acquire``.

        Raises:
            NotSent: There is none now, by cause.
            StoreError: The store does not answer.
        """
        if self.try_acquire(permit) is not None:
            return permit
        queue = self._queues.get((permit.login, permit.token))
        if queue is not None:
            raise queue.error(queue.shortest_wait(len(queue.waiters), now(), permit.quota))
        answer = await self._ask(_Request(permit, lease, now()))
        if isinstance(answer, Permit):
            return answer
        if answer.locked_out is not None:
            raise not_sent(answer.locked_out, now() + answer.locked_out.retry_in)
        raise answer.error(min(answer.retry_in, permit.quota.window))

    def has_waiters(self, permit: Permit) -> bool:
        """Whether others wait for the same, and so come first."""
        return (permit.login, permit.token) in self._queues

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        service = None if permit.credentials is None else permit.credentials.service
        if not self._source.try_release(permit, completion, verdict):
            return False
        if self._queues:
            self.notify(permit.login, service)
        return True

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        """Release a permit, with the lease of its fetch if there is a list, and let the first waiters try again."""
        if self.try_release(permit, completion, verdict):
            return
        service = None if permit.credentials is None else permit.credentials.service
        try:
            await self._source.release(permit, completion, verdict, lease)
        finally:
            self.notify(permit.login, service)

    def notify(self, login: str | None, service: str | None = None) -> None:
        """Let the first waiters of a login, and of the places of a service, try again."""
        if login is not None:
            self._events.append(((login, True), None))
            self._events.append(((login, False), None))
        if service is not None:
            self._events.append(((service, None), None))
        self._handle_events()

    def waiting(self) -> int:
        """Return the number of waiters of all buckets."""
        with self._lock:
            count = sum(len(queue.waiters) for queue in self._queues.values())
        self._handle_events()
        return count

    def abandon(self) -> None:
        """Forget all waiters: for a forked child, in which none of them runs."""
        self._lock = threading.Lock()
        self._queues = {}
        self._events.clear()

    async def _wait_in_bucket(self, request: _Request) -> Permit | Refusal:
        """Wait for token and slot; return the permit, or why the lockout rules refuse the request."""
        permit = request.permit
        key = (permit.login, permit.token)
        waiter = new_waiter()
        queue, wait = self._enter(key, waiter, request, 0)
        try:
            if wait > request.ends_at - now():
                raise queue.error(wait)
            while True:
                retry_in = math.inf
                if self._is_head(queue, waiter):
                    answer = await self._ask(request)
                    if isinstance(answer, Permit) or answer.locked_out is not None:
                        return answer
                    instant = now()
                    queue.note(answer, instant)
                    if (wait := queue.shortest_wait(0, instant, permit.quota)) > request.ends_at - instant:
                        raise queue.error(wait)
                    retry_in = answer.retry_in
                await waiter.wait(max(retry_in, 0.0))
        finally:
            self._events.append((key, waiter))
            self._handle_events()

    async def _wait_for_place(self, request: _Request, refusal: Refusal) -> Permit | None:
        """Wait for a place; return the permit, or ``None`` if a token or a slot is missing now."""
        permit = request.permit
        assert permit.credentials is not None, "the lockout rules guard credentials alone"
        waiter = new_waiter()
        # A reason that concerns one login alone must not keep others from the places.
        is_own = refusal.locked_out is not None and refusal.locked_out.own
        key = (permit.login if is_own else permit.credentials.service, None)
        queue, _ = self._enter(key, waiter, request, refusal.priority)
        # Instants: a rest that is too small for the clock would be waited for again and again, and the wait of a refusal
        # that is some seconds old would be compared with the time that is left now.
        gives_up_at, refused_at = request.ends_at - _MARGIN, now()
        try:
            is_fresh = False
            while refusal.locked_out is not None:
                locked_out, left = refusal.locked_out, gives_up_at - now()
                free_at = refused_at + locked_out.retry_in
                is_too_late = free_at > gives_up_at and not locked_out.may_end_sooner
                if locked_out.final or is_too_late or left <= 0:
                    raise not_sent(locked_out, free_at)
                # The head asks first: a place may have become free before the waiter entered the queue.
                if not is_fresh and self._is_head(queue, waiter):
                    answer = await self._ask(request)
                    if isinstance(answer, Permit):
                        return answer
                    refusal, refused_at, is_fresh = answer, now(), True
                    continue
                await waiter.wait(min(left, refusal.retry_in) if is_fresh else left)
                is_fresh = False
        except anyio.get_cancelled_exc_class():
            # A busy event loop may reach the margin and the deadline together: the caller needs the cause.
            if refusal.locked_out is not None and now() >= request.ends_at:
                raise not_sent(refusal.locked_out, refused_at + refusal.locked_out.retry_in) from None
            raise
        else:
            return None
        finally:
            self._events.append((key, waiter))
            self._handle_events()

    async def _ask(self, request: _Request) -> Permit | Refusal:
        left = request.ends_at - now()
        lease = left if request.lease is None else request.lease
        return await self._source.acquire(request.permit, lease=lease, patience=left)

    def _enter(self, key: _Key, waiter: Waiter, request: _Request, priority: int) -> tuple[_Waiting, float]:
        """Add a waiter to a queue; return the queue and its shortest wait."""
        instant = now()
        with self._lock:
            former = self._queues.get(key)
            if former is not None and _is_lost(*next(iter(former.waiters.items())), instant):
                self._notify_head(key, former)
            queue = self._queues.setdefault(key, _Waiting())
            wait = queue.shortest_wait(len(queue.waiters), instant, request.permit.quota)
            queue.add(waiter, request.ends_at, priority)
        self._handle_events()
        return queue, wait

    def _is_head(self, queue: _Waiting, waiter: Waiter) -> bool:
        with self._lock:
            is_head = next(iter(queue.waiters), None) is waiter
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
        queue = self._queues.get(key)
        if queue is None:
            return
        head_changed = leaving is None or next(iter(queue.waiters)) is leaving
        if leaving is not None:
            queue.remove(leaving)
        if head_changed:
            self._notify_head(key, queue)

    def _notify_head(self, key: _Key, queue: _Waiting) -> None:
        """Let the first waiter try again, after the removal of lost ones: a lost head would block the others forever."""
        instant = now()
        while queue.waiters:
            head, gives_up_at = next(iter(queue.waiters.items()))
            if not _is_lost(head, gives_up_at, instant) and head.notify():
                return
            queue.remove(head)
        del self._queues[key]


def _is_lost(waiter: Waiter, gives_up_at: float, instant: float) -> bool:
    """Whether a waiter's event loop is closed or hangs: a loop that runs would have left the queue at the deadline."""
    return instant > gives_up_at + _OVERDUE or waiter.is_lost()


@attrs.frozen
class _Request:
    """What a task waits for, and until when."""

    permit: Permit
    lease: float | None
    ends_at: float


def not_sent(locked_out: Refused, free_at: float) -> NotSent:
    """Return the error for a refusal of the lockout rules."""
    if locked_out.cause is Cause.CREDENTIALS:
        return CredentialsRefused()
    # At once means that the end of a request in flight decides.
    retry_after = max(free_at - now(), 1.0)
    if locked_out.cause is Cause.ADDRESS:
        return AddressPaused(4, "", retry_after)
    return TrialsExhausted(retry_after, _OWN_REASON) if locked_out.own else TrialsExhausted(retry_after)
