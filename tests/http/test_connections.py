"""One request on each connection, and no answer but the first: real sockets, event loops in turn, a fork."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any, Final

import anyio
import httpx
import pytest

from smsc_async import Account, Client, MemoryStore, Quota, Tariffs
from smsc_async.http.connector import TransportOption
from tests.faults.hostile import LIST, Act, Hostile, answer, hostile, says
from tests.http.conftest import client_context, server_context
from tests.support.slow import exhaustive_after

ALEX: Final = Account("alex", "123")
PRICE: Final = Decimal("2.50")
FAST: Final = Quota(requests=1000, concurrent=1000)


def _login(request: bytes) -> str:
    fields = dict(each.split("=") for each in request.partition(b"\r\n\r\n")[2].decode().split("&"))
    return fields["login"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("backends", ["asyncio,trio", "trio,asyncio", "asyncio,asyncio"])
def test_every_connection_carries_one_request_in_loops_in_turn_and_around_a_fork(tls: bool, backends: str) -> None:
    with hostile(says(answer()), tls=server_context() if tls else None) as server:
        command = [sys.executable, "-W", "error::ResourceWarning", "-m", "tests.http.exchanges_process"]
        done = subprocess.run(
            [*command, server.base_url, backends], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        sent = json.loads(done.stdout)
        assert sent == {"parent": 2 * 60 + 20, "child": 20}
        assert len(server.requests) == server.connections == sum(sent.values())
        assert all(b"connection: close\r\n" in each.lower() for each in server.requests)


def _other_list() -> bytes:
    return LIST.replace(b'"2.50"', b'"66.60"', 1)


def _twice(pause: float) -> Act:
    """Send the list of the login, and a second answer with other prices on the same connection."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, second = answer(LIST), answer(_other_list())
        if pause < 0:
            writer.write(first + second)
        else:
            writer.write(first)
            await writer.drain()
            await asyncio.sleep(pause)
            writer.write(second)
        await writer.drain()

    return act


@pytest.mark.anyio
@pytest.mark.parametrize(
    "pause", exhaustive_after(1, [0.0, -1.0, 0.005]), ids=["right after", "together", "5 ms after"]
)
@pytest.mark.parametrize("kind", ["own", "factory", "instance"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_second_answer_is_returned_to_nobody(pause: float, kind: str, tls: bool) -> None:
    context = client_context()
    transports: dict[str, TransportOption | None] = {
        "own": None,
        "factory": lambda: httpx.AsyncHTTPTransport(verify=context),
        "instance": httpx.AsyncHTTPTransport(verify=context),
    }
    with hostile(_twice(pause), tls=server_context() if tls else None) as server:
        transport = transports[kind]
        options: dict[str, Any] = {"ssl_context": context} if transport is None else {"transport": transport}
        async with _client(server, **options) as client:
            for _ in range(10):
                for login in ("alex", "boris"):
                    tariffs = await client.tariffs(Account(login, "123"))
                    assert tariffs.zone("1").api == PRICE
                    assert _login(server.requests[-1]) == login
                await anyio.sleep(0.002)
        if isinstance(transport, httpx.AsyncHTTPTransport):
            await transport.aclose()
        assert len(server.requests) == server.connections == 20


@pytest.mark.parametrize("pause", [-1.0, 0.0, 0.005], ids=["together", "right after", "5 ms after"])
def test_nor_with_aiohttp_underneath(pause: float) -> None:
    from httpx_aiohttp import AiohttpTransport

    async def main() -> None:
        async with _client(server, transport=AiohttpTransport) as client:
            for _ in range(10):
                for login in ("alex", "boris"):
                    assert (await client.tariffs(Account(login, "123"))).zone("1").api == PRICE
                await asyncio.sleep(0.002)

    with hostile(_twice(pause)) as server:
        asyncio.run(main())
        assert len(server.requests) == server.connections == 20


@pytest.mark.parametrize("pause", [-1.0, 0.0, 0.005], ids=["together", "right after", "5 ms after"])
@pytest.mark.parametrize("at_once", [False, True], ids=["in turn", "at once"])
def test_a_shared_transport_that_may_keep_connections_is_refused_from_then_on(pause: float, at_once: bool) -> None:
    from httpx_aiohttp import AiohttpTransport

    async def main() -> None:
        transport = AiohttpTransport()
        async with _client(server, transport=transport) as client:
            if at_once:
                calls = (client.tariffs(Account(f"login-{n}", "123")) for n in range(10))
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                lists = [each for each in outcomes if isinstance(each, Tariffs)]
                assert lists
                assert all(each.zone("1").api == PRICE for each in lists)
                assert all(isinstance(each, Tariffs | RuntimeError) for each in outcomes)
            else:
                assert (await client.tariffs(ALEX)).zone("1").api == PRICE
            sent = len(server.requests)
            for n in range(50):
                with pytest.raises(RuntimeError, match=r"may have kept a connection open.* Pass a factory"):
                    await client.tariffs(Account(f"another-{n}", "123"))
            assert len(server.requests) == server.connections == sent
        await transport.aclose()

    with hostile(_twice(pause)) as server:
        asyncio.run(main())


def test_a_shared_transport_over_aiohttp_is_good_enough_for_a_server_that_closes() -> None:
    from httpx_aiohttp import AiohttpTransport

    async def main() -> None:
        transport = AiohttpTransport()
        async with _client(server, transport=transport) as client:
            for n in range(20):
                assert (await client.tariffs(Account(f"login-{n}", "123"))).zone("1").api == PRICE
        await transport.aclose()

    with hostile(says(answer(connection="close"), then_close=True)) as server:
        asyncio.run(main())
        assert len(server.requests) == server.connections == 20


def _client(server: Hostile, **options: Any) -> Client:
    return Client(base_url=server.base_url, quota=FAST, store=MemoryStore(), max_age=0, **options)
