"""A server that costs next to nothing, in a process of its own: prepared answers to every POST.

The simulator takes longer for an answer than the clients that are compared here.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Literal, TypeAlias, cast

import attrs

from smsc_async import Format
from smsc_async.simulator.rendering import render
from smsc_async.simulator.sample import make_tariffs

# For everybody the same list, for each account one of its own, or another one to every request.
Kind: TypeAlias = Literal["same", "own", "new"]
Answer: TypeAlias = Callable[[bytes], bytes]


class _Answering(asyncio.Protocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
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
            form = bytes(heard[head + 4 : head + 4 + length])
            del heard[: head + 4 + length]
            self._transport.write(self._answer(form))  # type: ignore[attr-defined]


def answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


MARK = Decimal("987654321.10")
# As many e-mail prices, from 0.30 to 25.00; so as many lists, times a hundred.
MAILS = 2_471
_NUMBER = re.compile(rb"login=u(\d+)")


def answers(zones: int, kind: Kind) -> Answer:
    """What is answered to a form: lists of other prices where they are not the same, of which no two are equal."""
    if kind == "same":
        same = answer(render(make_tariffs(zones=zones, operators=0), Format.JSON))
        return lambda _: same
    marked = [attrs.evolve(make_tariffs(zones=zones, operators=0, seed=seed), mail=MARK) for seed in range(100)]
    parts = [render(each, Format.JSON).split(str(MARK).encode()) for each in marked]

    def numbered(number: int) -> bytes:
        before, after = parts[number % len(parts)]
        mail = 30 + number // len(parts) % MAILS
        return answer(b"%b%d.%02d%b" % (before, mail // 100, mail % 100, after))

    if kind == "new":
        numbers = count()
        return lambda _: numbered(next(numbers))

    def own(form: bytes) -> bytes:
        asked = _NUMBER.search(form)
        assert asked is not None
        return numbered(int(asked[1]))

    return own


async def _serve(zones: int, kind: Kind) -> None:
    told = answers(zones, kind)
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(told), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of the benchmarks closes the pipe, however they end.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


@contextmanager
def running(zones: int = 50, *, kind: Kind = "same") -> Iterator[str]:
    """Serve lists of that many zones from a process of its own; the base URL."""
    command = [sys.executable, "-m", "benchmarks.server", str(zones), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/sys/"
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), cast("Kind", sys.argv[2])))
