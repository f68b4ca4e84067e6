"""A lower layer sends a request again: the body is complete each time, and each sending has a token."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anyio
import httpx
import pytest

from smsc_async import Account, Client, MemoryStore, Quota, QuotaExhausted, SQLiteStore, TransportError
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.simulator import SimulatedAccount, Simulator, serve
from smsc_async.stores import Store

pytestmark = pytest.mark.anyio

ALEX: Final = Account("alex", "p&ss wörd")


class Resending(httpx.AsyncBaseTransport):
    """Sends each request so many times over real connections, and returns the last reply."""

    def __init__(self, times: int) -> None:
        self.bodies: list[bytes] = []
        self._times = times
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = httpx.Response(500)
        for number in range(self._times):
            assert isinstance(request.stream, httpx.AsyncByteStream)
            body = b"".join([chunk async for chunk in request.stream])
            self.bodies.append(body)
            again = httpx.Request("POST", request.url, headers=request.headers, content=body)
            response = await self._inner.handle_async_request(again)
            if number < self._times - 1:
                await response.aread()
                await response.aclose()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture(params=["memory", "SQLite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "store.db")


def _client(base_url: str, store: Store, transport: httpx.AsyncBaseTransport, *, proven: bool = True) -> Client:
    """Return a client whose first request proves the credentials, and whose others go through the transport."""
    first = iter([httpx.AsyncHTTPTransport()] if proven else [])
    return Client(
        ALEX,
        base_url=base_url,
        store=store,
        max_age=0,
        retries=0,
        transport=lambda: next(first, None) or transport,
    )


async def test_the_body_is_complete_each_time_and_takes_a_token_of_its_own(store: Store) -> None:
    transport = Resending(2)
    simulator = Simulator([SimulatedAccount("alex", "p&ss wörd")])
    with serve(simulator) as server:
        async with _client(server.base_url, store, transport) as client:
            assert (await client.tariffs()).zones
            assert (await client.tariffs()).zones
            with pytest.raises(QuotaExhausted):
                await client.tariffs(deadline=0.3)
        await store.aclose()
    assert transport.bodies[0] == transport.bodies[1]
    assert b"psw=p%26ss+w%C3%B6rd" in transport.bodies[0]
    assert len(simulator.log) == 3
    assert not simulator.violations()


async def test_without_a_token_the_reading_raises_and_the_error_says_that_a_request_was_sent(store: Store) -> None:
    transport = Resending(4)
    simulator = Simulator([SimulatedAccount("alex", "p&ss wörd")])
    with serve(simulator) as server:
        async with _client(server.base_url, store, transport) as client:
            assert (await client.tariffs()).zones
            with pytest.raises(TransportError, match="and then: not sent: this login has used its requests") as caught:
                await client.tariffs(deadline=10)
            assert caught.value.may_have_counted
        await store.aclose()
    assert len(transport.bodies) == 2
    assert len(simulator.log) == 3
    assert not simulator.violations()


async def test_credentials_that_are_not_known_to_work_are_sent_once(store: Store) -> None:
    transport = Resending(2)
    simulator = Simulator([SimulatedAccount("alex", "another")])
    with serve(simulator) as server:
        async with _client(server.base_url, store, transport, proven=False) as client:
            with pytest.raises(TransportError, match="not known to work, so they are sent once") as caught:
                await client.tariffs(deadline=10)
            assert caught.value.may_have_counted
        await store.aclose()
    assert len(transport.bodies) == len(simulator.log) == 1


async def test_a_sending_that_was_not_allowed_takes_no_token_from_others() -> None:
    store = MemoryStore()
    held = [store.try_acquire(Permit("127.0.0.1 alex", Quota(), token=True)) for _ in range(2)]

    class Reading(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            for _ in range(2):
                _ = [chunk async for chunk in request.stream]
            raise AssertionError

    async with Client(ALEX, base_url="http://127.0.0.1/", store=store, retries=0, transport=Reading()) as client:
        with pytest.raises(TransportError):
            await client.tariffs()
    for each in held:
        assert each is not None
        store.try_release(each, Completion.NOT_SENT)
    assert sum(store.try_acquire(Permit("127.0.0.1 alex", Quota(), token=True)) is not None for _ in range(3)) == 2


async def test_a_cancelled_release_leaves_no_permit_of_a_second_sending_in_use(tmp_path: Path) -> None:
    quota = Quota(linger=0.05)
    async with SQLiteStore(tmp_path / "store.db", pepper="a long random text") as store:
        with anyio.CancelScope() as scope:
            async with LimitedExchange(store, Attempt("alex", quota)) as exchange:
                for _ in range(2):
                    await exchange.allow_reading()
                assert (await store.usage("alex", quota)).slots == 2
                scope.cancel()
        with anyio.fail_after(20):  # seconds: the lease is longer
            while (await store.usage("alex", quota)).slots:  # noqa: ASYNC110  # no event says it
                await anyio.sleep(0.01)
