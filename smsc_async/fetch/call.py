"""The way of a call: from memory, with somebody else who asks already, or over the wire, within one deadline.

Invariants: an answer goes to nobody but the credentials that fetched it; what a caller sees of a shared error is a copy
of its own.
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
from smsc_async.errors import (
    AuthenticationError,
    BreakerOpen,
    DeadlineExceeded,
    QuotaExhausted,
    SmscError,
    TransportError,
)
from smsc_async.fetch.attempts import Exchange, late
from smsc_async.fetch.interpret import without_traceback
from smsc_async.fetch.lockout import Breakers
from smsc_async.fetch.sessions import Session, Sessions
from smsc_async.http.limited_transport import Passage
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.records import Format, Tariffs
from smsc_async.stores import FetchLease, Store
from smsc_async.stores.single_flight import Flight, Result
from smsc_async.telemetry.events import CallSpan, RequestEnded, Telemetry
from smsc_async.telemetry.statistics import Counters

__all__ = ["Calls"]

# What a call with more time may escape.
_OUT_OF_TIME: Final = (DeadlineExceeded, QuotaExhausted, BreakerOpen)


@attrs.define(kw_only=True, eq=False)
class Calls:
    """What the calls of a client have in common.

    Attributes:
        endpoints: Where the service is, and its reserve if any.
        reply_format: The shape to ask for.
        quota: The rule.
        store: Where the quota and the last answers live.
        breakers: What was refused a short while ago.
        retries: How many more attempts a failed request may have.
        sessions: What the event loops have for it.
        observer: Told of calls and requests.
        tally: Counts them.
    """

    endpoints: tuple[str, ...]
    reply_format: Format
    quota: Quota
    store: Store
    breakers: Breakers
    retries: int
    sessions: Sessions
    observer: Telemetry
    tally: Counters = attrs.field(factory=Counters)
    _endpoint: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._endpoint = self.endpoints[0]  # what answers are kept under, wherever they come from

    def kept(self, account: Account, age: float) -> Tariffs | None:
        """Return the last list if it is at most that many seconds old."""
        self.tally.calls += 1
        kept = self.store.get_cached(self._endpoint, account, age) if age > 0 else None
        if kept is not None:
            self.tally.hits += 1
            if self.observer.wants_kept:
                self.observer.kept(account.login)
        return kept

    async def asked(self, account: Account, age: float, seconds: float, *, stale_ok: bool) -> Tariffs | Exception:
        """Return a list, or the error that the call ended with, within that many seconds.

        Args:
            account: Whose.
            age: For how many seconds a list that another process has is fresh.
            seconds: How long the call may take.
            stale_ok: Whether the last list will do where a fresh one cannot be had.
        """
        with self.observer.call(account.login) as watched:
            result = await self._fetched(account, age, seconds, watched)
            if isinstance(result, Tariffs):
                return result
            watched.outcome, watched.error = "failed", result
            if stale_ok and isinstance(result, SmscError) and not _refuses_credentials(result):
                last = self.store.get_cached(self._endpoint, account, math.inf)
                if last is not None:
                    watched.outcome = "stale"
                    return attrs.evolve(last, stale=True, error=result)
            return result

    async def _fetched(self, account: Account, age: float, seconds: float, watched: CallSpan) -> Tariffs | Exception:
        key = (self._endpoint, account.fingerprint)
        until = now() + seconds
        session = self.sessions.get()
        while self.sessions.has(session):
            flight, leads = self.store.flights.join(key, until)
            if leads:
                self._launch(session, account, key, flight, age)
            await flight.wait(until)
            watched.outcome = "fetched" if leads else "shared"
            if flight.progress is not None:
                watched.attempts, watched.waited = flight.progress.attempts, flight.progress.waited
            if not flight.landed:
                if now() >= until:
                    return late(seconds, flight.progress)
                flight.abandon_lost()  # overdue: the next one takes its place
            result = flight.result
            if leads and result is not None:
                return result
            # The leader was lost, had less time than there is here, or was content with an older list: then this call
            # leads the next.
            if result is None or (isinstance(result, _OUT_OF_TIME) and flight.deadline < until) or flight.max_age > age:
                continue
            self.tally.shared += 1
            return copy.copy(result) if isinstance(result, SmscError) else result
        return TransportError("the client was closed while the call was under way")

    def _launch(self, session: Session, account: Account, key: Hashable, flight: Flight, age: float) -> None:
        """Begin the request that a flight is about; it lands however that goes."""
        flights = self.store.flights
        # Another thread's flight may have landed between the look at the store and the boarding.
        kept = self.store.get_cached(self._endpoint, account, age) if age > 0 else None
        if kept is not None:
            flight.max_age = age
            flights.complete(key, flight, kept)
            return
        exchange = Exchange(
            account,
            endpoints=self.endpoints,
            reply_format=self.reply_format,
            transport=session.transport,
            quota=self.quota,
            store=self.store,
            breakers=self.breakers,
            retries=self.retries,
            on_attempt=partial(self._count, account),
        )
        flight.progress = exchange
        outcome: Result = None

        async def fly() -> None:
            nonlocal outcome
            try:
                outcome = await self._fly(session, exchange, account, age, flight)
            except Exception as fault:  # noqa: BLE001  # an error of the store, or a fault of ours: whoever waits has to see it
                outcome = without_traceback(fault) if isinstance(fault, SmscError) else fault

        session.detached.start(fly, lambda: flights.complete(key, flight, outcome))

    async def _fly(
        self, session: Session, exchange: Exchange, account: Account, age: float, flight: Flight
    ) -> Tariffs | SmscError:
        seconds = flight.deadline - now()
        turn: Tariffs | FetchLease | None = None
        with anyio.move_on_after(seconds):
            turn = await self.store.lease_or_reply(self._endpoint, account, age, seconds)
        if turn is None:
            return late(seconds, None)
        if isinstance(turn, Tariffs):
            flight.max_age = age
            return turn
        if turn.lease is not None:
            session.detached.start(partial(self.store.renew_lease, turn), lambda: None)
        tariffs: Tariffs | None = None
        try:
            result = await exchange.run(flight.deadline - now())
            tariffs = result if isinstance(result, Tariffs) else None
        finally:
            await self.store.release_lease(self._endpoint, account, turn, exchange.reply, tariffs)
        return result

    def _count(self, account: Account, passage: Passage, outcome: Tariffs | SmscError | None, n: int) -> None:
        error = outcome if isinstance(outcome, SmscError) else None
        waited = 0.0 if passage.permit is None else passage.permit.waited
        status = error.status if isinstance(error, TransportError) else None
        self.observer.request(RequestEnded(account.login, n, passage.begun, waited, error, status))
        self.tally.attempt(passage, outcome, n)


def _refuses_credentials(error: SmscError) -> bool:
    return isinstance(error, AuthenticationError) or (isinstance(error, BreakerOpen) and error.code == 2)
