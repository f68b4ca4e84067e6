"""The simulated service on a socket of its own: uvicorn in a thread, beside whatever loop the caller runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["serve"]


class serve:  # noqa: N801  # called like a function
    """Serve an ASGI app over HTTP while a ``with`` or an ``async with`` block runs.

    The server has a thread and an event loop of its own, so that it serves asyncio, trio and synchronous callers alike.
    At the end of the block it stops within milliseconds: connections are cut, requests in progress are given up.

    Attributes:
        host: The address that it listens at.
        port: The port, once the block has begun.

    Args:
        app: The ``Simulator``, or any other ASGI app.
        host: The address to listen at. Keep to loopback: the passwords come over plain HTTP.
        port: The port, or 0 for one that is free.

    Raises:
        OSError: On entering: the address or the port is not to be had.

    Example:
        >>> import httpx
        >>> from smsc_async.simulator import Simulator, serve
        >>> with serve(Simulator()) as server:
        ...     params = {"get_price": 1, "login": "alex", "psw": "123", "fmt": 1, "charset": "utf-8"}
        ...     reply = httpx.get(server.base_url + "get.php", params=params)
        >>> reply.text.splitlines()[31]
        '32,Latvia,4.10,4.20,,0.40,5.20'
    """

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port: int = port
        self._app = app
        self._running: _Server | None = None

    @property
    def base_url(self) -> str:
        """What a client takes as ``base_url``, such as ``"http://127.0.0.1:8000/sys/"``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/sys/"

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("it is serving already; make another one with serve()")
        server = _Server(self._app)
        listening = _listen(self.host, self.port)
        self.port = int(listening.getsockname()[1])
        server.start(listening)
        self._running = server
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    async def __aenter__(self) -> Self:
        return await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.__exit__, kind, error, traceback)


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named, as socket.create_server() does not: asyncio sets TCP_NODELAY only where it is, and without
    # it every answer waits 40 ms for an acknowledgement between its body and its last byte.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.ExitStack() as failing:
        failing.callback(listening.close)
        # Elsewhere it would let two servers share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name == "posix"))
        try:
            listening.bind((host, port))
        except OSError as error:
            # The system does not say which address.
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
        failing.pop_all()
    return listening


class _Server(uvicorn.Server):
    """A server in its thread, from start to stop."""

    def __init__(self, app: ASGIApp) -> None:
        async def given_up_quietly(scope: Scope, receive: Receive, send: Send) -> None:
            # Nothing but shutdown() cancels; uvicorn would log it as an error of the app.
            with contextlib.suppress(asyncio.CancelledError):
                await app(scope, receive, send)

        config = uvicorn.Config(
            given_up_quietly, ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False
        )
        config.load()
        super().__init__(config)
        self._is_up = threading.Event()

    def start(self, listening: socket.socket) -> None:
        # Not a loop of the policy's kind: tests like to install one whose time is not real.
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()
        # A daemon, so that a block that is never left does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, args=(listening,), name="smsc_async simulator", daemon=True)
        self._thread.start()
        self._is_up.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, listening: socket.socket) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self.serve(sockets=[listening]))
        finally:
            self._is_up.set()

    async def main_loop(self) -> None:
        # uvicorn's own looks every 0.1 s whether it is to stop.
        self._is_up.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn's own waits for requests to end, which a hanging one never does.
        for listening in sockets or ():
            # Accept no more, but close it last: asyncio loses a connection that is being set up while its server closes.
            self._loop.remove_reader(listening)
        # A connection takes some turns of the loop to be set up, hence until nothing but this runs. Its app is cancelled
        # a turn after it was cut, when uvicorn no longer blames the app for not answering.
        while self.server_state.connections or len(asyncio.all_tasks()) > 1:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
            for task in list(self.server_state.tasks):
                task.cancel()
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
