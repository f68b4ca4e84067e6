"""The connections of a client: httpcore's HTTP/1.1, which is httpx's, without the pool around it.

A pool looks at each of its connections, and at every request that waits, for each request; for one host a stack of idle
connections does. Beneath each connection lies a stream that sends a request in one piece, and notes when its first byte
goes: what had not left does not count.

Invariants: a connection whose exchange did not end whole is closed, never used again; so is one whose making does not end
in a connection.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, cast

import anyio
import anyio.to_thread
import httpcore
import httpx

from smsc_async.http.limited_transport import PASSAGE, Passage
from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import in_trio

__all__ = ["Connections"]


class Connections(httpx.AsyncBaseTransport):
    """The connections of one client in one event loop; to be used within a ``LimitedTransport``."""

    # As many as a fleet has in flight: more gain nothing on one core, and the service counts connections too.
    AT_ONCE: Final = 50
    # Servers close an idle connection sooner or later: those at the bottom of the stack are closed before.
    IDLE_SECONDS: Final = 30.0

    def __init__(self) -> None:
        self._room = anyio.Semaphore(self.AT_ONCE, fast_acquire=True)
        self._idle: deque[tuple[float, _Line]] = deque()
        self._busy: set[_Line] = set()
        self._tls: ssl.SSLContext | None = None
        self._tls_turn = anyio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over an idle connection, or a new one."""
        passage: Passage = request.extensions[PASSAGE]  # the LimitedTransport around this has seen to it
        passage.heard = True  # from here on: a wait for room counts as not sent
        await self._room.acquire()
        line: _Line | None = None
        try:
            line = await self._line(request.url)
            self._busy.add(line)
            answer = await line.send(request, passage)
        except BaseException:
            await self._finish(line, reusable=False)
            raise
        return httpx.Response(answer.status, headers=answer.headers, stream=_Lent(answer, self, line))

    async def aclose(self) -> None:
        """Close all connections, those that are busy too."""
        lines = [*self._busy, *(line for _, line in self._idle)]
        self._idle.clear()
        await _close(lines)

    async def _line(self, url: httpx.URL) -> _Line:
        origin = httpcore.Origin(url.raw_scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80))
        while self._idle:
            line = self._idle.pop()[1]
            if line.is_good_for(origin):
                return line
            await line.aclose()
        if self._tls is None and url.scheme == "https":
            # A tenth of a second of reading certificates, which the loop is spared, and of which those wait who come next.
            async with self._tls_turn:
                make = httpx.create_ssl_context
                self._tls = self._tls or await anyio.to_thread.run_sync(make, abandon_on_cancel=True)
        return _Line(origin, self._tls)

    async def _finish(self, line: _Line | None, *, reusable: bool) -> None:
        self._room.release()
        instant = now()
        stale: list[_Line] = []
        if line is not None:
            self._busy.discard(line)
            if reusable and line.is_idle():
                self._idle.append((instant, line))
            else:
                stale.append(line)
        while self._idle and self._idle[0][0] < instant - self.IDLE_SECONDS:
            stale.append(self._idle.popleft()[1])
        if stale:
            with anyio.CancelScope(shield=True):
                await _close(stale)


async def _close(lines: Iterable[_Line]) -> None:
    # Each of them, though the caller is being cancelled: the first to be closed says so.
    async with AsyncExitStack() as closing:
        for line in lines:
            closing.push_async_callback(line.aclose)


class _Line:
    """One connection, for one request at a time."""

    def __init__(self, origin: httpcore.Origin, tls: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._network = _Network()
        self._http = httpcore.AsyncHTTPConnection(origin, ssl_context=tls, network_backend=self._network)

    async def send(self, request: httpx.Request, passage: Passage) -> httpcore.Response:
        """Send a request, and return the head of its answer."""
        self._network.passage = passage
        return await self._http.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=self._origin.scheme,
                    host=self._origin.host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=cast("AsyncIterable[bytes]", request.stream),
                extensions={"timeout": request.extensions.get("timeout", {})},
            )
        )

    def is_good_for(self, origin: httpcore.Origin) -> bool:
        """Whether it leads there, and its other end has not been closed meanwhile."""
        return origin == self._origin and not self._http.has_expired()

    def is_idle(self) -> bool:
        """Whether another request can follow.

        Not where something stands behind the answer: httpcore would take it for the answer to the next request, and so
        hand out somebody else's list. What it has read too much it keeps to itself; if it ever keeps it elsewhere, no
        connection is used twice.
        """
        parser = getattr(getattr(self._http, "_connection", None), "_h11_state", None)
        read_on = parser is None or parser.trailing_data != (b"", False)
        return self._http.is_idle() and not read_on and self._network.is_empty()

    async def aclose(self) -> None:
        """Close it, whatever is under way."""
        await self._network.aclose()


# For both loops. Its absence, which httpx sees to, makes it a union of classes to type checkers.
_ANYIO: Final = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())


class _Network(httpcore.AsyncNetworkBackend):
    """Makes the stream of one connection.

    Attributes:
        passage: Of the request that it is used for, to be told when its first byte goes.
    """

    passage: Passage

    def __init__(self) -> None:
        self._stream: _Stream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host."""
        self._stream = _Stream(await _ANYIO.connect_tcp(host, port, timeout, local_address, socket_options), self)
        return self._stream

    def secured(self, stream: _Stream) -> _Stream:
        """Note what its stream is once it is TLS."""
        self._stream = stream
        return stream

    def is_empty(self) -> bool:
        """Whether all that was read from the socket has been handed out."""
        return self._stream is not None and self._stream.is_empty()

    async def aclose(self) -> None:
        """Close the connection, also one that is being made: httpcore leaves it open where its TLS handshake is cancelled."""
        if self._stream is not None:
            with suppress(Exception):
                await self._stream.aclose()


class _Stream(httpcore.AsyncNetworkStream):
    """A stream that sends what was written when an answer is to be read: head and body of a request in one piece."""

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, network: _Network, tls: ssl.SSLObject | None = None
    ) -> None:
        self._stream = stream
        self._tls = tls
        self._network = network
        self._is_readable = _watched(stream.get_extra_info("socket"))
        self._unsent: list[bytes] = []
        self._used = False

    def is_empty(self) -> bool:
        """Whether all that was read from the socket has been handed out.

        The socket does not show that: anyio reads as much as has come, records of TLS that nobody asked for too. Where
        it keeps them is its own affair; if it ever keeps them elsewhere, no connection is used twice.
        """
        stream: Any = getattr(self._stream, "_stream", None)
        if self._tls is not None:
            records = getattr(stream, "_read_bio", None)
            if records is None or records.pending or self._tls.pending():
                return False
            stream = stream.transport_stream
        # trio's reads nothing ahead.
        return in_trio() or getattr(getattr(stream, "_protocol", None), "read_queue", None) == deque()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  # httpcore's
        self._unsent.append(buffer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's
        if self._unsent:
            told = b"".join(self._unsent)
            self._unsent.clear()
            if self._used and self._is_readable():
                # The last look, with nothing awaited between: what is there before the request is no answer to it.
                raise httpcore.ConnectError("the idle connection was closed, or something came over it unasked")
            self._used = True
            self._network.passage.sent = True
            # A server may refuse before it has read all, and close: what it said is there to be read.
            with suppress(httpcore.WriteError):
                await self._stream.write(told, timeout)
        return await self._stream.read(max_bytes, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return self._network.secured(_Stream(stream, self._network, stream.get_extra_info("ssl_object")))

    def get_extra_info(self, info: str) -> Any:
        return self._is_readable() if info == "is_readable" else self._stream.get_extra_info(info)


def _watched(connected: socket.socket) -> Callable[[], bool]:
    """Return what tells whether there is something to read, be it the end; httpcore finds the socket anew each time."""
    if not hasattr(select, "poll"):  # pragma: no cover  # Windows
        return lambda: bool(select.select([connected], [], [], 0)[0])
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return lambda: bool(poll.poll(0))


class _Lent(httpx.AsyncByteStream):
    """The body of an answer, holding its connection until it is closed."""

    def __init__(self, answer: httpcore.Response, connections: Connections, line: _Line) -> None:
        self._answer = answer
        self._connections = connections
        self._line: _Line | None = line
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in cast("AsyncIterable[bytes]", self._answer.stream):
            yield chunk
        self._whole = True

    async def aclose(self) -> None:
        try:
            await self._answer.aclose()
        finally:
            line, self._line = self._line, None
            if line is not None:
                await self._connections._finish(line, reusable=self._whole)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # two halves of one thing
