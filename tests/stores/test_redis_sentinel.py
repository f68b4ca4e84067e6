"""A real Redis with Sentinels: the master is where they say, and a failover is a loss of data."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from smsc_async import Account, Quota, RedisStore, StoreError, StoreNotReady
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.credentials import Credentials
from smsc_async.stores.redis import nodes
from tests.stores.redis_cluster import Node, Sentinels, free_ports, wait_until, wait_until_replicated
from tests.support.stopwatch import Stopwatch

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

LONG = Quota()


@pytest.fixture(scope="module")
def unharmed() -> Iterator[Sentinels]:
    """Servers that no test of this module kills."""
    with Sentinels() as sentinels:
        yield sentinels


@pytest.fixture
def sentinels(unharmed: Sentinels) -> Sentinels:
    unharmed.master.ask("FLUSHALL")
    return unharmed


@pytest.fixture
def fragile() -> Iterator[Sentinels]:
    """Servers of the test's own."""
    with Sentinels() as sentinels:
        yield sentinels


@asynccontextmanager
async def _open(url: str, *, cold: bool = False, lease: float = 30.0) -> AsyncGenerator[RedisStore]:
    store = RedisStore(url, pepper="a long random text", cold_start="wait" if cold else "grant", lease=lease)
    yield store
    await store.aclose()


async def _take(store: RedisStore, login: str = "alex", quota: Quota = LONG) -> Permit | Refusal:
    return await store.acquire(Permit(login, quota, token=True), lease=30.0)


async def test_the_master_is_where_the_sentinels_say(sentinels: Sentinels) -> None:
    async with _open(sentinels.url) as store:
        assert [isinstance(await _take(store), Permit) for _ in range(4)] == [True, True, True, False]
        credentials = Credentials("smsc", Account("alex", "123"))
        permit = await store.acquire(Permit("smsc alex", LONG, token=True, credentials=credentials), lease=30.0)
        assert isinstance(permit, Permit)
        await store.release(permit, Completion.COMPLETE, Verdict.LIST)
        assert sentinels.master.ask("EXISTS", "{smsc}:store") == b":1\r\n"


async def test_the_database_of_the_url_is_that_of_the_master(sentinels: Sentinels) -> None:
    async with _open(f"{sentinels.url}?db=2") as store:
        assert isinstance(await _take(store), Permit)
        assert sentinels.master.ask("EXISTS", "{smsc}:store") == b":0\r\n"
        assert b"db2:keys=2" in sentinels.master.ask("INFO", "keyspace")


@pytest.mark.usefixtures("usual_seconds")
async def test_sentinels_that_do_not_answer_leave_the_last_master(
    sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_NAMED_SECONDS", 0.0)
    try:
        await _take_without(sentinels)
    finally:
        for sentinel in sentinels.sentinels:
            sentinel.signal(signal.SIGCONT)


async def _take_without(sentinels: Sentinels) -> None:
    async with _open(sentinels.url) as store:
        assert isinstance(await _take(store), Permit)
        sentinels.sentinels[0].signal(signal.SIGSTOP)
        assert isinstance(await _take(store), Permit)  # the two others agree
        sentinels.sentinels[1].signal(signal.SIGSTOP)
        async with _open(sentinels.url) as other:  # a part of them is enough if the others do not answer
            assert isinstance(await _take(other), Permit)
        sentinels.sentinels[2].signal(signal.SIGSTOP)
        assert isinstance(await _take(store), Refusal)
        async with _open(sentinels.url) as other:
            with pytest.raises(StoreError) as caught:
                await _take(other)
            assert caught.value.retryable


async def test_a_failover_is_a_loss(fragile: Sentinels) -> None:
    async with _open(fragile.url) as store, _open(fragile.url) as idle:
        assert isinstance(await _take(store), Permit)
        assert isinstance(await _take(idle), Permit)
        await asyncio.to_thread(fragile.fail_over)
        for each in (store, idle):
            with pytest.raises(StoreNotReady, match="restarted or replaced"):
                await _until_answered(each)
            assert 0 < each.closed_for <= LONG.absence + 30.0
    async with _open(fragile.url, cold=True) as store:
        with pytest.raises(StoreNotReady):
            await _take(store)


async def _until_answered(store: RedisStore) -> None:
    while True:
        try:
            await _take(store)
        except StoreNotReady:
            raise
        except StoreError as error:
            assert error.retryable  # noqa: PT017
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("usual_seconds")
async def test_every_call_ends_in_time_while_the_master_is_stopped_and_replaced(fragile: Sentinels) -> None:
    async with _open(fragile.url) as store:
        assert isinstance(await _take(store), Permit)
        longest, watch = 0.0, Stopwatch()
        fragile.master.signal(signal.SIGSTOP)
        watch.start()
        try:
            while True:
                began, stalled = time.monotonic(), watch.stalled
                try:
                    await _take(store)
                except StoreNotReady:
                    break
                except StoreError:
                    pass
                longest = max(longest, time.monotonic() - began - (watch.stalled - stalled))
        finally:
            watch.stop()
            fragile.master.signal(signal.SIGCONT)
        assert longest < 1.4


async def test_a_former_master_that_is_back_is_not_asked_by_a_worker_that_was_idle(
    fragile: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_NAMED_SECONDS", 0.3)
    async with _open(fragile.url) as store:
        assert isinstance(await _take(store), Permit)
        master, replica = fragile.master, fragile.replica
        await asyncio.to_thread(wait_until_replicated, master, replica)
        master.signal(signal.SIGSTOP)
        await asyncio.to_thread(wait_until, lambda: replica.is_master)
        name = str(replica.port).encode()
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        all_know = lambda: all(name in each.ask(*command) for each in fragile.sentinels)  # noqa: E731
        await asyncio.to_thread(wait_until, all_know)
        # The former master runs again, and does not know yet that it is replaced.
        master.signal(signal.SIGCONT)
        assert master.is_master
        with pytest.raises(StoreNotReady, match="restarted or replaced"):
            await _take(store)


async def test_a_wrong_name_and_a_server_that_is_no_sentinel_say_so(sentinels: Sentinels) -> None:
    async with _open(sentinels.url.replace("/main", "/other")) as store:
        with pytest.raises(StoreError, match="no master of the name") as caught:
            await _take(store)
        assert not caught.value.retryable
    async with _open(f"redis+sentinel://{sentinels.master.address}/main") as store:
        with pytest.raises(StoreError, match="not of a sentinel") as caught:
            await _take(store)
        assert not caught.value.retryable


async def test_a_master_and_sentinels_may_have_different_passwords() -> None:
    port, watcher = free_ports(2)
    with Node(port, "--requirepass", "hunter2"):
        sentinel = Node(watcher, "--requirepass", "watch me")
        sentinel.start_sentinel("main", port, 1)
        try:
            url = f"redis+sentinel://:hunter2@127.0.0.1:{watcher}/main?sentinel_password=watch%20me"
            async with _open(url) as store:
                assert isinstance(await _take(store), Permit)
            async with _open(f"redis+sentinel://:hunter2@127.0.0.1:{watcher}/main") as store:
                with pytest.raises(StoreError) as caught:
                    await _take(store)
                assert "hunter2" not in str(caught.value)
        finally:
            sentinel.__exit__(None, None, None)
