"""The token bucket around a transport: the one place where a request meets the limiter.

``LimitedExchange`` acquires a permit, lets its block send, and settles the permit by the attempt's record. The attempts of
a fetch and ``LimitedTransport`` share it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Self

from smsc_async.errors import StoreError, TrialsExhausted
from smsc_async.limiter.attempt import LONGEST_EXCHANGE, Attempt, FetchLease
from smsc_async.limiter.bucket import Permit
from smsc_async.limiter.waiter import running_loop
from smsc_async.stores.base import Store


class LimitedExchange:
    """A permit for the length of one exchange.

    Args:
        store: Where the quota lives.
        attempt: The record of the request. The block fills it in, and the exit settles the permit by it.
        wait: Whether the entry waits for the permit.
        lasts: Seconds that the exchange lasts at most.

    Raises:
        NotSent: On entry: the permit comes later than the deadline of the enclosing cancel scope; without ``wait``, later
            than now.
        StoreError: On entry: the store failed.
    """

    def __init__(self, store: Store, attempt: Attempt, *, wait: bool = True, lasts: float = LONGEST_EXCHANGE) -> None:
        self._store = store
        self._attempt = attempt
        self._wait = wait
        self._lasts = lasts

    async def __aenter__(self) -> Self:
        attempt, queue = self._attempt, self._store.queue
        permit = None if attempt.lease is None else attempt.lease.take_permit()
        if permit is None:
            acquire = queue.acquire if self._wait else queue.acquire_now
            permit = Permit(attempt.login, attempt.quota, attempt.token, attempt.credentials)
            await acquire(permit, lease=self._lasts)
        attempt.permits = [_owned(permit)]
        return self

    async def allow_reading(self) -> None:
        """Count a reading of the body, and take a token of its own for the second and each later one.

        Raises:
            QuotaExhausted: There is no token for another sending at this moment.
            StoreError: The store failed.
        """
        attempt = self._attempt
        if attempt.readings:
            # A lower layer sends the request again, so the service counts it again, as an authorization error too.
            if attempt.place is not None and not attempt.place.fast:
                raise TrialsExhausted(1.0, "these credentials are not known to work, so they are sent once")
            permit = Permit(attempt.login, attempt.quota, attempt.token)
            await self._store.queue.acquire_now(permit, lease=self._lasts)
            attempt.permits.append(_owned(permit))
        attempt.readings += 1

    async def __aexit__(self, *_: object) -> None:
        attempt = self._attempt
        lease = attempt.lease if attempt.lease is not None and attempt.lease.tariffs is not None else None
        # Each of them, also if a release is cancelled. The first permit is the last one: the store shares the list with it.
        async with AsyncExitStack() as releases:
            for permit in attempt.permits:
                permit.seen = attempt.head_seen_at
                releases.push_async_callback(self._release, permit, lease)

    async def _release(self, permit: Permit, lease: FetchLease | None) -> None:
        # The outcome of the exchange stands even if the store fails now: the lease of the permit ends by itself.
        with suppress(StoreError):
            await self._store.queue.release(permit, self._attempt.completion, self._attempt.verdict, lease)


def _owned(permit: Permit) -> Permit:
    # A permit whose event loop is closed can be taken back by others: its owner will never release it.
    permit.owner_loop = running_loop()
    return permit
