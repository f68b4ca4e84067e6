"""Addresses that a Redis store connects to: one leads to one of several servers and can be far away, one is answered by a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from tests.stores.redis_server import RedisServer


class Address:
    """One address that leads to one of several servers, as a name or a virtual IP does.

    Attributes:
        url: Its URL.
        delay: Seconds for a round trip.
    """

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []
        self._target = Path()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay = 0.0

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._path)

    async def lead_to(self, server: RedisServer) -> None:
        self._target = server.socket
        for writer in self._writers:
            writer.transport.abort()
        self._writers = []

    async def aclose(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (accepting := asyncio.current_task()) is not None:
            self._tasks.add(accepting)
        self._writers.append(writer)
        await asyncio.sleep(self.delay)
        there_reader, there_writer = await asyncio.open_unix_connection(self._target)
        self._writers.append(there_writer)
        for source, target in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._forward(source, target))
            self._tasks.add(task)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await source.read(65_536):
            loop.call_later(self.delay / 2, target.write, data)
        await asyncio.sleep(self.delay)
        target.close()


@contextlib.asynccontextmanager
async def answered_address(
    path: Path, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncGenerator[str]:
    """Give the URL of a path whose connections ``answer`` serves; at the end, wait until all are closed.

    A connection that is open when the loop ends is a warning in a later test.
    """
    serving: set[asyncio.Future[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed = asyncio.get_running_loop().create_future()
        serving.add(closed)
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            closed.set_result(None)

    async with await asyncio.start_unix_server(serve, path):
        yield f"unix://{path}"
    for _ in range(5):  # a connection that was accepted last is served after some turns of the loop
        await asyncio.sleep(0)
    await asyncio.gather(*serving)
