"""The simulated service on a socket: an HTTP/1.1 server with its own thread and event loop.

h11 parses. Only documented interfaces of asyncio are used, so a new release of it cannot silently break a user's tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
import threading
from collections.abc import Collection
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import h11

from smsc_async.simulator.app import ASGIApp, Message, Scope

_log = logging.getLogger("smsc_async.simulator")

# Programs with a fixed address of the service reach the simulator through `http_proxy`; they name one of these hosts.
SERVICE_DOMAINS: Final = frozenset({"smscentre.com", "smsc.ru", "smsc.ua", "smsc.kz", "smsc.tj"})
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound to
_HEAD_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 64 * 1024
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
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What a client takes as ``base_url``, such as ``"http://127.0.0.1:8000/sys/"``."""
        host = _WILDCARDS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/sys/"

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("it is serving already; make another one with serve()")
        is_v6 = ":" in self.host
        listening = socket.create_server(
            (self.host, self.port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            backlog=2048,
            dualstack_ipv6=is_v6 and socket.has_dualstack_ipv6(),
        )
        listening.setblocking(False)
        self.port = int(listening.getsockname()[1])
        # Not a loop of the installed policy: tests install loops whose time is virtual.
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()
        is_up = threading.Event()
        # A daemon, so that a block that never ends does not keep the process alive.
        name = "smsc_async simulator"
        self._thread = threading.Thread(target=self._run, args=(listening, is_up), name=name, daemon=True)
        self._thread.start()
        is_up.wait()
        return self

    def __exit__(self, *_: object) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    async def __aenter__(self) -> Self:
        return await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.__exit__)

    def _run(self, listening: socket.socket, is_up: threading.Event) -> None:
        # At its end the runner cancels the tasks of all connections, and waits for them.
        with listening, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listening, is_up))

    async def _serve(self, listening: socket.socket, is_up: threading.Event) -> None:
        self._loop.add_reader(listening, self._accept, listening)
        is_up.set()
        await self._stopping.wait()
        self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connected, address = listening.accept()
        except OSError:
            return  # the client is gone already
        connected.setblocking(False)
        # Otherwise every reply waits 40 ms for an acknowledgement between its body and its last byte.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self._app, self._hosts, connected, address[:2])
        task = self._loop.create_task(connection.serve())
        self._tasks.add(task)  # the loop has weak references only
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: connected.close())  # also if the task is cancelled before it begins


class _Connection:
    """A connection: one request after another, until one side closes it."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], connected: socket.socket, address: tuple[str, int]) -> None:
        self._app = app
        self._hosts = hosts
        self._socket = connected
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._is_lost = False

    async def serve(self) -> None:
        try:
            while isinstance(request := await self._next_event(), h11.Request):
                await self._respond(request)
                while self._parser.their_state is h11.SEND_BODY and not self._is_lost:
                    await self._next_event()  # what the app did not read
                if self._parser.our_state is not h11.DONE or self._parser.their_state is not h11.DONE:
                    return
                self._parser.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._send_text(error.error_status_hint, "not a valid HTTP request")
        except Exception:  # noqa: BLE001  # a bug of the app ends one connection only
            _log.exception("the app raised an exception")
            await self._send_text(500, "the app raised an exception: see the log")

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            if self._parser.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            if not await self._read():
                break
        return event

    async def _read(self) -> bool:
        """Wait for data; return whether the connection is still open."""
        data = b""
        with contextlib.suppress(OSError):
            data = await self._loop.sock_recv(self._socket, _READ_BYTES)
        if data:
            self._parser.receive_data(data)
        self._is_lost = not data
        return not self._is_lost

    async def _respond(self, request: h11.Request) -> None:
        target = request.target.decode("ascii")
        authority = dict(request.headers).get(b"host", b"").decode("latin-1")
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute:
            # As a client sends it to a proxy: the authority replaces the Host header (RFC 9112, 3.2.2).
            authority, target = absolute[1], absolute[2] or "/"
        if not _is_own(authority, self._hosts):
            await self._send_text(421, "this server answers for its own host name only: see serve(hosts=...)")
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
            "client": self._address,
            "server": self._socket.getsockname()[:2],
        }
        self._is_head = request.method == b"HEAD"
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._parser.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if isinstance(event, h11.EndOfMessage):
                return {"type": "http.request", "body": b"", "more_body": False}
        while await self._read():
            pass
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._write(h11.Response(status_code=message["status"], headers=list(message.get("headers", []))))
            return
        if message.get("body") and not self._is_head:
            await self._write(h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            await self._write(h11.EndOfMessage())

    async def _send_text(self, status: int, text: str) -> None:
        if self._parser.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return  # a response has begun; the connection is closed in the middle of it
        body = text.encode("ascii")
        headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
        await self._write(h11.Response(status_code=status, headers=headers))
        await self._write(h11.Data(data=body))
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        data = self._parser.send(event)
        assert data is not None
        try:
            await self._loop.sock_sendall(self._socket, data)
        except OSError:
            self._is_lost = True


def _is_own(authority: str, hosts: frozenset[str]) -> bool:
    try:
        name = urlsplit(f"//{authority}").hostname
    except ValueError:
        return False
    if name is None:
        return not authority  # HTTP/1.0 without a Host header
    if name in hosts or name == "localhost" or name.removeprefix("www.").removeprefix("www2.") in SERVICE_DOMAINS:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
