"""A server on loopback that answers as it should not: raw sockets in a thread, for clients on any loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

SAMPLES: Final = Path(__file__).parent.parent / "samples"
_CONNECTIONS: Final = Path("/proc/net/tcp")
LIST: Final = (SAMPLES / "tariffs.json").read_bytes()

# What a server does with a connection once a whole request has come.
Act: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = LIST, *, status: str = "200 OK", length: bool = True, **headers: str) -> bytes:
    """Return an HTTP answer, its fields given with ``_`` for ``-``."""
    fields = {"content_type": "application/json", **headers}
    if length:
        fields.setdefault("content_length", str(len(body)))
    else:
        fields["connection"] = "close"
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


def says(data: bytes, *, then_close: bool = False) -> Act:
    """Send these bytes, and close where told; else keep the connection."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return act


def says_and_resets(data: bytes) -> Act:
    """Send these bytes, and reset the connection."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if data:
            await _until_read(writer)  # a reset overtakes what the other side has not read
        reset(writer)

    return act


async def _until_read(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has read everything from its socket, if the system says that, and a moment longer."""
    ours, theirs = (f"0100007F:{writer.get_extra_info(name)[1]:04X}" for name in ("sockname", "peername"))
    while _CONNECTIONS.exists():
        rows = (line.split() for line in _CONNECTIONS.read_text().splitlines())
        unread = [row[4].partition(":")[2] for row in rows if row[1:3] == [theirs, ours]]
        if not any(int(each, 16) for each in unread):
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


def dribbles(head: bytes, byte: bytes) -> Act:
    """Send the head, and then a byte now and then, for ever."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.02)

    return act


def floods(head: bytes, chunk: bytes, times: int) -> Act:
    """Send the head and then the chunk so many times."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(times):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    return act


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of a goodbye."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@attrs.define(eq=False)
class Hostile:
    """A server that does ``act`` with each request.

    Attributes:
        act: What it does from now on.
        greets: What it does with a connection before any request, in place of reading one.
        requests: The bytes of each request that came whole.
        port: Where it listens.
        secure: Whether it speaks TLS.
        loop: The event loop of its thread.
        writers: Of all connections that there were.
        tasks: What serves them.
        connections: How many there were; of TLS, those that got through the handshake.
        handshakes: How many were begun.
    """

    act: Act = attrs.field(repr=False)
    greets: Act | None = None
    requests: list[bytes] = attrs.field(factory=list[bytes], repr=False)
    connections: int = 0
    handshakes: int = 0
    writers: list[asyncio.StreamWriter] = attrs.field(factory=list[asyncio.StreamWriter])
    tasks: list[asyncio.Task[None]] = attrs.field(factory=list[asyncio.Task[None]], repr=False)
    port: int = 0
    secure: bool = False
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.SelectorEventLoop, repr=False)

    @property
    def base_url(self) -> str:
        return f"http{'s' if self.secure else ''}://127.0.0.1:{self.port}/sys/"

    def abort_connections(self) -> None:
        """Reset all connections that there are."""
        for writer in self.writers:
            self.loop.call_soon_threadsafe(writer.transport.abort)

    def count_handshake(self, *_: object) -> None:
        self.handshakes += 1

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Here and not in the task, which may be cancelled before it begins: then nobody would close the connection.
        self.connections += 1
        self.writers.append(writer)
        self.tasks.append(asyncio.get_running_loop().create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self.greets is not None:
                await self.greets(reader, writer)
                return
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                await self.act(reader, writer)
        if not writer.is_closing():
            writer.close()


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Do nothing about it."""


@contextlib.contextmanager
def refusing_port() -> Generator[int]:
    """Return a port that refuses connections while the block runs.

    The socket is bound, so no other server gets the port, and does not listen. The port of a server that is closed could
    be that of another test's server a moment later.
    """
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def hostile(act: Act, *, greets: Act | None = None, tls: ssl.SSLContext | None = None) -> Generator[Hostile]:
    """Serve on a free port of loopback while the block runs."""
    server = Hostile(act, greets, secure=tls is not None)
    if tls is not None:
        tls.sni_callback = server.count_handshake
    loop = server.loop
    is_up = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        server_stop.append(stop)
        listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        is_up.set()
        await stop.wait()
        # Accept no more, but close it last: asyncio loses a connection that is being set up while its server closes.
        for each in listening.sockets:
            loop.remove_reader(each.fileno())
        await asyncio.sleep(0.01)  # whoever has just been accepted is known to have come
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The loop's own list, since a connection that was just being accepted is in no other.
        transports: dict[int, asyncio.WriteTransport] = dict(getattr(loop, "_transports", {}))
        for transport in [*transports.values(), *(writer.transport for writer in server.writers)]:
            transport.abort()
        await asyncio.sleep(0.01)
        listening.close()

    def run() -> None:
        loop.set_exception_handler(_ignore)  # what goes wrong here is the point
        loop.run_until_complete(main())
        loop.close()

    server_stop: list[asyncio.Event] = []
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert is_up.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server_stop[0].set)
        thread.join(10)
