"""One exchange: one connection, one POST, one bounded reply.

The exchange opens an ``httpx.AsyncClient``, sends the form with ``Connection: close``, reads the whole body, and closes. A
connection that stays open could carry a stray answer to the next account, and at three requests a minute there is nothing to reuse.

Invariants: an exchange ends after ``EXCHANGE_SECONDS`` at the latest; the body is never read past ``REPLY_BYTES``; every
exception that leaves ``send`` has the locals of its frames cleared, because a frame of a transport may hold the form.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final, cast
from urllib.parse import urlencode, urlsplit

import anyio
import httpx

from smsc_async.accounts import Account
from smsc_async.errors import DecodeError, IncompleteReply, SmscError
from smsc_async.http.connector import Connector
from smsc_async.http.failures import is_transport_failure, transport_failure
from smsc_async.http.frames import clear_frames
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.http.log_filter import quiet_logs
from smsc_async.http.threads import own_name_lookups
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.protocol import FORM, REPLY_BYTES, Reply, retry_after
from smsc_async.records import Format

EXCHANGE_SECONDS: Final = 30.0
"""The longest exchange. A store that lost its state stays closed for at least as long (limiter, "Rule")."""

# httpx's own timeouts, and the check between two chunks, end an exchange this much earlier than its cancellation would,
# because a cancellation leaves generators and sockets to the garbage collector.
_MARGIN: Final = 0.5


class FormStream(httpx.AsyncByteStream):
    """The body of a request. It encodes the form when a transport reads it, and can be read more than once.

    No frame keeps the encoded form in a local variable. The stream is no generator: a generator that is not run to its
    end causes a warning on trio.

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
        self.until: float = now() + EXCHANGE_SECONDS - _MARGIN
        self.timeouts: dict[str, float] = {
            **dict.fromkeys(("connect", "pool"), connect_seconds),
            **dict.fromkeys(("read", "write"), EXCHANGE_SECONDS),
        }

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _FormReader(self)

    async def read(self) -> bytes:
        """Return the encoded form, after the exchange has counted the reading."""
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
        return f"get_price=1&{urlencode(credentials)}&fmt={self._format.value}&charset=utf-8".encode()


class _FormReader:
    def __init__(self, form: FormStream) -> None:
        self._form: FormStream | None = form

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        form, self._form = self._form, None
        if form is None:
            raise StopAsyncIteration
        return await form.read()


async def send(
    account: Account,
    attempt: Attempt,
    exchange: LimitedExchange,
    connector: Connector,
    *,
    endpoint: str,
    reply_format: Format,
    connect_seconds: float,
) -> Reply | SmscError:
    """Make one exchange, and return the reply or the error in which the exchange ended.

    Args:
        account: The credentials.
        attempt: The record of the request: this function writes when the head was seen, and whether the reply is complete.
        exchange: The permit of the request.
        connector: Opens the connection.
        endpoint: The URL.
        reply_format: The format to request.
        connect_seconds: Seconds that connecting may take.

    Raises:
        Exception: A bug in a user's transport, unchanged. So are cancellation and ``KeyboardInterrupt``.
    """
    form = FormStream(account, reply_format, exchange, connect_seconds)
    error: BaseException
    try:
        with anyio.move_on_after(EXCHANGE_SECONDS), quiet_logs(), own_name_lookups():
            return await _exchange(form, attempt, connector, endpoint)
        raise httpx.ReadTimeout("the reply did not end in time")  # noqa: TRY301  # one place handles all failures
    except BaseException as raised:  # noqa: BLE001  # a frame of a transport may hold the form, whatever was raised
        error = raised
    clear_frames(error)
    if not is_transport_failure(error):
        raise error
    return transport_failure(error, attempt, endpoint, connector.proxy_name(endpoint))


async def _exchange(form: FormStream, attempt: Attempt, connector: Connector, endpoint: str) -> Reply | SmscError:
    async with await connector.open(endpoint) as client:
        request = httpx.Request(
            "POST",
            endpoint,
            headers={
                "host": urlsplit(endpoint).netloc,
                "accept": "*/*",
                "accept-encoding": "identity",  # httpx's own decompression has no bound
                "connection": "close",
                "content-length": str(len(form.encode())),
                "content-type": FORM,
                "user-agent": "smsc-async",
            },
            stream=form,
            extensions={"timeout": form.timeouts},
        )
        response = await client.send(request, stream=True)
        attempt.head_seen_at = now()
        try:
            packed = await _read(response, form.until)
        finally:
            await response.aclose()
            # httpx's stream refers to its response: without the cycle the exchange is freed at once.
            response.stream = httpx.ByteStream(b"")
        attempt.is_complete = isinstance(packed, bytes)
    return _reply(response, packed)


def _reply(response: httpx.Response, packed: bytes | DecodeError) -> Reply | SmscError:
    body = packed
    if isinstance(packed, bytes) and (encoding := response.headers.get("content-encoding")) is not None:
        body = _unpacked(packed, encoding)
    if isinstance(body, SmscError):
        return body
    wait = response.headers.get("retry-after")
    return Reply(
        response.status_code,
        response.headers.get("content-type", ""),
        None if wait is None else retry_after(wait, time.time()),
        body,
    )


async def _read(response: httpx.Response, until: float) -> bytes | DecodeError:
    if response.is_stream_consumed:
        # A transport of a test has read the reply already, as ``httpx.MockTransport`` does.
        return response.content if len(response.content) <= REPLY_BYTES else _too_long()
    pieces: list[bytes] = []
    size = 0
    # Not response.aiter_raw(): it would leave the generator of the stream to the garbage collector.
    stream = cast("httpx.AsyncByteStream", response.stream)
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(stream))) as chunks:
        async for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size > REPLY_BYTES or now() > until:
                await _close_inside(response, chunks)
                break
        else:
            return b"".join(pieces)
    if size > REPLY_BYTES:
        return _too_long()
    raise httpx.ReadTimeout("the reply did not end in time")


async def _close_inside(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    # The generators inside notice the close when they are resumed. Otherwise the garbage collector would end them later,
    # which is a warning on trio. A stream that goes on after its close is left after a mebibyte.
    await response.aclose()
    size = 0
    with suppress(Exception):
        while size < 2**20:
            size += len(await anext(chunks)) + 1


def _too_long() -> DecodeError:
    return DecodeError(f"longer than {REPLY_BYTES} bytes: no tariff list is")


def _unpacked(body: bytes, encoding: str) -> bytes | DecodeError:
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        # At most a word is quoted: a header that was damaged on its way may contain a part of the secret.
        kind = repr(encoding) if re.fullmatch("[a-z0-9-]{1,12}", encoding) else "something else"
        return DecodeError(f"compressed as {kind}, which the request did not allow: only gzip is understood")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(body, REPLY_BYTES + 1)
    except zlib.error as error:
        fault = str(error)
    else:
        if len(text) > REPLY_BYTES:
            return DecodeError(f"longer than {REPLY_BYTES} bytes when decompressed: no tariff list is")
        if not unpacker.eof:
            return IncompleteReply("compressed with gzip, and cut before its end")
        return DecodeError("compressed with gzip, with other bytes behind it") if unpacker.unused_data else text
    return DecodeError(f"declared as gzip, and cannot be decompressed ({fault})")
