"""The client's connections by aiohttp, for asyncio alone: ``Client(transport="aiohttp")``.

Needs the extra: ``pip install "smsc-async[aiohttp]"``. Nobody is told here when a byte leaves, so every request that
ends without an answer counts as possibly sent, save where there was no connection.
"""

from __future__ import annotations

import asyncio
import selectors
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import aiohttp
import anyio.to_thread
import httpx
from httpx_aiohttp import AiohttpTransport

from smsc_async.http.connections import Connections
from smsc_async.limiter.waiter import in_trio

__all__ = ["AiohttpConnections"]

# What aiohttp raises where no connection was made. httpx-aiohttp calls every other loss of a connection a
# ``ConnectTimeout`` as well, by which a request that had left would pass for unsent.
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class AiohttpConnections(AiohttpTransport):
    """The connections of one client in one event loop, by aiohttp.

    Raises:
        RuntimeError: The loop is trio's.
    """

    def __init__(self) -> None:
        if in_trio():
            raise RuntimeError('transport="aiohttp" works on asyncio alone: leave it out on trio')
        super().__init__(verify=_trusts_nobody())
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over an idle connection, or a new one."""
        if self._session is None:
            tls = _trusts_nobody()
            if request.url.scheme == "https":
                # A tenth of a second of reading certificates, which the loop is spared.
                tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)
            # Others may have been here meanwhile: the first one's is everybody's.
            session: aiohttp.ClientSession = self._session or _session(tls)
            self.client = self._session = session
        with _told_right():
            response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Body(response.stream)
        return response


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _told_right():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _told_right() -> Generator[None]:
    try:
        yield
    except Exception as error:
        cause = error.__cause__
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            told: Exception = httpx.ConnectError(str(cause))
            # aiohttp's own claims to be an ssl.SSLError, and lacks what those have.
            told.__cause__ = cause.certificate_error
        elif isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, _UNSENT):
            told = ConnectionResetError(str(cause))
        else:
            raise
    else:
        return
    raise told


class _Connector(aiohttp.TCPConnector):
    """One that uses no connection again over which something came unasked.

    aiohttp looks at that when a connection becomes idle, not when it is used again: what came between would be taken for
    the answer to the next request, and so be somebody else's list. Nor does it see what the loop has not read yet.
    """

    async def _get(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection | None:
        while (connection := await super()._get(*args, **kwargs)) is not None:
            protocol, transport = connection.protocol, connection.transport
            if protocol is not None and not protocol.should_close and transport is not None and _is_quiet(transport):
                break
            connection.close()
        return connection


def _is_quiet(transport: asyncio.Transport) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(transport.get_extra_info("socket"), selectors.EVENT_READ)
        return not selector.select(0)


def _session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(limit=Connections.AT_ONCE, keepalive_timeout=Connections.IDLE_SECONDS, ssl=tls),
        # No cookie of one account's answer goes out with another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
    )


@cache
def _trusts_nobody() -> ssl.SSLContext:
    # For plain HTTP, where a context is wanted all the same: what it would verify, it refuses.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
