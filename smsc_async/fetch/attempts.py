"""The attempts of one fetch, within one deadline, each from the lockout check to settlement.

Read ``fetch`` first, then ``_attempt``: it is the whole path of a request, from top to bottom.

Rules: errors 2 and 4, a reply that cannot be decoded, and a server that cannot prove its identity are never retried. Each
attempt takes a permit of its own. The reserve host is used only if no connection could be made.
"""

from __future__ import annotations

import math
from contextlib import suppress

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import DeadlineExceeded, NotSent, SmscError, StoreError, TooManyRequests
from smsc_async.fetch.circuit_breaker import CircuitBreaker
from smsc_async.fetch.hosts import Hosts
from smsc_async.fetch.interpret import interpret_redacted, without_traceback
from smsc_async.fetch.retries import backoff, may_retry
from smsc_async.http.connector import Connector
from smsc_async.http.form import FormStream
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.http.redaction import Redactor
from smsc_async.http.send import send
from smsc_async.limiter.attempt import Attempt, FetchLease
from smsc_async.limiter.bucket import Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota, quota_without_last
from smsc_async.protocol import Reply
from smsc_async.records import Format, Tariffs
from smsc_async.stores import Store
from smsc_async.stores.single_flight import InFlight
from smsc_async.telemetry.events import Telemetry
from smsc_async.telemetry.statistics import Counters


@attrs.define(kw_only=True, eq=False, repr=False)
class Fetcher:
    """What all fetches of a client share.

    Attributes:
        hosts: The host of the service, and its reserve host if there is one.
        service: The name of the service, for the quota.
        reply_format: The format to ask for.
        quota: The rule.
        store: The quota and the cached lists.
        retries: How many more attempts a failed request may have.
        connector: Opens connections.
        telemetry: Reports requests.
        counters: Counts them.
        circuit: Holds requests back while the service does not respond.
    """

    hosts: Hosts
    service: str
    reply_format: Format
    quota: Quota
    store: Store
    retries: int
    connector: Connector
    telemetry: Telemetry
    counters: Counters = attrs.field(factory=Counters)
    circuit: CircuitBreaker = attrs.field(factory=CircuitBreaker)

    def early_permit(self, account: Account, flight: InFlight) -> Permit | None:
        """Return the permit that the first request can have at once, or ``None`` if the request has to wait."""
        credentials = Credentials(self.service, account)
        permit = Permit(credentials.login, self._quota_of(flight), True, credentials)  # hot
        return None if self.circuit.seconds() or self.store.queue.has_waiters(permit) else permit

    async def fetch(self, lease: FetchLease, flight: InFlight) -> Tariffs | SmscError:
        """Return the list or the error of a flight.

        Args:
            lease: The account, and the right to fetch its list. The list is written into the lease.
            flight: Its deadline limits the attempts; it learns of each attempt.
        """
        outcome = await self._attempt(lease, flight)
        for number in range(1, self.retries + 1):
            if isinstance(outcome, Tariffs) or not may_retry(outcome, flight.failure, flight.attempts[-1]):
                break
            wait = 0.0 if self.hosts.has_other(outcome, number) else backoff(outcome, number)
            if flight.deadline - now() <= wait or not flight.is_wanted:
                break
            flight.failure = outcome
            if wait and outcome.retry_after:
                flight.refuse(outcome)
            # Not before: a flight that ends has a result, which others wait for even if its deadline is over.
            flight.end_exchange()
            await anyio.sleep(wait)
            again = await self._attempt(lease, flight)
            # If another attempt cannot be made in time, the caller needs the failure of the last one.
            if isinstance(again, NotSent):
                break
            outcome = again
        return outcome

    async def _attempt(self, lease: FetchLease, flight: InFlight) -> Tariffs | SmscError:
        """Make one attempt: check, acquire, send, interpret, settle."""
        account = lease.account
        credentials, number = Credentials(self.service, account), len(flight.attempts)
        attempt = Attempt(credentials.login, self._quota_of(flight), credentials, lease=lease, number=number)
        flight.attempts.append(attempt)
        is_sending = False
        try:
            self.connector.check_owner()
            wait = False  # the first try does not: callers that prefer the last list to a wait need to know
            while not is_sending:
                try:
                    await self.circuit.wait(math.inf if wait else 0.0)
                    # The permit contains a token, a slot and, for credentials at risk, a place: together or not at all.
                    async with LimitedExchange(self.store, attempt, wait=wait) as exchange:
                        is_sending = self.circuit.try_start(attempt)
                        if not is_sending:
                            continue  # another request has become the probe: give the permit back, and wait
                        flight.begin_exchange()
                        endpoint = self.hosts.choose()
                        connect_seconds = self.hosts.connect_seconds(flight.deadline - now())
                        form = FormStream(account, self.reply_format, exchange, connect_seconds)
                        reply = await send(form, attempt, self.connector, endpoint)
                        if isinstance(reply, Reply):
                            result = await interpret_redacted(reply, Redactor(account.secret))
                            if isinstance(result, Tariffs):
                                # The store shares the list in the step that releases the permit.
                                lease.reply, lease.tariffs = reply, result
                        else:
                            result = reply
                        self.hosts.note(endpoint, result)
                        attempt.outcome = result
                except NotSent as error:
                    # A refresh does not wait: the list that it replaces is still fresh.
                    if wait or is_sending or not error.retryable or flight.is_refresh:
                        raise
                    flight.refuse(without_traceback(error))
                    wait = True
                    await self.store.release_unused(lease)
        except SmscError as error:
            attempt.outcome = without_traceback(error)
        finally:
            if is_sending:
                self.circuit.settle(attempt)
            self.telemetry.request(attempt, account.login, is_refresh=flight.is_refresh)
            self.counters.count(attempt)
        outcome = attempt.outcome
        assert outcome is not None, "the exchange returned a result, or an exception has left this function"
        if type(outcome) is TooManyRequests:
            # The refusal is what the caller needs, whether or not the store can record it.
            with suppress(StoreError):
                await self.store.drain_tokens(attempt.login, self.quota)
        return outcome

    def _quota_of(self, flight: InFlight) -> Quota:
        """Return the quota; for a refresh without its last token, so that no store grants it, whatever others do."""
        return quota_without_last(self.quota) if flight.is_refresh else self.quota


def deadline_exceeded(seconds: float, flight: InFlight) -> DeadlineExceeded:
    """Return the error of a call whose time is over.

    Args:
        seconds: The deadline of the call.
        flight: What the call waited for.
    """
    sent = flight.may_have_counted
    state = "sent, and has no reply yet" if sent else "not sent yet: it waited for a permit or a connection"
    if flight.failure is not None:
        state = f"being retried, after: {flight.failure}"
    return DeadlineExceeded(f"no list within {seconds:g} s: the request was {state}", sent)
