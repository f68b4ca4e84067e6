"""The limiter as a transport, and one bounded exchange through it.

What knows the HTTP library is here, in ``connections.py`` and in ``over_aiohttp.py``.

Invariants: no public error or record exposes a type of the HTTP library; an exchange ends in a ``Reply`` or in an
error of ours that holds nothing of the request; a body is never read past its bound.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import anyio
import httpcore
import httpx

from smsc_async.errors import DecodeError, IncompleteReply, SmscError, StoreError, TlsError, TransportError
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import SERVICE_QUOTA, Quota
from smsc_async.limiter.waiter import running_loop
from smsc_async.protocol import FORM, REPLY_BYTES, Claim, Reply, claim_of, retry_after
from smsc_async.stores import Store, default_store

__all__ = ["CONNECT_SECONDS", "PASSAGE", "AsyncTransport", "LimitedTransport", "Passage", "post"]

AsyncTransport: TypeAlias = httpx.AsyncBaseTransport

# A host that takes no connection at all is known as such while there is time for another.
CONNECT_SECONDS: Final = 10.0

PASSAGE: Final = "smsc_async.passage"
_Trace: TypeAlias = Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, None]]
# Before these nothing of a request can have left: no connection was made.
_UNSENT: Final = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol),
    *(httpcore.ConnectError, httpcore.ConnectTimeout),
)


class Passage:
    """How far a request has come; filled in while it is on its way.

    Attributes:
        claim: What it needs of the quota.
        before_sending: Called when it has its permit; what it raises keeps the request from being sent.
        permit: What it was let through with, or ``None`` while it waits.
        begun: Whether the transport below has it.
        heard: Whether that transport tells what it does (ours does, and httpx's own).
        sent: Whether its first byte may have left, as far as ``heard`` goes.
    """

    __slots__ = ("before_sending", "begun", "claim", "heard", "permit", "sent")

    def __init__(self, claim: Claim, before_sending: Callable[[Permit], Awaitable[None]] | None = None) -> None:
        self.claim: Claim = claim
        self.before_sending: Callable[[Permit], Awaitable[None]] | None = before_sending
        self.permit: Permit | None = None
        self.begun: bool = False
        self.heard: bool = False
        self.sent: bool = False

    @property
    def may_have_left(self) -> bool:
        """Whether a byte of the request can have left."""
        return self.begun and (self.sent or not self.heard)

    @property
    def seen(self) -> float | None:
        """When the head of the answer was seen, or ``None``."""
        return None if self.permit is None else self.permit.seen

    def tracing(self, also: _Trace | None) -> _Trace:
        """Return a callback for the ``trace`` extension of httpx, which notes the sending and then calls ``also``."""

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            self.heard = True
            if event.endswith("send_request_headers.started"):
                self.sent = True
            if also is not None:
                await also(event, info)

        return trace


class LimitedTransport(httpx.AsyncBaseTransport):
    """The limiter as a transport, for an ``httpx.AsyncClient`` of your own.

    Every request of a login to the service holds one of the login's slots until its answer is read or closed; a tariff
    request takes a token as well. A request waits for its turn, without bound unless the caller is in a cancel scope
    with a deadline (``anyio.fail_after`` and the like; ``asyncio.timeout`` ends the wait too, but only when it is
    over). The login is read from the query or the body (form, multipart or JSON); a request that names none passes
    unlimited. httpx's own timeouts run from the moment a request is sent.

    Not limited by itself: what your client does with redirects and retries goes through it again, each a request.

    Args:
        transport: What sends the requests, such as ``httpx.AsyncHTTPTransport()``.
        quota: The rule.
        store: Where the quota lives, or ``None`` for the store of the process.

    Raises:
        QuotaExhausted: From a request: its turn is known to come after the caller's deadline.
        StoreError: From a request: the store does not answer.
        TypeError: ``transport`` is limited already, and would take two permits for each request.

    Example:
        >>> import httpx
        >>> from smsc_async import LimitedTransport
        >>> client = httpx.AsyncClient(transport=LimitedTransport(httpx.AsyncHTTPTransport()))
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, quota: Quota = SERVICE_QUOTA, store: Store | None = None
    ) -> None:
        if isinstance(transport, LimitedTransport):
            raise TypeError("this transport is limited already: pass the one inside it")
        self._transport = transport
        self._quota = quota
        self._gate: WaiterQueue = (default_store() if store is None else store).queue
        _quiet_httpcore()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request when its turn has come."""
        passage: Passage | None = request.extensions.get(PASSAGE)
        if passage is None:
            claim = await _claim(request)
            if claim is None:
                return await self._transport.handle_async_request(request)
            passage = Passage(claim)
        request.extensions["trace"] = passage.tracing(request.extensions.get("trace"))
        login, token = passage.claim.login, passage.claim.token
        permit = self._gate.try_acquire(login, self._quota, token=token)
        if permit is None:
            permit = await self._gate.acquire(login, self._quota, token=token)
        permit.owner_loop = running_loop()
        passage.permit = permit
        try:
            if passage.before_sending is not None:
                await passage.before_sending(permit)
            passage.begun = True
            response = await self._transport.handle_async_request(request)
            permit.seen = now()
            body = _body(response)
        except BaseException as error:
            passage.begun = passage.begun and not isinstance(error, _UNSENT)
            with suppress(StoreError):  # what went wrong first is what there is to say
                await self._gate.release(
                    permit, Completion.INCOMPLETE if passage.may_have_left else Completion.NOT_SENT
                )
            raise
        if response.is_closed:
            # Read before it came here, as a test's transport does: httpx will not close it again.
            await self._gate.release(permit, Completion.COMPLETE)
        else:
            response.stream = _Held(body, self._gate, permit)
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._transport.aclose()


def _body(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the transport's answer has a body that cannot be read in an event loop")
    return response.stream


class _Held(httpx.AsyncByteStream):
    """The body of an answer, holding its slot until it is read to the end or closed."""

    def __init__(self, stream: httpx.AsyncByteStream, gate: WaiterQueue, permit: Permit) -> None:
        self._stream = stream
        self._gate = gate
        self._permit: Permit | None = permit
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk
        self._whole = True

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            permit, self._permit = self._permit, None
            if permit is not None:
                # An answer that is read stands, even where the store cannot be told: the lease ends by itself.
                with suppress(StoreError):
                    await self._gate.release(permit, Completion.COMPLETE if self._whole else Completion.INCOMPLETE)


async def _claim(request: httpx.Request) -> Claim | None:
    query = request.url.query.decode("ascii", "replace")
    claim = claim_of(request.url.path, query, "", b"")
    if claim is None or not claim.token:
        # The rest may be in the body, which httpx keeps for the sending once it is read.
        body = await request.aread()
        claim = claim_of(request.url.path, query, request.headers.get("content-type", ""), body)
    return claim


# Reading a URL takes httpx as long as the rest of a request.
_url: Final = lru_cache(maxsize=16)(httpx.URL)


async def post(
    transport: LimitedTransport, endpoint: str, body: bytes, passage: Passage, scrub: Callable[[str], str]
) -> Reply | SmscError:
    """Make one exchange: a form, and its whole answer.

    Errors of the exchange are returned, not raised: a traceback through here would show the form. Those of the limiter
    are raised; whoever catches them has to drop their traceback.

    Args:
        transport: What sends it.
        endpoint: The URL.
        body: The form.
        passage: Told how far it came.
        scrub: Strikes the secret out of what the server or its software says.
    """
    url = _url(endpoint)
    request = httpx.Request(
        "POST",
        url,
        headers={
            "host": url.netloc.decode("ascii"),
            "accept": "*/*",
            "accept-encoding": "identity",  # httpx's unpacking has no bound
            "content-length": str(len(body)),
            "content-type": FORM,
            "user-agent": "smsc-async",
        },
        stream=_Form(body),
        extensions={PASSAGE: passage, "timeout": {"connect": CONNECT_SECONDS}},
    )
    talking = _TALKING.set(True)
    try:
        response = await transport.handle_async_request(request)
        try:
            packed = await _read(response)
        finally:
            await response.stream.aclose()  # type: ignore[union-attr]  # LimitedTransport has seen to it
    except BaseException as error:  # a user's transport may raise anything, with the form in its frames and words
        if isinstance(error, _ENDS) or _is_cancellation(error) or (isinstance(error, SmscError) and not passage.begun):
            raise
        return _failure(error, url, passage, scrub)
    finally:
        _TALKING.reset(talking)
    if isinstance(packed, SmscError):
        return packed
    encoding = response.headers.get("content-encoding")
    text = packed if encoding is None else _unpacked(packed, scrub(encoding))
    if isinstance(text, SmscError):
        return text
    asked = response.headers.get("retry-after")
    return Reply(
        response.status_code,
        response.headers.get("content-type", ""),
        None if asked is None else retry_after(asked, time.time()),
        text,
    )


# What is no outcome of an exchange, beside a cancellation. ``pytest.fail()`` in a transport is one, and no ``Exception``:
# unseen it would end the whole run on trio, and on asyncio pass for a leader that is lost, after whom the next one sends.
_ENDS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)


def _is_cancellation(error: BaseException) -> bool:
    return not isinstance(error, Exception) and isinstance(error, anyio.get_cancelled_exc_class())


# Whether the running task is within an exchange of ours.
_TALKING: Final[ContextVar[bool]] = ContextVar("smsc_async talking", default=False)


def _without_answers(record: logging.LogRecord) -> bool:
    """Take the server's words out of what httpcore logs at DEBUG of our exchanges: they may quote the form."""
    if _TALKING.get() and isinstance(record.msg, str) and record.msg.startswith("receive_response"):
        record.msg, record.args = record.msg.partition(" ")[0], None
    return True


def _quiet_httpcore() -> None:
    for name in ("httpcore.http11", "httpcore.connection", "httpcore.proxy"):
        logging.getLogger(name).addFilter(_without_answers)  # adding it again changes nothing


class _Form(httpx.AsyncByteStream):
    """The body of a request. No generator, as httpx's is: one that is not run to its end is a warning in trio."""

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left:
            return self._left.pop()
        raise StopAsyncIteration


async def _read(response: httpx.Response) -> bytes | DecodeError:
    pieces: list[bytes] = []
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks = aiter(response.stream)
    async for chunk in chunks:
        size += len(chunk)
        if size > REPLY_BYTES:
            await response.stream.aclose()
            # The generators inside find that out and end, here and not when they are collected; after what they have
            # at hand, which may be many chunks.
            with suppress(Exception):
                while size < 2 * REPLY_BYTES:
                    size += len(await anext(chunks)) + 1
                # A stream of somebody's own, which goes on though it is closed.
                await cast("AsyncGenerator[bytes]", chunks).aclose()
            return DecodeError(f"longer than {REPLY_BYTES} bytes: no tariff list is")
        pieces.append(chunk)
    return b"".join(pieces)


def _unpacked(body: bytes, encoding: str) -> bytes | DecodeError:
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        # No more than a word is quoted: what was garbled on its way could not be struck out of it.
        kind = repr(encoding) if re.fullmatch("[a-z0-9-]{1,20}", encoding) else "something"
        return DecodeError(f"packed as {kind}, which was not asked for: only gzip is understood")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(body, REPLY_BYTES + 1)
    except zlib.error as error:
        fault = str(error)
    else:
        if len(text) > REPLY_BYTES:
            return DecodeError(f"longer than {REPLY_BYTES} bytes once unpacked: no tariff list is")
        if not unpacker.eof:
            return IncompleteReply("packed with gzip, and cut before its end")
        return DecodeError("packed with gzip, and followed by something else") if unpacker.unused_data else text
    return DecodeError(f"declared as gzip, and cannot be unpacked ({fault})")


# Where an HTTP library begins to quote what the server said, as h11 does: its escapes, and its cuts, would hide a secret
# from whoever strikes it out. An apostrophe is none.
_QUOTED: Final = re.compile(r"""[\s:(=\[]*(?:bytearray\()?(?:\b[bru])?(?:(?<!n)'|'(?!t\b)|["\n])""")


def _failure(error: BaseException, url: httpx.URL, passage: Passage, scrub: Callable[[str], str]) -> TransportError:
    server = url.netloc.decode("ascii")
    sent = passage.may_have_left
    cause = None if sent else _ssl_cause(error)
    if cause is not None:
        return TlsError(f"{server} could not prove who it is ({cause}): nothing was sent")
    said = _QUOTED.split(scrub(str(error)))[0][:200]  # in this order: a half of a secret would not be found
    kind = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if not sent:
        return TransportError(f"no connection to {server} ({kind}): nothing was sent", may_have_counted=False)
    if passage.permit is not None and passage.permit.seen is not None:
        return TransportError(f"{server} cut its answer short ({kind})")
    return TransportError(f"{server} closed the connection without an answer ({kind})")


def _ssl_cause(error: BaseException | None) -> str | None:
    while error is not None:
        # A handshake that just ends is a broken connection, not a wrong certificate.
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return getattr(error, "verify_message", "") or getattr(error, "reason", "") or "TLS error"
        error = error.__cause__ or error.__context__
    return None
