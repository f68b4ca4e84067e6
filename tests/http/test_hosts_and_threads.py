"""A host that drops packets, and an application whose threads all wait for calls of the client."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from smsc_async import Account, Client, MemoryStore, Quota
from tests.faults.hostile import answer, hostile, says
from tests.http.conftest import client_context, server_context
from tests.support.slow import exhaustive_after
from tests.support.stopwatch import stopwatch

FAST = Quota(requests=1000, concurrent=1000)


@contextlib.contextmanager
def dropping_port() -> Generator[int]:
    """A port whose queue of connections is full: the kernel drops each further SYN."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        with socket.socket() as probe:
            probe.settimeout(0.3)
            with pytest.raises(TimeoutError):
                probe.connect(address)
        yield address[1]


@pytest.mark.anyio
@pytest.mark.parametrize("tls", exhaustive_after(1, [True, False]))
async def test_the_reserve_host_answers_in_time_if_the_first_drops_packets_and_is_first_from_then_on(tls: bool) -> None:
    scheme = "https" if tls else "http"
    with dropping_port() as dead, hostile(says(answer()), tls=server_context() if tls else None) as server:
        async with Client(
            Account("alex", "123"),
            base_url=f"{scheme}://127.0.0.1:{dead}/sys/",
            reserve_url=f"{scheme}://127.0.0.1:{server.port}/sys/",
            ssl_context=client_context(),
            store=MemoryStore(),
            quota=FAST,
            max_age=0,
        ) as client:
            with stopwatch() as first:
                assert (await client.tariffs(deadline=8)).zones
            with stopwatch() as second:
                assert (await client.tariffs(deadline=8)).zones
            assert first.seconds + first.stalled > 1.0
            assert first.seconds < 8 / 3
            assert second.seconds < 0.5
            assert client.statistics().retries == 1
        assert len(server.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_calls_return_though_all_threads_of_the_application_wait_for_them(host: str, tls: bool) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    accounts = [Account(f"login-{number}", "123") for number in range(int(limiter.total_tokens))]
    with hostile(says(answer()), tls=server_context() if tls else None) as server:
        async with Client(
            base_url=f"{'https' if tls else 'http'}://{host}:{server.port}/sys/",
            ssl_context=client_context() if tls else None,
            store=MemoryStore(),
            quota=FAST,
            max_age=0,
        ) as client:
            done: list[str] = []
            all_taken = anyio.Event()

            async def call(account: Account) -> None:
                if limiter.available_tokens == 0:
                    all_taken.set()
                await all_taken.wait()
                assert (await client.tariffs(account, deadline=20)).zones
                done.append(account.login)

            async def wait_in_a_thread(account: Account) -> None:
                await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(call, account))

            async with anyio.create_task_group() as group:
                for account in accounts:
                    group.start_soon(wait_in_a_thread, account)
    assert sorted(done) == sorted(each.login for each in accounts)


@pytest.mark.anyio
async def test_certificates_are_loaded_though_all_threads_of_the_application_wait_for_the_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.http.conftest import authority

    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    limiter = anyio.to_thread.current_default_thread_limiter()
    before = limiter.total_tokens
    limiter.total_tokens = 1
    try:
        with hostile(says(answer()), tls=server_context()) as server:
            async with Client(Account("alex", "123"), base_url=server.base_url, store=MemoryStore()) as client:

                async def call() -> None:
                    assert limiter.available_tokens == 0
                    assert (await client.tariffs(deadline=20)).zones

                await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(call))
    finally:
        limiter.total_tokens = before
