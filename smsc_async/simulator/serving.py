"""The simulated service on a socket: an HTTP/1.1 server with its own thread and event loop.

h11 parses. Only documented interfaces of asyncio are used, so a new release of it cannot silently break a user's tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import socket
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import h11

from smsc_async.simulator.asgi import ASGIApp, Message, Scope

__all__ = ["serve"]

_log = logging.getLogger("smsc_async.simulator")

# Programs with a fixed address of the service reach the simulator through `http_proxy`; they name one of these hosts.
_SERVICE_DOMAINS: Final = frozenset({"smscentre.com", "smsc.ru", "smsc.ua", "smsc.kz", "smsc.tj"})
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound to
_HEAD_BYTES: Final = 256 * 1024
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


class serve:  # noqa: N801  # called like a function
    """Serve an ASGI app over HTTP while a ``with`` or an ``async with`` block runs.

    The server has a thread and an event loop of its own, so that asyncio, trio and synchronous code can use it alike. At
    the end of the block it stops within milliseconds: it cuts connections and cancels requests in progress.

    A request for another host name gets status 421, so that a web page in a browser cannot reach the server through a
    host name that its owner points at this machine. Accepted are IP addresses, ``localhost``, ``host``, ``hosts`` and
    the names of the service.

    Attributes:
        host: The address of the listening socket.
        port: The port, once the block has begun.

    Args:
        app: The ``Simulator``, or any other ASGI app. It gets no lifespan events.
        host: The address to listen at. Keep to loopback: passwords arrive over plain HTTP.
        port: The port, or 0 for a free one.
        hosts: More host names to accept, such as the name of a container.

    Raises:
        OSError: On entering: the address or the port is not available.

    Example:
        >>> import httpx
        >>> from smsc_async.simulator import Simulator, serve
        >>> with serve(Simulator()) as server:
        ...     params = {"get_price": 1, "login": "alex", "psw": "123", "fmt": 1, "charset": "utf-8"}
        ...     reply = httpx.get(server.base_url + "get.php", params=params)
        >>> reply.text.splitlines()[31]
        '32,Latvia,4.10,4.20,,0.40,5.20'
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, hosts: Collection[str] = ()) -> None:
        self.host = host
        self.port: int = port
        self._app = app
        self._hosts = frozenset({host.lower(), *(name.lower() for name in hosts)})
        self._server: _Server | None = None

    @property
    def base_url(self) -> str:
        """What a client takes as ``base_url``, such as ``"http://127.0.0.1:8000/sys/"``."""
        host = _WILDCARDS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/sys/"

    def __enter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("it is serving already; make another one with serve()")
        listening = _listen(self.host, self.port)
        self.port = int(listening.getsockname()[1])
        self._server = _Server(self._app, self._hosts, listening)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    async def __aenter__(self) -> Self:
        return await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.__exit__, kind, error, traceback)


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is explicit, unlike in socket.create_server(): asyncio sets TCP_NODELAY only if it is, and without
    # TCP_NODELAY every reply waits 40 ms for an acknowledgement between its body and its last byte.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.ExitStack() as on_error:
        on_error.callback(listening.close)
        # On other systems the option would let two servers share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name == "posix"))
        try:
            listening.bind((host, port))
        except OSError as error:
            # The system's message does not name the address.
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
        listening.listen(2048)
        listening.setblocking(False)
        on_error.pop_all()
    return listening


class _Server:
    """A server in its thread; accepts connections until ``stop()``."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], listening: socket.socket) -> None:
        self._app = app
        self._hosts = hosts
        self._listening = listening
        self._connections: set[_Connection] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        # Not a loop of the installed policy: tests install loops whose time is virtual.
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()
        is_up = threading.Event()
        # A daemon, so that a block that never ends does not keep the process alive.
        self._thread = threading.Thread(target=self._run, args=(is_up,), name="smsc_async simulator", daemon=True)
        self._thread.start()
        is_up.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, is_up: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(is_up))

    async def _serve(self, is_up: threading.Event) -> None:
        # Not loop.create_server(): closing that server loses a connection which it is still setting up.
        self._loop.add_reader(self._listening, self._accept)
        is_up.set()
        await self._stopping.wait()
        self._loop.remove_reader(self._listening)
        while self._accepting or self._connections:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        self._listening.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return  # the client is gone already
        connection.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(self._connection, connection)
        )
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _connection(self) -> _Connection:
        return _Connection(self._app, self._hosts, self._connections)


class _Connection(asyncio.Protocol):
    """A connection: one request after another, until one side closes it."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], connections: set[_Connection]) -> None:
        self._app = app
        self._hosts = hosts
        self._connections = connections
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._close)

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the signature of asyncio
        self._lost.set()
        self._changed.set()
        if self._task.done():
            self._connections.discard(self)

    def abort(self) -> None:
        """Cut the connection and cancel its request."""
        self._transport.abort()
        self._task.cancel()

    def _close(self, _: asyncio.Task[None]) -> None:
        self._transport.close()
        if self._lost.is_set():
            self._connections.discard(self)

    async def _serve(self) -> None:
        try:
            while isinstance(request := await self._next_event(), h11.Request):
                await self._respond(request)
                while self._parser.their_state is h11.SEND_BODY and not self._lost.is_set():
                    await self._next_event()  # what the app did not read
                if self._parser.our_state is not h11.DONE or self._parser.their_state is not h11.DONE:
                    return
                self._parser.start_next_cycle()
        except h11.RemoteProtocolError as error:
            self._send_text(error.error_status_hint, "not a valid HTTP request")
        except Exception:  # noqa: BLE001  # a bug of the app ends one connection only
            _log.exception("the app raised an exception")
            self._send_text(500, "the app raised an exception: see the log")

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._parser.next_event()) is h11.NEED_DATA and not self._lost.is_set():
            if self._parser.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            self._changed.clear()
            await self._changed.wait()
        return event

    async def _respond(self, request: h11.Request) -> None:
        target = request.target.decode("ascii")
        authority = dict(request.headers).get(b"host", b"").decode("latin-1")
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute:
            # As a client sends it to a proxy: the authority replaces the Host header (RFC 9112, 3.2.2).
            authority, target = absolute[1], absolute[2] or "/"
        if not _is_own(authority, self._hosts):
            self._send_text(421, "this server answers for its own host name only: see serve(hosts=...)")
            return
        path, _, query = target.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": [(name, value) for name, value in request.headers],
            "client": self._address("peername"),
            "server": self._address("sockname"),
        }
        self._is_head = request.method == b"HEAD"
        await self._app(scope, self._receive, self._send)

    def _address(self, name: str) -> tuple[str, int] | None:
        address: tuple[str, int] | None = self._transport.get_extra_info(name)
        return None if address is None else address[:2]  # None if the client has reset the connection

    async def _receive(self) -> Message:
        if self._parser.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                return {"type": "http.request", "body": b"", "more_body": False}
        await self._lost.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._write(h11.Response(status_code=message["status"], headers=list(message.get("headers", []))))
            return
        if message.get("body") and not self._is_head:
            self._write(h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            self._write(h11.EndOfMessage())

    def _send_text(self, status: int, text: str) -> None:
        if self._parser.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return  # a response has begun; the connection is closed in the middle of it
        body = text.encode("ascii")
        headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
        self._write(h11.Response(status_code=status, headers=headers))
        self._write(h11.Data(data=body))
        self._write(h11.EndOfMessage())

    def _write(self, event: h11.Event) -> None:
        if not self._lost.is_set():
            data = self._parser.send(event)
            assert data is not None
            self._transport.write(data)


def _is_own(authority: str, hosts: frozenset[str]) -> bool:
    try:
        name = urlsplit(f"//{authority}").hostname
    except ValueError:
        return False
    if name is None:
        return not authority  # HTTP/1.0 without a Host header
    if name in hosts or name == "localhost" or name.removeprefix("www.").removeprefix("www2.") in _SERVICE_DOMAINS:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
