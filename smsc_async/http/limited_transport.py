"""The limiter as a transport, for an ``httpx.AsyncClient`` of the user's own."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

import anyio
import httpx

from smsc_async.accounts import Account
from smsc_async.arguments import check_accounts, check_limiter, checked_account, checked_number
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import SERVICE_QUOTA, Quota
from smsc_async.protocol import Claim, claim_of, is_host, is_ip, key_label, quota_key, service_of
from smsc_async.records import checked_type
from smsc_async.stores import Store, default_store
from smsc_async.stores.worker_warning import warn_if_unshared

# A login is in the first kilobytes of a form. What follows is streamed.
_LOGIN_BYTES: Final = 64 * 1024
_TOO_LONG: Final = "the exchange took longer than exchange_limit"


class LimitedTransport(httpx.AsyncBaseTransport):
    """The limiter as a transport, for an ``httpx.AsyncClient`` of your own.

    Every request of a login to the service holds one of the login's slots until its reply is read or closed. A tariff
    request takes a token as well. A request waits for its permit, without limit unless the caller is in a cancel scope
    with a deadline (``anyio.fail_after``; ``asyncio.timeout`` ends the wait too, but only when it is over). The login is
    read from the form or the query, and the form takes precedence, as in the service. A request that names no login
    passes without a limit. Each service has its own quota: the provider's domains are one service, and every other host
    is one of its own. httpx's own timeouts start when a request is sent.

    Redirects and retries of your client pass the limiter again, each as a request of its own. A token is refunded only if
    httpx's own transport could not connect.

    Args:
        transport: The transport that sends the requests, such as ``httpx.AsyncHTTPTransport()``. It is entered and exited
            with this transport.
        quota: The rule.
        store: Where the quota lives, or ``None`` for the store of the process.
        host: The only host whose requests are limited, or ``None`` for all hosts.
        exchange_limit: Seconds that a request may take until its reply is read. A store that lost its state stays closed
            for at least as long.
        accounts: Accounts with an API key and a ``name``: requests with such a key count under that login, as they do at
            the service. Without it a key has a quota of its own.

    Raises:
        QuotaExhausted: From a request: its permit comes after the caller's deadline.
        StoreError: From a request: the store does not answer.
        TypeError: ``transport`` is limited already, and would take two permits for each request; or an argument has the
            wrong type.
        ValueError: ``exchange_limit`` is out of its range, or ``host`` is no host, such as a URL.

    Example:
        >>> import httpx
        >>> from smsc_async import LimitedTransport
        >>> client = httpx.AsyncClient(transport=LimitedTransport(httpx.AsyncHTTPTransport()))
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        quota: Quota = SERVICE_QUOTA,
        store: Store | None = None,
        host: str | None = None,
        exchange_limit: float = 30.0,
        accounts: Iterable[Account] = (),
    ) -> None:
        if isinstance(transport, LimitedTransport):
            raise TypeError("this transport is limited already: pass the one inside it")
        checked_type("transport", transport, httpx.AsyncBaseTransport, "an httpx.AsyncBaseTransport")
        check_limiter(quota, store)
        checked_number("exchange_limit", exchange_limit, lambda: exchange_limit > 0, "must be more than 0 seconds")
        self._transport = transport
        self._quota = quota
        self._store: Store = default_store() if store is None else store
        warn_if_unshared(self._store)
        self._host = None if host is None else _checked_host(host)
        self._exchange_limit = exchange_limit
        check_accounts(accounts, "pass a list")
        given = [checked_account(each, "accounts") for each in accounts]
        self._logins = {key_label(each.secret.reveal()): each.quota_login for each in given if each.uses_api_key}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request when it has its permit."""
        claim = await self._claim(request)
        if claim is None:
            return await self._transport.handle_async_request(request)
        login = self._logins.get(claim.login, claim.login)
        attempt = Attempt(quota_key(service_of(str(request.url)), login), self._quota, token=claim.token)
        response: httpx.Response | None = None
        async with AsyncExitStack() as exchange:
            await exchange.enter_async_context(LimitedExchange(self._store, attempt, lasts=self._exchange_limit))
            until = now() + self._exchange_limit
            with anyio.move_on_after(self._exchange_limit):
                response = await self._sent(request, attempt)
            if response is None:
                raise httpx.ReadTimeout(_TOO_LONG, request=request)
            if response.is_closed:
                # The transport has read the reply already, as ``httpx.MockTransport`` does. httpx will not close it again.
                attempt.is_complete = True
            else:
                assert isinstance(response.stream, httpx.AsyncByteStream), "_sent() has checked it"
                response.stream = _HeldBody(response.stream, attempt, exchange.pop_all(), until)
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    async def _sent(self, request: httpx.Request, attempt: Attempt) -> httpx.Response:
        attempt.readings = 1  # a request may have no body, so nothing shows when it leaves
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if type(self._transport) is httpx.AsyncHTTPTransport:  # a subclass may send twice
                attempt.readings = 0
            raise
        attempt.head_seen_at = now()
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("the reply of the transport has a body that cannot be read in an event loop")
        return response

    async def _claim(self, request: httpx.Request) -> Claim | None:
        """Return what the request needs of the quota, and read no more of its body than that takes."""
        if self._host is not None and request.url.raw_host.rstrip(b".") != self._host:
            return None
        content_type = request.headers.get("content-type", "").lower()
        prefix = await _read_prefix(request) if "form" in content_type or "json" in content_type else b""
        return claim_of(request.url.path, request.url.query.decode("ascii", "replace"), content_type, prefix)


def _checked_host(host: str) -> bytes:
    """Return a host as httpx writes it in a request."""
    checked_type("host", host, str, "a host, such as smscentre.com")
    if is_ip(host):
        return host.encode()
    with suppress(httpx.InvalidURL):
        name = httpx.URL(f"https://{host}/").raw_host.rstrip(b".")
        # A port, path or user of a URL would be behind the brackets of an IPv6 address, too.
        if is_host(name.decode()) and not set("/:@?#").intersection(host.rpartition("]")[2]):
            return name
    raise ValueError(f"host={host!r}: must be a host, such as smscentre.com, without a scheme, a port or a path")


async def _read_prefix(request: httpx.Request) -> bytes:
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)  # it is in memory, and the login may be its last field
    if not isinstance(stream, httpx.AsyncByteStream):
        return b""
    request.stream = body = _Prefixed(stream)
    return await body.read_prefix()


class _Prefixed(httpx.AsyncByteStream):
    """A request body whose beginning is read before it is sent."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self._pieces: list[bytes] = []
        self._rest: AsyncIterable[bytes] = stream

    async def read_prefix(self) -> bytes:
        size, self._rest = 0, (chunks := aiter(self._stream))
        async for chunk in chunks:
            self._pieces.append(chunk)
            size += len(chunk)
            if size >= _LOGIN_BYTES:
                break
        return b"".join(self._pieces)[:_LOGIN_BYTES]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces, rest = self._pieces, self._rest
        self._pieces, self._rest = [], self._stream  # a second sending: the stream raises if it cannot be read again
        for piece in pieces:
            yield piece
        async for chunk in rest:
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _HeldBody(httpx.AsyncByteStream):
    """The body of a reply. It holds its permit until it is read to the end or closed."""

    def __init__(self, stream: httpx.AsyncByteStream, attempt: Attempt, exchange: AsyncExitStack, until: float) -> None:
        self._stream = stream
        self._attempt = attempt
        self._exchange = exchange
        self._until = until

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._stream)
        while True:
            chunk: bytes | None = None
            with anyio.move_on_after(self._until - now()) as scope:  # the server may stop in the middle of its reply
                chunk = await anext(chunks, None)
            if scope.cancelled_caught:
                raise httpx.ReadTimeout(_TOO_LONG)
            if chunk is None:
                break
            yield chunk
        self._attempt.is_complete = True

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            await self._exchange.aclose()
