"""The queues of tasks that wait for a permit: first in, first out, for each bucket and for the places of a service.

A request needs a token and a slot of its bucket, and a place of the lockout rules if its credentials are at risk. It gets
all of them together, or none. It waits in the queue of what is missing, and holds nothing meanwhile. Buckets never block
each other. Only the head of a queue tries to acquire a permit and waits by the clock; the others wait until they are the
head.

Invariants:

- A permit is acquired as the last step before it is returned, without an ``await`` in between: a cancellation cannot lose
  a permit. A store that must wait for its own answer releases the permit itself when it is cancelled.
- Nothing runs in the background. A bucket without waiters costs nothing.
"""

from __future__ import annotations

import math
from typing import Final

import anyio
import attrs

from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.permit_source import PermitSource
from smsc_async.limiter.wait_lists import WaitLists
from smsc_async.limiter.waiter import new_waiter

# Seconds before a deadline at which a wait for a place ends with its own error, and not as a cancellation.
_MARGIN: Final = 0.01


class WaiterQueue:
    """Gives the permits of a source to the tasks of a process, in order; for any number of threads and event loops."""

    def __init__(self, source: PermitSource) -> None:
        self._source = source
        self._waiters = WaitLists()

    def try_acquire(self, permit: Permit) -> Permit | None:
        """Return the permit if nobody waits for one and it is available without an ``await``, else ``None``."""
        return None if self._waiters and self.has_waiters(permit) else self._source.try_acquire(permit)

    async def acquire(self, permit: Permit, *, lease: float = math.inf) -> Permit:
        """Return the permit as soon as it is free and all earlier waiters have theirs.

        The wait ends at the deadline of the caller's cancel scope (``anyio.fail_after`` and the like).

        Args:
            permit: The permit that the caller wants.
            lease: Seconds that the exchange lasts at most; ``inf`` if that is unknown.

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

    async def acquire_now(self, permit: Permit, *, lease: float) -> Permit:
        """Return the permit without a wait for it; the arguments are those of ``acquire``.

        Raises:
            NotSent: There is none now, by cause.
            StoreError: The store does not answer.
        """
        if self.try_acquire(permit) is not None:
            return permit
        waiting = self._waiters.find((permit.login, permit.token))
        if waiting is not None:
            raise waiting.error(waiting.shortest_wait(len(waiting.waiters), now(), permit.quota))
        answer = await self._ask(_Request(permit, lease, now()))
        if isinstance(answer, Permit):
            return answer
        if answer.locked_out is not None:
            raise answer.locked_out.error(answer.locked_out.retry_in)
        raise answer.error(min(answer.retry_in, permit.quota.window))

    def has_waiters(self, permit: Permit) -> bool:
        """Whether others wait for the same, and so come first."""
        return self._waiters.find((permit.login, permit.token)) is not None

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        is_released = self._source.try_release(permit, completion, verdict)
        if is_released and self._waiters:
            self._notify_next(permit)
        return is_released

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
        try:
            await self._source.release(permit, completion, verdict, lease)
        finally:
            self._notify_next(permit)

    def notify(self, login: str | None, service: str | None = None) -> None:
        """Let the first waiters of a login, and of the places of a service, try again."""
        self._waiters.notify((login, True), (login, False), (service, None))

    def _notify_next(self, permit: Permit) -> None:
        self.notify(permit.login, None if permit.credentials is None else permit.credentials.service)

    async def _wait_in_bucket(self, request: _Request) -> Permit | Refusal:
        """Wait for token and slot; return the permit, or why the lockout rules refuse the request."""
        permit = request.permit
        key = (permit.login, permit.token)
        waiter = new_waiter()
        waiting, wait = self._waiters.enter(key, waiter, request.ends_at, permit.quota, 0)
        try:
            if wait > request.ends_at - now():
                raise waiting.error(wait)
            while True:
                retry_in = math.inf
                if self._waiters.is_head(waiting, waiter):
                    answer = await self._ask(request)
                    if isinstance(answer, Permit) or answer.locked_out is not None:
                        return answer
                    instant = now()
                    waiting.note(answer, instant)
                    if (wait := waiting.shortest_wait(0, instant, permit.quota)) > request.ends_at - instant:
                        raise waiting.error(wait)
                    retry_in = answer.retry_in
                await waiter.wait(max(retry_in, 0.0))
        finally:
            self._waiters.leave(key, waiter)

    async def _wait_for_place(self, request: _Request, refusal: Refusal) -> Permit | None:
        """Wait for a place; return the permit, or ``None`` if a token or a slot is missing now."""
        permit = request.permit
        assert permit.credentials is not None, "the lockout rules guard credentials alone"
        waiter = new_waiter()
        # A reason that concerns one login alone must not keep others from the places.
        is_own = refusal.locked_out is not None and refusal.locked_out.own
        key = (permit.login if is_own else permit.credentials.service, None)
        waiting, _ = self._waiters.enter(key, waiter, request.ends_at, permit.quota, refusal.priority)
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
                    raise locked_out.error(free_at - now())
                # The head asks first: a place may have become free before the waiter entered the queue.
                if not is_fresh and self._waiters.is_head(waiting, waiter):
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
                raise refusal.locked_out.error(refused_at + refusal.locked_out.retry_in - now()) from None
            raise
        else:
            return None
        finally:
            self._waiters.leave(key, waiter)

    async def _ask(self, request: _Request) -> Permit | Refusal:
        return await self._source.acquire(request.permit, lease=request.lease, patience=request.ends_at - now())


@attrs.frozen(eq=False, repr=False)
class _Request:
    """What a task waits for, and until when."""

    permit: Permit
    lease: float
    ends_at: float
