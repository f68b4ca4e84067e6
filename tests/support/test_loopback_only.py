from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.support.loopback_only import Forbidden

# 192.0.2.0/24 and 2001:db8::/32 are set aside for documentation (RFC 5737, 3849): even with no wall nobody is there.
OUTSIDE = "192.0.2.1"
OUTSIDE_6 = "2001:db8::1"
ROOT = Path(__file__).parents[2]


def stream(family: int, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.connect(address)


def stream_without_errors() -> None:
    with socket.socket() as sock:
        sock.connect_ex((OUTSIDE, 9))


def datagram(send: Callable[[socket.socket], object]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        send(sock)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "connect": lambda: stream(socket.AF_INET, (OUTSIDE, 9)),
    "connect to a name": lambda: stream(socket.AF_INET, ("smsc.example", 9)),
    "connect over IPv6": lambda: stream(socket.AF_INET6, (OUTSIDE_6, 9)),
    "connect to a mapped address": lambda: stream(socket.AF_INET6, (f"::ffff:{OUTSIDE}", 9)),
    "connect to any address": lambda: stream(socket.AF_INET, ("0.0.0.0", 9)),
    "connect_ex": stream_without_errors,
    "sendto": lambda: datagram(lambda sock: sock.sendto(b"x", (OUTSIDE, 9))),
    "sendto with flags": lambda: datagram(lambda sock: sock.sendto(b"x", 0, (OUTSIDE, 9))),
    "sendmsg": lambda: datagram(lambda sock: sock.sendmsg([b"x"], [], 0, (OUTSIDE, 9))),
    "getaddrinfo": lambda: socket.getaddrinfo("smsc.example", 443),
    "getaddrinfo of bytes": lambda: socket.getaddrinfo(b"smsc.example", 443),
    "gethostbyname": lambda: socket.gethostbyname("smsc.example"),
    "gethostbyaddr": lambda: socket.gethostbyaddr(OUTSIDE),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_leaving_the_machine_fails_and_is_remembered(
    attempt: Callable[[], object], forbidden_connections: list[Forbidden]
) -> None:
    with pytest.raises(Forbidden, match="tests stay on this machine") as caught:
        attempt()
    assert forbidden_connections == [caught.value]
    forbidden_connections.clear()


@pytest.mark.anyio
@pytest.mark.parametrize("host", [OUTSIDE, "smsc.example"])
async def test_no_event_loop_gets_around_the_wall(host: str, forbidden_connections: list[Forbidden]) -> None:
    with pytest.raises((Forbidden, ExceptionGroup)) as caught:  # alone or in a group, as the loop has it
        await anyio.connect_tcp(host, 9)
    assert caught.type is Forbidden or caught.group_contains(Forbidden)
    assert forbidden_connections
    forbidden_connections.clear()


@pytest.mark.anyio
async def test_loopback_is_open() -> None:
    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, greet)
        port = listener.extra(SocketAttribute.local_port)
        async with await anyio.connect_tcp("localhost", port) as stream:
            assert await stream.receive() == b"hello"
        group.cancel_scope.cancel()


def test_datagrams_on_loopback_and_unix_sockets_are_open() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        there.bind(("127.0.0.1", 0))
        here.sendto(b"one", there.getsockname())
        here.sendmsg([b"two"], [], 0, there.getsockname())
        assert [there.recv(9), there.recv(9)] == [b"one", b"two"]
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        left.sendmsg([b"three"])
        assert right.recv(9) == b"three"


def test_a_test_may_fake_names(monkeypatch: pytest.MonkeyPatch, forbidden_connections: list[Forbidden]) -> None:
    def fake(*_args: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (OUTSIDE, 443))]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    assert socket.getaddrinfo("smsc.example", 443)[0][4] == (OUTSIDE, 443)
    with pytest.raises(Forbidden, match=r"connect\(\) to"):
        stream(socket.AF_INET, (OUTSIDE, 443))
    forbidden_connections.clear()


def test_a_swallowed_attempt_fails_the_test_all_the_same(tmp_path: Path) -> None:
    test = tmp_path / "test_swallows.py"
    test.write_text(f"""
import contextlib, socket

def test_swallows():
    with contextlib.suppress(Exception), socket.socket() as sock:
        sock.connect(({OUTSIDE!r}, 9))
""")
    # As pyproject.toml has it, which does not reach there: the conftest loads the test kit itself.
    plugins = ["-p", "no:cacheprovider", "--disable-plugin-autoload", "-p", "xdist.plugin", "-p", "tests.conftest"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(test)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    ran = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert "1 passed, 1 error" in ran.stdout
    assert f"tried to leave the machine: [Forbidden(\"connect() to ('{OUTSIDE}', 9)" in ran.stdout
