"""A recording HTTP proxy on loopback: it tunnels every CONNECT to 127.0.0.1, or answers what a test sets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator

import attrs


@attrs.define(eq=False)
class ProxyServer:
    """The proxy.

    Attributes:
        answer: What it sends in place of a tunnel; ``None`` opens the tunnel, and ``b""`` closes the connection.
        port: Where it listens.
        heads: The head of each request.
        connections: How many connections there were.
    """

    answer: bytes | None = None
    port: int = 0
    heads: list[str] = attrs.field(factory=list[str])
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def targets(self) -> list[str]:
        """The host and port of each CONNECT."""
        return [each.split(" ")[1] for each in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            if self.answer is not None:
                writer.write(self.answer)
                await writer.drain()
                return
            port = int(head.split(" ")[1].rpartition(":")[2])
            inner, out = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(out):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                copies = [asyncio.create_task(_copy(reader, out)), asyncio.create_task(_copy(inner, writer))]
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
                for each in copies:
                    each.cancel()
                await asyncio.gather(*copies, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        target.write(chunk)
        await target.drain()


@contextlib.contextmanager
def proxy_server(answer: bytes | None = None) -> Generator[ProxyServer]:
    """Run a proxy in a thread while the block runs."""
    proxy = ProxyServer(answer)
    is_up = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = listening.sockets[0].getsockname()[1]
        stops.append((asyncio.get_running_loop(), stop))
        is_up.set()
        await stop.wait()
        listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert is_up.wait(10)
    try:
        yield proxy
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
