"""What few ever meet: forks, late answers, and what is given back to a store that has nothing to do with it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import anyio
import pytest

from smsc_async import Account, Client, DeadlineExceeded, MemoryStore, Quota, RedisStore, SQLiteStore, Tariffs
from smsc_async.limiter.bucket import Permit, Refusal
from smsc_async.limiter.waiter import is_closed_loop
from smsc_async.stores import FetchLease, Store, base
from smsc_async.stores.sqlite import worker_thread as worker
from tests.stores.redis_server import RedisServer
from tests.support.simulated import ALEX, URL


@pytest.mark.anyio
async def test_a_store_that_does_not_answer_in_time_ends_the_call() -> None:
    class Slow(MemoryStore):
        async def lease_or_reply(
            self, endpoint: str, account: Account, max_age: float, permit: Permit | None = None
        ) -> Tariffs | FetchLease:
            await anyio.sleep(math.inf)
            return FetchLease(endpoint, account)

    async with Client(ALEX, base_url=URL, store=Slow()) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.tariffs(deadline=0.05)
    assert not caught.value.may_have_counted


def test_a_loop_that_runs_is_not_over() -> None:
    async def ask() -> bool:
        from trio.lowlevel import current_trio_token

        return is_closed_loop(current_trio_token())

    assert not anyio.run(ask, backend="trio")


def test_every_store_is_told_of_a_fork(tmp_path: Path, only_new_stores: None) -> None:
    stores: list[Store] = [
        MemoryStore(),
        SQLiteStore(tmp_path / "store.db"),
        RedisStore("redis://localhost", pepper="a long random text", cold_start="grant"),
    ]
    lists = [store.queue._waiters for store in stores]  # pyright: ignore[reportPrivateUsage]  # renewed in the child
    # As the system calls them.
    for each in (worker._before_fork, worker._after_fork, base._after_fork):  # pyright: ignore[reportPrivateUsage]
        each()
    assert all(store.queue._waiters is not former for store, former in zip(stores, lists, strict=True))  # pyright: ignore[reportPrivateUsage]


def test_a_take_that_brought_nothing_leaves_nothing_to_undo(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "store.db")
    with store._file.writing() as tables:  # pyright: ignore[reportPrivateUsage]
        store._untake(Permit("alex", Quota(), token=True), tables, Refusal(0.0))  # pyright: ignore[reportPrivateUsage]
    store._file.close()  # pyright: ignore[reportPrivateUsage]


def test_calls_that_start_together_open_the_store_once(redis_server: RedisServer) -> None:
    async def both() -> None:
        store = RedisStore(redis_server.url, pepper="a long random text", lease=1.0, cold_start="grant")
        shards = store._shards  # pyright: ignore[reportPrivateUsage]
        (shard,) = shards._shards.values()  # pyright: ignore[reportPrivateUsage]
        opened = await asyncio.gather(shards._identified(shard), shards._identified(shard))  # pyright: ignore[reportPrivateUsage]
        assert opened[0] is opened[1]
        await store.aclose()

    redis_server.ask("FLUSHALL")
    asyncio.run(both())


def test_a_look_that_is_cancelled_leads_nobody(redis_server: RedisServer) -> None:
    async def look() -> None:
        store = RedisStore(redis_server.url, pepper="a long random text", lease=1.0, cold_start="grant")
        shards: Any = store._shards  # pyright: ignore[reportPrivateUsage]
        real = shards.run
        cancelled = iter([True])

        async def run(*arguments: object) -> object:
            reply = await real(*arguments)
            if next(cancelled, False):
                raise asyncio.CancelledError
            return reply

        shards.run = run
        with pytest.raises(asyncio.CancelledError):
            await store.lease_or_reply(URL, ALEX, 60.0)
        turn = await store.lease_or_reply(URL, ALEX, 60.0)
        assert isinstance(turn, FetchLease)
        await store.release_lease(turn)
        await store.aclose()

    redis_server.ask("FLUSHALL")
    asyncio.run(look())
