"""The path of a call: from the cache, from a flight in progress, or from a flight of its own, within its deadline.

A list that is older than ``refresh_after`` is returned at once, and refreshed in the background.

Invariants: a list goes to no credentials but those that fetched it; a caller gets its own copy of a shared error.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable
from functools import partial
from typing import Final

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import AuthenticationError, SmscError, transport_error
from smsc_async.fetch.attempts import Fetcher, deadline_exceeded
from smsc_async.fetch.background import BackgroundTasks
from smsc_async.fetch.interpret import without_traceback
from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs
from smsc_async.stores.single_flight import InFlight, Result
from smsc_async.telemetry.events import CallSpan

# Seconds between a refresh that failed and the next one.
_REFRESH_PAUSE: Final = 30.0
# Seconds by which a timer may fire early. Without them, a flight that ends then would be repeated until its deadline.
_EARLY: Final = 0.001


class Calls:
    """The calls of a client.

    Args:
        fetcher: Makes the attempts.
        refresh_after: Seconds after which a list is refreshed in the background; ``inf`` for never.
        refresh_seconds: The deadline of a refresh.
    """

    def __init__(self, fetcher: Fetcher, refresh_after: float, refresh_seconds: float) -> None:
        self.fetcher: Fetcher = fetcher
        self._refresh_after = refresh_after
        self._refresh_seconds = refresh_seconds
        self._no_refresh_before: dict[bytes, float] = {}
        self.tasks: BackgroundTasks = BackgroundTasks()
        self._store = fetcher.store
        self._endpoint = fetcher.hosts.primary  # the cache key, whichever host answers

    def cached(self, account: Account, max_age: float) -> Tariffs | None:
        """Return the last list if it is at most that many seconds old."""
        counters = self.fetcher.counters
        counters.calls += 1
        cached = self._store.get_cached(self._endpoint, account, max_age) if max_age > 0 else None
        if cached is not None:
            if self._refresh_after < max_age:
                self._start_refresh(account)
            counters.hits += 1
            self.fetcher.telemetry.cached(account.login)
        return cached

    async def fetch(
        self, account: Account, max_age: float, seconds: float, *, stale_ok: bool = False, is_refresh: bool = False
    ) -> Tariffs | BaseException:
        """Return a list, or the error that ended the call, within that many seconds.

        Args:
            account: The credentials.
            max_age: Seconds that a list of another process may be old.
            seconds: The deadline of the call.
            stale_ok: Whether the last list is good enough if there is no fresh one.
            is_refresh: Whether this is a refresh in the background.
        """
        with self.fetcher.telemetry.call(account.login, is_refresh=is_refresh) as span:
            result = await self._join(account, max_age, seconds, span, is_impatient=stale_ok, is_refresh=is_refresh)
            if isinstance(result, Tariffs):
                return result
            span.fail(result)
            if stale_ok and isinstance(result, SmscError) and not isinstance(result, AuthenticationError):
                last = self._store.get_cached(self._endpoint, account, math.inf)
                if last is not None:
                    span.outcome = "stale"
                    return attrs.evolve(last, stale=True, error=result)
            return result

    async def _join(
        self, account: Account, max_age: float, seconds: float, span: CallSpan, *, is_impatient: bool, is_refresh: bool
    ) -> Tariffs | BaseException:
        key = (self._endpoint, account.fingerprint)
        until = now() + seconds
        while not self.tasks.is_closed:
            flight, is_new = self._store.flights.join(key, until)
            try:
                if is_new:
                    flight.is_refresh = is_refresh
                    self._start(account, key, flight, max_age)
                refusal = await flight.wait(until, is_impatient=is_impatient)
                # The flight has looked into the store by now.
                if is_impatient and not self._store.get_cached(self._endpoint, account, math.inf):
                    refusal = await flight.wait(until)
            finally:
                flight.leave()
            span.outcome = "fetched" if is_new else "shared"
            span.attempts = sum(bool(attempt.permits) for attempt in flight.attempts)
            span.waited = sum(attempt.waited for attempt in flight.attempts)
            if not flight.is_complete:
                if refusal is not None:
                    return refusal
                if now() >= until:
                    return deadline_exceeded(seconds, flight)
                flight.complete(None)  # its event loop is lost: the next flight takes its place
            result = flight.result
            if is_new and result is not None:
                if isinstance(result, Tariffs) and not flight.attempts:
                    self._note_stored(account, flight, span)
                return result
            # Do not share the result of a flight that was lost, that a later deadline could change, or that accepted an
            # older list. A refresh, or a flight that all callers had left, fails more easily than a call.
            could_change = isinstance(result, SmscError) and result.retryable and flight.deadline < until
            fails_easily = flight.is_abandoned or (flight.is_refresh and not is_refresh)
            has_failed = fails_easily and not isinstance(result, Tariffs)
            if result is None or could_change or has_failed or flight.max_age > max_age:
                continue
            self.fetcher.counters.shared += not is_refresh
            return copy.copy(result) if isinstance(result, SmscError) else result
        return closed_error()

    def _note_stored(self, account: Account, flight: InFlight, span: CallSpan) -> None:
        """Note that the list of a flight comes from the store; one that is younger than the flight was fetched meanwhile."""
        is_shared = self._store.get_cached(self._endpoint, account, now() - flight.started_at) is not None
        span.outcome = "shared" if is_shared else "cached"
        if not flight.is_refresh:
            self.fetcher.counters.shared += is_shared
            self.fetcher.counters.hits += not is_shared

    def _start_refresh(self, account: Account) -> None:
        """Refresh a list that is old enough in the background, unless that is in progress or has failed a moment ago."""
        key = account.fingerprint
        is_young = self._store.get_cached(self._endpoint, account, self._refresh_after) is not None
        # With a quota of one request, each refresh would take the last one.
        if is_young or self._no_refresh_before.get(key, -math.inf) > now() or self.fetcher.quota.requests == 1:
            return
        # No longer than it can take: its event loop may be lost.
        self._no_refresh_before[key] = now() + self._refresh_seconds

        async def refresh() -> None:
            result = await self.fetch(account, self._refresh_after, self._refresh_seconds, is_refresh=True)
            if isinstance(result, Tariffs):
                self._no_refresh_before.pop(key, None)
            else:
                self._no_refresh_before[key] = now() + _REFRESH_PAUSE

        self.fetcher.counters.refreshes += 1
        self.tasks.start(refresh)

    def _start(self, account: Account, key: Hashable, flight: InFlight, max_age: float) -> None:
        """Start the task of a flight; the flight completes however the task ends."""
        outcome: Result = None

        async def run() -> None:
            nonlocal outcome
            try:
                outcome = await self._run(account, flight, max_age)
            except SmscError as error:
                outcome = without_traceback(error)
            except GeneratorExit:
                raise
            except BaseException as error:
                if isinstance(error, anyio.get_cancelled_exc_class()):
                    raise
                outcome = error  # a bug of a user's code, or a signal: the callers raise it, in their own tasks

        def ended() -> None:
            is_late = outcome is None and not self.tasks.is_closed and now() >= flight.deadline - _EARLY
            seconds = flight.deadline - flight.started_at
            self._store.flights.complete(key, flight, deadline_exceeded(seconds, flight) if is_late else outcome)

        self.tasks.start(run, ended, flight)

    async def _run(self, account: Account, flight: InFlight, max_age: float) -> Tariffs | SmscError:
        """Return the list that another process has, or fetch one for all processes that share the store."""
        early = self.fetcher.early_permit(account, flight)
        turn = await self._store.lease_or_reply(self._endpoint, account, max_age, early)
        if isinstance(turn, Tariffs):
            flight.max_age = max_age
            return turn
        if turn.lease is not None:
            self.tasks.start(partial(self._store.renew_lease, turn))
        try:
            return await self.fetcher.fetch(turn, flight)
        finally:
            await self._store.release_lease(turn)


def closed_error() -> SmscError:
    """Return the error of a call whose client was closed under it."""
    return transport_error("closed", "the client was closed while the call was in progress")
