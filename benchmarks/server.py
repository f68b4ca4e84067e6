"""A server that costs next to nothing, in a process of its own: prepared answers to every POST.

The simulator under uvicorn takes longer for an answer than the clients that are compared here.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import cycle, repeat

import attrs

from smsc_async import Format
from smsc_async.simulator.rendering import render
from smsc_async.simulator.sample import make_tariffs


class _Answering(asyncio.Protocol):
    def __init__(self, answers: Iterator[bytes]) -> None:
        self._answers = answers
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        heard = self._heard
        heard += data
        while (head := heard.find(b"\r\n\r\n")) >= 0:
            at = heard[:head].lower().find(b"content-length:")
            length = int(heard[at + 15 : head].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(heard) < head + 4 + length:
                return
            del heard[: head + 4 + length]
            self._transport.write(next(self._answers))  # type: ignore[attr-defined]


def answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


MARK = Decimal("987654321.10")


def answers(zones: int, *, new: bool) -> Iterator[bytes]:
    """The same list for everybody, or lists of other prices, of which no two are the same."""
    if not new:
        return repeat(answer(render(make_tariffs(zones=zones, operators=0), Format.JSON)))
    marked = [attrs.evolve(make_tariffs(zones=zones, operators=0, seed=seed), mail=MARK) for seed in range(100)]
    parts = [answer(render(each, Format.JSON)).partition(str(MARK).encode()) for each in marked]
    return (b"%b%09d.10%b" % (before, number, after) for number, (before, _, after) in enumerate(cycle(parts)))


async def _serve(zones: int, *, new: bool) -> None:
    told = answers(zones, new=new)
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(told), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of the benchmarks closes the pipe, however they end.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


@contextmanager
def running(zones: int = 50, *, new: bool = False) -> Iterator[str]:
    """Serve lists of that many zones from a process of its own; the base URL."""
    command = [sys.executable, "-m", "benchmarks.server", str(zones), *(["new"] if new else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/sys/"
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), new="new" in sys.argv))
