"""A TLS server in a process of its own, with prepared replies to every POST and a constant reply time.

The simulator takes longer for a reply than the clients that are compared here.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, cast

import attrs

from smsc_async import Format
from smsc_async.simulator.rendering import render
from smsc_async.simulator.sample import make_tariffs

ReplyTo: TypeAlias = Callable[[bytes], bytes]

# A price that occurs once in a list, so that one rendered list can be made into many.
_MARK = Decimal("987654321.10")
# The number of values of that price, from 0.30 to 25.00: with the 100 lists, 247,100 different replies.
_MARK_VALUES = 2_471
_LOGIN = re.compile(rb"login=u(\d+)")
_HOST = "127.0.0.1"


@attrs.frozen
class Server:
    """A running server.

    Attributes:
        base_url: Its URL.
        ca_file: The certificate authority that a client has to trust.
    """

    base_url: str
    ca_file: Path

    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


class _Connection(asyncio.Protocol):
    """Answers each request after the reply time; closes the connection if the request says so."""

    def __init__(self, reply_to: ReplyTo, reply_seconds: float) -> None:
        self._reply_to = reply_to
        self._reply_seconds = reply_seconds
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (head_end := received.find(b"\r\n\r\n")) >= 0:
            head = bytes(received[:head_end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            end = head_end + 4 + length
            if len(received) < end:
                return
            form = bytes(received[head_end + 4 : end])
            del received[:end]
            is_last = b"connection: close" in head
            if self._reply_seconds:
                self._loop.call_later(self._reply_seconds, self._reply, form, is_last)
            else:
                self._reply(form, is_last)

    def _reply(self, form: bytes, is_last: bool) -> None:  # noqa: FBT001  # call_later() passes positions
        self._transport.write(self._reply_to(form))
        if is_last:
            self._transport.close()


def http_reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def replies(zones: int) -> ReplyTo:
    """Return the function from a form to a reply. Each account has a list of its own, which never changes."""
    marked = [attrs.evolve(make_tariffs(zones=zones, operators=0, seed=seed), mail=_MARK) for seed in range(100)]
    parts = [render(each, Format.JSON).split(str(_MARK).encode()) for each in marked]

    def reply_to(form: bytes) -> bytes:
        login = _LOGIN.search(form)
        assert login is not None, "every client sends u0, u1, …"
        number = int(login[1])
        before, after = parts[number % len(parts)]
        price = 30 + number // len(parts) % _MARK_VALUES
        return http_reply(b"%b%d.%02d%b" % (before, price // 100, price % 100, after))

    return reply_to


async def _serve(zones: int, reply_seconds: float, certificate: str) -> None:
    reply_to = replies(zones)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(reply_to, reply_seconds), _HOST, 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of the benchmarks closes the pipe, however they end.
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


@contextmanager
def running(zones: int = 50, *, reply_seconds: float = 0.0) -> Generator[Server]:
    """Serve lists of that many zones from a process of its own."""
    import trustme

    with TemporaryDirectory() as directory:
        authority = trustme.CA()
        ca_file, certificate = Path(directory, "ca.pem"), Path(directory, "server.pem")
        authority.cert_pem.write_to_path(str(ca_file))
        authority.issue_cert(_HOST).private_key_and_cert_chain_pem.write_to_path(str(certificate))
        command = [sys.executable, "-m", "benchmarks.server", str(zones), str(reply_seconds), str(certificate)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None, "it is a pipe"
            try:
                yield Server(f"https://{_HOST}:{int(process.stdout.readline())}/sys/", ca_file)
            finally:
                process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
