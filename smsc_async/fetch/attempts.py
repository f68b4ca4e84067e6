"""One list over the wire: the attempts at it, and what an answer means.

Errors 2 and 4 are never tried again, nor is an answer that cannot be decoded or a server that cannot prove who it is. Each
attempt takes a permit of its own. The reserve host is tried only where no connection could be made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import (
    BreakerOpen,
    DeadlineExceeded,
    QuotaExhausted,
    SmscError,
    StoreError,
    TooManyRequests,
    TransportError,
)
from smsc_async.fetch.interpret import interpret_reply_off_loop, without_traceback
from smsc_async.fetch.lockout import Breakers, Trial
from smsc_async.http.limited_transport import LimitedTransport, Passage, post
from smsc_async.http.redaction import Redactor
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Claim, Reply, form, quota_key
from smsc_async.records import Format, Tariffs
from smsc_async.stores import Store
from smsc_async.stores.single_flight import Progress

__all__ = ["Exchange", "late"]

# Full jitter (a wait anywhere between nothing and the step) spreads those who failed together; the steps double.
_FIRST_STEP = 0.5
_LONGEST_STEP = 20.0


class Exchange:
    """The fetching of one account's list.

    Attributes:
        reply: The last answer that came, or ``None``.
        failure: What an attempt ended with that another follows, or ``None``.
    """

    def __init__(
        self,
        account: Account,
        *,
        endpoints: Sequence[str],
        reply_format: Format,
        transport: LimitedTransport,
        quota: Quota,
        store: Store,
        breakers: Breakers,
        retries: int,
        on_attempt: Callable[[Passage, Tariffs | SmscError | None, int], None],
    ) -> None:
        self._account = account
        self._endpoints = endpoints
        self._host = 0  # which of them is asked
        self._format = reply_format
        self._transport = transport
        self._quota = quota
        self._store = store
        self._breakers = breakers
        self._retries = retries
        self._on_attempt = on_attempt
        self._claim = Claim(quota_key(account.login), token=True)
        self._scrubber = Redactor(account.secret)
        self._passage = Passage(self._claim)
        self._trial: Trial | None = None
        self._left_before = False
        self._let_through_before = 0
        self._waited_before = 0.0
        self.failure: SmscError | None = None
        self._until = 0.0
        self.reply: Reply | None = None

    @property
    def attempts(self) -> int:
        """Requests let through so far."""
        return self._let_through_before + self._passage.begun

    @property
    def waited(self) -> float:
        """Seconds that they waited for their permits, together."""
        permit = self._passage.permit
        return self._waited_before + (0.0 if permit is None else permit.waited)

    def may_have_left(self) -> bool:
        """Whether a byte of any attempt can have left."""
        return self._left_before or self._passage.may_have_left

    def abandon(self) -> None:
        """Give back what it holds of the quota, as after a request without an answer: it will never do so itself."""
        self._breakers.abandon(self._trial)
        if self._passage.permit is not None:
            self._store.queue.try_release(self._passage.permit, Completion.INCOMPLETE)

    async def run(self, seconds: float) -> Tariffs | SmscError:
        """Return the list or the error that it ended with, within that many seconds."""
        self._until = now() + seconds
        with anyio.move_on_after(seconds):
            return await self._attempts()
        return late(seconds, self)

    async def _attempts(self) -> Tariffs | SmscError:
        outcome = await self._attempt(0)
        for n in range(1, self._retries + 1):
            if isinstance(outcome, Tariffs) or not _worth_another(outcome, self.failure):
                break
            self.failure = outcome
            wait = 0.0 if self._switched_host(outcome, n) else _pause(outcome, n)
            if self._until - now() <= wait or not self._breakers.budget.spend():
                break
            await anyio.sleep(wait)
            again = await self._attempt(n)
            # Where another try cannot be made in time, the failure of the last one is what the caller needs.
            if isinstance(again, QuotaExhausted | BreakerOpen):
                break
            outcome = again
        if isinstance(outcome, Tariffs):
            self._breakers.budget.earn(after_retry=self.failure is not None)
        return outcome

    async def _attempt(self, n: int) -> Tariffs | SmscError:
        self._left_before = self.may_have_left()
        self._let_through_before, self._waited_before = self.attempts, self.waited
        passage = self._passage = Passage(self._claim)
        trial: Trial | None = None
        outcome: Tariffs | SmscError | None = None
        try:
            trial = self._trial = await self._breakers.admit(self._account)
            outcome = await self._sent(passage, trial)
        except SmscError as error:
            outcome = without_traceback(error)
        finally:
            if trial is not None:
                is_late = outcome is None and now() >= self._until
                await self._breakers.settle(
                    trial, outcome, may_have_left=passage.may_have_left, seen=passage.seen, is_late=is_late
                )
            self._on_attempt(passage, outcome, n)
        assert outcome is not None, "it was sent to its end, or an error was caught"
        if isinstance(outcome, TooManyRequests):
            # Whether or not the store can be told, the refusal is what there is to say.
            with suppress(StoreError):
                await self._store.drain_tokens(self._claim.login, self._quota)
        return outcome

    async def _sent(self, passage: Passage, trial: Trial) -> Tariffs | SmscError:
        breakers = self._breakers

        # Without `self`, which has the passage: the answer is to go when the call ends, not when cycles are collected.
        async def last_look(permit: Permit) -> None:
            await breakers.before_sending(trial, waited=permit.waited > 0)

        passage.before_sending = last_look
        body = form(credentials(self._account), self._format)
        sent = post(self._transport, self._endpoints[self._host], body, passage, self._scrubber.text)
        del body  # before anything can be raised: error reporters show the locals of every frame
        reply = await sent
        if isinstance(reply, SmscError):
            return self._scrubber.error(reply)
        self.reply = reply
        outcome = await interpret_reply_off_loop(reply)
        if isinstance(outcome, SmscError):
            # Struck out before it is read: what an error quotes of it is cut to length, and might show a half.
            again = await interpret_reply_off_loop(attrs.evolve(reply, body=self._scrubber.body(reply.body)))
            if isinstance(again, SmscError) and _say_the_same(again, outcome):
                outcome = self._scrubber.error(again)
            else:  # it was the secret itself that could not be read, or a number that looks like it
                outcome = self._scrubber.error(outcome, may_be_cut=True)
        return outcome

    def _switched_host(self, failure: SmscError, n: int) -> bool:
        """Turn to the other host where there is one and no connection could be made; whether this is the first time."""
        unreached = isinstance(failure, TransportError) and not failure.may_have_counted
        if not unreached or len(self._endpoints) == 1:
            return False
        self._host = n % len(self._endpoints)
        return n == 1


def credentials(account: Account) -> dict[str, str]:
    """Return the fields of the form that say who asks."""
    secret = account.secret.reveal()
    return {"apikey": secret} if account.uses_api_key else {"login": account.login, "psw": secret}


def late(seconds: float, progress: Progress | None) -> DeadlineExceeded:
    """Return the error of a call whose time is up.

    Args:
        seconds: How long it had.
        progress: How far it had come, or ``None`` where it had not begun.
    """
    may_have_left = progress is not None and progress.may_have_left()
    state = "sent, and not answered" if may_have_left else "not sent yet, while it waited for its turn or a connection"
    if progress is not None and progress.failure is not None:
        state = f"being tried again, after: {progress.failure}"
    return DeadlineExceeded(f"no list within {seconds:g} s: the request was {state}", may_have_left)


def _worth_another(error: SmscError, before: SmscError | None) -> bool:
    if isinstance(error, TooManyRequests):
        # Twice running, each after a minute's pause: somebody else uses the login up, and more tries only add to it.
        return not isinstance(before, TooManyRequests)
    return error.retryable and isinstance(error, TransportError)


def _say_the_same(one: SmscError, other: SmscError) -> bool:
    return type(one) is type(other) and getattr(one, "code", None) == getattr(other, "code", None)


def _pause(error: SmscError, n: int) -> float:
    if isinstance(error, TooManyRequests):
        return 0.0  # the bucket is shut: the permit takes its time by itself
    jitter = random.uniform(0.0, min(_FIRST_STEP * 2 ** (n - 1), _LONGEST_STEP))  # noqa: S311  # no secret hangs on it
    return max(error.retry_after or 0.0, jitter)
