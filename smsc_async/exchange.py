"""One list over the wire: the attempts at it, and what an answer means.

Errors 2 and 4 are never tried again, nor is an answer that cannot be decoded. Each attempt takes a permit of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote_plus

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.decoder import decode
from smsc_async.errors import (
    ApiError,
    DeadlineExceeded,
    QuotaExhausted,
    SmscError,
    TooManyRequests,
    TransportError,
)
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Claim, Reply, declared_charset, form, quota_key
from smsc_async.records import Format, Tariffs
from smsc_async.stores import Store
from smsc_async.transport import LimitedTransport, Passage, post

__all__ = ["Exchange", "bare"]

# Full jitter (a wait anywhere between nothing and the step) spreads those who failed together; the steps double.
_FIRST_STEP = 0.5
_LONGEST_STEP = 20.0


class Exchange:
    """The fetching of one account's list.

    Attributes:
        reply: The last answer that came, or ``None``.
    """

    def __init__(
        self,
        account: Account,
        *,
        endpoint: str,
        reply_format: Format,
        transport: LimitedTransport,
        quota: Quota,
        store: Store,
        retries: int,
        on_attempt: Callable[[Passage, Tariffs | SmscError, int], None],
    ) -> None:
        self._account = account
        self._endpoint = endpoint
        self._format = reply_format
        self._transport = transport
        self._quota = quota
        self._store = store
        self._retries = retries
        self._on_attempt = on_attempt
        self._claim = Claim(quota_key(account.login), token=True)
        self._passage = Passage(self._claim)
        self._left_before = False
        self.reply: Reply | None = None

    def may_have_left(self) -> bool:
        """Whether a byte of any attempt can have left."""
        return self._left_before or self._passage.may_have_left

    async def run(self, seconds: float) -> Tariffs | SmscError:
        """Return the list or the error that it ended with, within that many seconds."""
        with anyio.move_on_after(seconds):
            return await self._attempts()
        return late(seconds, may_have_left=self.may_have_left())

    async def _attempts(self) -> Tariffs | SmscError:
        outcome = await self._attempt(0)
        for n in range(1, self._retries + 1):
            if isinstance(outcome, Tariffs) or not _worth_another(outcome):
                break
            wait = _pause(outcome, n)
            if anyio.current_effective_deadline() - anyio.current_time() <= wait:
                break
            await anyio.sleep(wait)
            again = await self._attempt(n)
            # Where there is no permit for another try in time, the failure of the last one is what the caller needs.
            if isinstance(again, QuotaExhausted):
                break
            outcome = again
        return outcome

    async def _attempt(self, n: int) -> Tariffs | SmscError:
        self._left_before = self.may_have_left()
        passage = self._passage = Passage(self._claim)
        outcome: Tariffs | SmscError
        try:
            sent = post(self._transport, self._endpoint, form(credentials(self._account), self._format), passage)
            reply = await sent
            if isinstance(reply, SmscError):
                outcome = reply
            else:
                self.reply = reply
                outcome = judge(reply)
        except SmscError as error:
            outcome = error
        if isinstance(outcome, TooManyRequests):
            await self._store.shut(self._claim.login, self._quota)
        if isinstance(outcome, SmscError):
            outcome = bare(scrubbed(outcome, self._account.secret.reveal()))
        self._on_attempt(passage, outcome, n)
        return outcome


def credentials(account: Account) -> dict[str, str]:
    """Return the fields of the form that say who asks."""
    secret = account.secret.reveal()
    return {"apikey": secret} if account.uses_api_key else {"login": account.login, "psw": secret}


def judge(reply: Reply) -> Tariffs | SmscError:
    """Return the list of an answer, or the error that it is."""
    if 300 <= reply.status < 400:
        return TransportError(
            f"redirected with status {reply.status}: not followed, since the password would go along; "
            "set base_url to where the service is now",
            retryable=False,
            status=reply.status,
        )
    read = _decoded(reply)
    if isinstance(read, ApiError):
        return read
    if 200 <= reply.status < 300:
        return attrs.evolve(read, fetched_at=datetime.now(UTC)) if isinstance(read, Tariffs) else read
    return TransportError(
        f"answered with HTTP status {reply.status} and no tariff list",
        retryable=reply.status == 429 or reply.status >= 500,
        retry_after=reply.retry_after,
        status=reply.status,
    )


def _decoded(reply: Reply) -> Tariffs | SmscError:
    try:
        return decode(reply.body, charset=declared_charset(reply.content_type))
    except SmscError as error:
        return error


def late(seconds: float, *, may_have_left: bool) -> DeadlineExceeded:
    """Return the error of a call whose time is up."""
    state = "sent, and not answered" if may_have_left else "not sent yet, while it waited for its turn or a connection"
    return DeadlineExceeded(f"no list within {seconds:g} s: the request was {state}", may_have_left)


def scrubbed(error: SmscError, secret: str) -> SmscError:
    """Return the error with the secret struck out, should the server or its software have quoted it."""
    for name in ("message", "description", "excerpt"):
        said = getattr(error, name, "")
        for spelling in (secret, quote_plus(secret)):
            said = said.replace(spelling, "…")
        if hasattr(error, name):
            setattr(error, name, said)
    return error


def bare(error: SmscError) -> SmscError:
    """Return the error without the frames that it came through: they show what was sent."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _worth_another(error: SmscError) -> bool:
    return error.retryable and isinstance(error, TransportError | TooManyRequests)


def _pause(error: SmscError, n: int) -> float:
    if isinstance(error, TooManyRequests):
        return 0.0  # the bucket is shut: the permit takes its time by itself
    jitter = random.uniform(0.0, min(_FIRST_STEP * 2 ** (n - 1), _LONGEST_STEP))  # noqa: S311  # no secret hangs on it
    return max(error.retry_after or 0.0, jitter)
