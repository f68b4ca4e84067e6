"""Outcomes of the lockout rules over real sockets, with the real constants, counted by the server."""

from __future__ import annotations

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import anyio
import pytest

from smsc_async import (
    Account,
    AuthenticationError,
    Client,
    CredentialsRefused,
    DeadlineExceeded,
    MemoryStore,
    SmscError,
    TrialsExhausted,
)
from smsc_async.testing import Fault, SmscServer
from tests.faults.hostile import answer, hostile, says, says_and_resets
from tests.faults.scripted import confirm
from tests.support.stopwatch import stopwatch

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT: Final = 40


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[SmscServer]:
    latency: float = getattr(request, "param", 0.02)
    with SmscServer(latency=latency) as server:
        yield server


def _accounts(server: SmscServer, count: int, name: str = "login") -> list[Account]:
    return [server.add_account(f"{name}-{n}", "123") for n in range(count)]


def _client(server: SmscServer, store: MemoryStore | None = None, *, deadline: float = 10.0) -> Client:
    return server.client(store=MemoryStore() if store is None else store, max_age=0, deadline=deadline)


def _errors(server: SmscServer) -> int:
    return sum(arrival.code == 2 for arrival in server.log)


async def _fleet(client: Client, accounts: list[Account]) -> list[Exception | None]:
    return [each.error async for each in client.tariffs_for(accounts)]


@pytest.mark.parametrize("is_fleet", [True, False], ids=["fleet", "one by one"])
async def test_1_a_moved_address_costs_at_most_four_errors(server: SmscServer, *, is_fleet: bool) -> None:
    store, accounts = MemoryStore(), _accounts(server, COUNT)
    for account in accounts:
        confirm(store, account, server.base_url)
        server.add_account(account.login, "another")
    kinds: set[type[Exception | None]] = set()
    async with _client(server, store) as client:
        for _ in range(2):
            for some in [accounts] if is_fleet else [[each] for each in accounts]:
                kinds |= {type(error) for error in await _fleet(client, some)}
    assert kinds == {AuthenticationError, CredentialsRefused, TrialsExhausted}
    assert 1 <= _errors(server) == len(server.log) <= 4


@pytest.mark.parametrize("server", [2.0], indirect=True)
async def test_3_a_wrong_password_with_short_deadlines_costs_one_error(server: SmscServer) -> None:
    kinds: list[type[SmscError]] = []
    async with _client(server, deadline=1.0) as client:
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(SmscError) as caught:
                await client.tariffs(Account("alex", "wrong"))
            kinds.append(type(caught.value))
            await anyio.sleep(max(0.0, began + 1.0 - time.monotonic()))
    assert len(server.log) == _errors(server) == 1
    assert kinds[0] is DeadlineExceeded
    assert kinds[-1] is CredentialsRefused


async def test_4_a_gateway_that_hides_the_errors_gets_one_request_for_each_call(server: SmscServer) -> None:
    server.fail(Fault.http_status(504))
    async with _client(server) as client:
        for n in range(3):
            with pytest.raises(SmscError, match="504"):
                await client.tariffs(Account(f"wrong-{n}", "wrong"))
    assert [arrival.login for arrival in server.log] == ["wrong-0", "wrong-1", "wrong-2"]


async def test_6_cut_connections_slow_a_first_pass_down_by_less_than_three() -> None:
    seconds: list[float] = []
    accounts = [Account(f"login-{n}", "123") for n in range(COUNT)]
    for unlucky in ((), (b"login-7&", b"login-23&")):
        left = set(unlucky)

        async def act(reader: StreamReader, writer: StreamWriter, left: set[bytes] = left) -> None:
            cut = {login for login in left if b"login=" + login in peer.requests[-1]}
            left -= cut
            await asyncio.sleep(0.02)
            await (says_and_resets(b"") if cut else says(answer(), then_close=True))(reader, writer)

        with hostile(act) as peer:
            async with Client(base_url=peer.base_url, store=MemoryStore(), max_age=0) as client:
                with stopwatch() as watch:
                    errors = await _fleet(client, accounts)
        assert not left
        assert errors.count(None) >= 0.94 * COUNT
        seconds.append(watch.seconds)
    assert seconds[1] <= 3 * seconds[0]


async def test_7_one_login_that_mistypes_four_times_delays_no_other(server: SmscServer) -> None:
    async with _client(server) as client:
        for n in range(4):
            with pytest.raises(AuthenticationError if n < 2 else TrialsExhausted):
                await client.tariffs(Account("clumsy", f"typo {n}"))
        with stopwatch() as watch:
            assert (await client.tariffs()).zones
    assert watch.seconds < 1.0
    assert _errors(server) == 2


async def test_8_after_four_resets_a_new_account_is_served_within_ten_seconds() -> None:
    accounts = [Account(f"login-{n}", "123") for n in range(5)]
    with hostile(says_and_resets(b"")) as peer:
        async with Client(base_url=peer.base_url, store=MemoryStore(), max_age=0) as client:
            assert None not in await _fleet(client, accounts[:4])
            assert len(peer.requests) == 4
            peer.act = says(answer(), then_close=True)
            with stopwatch() as watch:
                assert (await client.tariffs(accounts[4])).zones
    assert watch.seconds < 10.0


@pytest.mark.parametrize("server", [0.3], indirect=True)
async def test_11_short_deadlines_of_one_tenant_delay_nobody_and_open_no_circuit(server: SmscServer) -> None:
    store, accounts, hasty = MemoryStore(), _accounts(server, 10), _accounts(server, 9, "hasty")
    for account in accounts[:5]:
        confirm(store, account, server.base_url)

    async def call_hastily(client: Client) -> None:
        while True:
            for account in hasty:
                with suppress(SmscError):
                    await client.tariffs(account, deadline=0.1)
                await anyio.sleep(0.01)

    longest = 0.0
    async with _client(server, store) as client, anyio.create_task_group() as group:
        group.start_soon(call_hastily, client)
        await anyio.sleep(0.5)
        for account in accounts:
            with stopwatch() as watch:
                await client.tariffs(account)
            longest = max(longest, watch.seconds)
            assert "outage" not in {each.cause for each in client.lockouts()}
        group.cancel_scope.cancel()
    assert longest < 1.0
    assert server.violations() == []
