"""The form of a request: the only place that contains the secret, and only while a transport reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Self
from urllib.parse import urlencode

import httpx

from smsc_async.accounts import Account
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.limiter.attempt import LONGEST_EXCHANGE
from smsc_async.limiter.clock import now
from smsc_async.records import Format

# httpx's own timeouts, and the check between two chunks, end an exchange this much earlier than its cancellation would,
# because a cancellation leaves generators and sockets to the garbage collector.
_MARGIN: Final = 0.5


class FormStream(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The body of a request. It encodes the form when a transport reads it, and can be read more than once.

    No frame keeps the encoded form in a local variable. The stream is an iterator and no generator: a generator that is not
    run to its end causes a warning on trio.

    Attributes:
        until: When the exchange ends, by the limiter's clock.
        timeouts: httpx's timeouts of the exchange: connecting has its own limit, all else what is left of the exchange.
    """

    def __init__(
        self, account: Account, reply_format: Format, exchange: LimitedExchange, connect_seconds: float
    ) -> None:
        self._account = account
        self._format = reply_format
        self._exchange = exchange
        self._is_read = False
        self.until: float = now() + LONGEST_EXCHANGE - _MARGIN
        timeout = httpx.Timeout(LONGEST_EXCHANGE, connect=connect_seconds, pool=connect_seconds)
        self.timeouts: dict[str, float | None] = timeout.as_dict()

    def __aiter__(self) -> Self:
        self._is_read = False
        return self

    async def __anext__(self) -> bytes:
        """Return the whole encoded form, after the exchange has counted the reading."""
        if self._is_read:
            raise StopAsyncIteration
        self._is_read = True
        await self._exchange.allow_reading()
        self.timeouts["read"] = self.timeouts["write"] = max(self.until - now(), 0.0)
        return self.encode()

    def encode(self) -> bytes:
        """Return the encoded form."""
        account = self._account
        credentials = (
            {"apikey": account.secret.reveal()}
            if account.uses_api_key
            else {"login": account.login, "psw": account.secret.reveal()}
        )
        return urlencode({"get_price": 1, **credentials, "fmt": self._format.value, "charset": "utf-8"}).encode()
