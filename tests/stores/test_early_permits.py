"""The permit that a store acquires together with the lease of a list, and the list that it shares with the permit's release."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from smsc_async import Account, AuthenticationError, CircuitOpen, Client, Quota, RedisStore, SQLiteStore, Tariffs
from smsc_async.limiter.bucket import Permit
from smsc_async.limiter.credentials import Credentials
from smsc_async.simulator import SimulatedAccount, Simulator
from smsc_async.stores import FetchLease
from smsc_async.stores import shared as shared_store
from smsc_async.stores.redis import server_lockouts
from smsc_async.stores.shared import SharedStore
from tests.stores.redis_server import RedisServer
from tests.support.simulated import ALEX, URL, client_of

pytestmark = pytest.mark.asyncio

LOGIN = "smsc.example alex"
ENDPOINT = f"{URL}get.php"
# Those that a script never runs.
_TOP_LEVEL = ("eval", "evalsha", "info", "cluster")


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> Callable[[], SharedStore]:
    redis_server.ask("FLUSHALL")
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "store.db")
    return lambda: RedisStore(redis_server.url, pepper="a long random text", cold_start="grant")


def _service() -> Simulator:
    return Simulator([SimulatedAccount("alex", "123"), SimulatedAccount("boris", "456")], latency=0.0)


def _permit() -> Permit:
    return Permit(LOGIN, Quota(), token=True, credentials=Credentials("smsc.example", ALEX))


async def _commands(server: RedisServer, work: Awaitable[object]) -> int:
    """Return how many commands a server got for some work."""

    def count() -> int:
        statistics = server.ask("INFO", "commandstats").decode()
        return sum(
            int(calls) for name, calls in re.findall(r"cmdstat_(\w+):calls=(\d+)", statistics) if name in _TOP_LEVEL
        )

    before = count()
    await work
    return count() - before - 1  # the first count


@asynccontextmanager
async def _client(server: RedisServer, service: Simulator) -> AsyncGenerator[Client]:
    store = RedisStore(server.url, pepper="a long random text", cold_start="grant")
    async with store, client_of(service, store=store) as client:
        yield client


async def test_a_lease_ends_in_this_process_though_its_release_is_cancelled(make: Callable[[], SharedStore]) -> None:
    async with make() as store:
        lease = await store.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
        assert isinstance(lease, FetchLease)
        assert lease.permit is not None
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.release_lease(lease)
        assert lease.is_released


async def test_a_fetch_with_one_redis_server_takes_two_round_trips(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    service = _service()
    async with _client(redis_server, service) as client, _client(redis_server, service) as other:
        await client.tariffs(Account("boris", "456"))  # opens the store
        # A trial: the first fetch of credentials that nobody knows.
        assert await _commands(redis_server, client.tariffs(max_age=0)) == 2
        assert await _commands(redis_server, client.tariffs(max_age=0)) == 2
        # The list of another process takes one.
        await other.tariffs(Account("boris", "456"))
        assert await _commands(redis_server, other.tariffs()) == 1
        # The other process changes the states in between: one more before, or one more after.
        assert await _commands(redis_server, other.tariffs(max_age=0)) <= 4
    assert service.violations() == []
    assert len(service.log) == 4


async def test_credentials_that_a_process_has_forgotten_take_one_more_round_trip(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_lockouts, "_REMEMBERED", 2)  # the service, and one account
    redis_server.ask("FLUSHALL")
    async with _client(redis_server, _service()) as client:
        for account in (Account("boris", "456"), ALEX):
            await client.tariffs(account)
        assert await _commands(redis_server, client.tariffs(ALEX, max_age=0)) == 2
        assert await _commands(redis_server, client.tariffs(Account("boris", "456"), max_age=0)) == 3


async def test_a_wrong_password_with_one_redis_server_takes_three_round_trips(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    async with _client(redis_server, _service()) as client:
        await client.tariffs(Account("boris", "456"))

        async def fail() -> None:
            with pytest.raises(AuthenticationError):
                await client.tariffs(Account("alex", "wrong"))

        # Without a list, the lease ends by itself.
        assert await _commands(redis_server, fail()) == 3


async def test_a_fetch_takes_one_token_and_leaves_no_slot(make: Callable[[], SharedStore]) -> None:
    service = _service()
    async with make() as store, client_of(service, store=store) as client:
        await client.tariffs()
        usage = await store.usage(LOGIN, Quota())
        assert (len(usage.tokens_in), usage.slots) == (1, 0)
        assert len(service.log) == 1


async def test_a_list_of_another_process_takes_no_permit(make: Callable[[], SharedStore]) -> None:
    service = _service()
    async with make() as store, make() as there, client_of(service, store=store) as client:
        await client.tariffs()
        before = await there.usage(LOGIN, Quota())
        assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 60.0, _permit()), Tariffs)
        after = await there.usage(LOGIN, Quota())
        assert len(after.tokens_in) == len(before.tokens_in) == 1


async def test_a_follower_takes_no_permit_while_it_waits(make: Callable[[], SharedStore]) -> None:
    async with make() as here, make() as there:
        lease = await here.lease_or_reply(ENDPOINT, ALEX, 0.0)
        assert isinstance(lease, FetchLease)
        with anyio.move_on_after(0.3):
            await there.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
        assert not (await here.usage(LOGIN, Quota())).tokens_in
        await here.release_lease(lease)


async def test_a_permit_that_no_request_has_taken_is_refunded_with_the_lease(make: Callable[[], SharedStore]) -> None:
    async with make() as store:
        for _ in range(5):
            lease = await store.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
            assert isinstance(lease, FetchLease)
            assert lease.permit is not None
            assert len((await store.usage(LOGIN, Quota())).tokens_in) == 1
            await store.release_lease(lease)
            await store.release_lease(lease)
            usage = await store.usage(LOGIN, Quota())
            assert (usage.tokens_in, usage.slots) == ((), 0)


async def test_a_lease_comes_without_a_permit_if_there_is_none(make: Callable[[], SharedStore]) -> None:
    async with make() as store:
        await store.drain_tokens(LOGIN, Quota())
        lease = await store.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
        assert isinstance(lease, FetchLease)
        assert lease.permit is None
        await store.release_lease(lease)


async def test_a_lease_comes_without_a_permit_if_the_rules_refuse_the_credentials(
    make: Callable[[], SharedStore],
) -> None:
    service = _service()
    wrong = Account("alex", "wrong")
    async with make() as store, client_of(service, store=store) as client:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await client.tariffs(wrong)
        assert len(service.log) == 1
        usage = await store.usage(LOGIN, Quota())
        assert (len(usage.tokens_in), usage.slots) == (1, 0)


async def test_a_cancelled_call_gives_back_lease_and_permit(make: Callable[[], SharedStore]) -> None:
    async with make() as store, make() as there:
        store.LEASE_SECONDS = there.LEASE_SECONDS = 60.0
        for delay in range(12):
            looking = asyncio.create_task(store.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit()))
            await asyncio.sleep(delay * 0.0002)
            looking.cancel()
            (result,) = await asyncio.gather(looking, return_exceptions=True)
            if isinstance(result, FetchLease):
                await store.release_lease(result)
        with anyio.fail_after(20.0):
            while (usage := await there.usage(LOGIN, Quota())).tokens_in or usage.slots:  # noqa: ASYNC110  # another task
                await asyncio.sleep(0.01)
            lease = await there.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
        assert isinstance(lease, FetchLease)
        await there.release_lease(lease)


async def test_a_permit_is_refunded_if_the_circuit_opens_before_its_request(
    make: Callable[[], SharedStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = _service()
    async with make() as store, make() as there, client_of(service, store=store) as client:
        circuit = client._calls.fetcher.circuit  # pyright: ignore[reportPrivateUsage]
        real = store.lease_or_reply
        leased = anyio.Event()

        async def lease_or_reply(*arguments: Any) -> Tariffs | FetchLease:
            lease = await real(*arguments)
            assert isinstance(lease, FetchLease)
            assert lease.permit is not None
            monkeypatch.setattr(circuit, "seconds", lambda: 60.0)
            leased.set()
            return lease

        monkeypatch.setattr(store, "lease_or_reply", lease_or_reply)
        call = asyncio.create_task(client.tariffs(deadline=300.0))
        with anyio.fail_after(20.0):
            await leased.wait()
            while (await there.usage(LOGIN, Quota())).tokens_in:  # noqa: ASYNC110  # another task
                await asyncio.sleep(0.01)
        assert not call.done()
        call.cancel()
        # While the circuit is open, no permit is acquired.
        monkeypatch.setattr(store, "lease_or_reply", real)
        with pytest.raises(CircuitOpen):
            await client.tariffs(deadline=5.0)
    assert not service.log


async def test_a_process_that_stood_still_for_a_lease_does_not_use_its_permit(
    make: Callable[[], SharedStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make() as store:
        monkeypatch.setattr(shared_store, "LONGEST_EXCHANGE", 0.0)
        lease = await store.lease_or_reply(ENDPOINT, ALEX, 0.0, _permit())
        assert isinstance(lease, FetchLease)
        assert lease.permit is None
        assert not (await store.usage(LOGIN, Quota())).tokens_in
        await store.release_lease(lease)
