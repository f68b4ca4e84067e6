"""Servers that cannot prove who they are, and names that cannot be looked up."""

from __future__ import annotations

import gc
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from smsc_async import Account, DeadlineExceeded, IncompleteReply, TlsError, TransportError
from smsc_async.fetch import hosts
from tests.faults.hostile import LIST, answer, hostile, nothing, says
from tests.faults.test_wire import MARGIN, NO_LENGTH, client_of, failure_of
from tests.support.stopwatch import stopwatch

if TYPE_CHECKING:
    import trustme

pytestmark = pytest.mark.usefixtures("quick_retries")


@cache
def authority() -> trustme.CA:
    import trustme

    return trustme.CA()


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where httpx looks for whom to trust.
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def _serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # of another TLS library, it means
    return context


def _good() -> ssl.SSLContext:
    return _serving(authority().issue_cert("127.0.0.1"))


@pytest.mark.anyio
async def test_a_server_with_a_good_certificate_gets_one_connection_for_each_request() -> None:
    with hostile(says(answer()), tls=_good()) as server:
        async with client_of(server.base_url) as client:
            for _ in range(3):
                assert (await client.tariffs()).zones
        assert server.connections == 3


def _untrusted() -> trustme.LeafCert:
    import trustme

    return trustme.CA().issue_cert("127.0.0.1")


YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("certificate", "says_so"),
    [
        (_untrusted, "self-signed|unable to get local issuer|signature failure"),
        (lambda: authority().issue_cert("127.0.0.1", not_after=YESTERDAY), "expired"),
        (lambda: authority().issue_cert("smsc.example"), "IP address mismatch"),
    ],
    ids=["untrusted", "expired", "of another host"],
)
async def test_a_wrong_certificate_is_a_tls_error_that_is_not_tried_again(
    certificate: Callable[[], trustme.LeafCert], says_so: str
) -> None:
    with hostile(says(answer()), tls=_serving(certificate())) as server:
        async with client_of(server.base_url, retries=2) as client:
            error = await failure_of(client, 5.0)
            assert type(error) is TlsError
            assert re.search(says_so, str(error))
            assert not error.may_have_counted
            assert not error.retryable
        assert server.handshakes == 1
        assert server.requests == []


@pytest.mark.anyio
async def test_plain_text_on_a_tls_port_is_a_tls_error() -> None:
    with hostile(nothing, greets=says(b"HTTP/1.0 400 Bad Request\r\n\r\n", then_close=True)) as server:
        server.secure = True
        async with client_of(server.base_url, retries=2) as client:
            assert type(await failure_of(client, 5.0)) is TlsError
        assert server.connections == 1


@pytest.mark.anyio
async def test_a_handshake_that_never_ends_is_bounded_and_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "_CONNECT_SECONDS", 2.0)
    with hostile(nothing, greets=nothing) as server:
        server.secure = True
        async with client_of(server.base_url) as client:
            error = await failure_of(client, 0.5)
            assert type(error) is DeadlineExceeded
            assert not error.may_have_counted
            # The connection ends by its own time limit, and its server sees that.
            with anyio.fail_after(60):
                while not all(task.done() for task in server.tasks):  # noqa: ASYNC110  # tasks of another thread
                    await anyio.sleep(0.01)
            gc.collect()  # a socket that was left open warns, and a warning is an error


@pytest.mark.anyio
async def test_an_answer_cut_without_a_goodbye_is_incomplete() -> None:
    async def cut(reader: object, writer: object) -> None:
        import asyncio

        assert isinstance(writer, asyncio.StreamWriter)
        writer.write(NO_LENGTH + LIST[:-20])
        await writer.drain()
        await asyncio.sleep(0.05)
        # Under the TLS layer, so that it cannot send its close_notify.
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)

    with hostile(cut, tls=_good()) as server:
        async with client_of(server.base_url) as client:
            assert type(await failure_of(client, 5.0)) is IncompleteReply
            server.act = says(answer())
            assert (await client.tariffs(deadline=10)).zones


@pytest.mark.anyio
async def test_a_name_that_does_not_exist_is_a_transport_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    async with client_of("https://smsc.example/sys/") as client:
        error = await failure_of(client, 5.0)
        assert type(error) is TransportError
        assert not error.may_have_counted
        assert "no connection to smsc.example" in str(error)


@pytest.fixture
def never_resolved(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looking a name up takes until this is set."""
    over = threading.Event()

    def hang(*args: object, **__: object) -> object:
        # A number in place of a name is looked up without asking anybody, which trio tries first, in its loop.
        if not (len(args) > 5 and isinstance(args[5], int) and args[5] & socket.AI_NUMERICHOST):
            over.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield over
    over.set()


@pytest.mark.anyio
async def test_a_name_that_hangs_ends_at_the_deadline_and_closing_does_not_wait_for_it(
    never_resolved: threading.Event,
) -> None:
    client = client_of("https://smsc.example/sys/")
    error = await failure_of(client, 0.3)
    assert type(error) is DeadlineExceeded
    assert not error.may_have_counted
    with stopwatch() as watch:
        await client.aclose()
    assert watch.seconds < 1.0 + MARGIN  # a connection that is being made has a second
    never_resolved.set()  # asyncio waits for its threads when the loop is closed


@pytest.mark.anyio
async def test_certificates_are_read_twice_at_most_however_many_calls_are_first() -> None:
    made: list[int] = []
    real = httpx.create_ssl_context

    def create() -> ssl.SSLContext:
        made.append(1)
        time.sleep(0.1)
        return real()

    with pytest.MonkeyPatch.context() as patch, hostile(says(answer()), tls=_good()) as server:
        patch.setattr(httpx, "create_ssl_context", create)
        async with client_of(server.base_url) as client:
            accounts = [Account(f"login-{n}", "123") for n in range(8)]
            assert all([each.tariffs is not None async for each in client.tariffs_for(accounts)])
    assert 1 <= len(made) <= 2


@pytest.mark.anyio
async def test_a_deadline_while_certificates_are_read_is_kept() -> None:
    over = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", lambda: over.wait(30))
        async with client_of("https://127.0.0.1:9/") as client:
            error = await failure_of(client, 0.2)
            assert type(error) is DeadlineExceeded
            assert not error.may_have_counted
        over.set()
