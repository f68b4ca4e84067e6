"""The client's connections over real sockets, its own on both loops and aiohttp's: one set of tests, one set of promises."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpcore
import pytest
import trustme

from smsc_async import (
    Account,
    Client,
    DecodeError,
    IncompleteReply,
    MemoryStore,
    QuotaExhausted,
    SmscError,
    TlsError,
    TransportError,
)
from smsc_async.http.connections import Connections, _Line  # pyright: ignore[reportPrivateUsage]
from tests.support.simulated import ALEX

BODY = b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.10"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

Transport: TypeAlias = Literal["aiohttp"] | None
Script: TypeAlias = Callable[[socket.socket, int], None]
"""What a server does with its connection of that number, until it closes it."""


@pytest.fixture(
    params=[("asyncio", None), ("trio", None), ("asyncio", "aiohttp")], ids=["asyncio", "trio", "asyncio-aiohttp"]
)
def setting(request: pytest.FixtureRequest) -> tuple[str, Transport]:
    setting: tuple[str, Transport] = request.param
    return setting


@pytest.fixture
def anyio_backend(setting: tuple[str, Transport]) -> str:
    return setting[0]


@pytest.fixture
def transport(setting: tuple[str, Transport]) -> Transport:
    return setting[1]


pytestmark = pytest.mark.anyio


@contextmanager
def server(script: Script) -> Generator[str]:
    """A server that does what it is told, and nothing for HTTP's sake; gives its base URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def run(connection: socket.socket, number: int) -> None:
        with connection:
            connection.settimeout(5.0)
            try:
                script(connection, number)
            except OSError:
                return  # the client was done with it

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=run, args=(connection, len(threads))))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/sys/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *threads):
            thread.join()


def hear(connection: socket.socket) -> bytes:
    """A whole request, or nothing where the client has closed."""
    heard = b""
    while b"\r\n\r\n" not in heard or not heard.endswith(b"charset=utf-8"):
        data = connection.recv(65536)
        if not data:
            return b""
        heard += data
    return heard


def always(answer: bytes) -> Script:
    def script(connection: socket.socket, _: int) -> None:
        while hear(connection):
            connection.sendall(answer)

    return script


def once(answer: bytes) -> Script:
    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        connection.sendall(answer)

    return script


def client_at(base_url: str, transport: Transport) -> Client:
    # A store of its own, no retries: what is seen is one exchange.
    return Client(
        ALEX, base_url=base_url, transport=transport, store=MemoryStore(), retries=0, max_age=0, deadline=20.0
    )


async def test_a_request_says_no_more_than_it_has_to(transport: Transport) -> None:
    heard: list[bytes] = []

    def script(connection: socket.socket, _: int) -> None:
        heard.append(hear(connection))
        connection.sendall(WHOLE)

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            await client.tariffs()
    head, _, body = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    assert first == b"POST /sys/get.php HTTP/1.1"
    assert sorted(names) == [
        b"accept", b"accept-encoding", b"content-length", b"content-type", b"host", b"user-agent"
    ]  # fmt: skip
    assert body == b"get_price=1&login=alex&psw=123&fmt=3&charset=utf-8"


async def test_one_connection_serves_call_after_call(transport: Transport) -> None:
    connections: list[int] = []

    def script(connection: socket.socket, number: int) -> None:
        connections.append(number)
        always(WHOLE)(connection, number)

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            for _ in range(3):
                assert (await client.tariffs()).zone("1").name == "Russia"
    assert connections == [0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (BODY[:5], len(BODY) - 5, BODY[5:]),
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,  # to the end of the connection
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    ],
    ids=["chunked", "until closed", "HTTP/1.0", "interim answer", "told to close"],
)
async def test_a_body_is_read_however_it_is_framed(transport: Transport, answer: bytes) -> None:
    with server(once(answer)) as base_url:
        async with client_at(base_url, transport) as client:
            for _ in range(2):  # the second over another connection, the first being closed
                assert (await client.tariffs()).zone("1").name == "Russia"
                await anyio.sleep(0.05)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(transport: Transport) -> None:
    with server(once(WHOLE)) as base_url:
        async with client_at(base_url, transport) as client:
            await client.tariffs()
            await anyio.sleep(0.05)
            await client.tariffs()
            assert client.statistics().requests == 2


STRAY = WHOLE.replace(b"Russia", b"Egypt!")


@pytest.mark.parametrize("when", ["at once", "later", "too late for the loop to have read it"])
async def test_what_follows_an_answer_unasked_is_not_taken_for_the_next_one(transport: Transport, when: str) -> None:
    taken, sent = threading.Event(), threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        connection.sendall(WHOLE + STRAY if when == "at once" else WHOLE)
        if when != "at once":
            taken.wait(5.0)
            connection.sendall(STRAY)
        sent.set()
        always(WHOLE)(connection, 0)

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            for login in ("alex", "boris"):
                tariffs = await client.tariffs(Account(login, "123"))
                assert tariffs.zone("1").name == "Russia"
                taken.set()
                assert sent.wait(5.0)  # the loop stands still meanwhile
                if when == "later":
                    await anyio.sleep(0.01)  # for a loop that reads on its own account


async def test_what_comes_between_the_look_at_a_connection_and_the_request_is_not_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked, sent = threading.Event(), threading.Event()
    look = _Line.is_good_for

    def look_a_tick_too_soon(line: _Line, origin: httpcore.Origin) -> bool:
        is_good = look(line, origin)
        looked.set()
        assert sent.wait(5.0)
        return is_good

    def script(connection: socket.socket, number: int) -> None:
        hear(connection)
        connection.sendall(WHOLE)
        if number == 0:
            looked.wait(5.0)
            connection.sendall(STRAY)
            sent.set()
        always(WHOLE)(connection, 0)

    monkeypatch.setattr(_Line, "is_good_for", look_a_tick_too_soon)
    with server(script) as base_url:
        async with client_at(base_url, None) as client:
            await client.tariffs()
            with pytest.raises(TransportError, match=r"unasked.*nothing was sent") as caught:
                await client.tariffs(Account("boris", "123"))
            assert not caught.value.may_have_counted
            assert (await client.tariffs(Account("boris", "123"))).zone("1").name == "Russia"


@pytest.mark.parametrize("secured", [False, True], ids=["a full read", "a record of TLS"])
async def test_what_was_read_along_with_an_answer_is_not_taken_for_the_next_one(
    transport: Transport, secured: bool, request: pytest.FixtureRequest
) -> None:
    # As long as what is asked of the socket at once: so nothing of what follows is in the hands of the parser.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    long = 65_536 - len(head % 65_536)
    answer = WHOLE if secured else head % long + BODY.replace(b" ", b" " * (long - len(BODY) + 1), 1)
    heard, held, sent = threading.Event(), threading.Event(), threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        hear(connection)
        heard.set()
        held.wait(5.0)
        connection.sendall(answer)
        if number == 0:
            connection.sendall(STRAY)
        sent.set()
        always(answer)(connection, 0)

    async def hold_the_loop() -> None:
        await anyio.to_thread.run_sync(heard.wait, 5.0)
        held.set()
        assert sent.wait(5.0)

    tls: ssl.SSLContext | None = request.getfixturevalue("trusted_tls") if secured else None
    with server(script) if tls is None else tls_server(tls, script) as base_url:
        async with client_at(base_url, transport) as client:
            for login in ("alex", "boris"):
                async with anyio.create_task_group() as group:
                    group.start_soon(hold_the_loop)
                    assert (await client.tariffs(Account(login, "123"))).zone("1").name == "Russia"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", TransportError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", TransportError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + BODY, TransportError),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"zon', TransportError),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", TransportError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, TransportError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", IncompleteReply),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx", DecodeError),
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "no HTTP", "endless head", "no body", "packed"],
)
async def test_an_answer_that_is_none_counts_and_keeps_its_token(
    transport: Transport, answer: bytes, kind: type[SmscError]
) -> None:
    with server(once(answer)) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(kind) as caught:
                await client.tariffs()
            assert caught.value.may_have_counted
            assert "nothing was sent" not in str(caught.value)
            assert "123" not in str(caught.value)
            # One of the three tokens is out for a window, so the third more has none in time.
            with server(always(WHOLE)) as other:
                spared = Client(ALEX, base_url=other, store=client._calls.store, max_age=0, deadline=20.0)  # pyright: ignore[reportPrivateUsage]
                async with spared:
                    await spared.tariffs()
                    await spared.tariffs()
                    with pytest.raises(QuotaExhausted):
                        await spared.tariffs()


async def test_an_endless_body_in_small_chunks_leaves_nothing_half_read(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:  # until the client is done with it
            connection.sendall((b"400\r\n" + b" " * 1024 + b"\r\n") * 1024)

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(DecodeError, match="longer than"):
                await client.tariffs()
        gc.collect()  # where trio tells of what was not read to its end


async def test_a_reset_in_place_of_an_answer_counts(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(TransportError, match="without an answer") as caught:
                await client.tariffs()
            assert caught.value.may_have_counted


async def test_a_refused_connection_sends_nothing_and_costs_nothing(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with client_at(f"http://127.0.0.1:{port}/sys/", transport) as client:
        for _ in range(5):  # more than the quota has tokens
            with pytest.raises(TransportError, match="nothing was sent") as caught:
                await client.tariffs()
            assert not caught.value.may_have_counted


async def test_a_refusal_that_comes_before_the_request_is_read_is_heard(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        hear(connection)

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(TransportError) as caught:
                await client.tariffs()
            assert caught.value.may_have_counted


async def test_fifty_connections_and_no_more(transport: Transport) -> None:
    peak, under_way, lock = [0], [0], threading.Lock()

    def script(connection: socket.socket, _: int) -> None:
        with lock:
            under_way[0] += 1
            peak[0] = max(peak[0], under_way[0])
        try:
            always(WHOLE)(connection, 0)
        finally:
            with lock:
                under_way[0] -= 1

    accounts = [Account(f"u{number}", "123") for number in range(200)]
    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            assert all([outcome.tariffs async for outcome in client.tariffs_for(accounts)])
    assert 2 <= peak[0] <= Connections.AT_ONCE == 50


async def test_a_call_that_is_cut_by_its_deadline_leaves_no_connection(transport: Transport) -> None:
    gone = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        connection.sendall(WHOLE[:-5])
        assert not connection.recv(1)
        gone.set()

    with server(script) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(TransportError, match="within"):
                await client.tariffs(deadline=0.2)
            assert await anyio.to_thread.run_sync(gone.wait, 5.0)


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connections, "IDLE_SECONDS", -1.0)
    with server(always(WHOLE)) as base_url:
        async with client_at(base_url, None) as client:
            await client.tariffs()
            connections = client._sessions.get().transport._transport  # pyright: ignore[reportPrivateUsage]
            assert isinstance(connections, Connections)
            assert not connections._idle  # pyright: ignore[reportPrivateUsage]


async def test_closing_the_client_closes_idle_and_busy_connections(transport: Transport) -> None:
    begun, ended = threading.Event(), threading.Semaphore(0)

    def script(connection: socket.socket, _: int) -> None:
        while b"login=alex" in hear(connection):
            connection.sendall(WHOLE)
        begun.set()
        assert not connection.recv(1)
        ended.release()

    async def ask(client: Client, login: str) -> None:
        with pytest.raises(TransportError, match="the client was closed"):
            await client.tariffs(Account(login, "123"))

    with server(script) as base_url:
        client = client_at(base_url, transport)
        async with anyio.create_task_group() as group:
            await client.tariffs()
            for login in ("first", "second"):
                group.start_soon(ask, client, login)
            assert await anyio.to_thread.run_sync(begun.wait, 5.0)
            await client.aclose()
        assert all([await anyio.to_thread.run_sync(ended.acquire, True, 5.0) for _ in range(2)])


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_closing_that_is_cancelled_closes_all_the_same(transport: Transport, ticks: int) -> None:
    served, ended = threading.Barrier(4), threading.Semaphore(0)

    def script(connection: socket.socket, _: int) -> None:
        hear(connection)
        served.wait(5.0)  # so that there are four connections
        connection.sendall(WHOLE)
        assert not connection.recv(1)
        ended.release()

    with server(script) as base_url:
        client = client_at(base_url, transport)
        accounts = [Account(f"u{number}", "123") for number in range(4)]
        assert all([outcome.tariffs async for outcome in client.tariffs_for(accounts)])
        async with anyio.create_task_group() as group:
            group.start_soon(client.aclose)
            for _ in range(ticks):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert all([await anyio.to_thread.run_sync(ended.acquire, True, 5.0) for _ in range(4)])


async def test_closing_that_asyncio_cancels_closes_idle_connections_too(
    transport: Transport, anyio_backend: str
) -> None:
    if anyio_backend == "trio":
        return  # it has no such cancellation
    ended = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        while b"login=alex" in hear(connection):
            connection.sendall(WHOLE)
        if not number:
            ended.set()

    with server(script) as base_url:
        client = client_at(base_url, transport)
        await client.tariffs()

        async def work() -> None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)

        client._sessions.get().detached.start(work, lambda: None)  # pyright: ignore[reportPrivateUsage]  # what ends late
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await anyio.to_thread.run_sync(ended.wait, 5.0)


@contextmanager
def tls_server(context: ssl.SSLContext, script: Script | None = None) -> Generator[str]:
    def secure(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            (script or always(WHOLE))(secured, number)

    with server(secure) as base_url:
        yield base_url.replace("http:", "https:")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # of pyOpenSSL's, which is not here
    return context


@pytest.fixture
def trusted_tls(
    authority: trustme.CA, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ssl.SSLContext:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return server_tls


async def test_a_server_that_can_prove_who_it_is_gets_the_password(
    transport: Transport, trusted_tls: ssl.SSLContext
) -> None:
    with tls_server(trusted_tls) as base_url:
        async with client_at(base_url, transport) as client:
            for _ in range(2):
                assert (await client.tariffs()).zone("1").name == "Russia"


async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    transport: Transport, server_tls: ssl.SSLContext
) -> None:
    with tls_server(server_tls) as base_url:
        async with client_at(base_url, transport) as client:
            with pytest.raises(TlsError, match="nothing was sent"):
                await client.tariffs()


async def test_a_server_that_ends_the_handshake_is_no_connection(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.recv(1)

    with server(script) as base_url:
        async with client_at(base_url.replace("http:", "https:"), transport) as client:
            with pytest.raises(TransportError, match="nothing was sent"):
                await client.tariffs()


async def test_aiohttp_is_refused_on_trio(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        async with client_at("http://127.0.0.1:9/sys/", "aiohttp") as client:
            with pytest.raises(RuntimeError, match="leave it out on trio"):
                await client.tariffs()


def test_aiohttp_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smsc_async.http.over_aiohttp", None)
    with pytest.raises(ImportError, match=r'pip install "smsc-async\[aiohttp\]"'):
        Client(ALEX, transport="aiohttp")


def test_another_word_for_a_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        Client(ALEX, transport="requests")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
