"""The way to a Redis: what a URL may hold, and event loops that come and go."""

from __future__ import annotations

import asyncio
import gc
import threading
import traceback
import warnings
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smsc_async import Quota, RedisStore, StoreError
from smsc_async.accounts import Secret
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.stores.redis.connection import RedisConnections
from smsc_async.stores.redis.event_loop import of_loop
from smsc_async.stores.redis.server_lockouts import Turns
from tests.stores.redis_address import answered_address
from tests.stores.redis_server import RedisServer

QUOTA = Quota(requests=1)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def _store(url: str) -> RedisStore:
    return RedisStore(url, pepper="a long random text", cold_start="grant")


@asynccontextmanager
async def _open(url: str) -> AsyncGenerator[RedisStore]:
    store = _store(url)
    yield store
    await store.aclose()


async def _permit(store: RedisStore) -> Permit:
    permit = await store.acquire(Permit("alex", QUOTA, token=True), lease=60.0)
    assert isinstance(permit, Permit)
    return permit


async def _give_back_slowly(store: RedisStore, permit: Permit) -> None:
    wire = store._redis  # pyright: ignore[reportPrivateUsage]
    real = wire.call

    async def slow(*call: Any) -> object:
        await asyncio.sleep(0.1)
        return await real(*call)

    wire.call = slow  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
    await store.release(permit, Completion.NOT_SENT)
    wire.call = real  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@localhost",
        "redis://user:hunter2/and@localhost",  # the slash ends it: what follows the colon is a port
        "redis://user:hunter2@[::1/0",
        "redis://user:hunter2@localhost?db=first",
        "redis://user:hunter2@localhost?unheard=of",
        "redis://user:hunter2@localhost/staple",
        "redis://:hunter2@horse/staple@127.0.0.1/0",
        "redis://:12/hunter2@localhost",
        "redis://user:2024#hunter2@localhost",
        "redis://user:2024?hunter2@localhost",
    ],
)
def test_a_url_that_cannot_be_read_is_told_at_once_and_shows_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        RedisStore(url, pepper="a long random text")
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told.stack.pop(0)  # this test's own
    assert "hunter2" not in "".join(told.format())


@pytest.mark.asyncio
async def test_no_option_of_the_url_changes_what_is_read(server: RedisServer) -> None:
    async with _open(f"{server.url}?decode_responses=True&protocol=3&retry_on_timeout=True") as store:
        await _permit(store)
        assert store.lockouts("smsc") == []


@pytest.mark.asyncio
async def test_a_node_of_a_cluster_is_told_for_what_it_is(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while told := await reader.read(10_000):
            for command in told.split(b"*")[1:]:
                others = b"+OK\r\n" if b"CLIENT" in command else b"-MOVED 866 10.0.0.2:6379\r\n"
                writer.write(
                    b"$12\r\nrun_id:abc\r\n\r\n" if b"INFO" in command and b"SETINFO" not in command else others
                )

    async with answered_address(tmp_path / "s", answer) as url, _open(url) as store:
        with pytest.raises(StoreError, match="node of a cluster"):
            await _permit(store)


def test_connections_of_event_loops_that_are_over_are_dropped(server: RedisServer) -> None:
    store = _store(server.url)

    async def take() -> None:
        await store.acquire(Permit("alex", QUOTA, token=False), lease=60.0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody has closed them
        for _ in range(5):
            asyncio.run(take())
            gc.collect()
        assert server.ask("CLIENT", "LIST").count(b"id=") <= 2  # and the one that asks

        async def close() -> None:
            await take()
            await store.aclose()

        asyncio.run(close())
        gc.collect()


def test_turns_of_event_loops_that_are_over_are_dropped() -> None:
    turns = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]()
    loops = list[weakref.ref[asyncio.AbstractEventLoop]]()

    async def change() -> None:
        async with of_loop(turns, Turns).turn():
            await asyncio.sleep(0)

    async def change_two() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(change(), change())

    for _ in range(5):
        asyncio.run(change_two())
        gc.collect()
    assert [loop() for loop in loops[:-1]] == [None] * 4


def test_what_another_event_loop_has_under_way_is_not_waited_for(server: RedisServer) -> None:
    store = _store(server.url)
    underway, closed = threading.Event(), threading.Event()

    async def release() -> None:
        permit = await _permit(store)
        giving = asyncio.create_task(_give_back_slowly(store, permit))
        await asyncio.sleep(0.01)
        underway.set()
        await asyncio.to_thread(closed.wait)
        await giving
        await store.aclose()

    thread = threading.Thread(target=asyncio.run, args=(release(),))
    thread.start()
    underway.wait()
    asyncio.run(store.aclose())
    closed.set()
    thread.join()


@pytest.mark.asyncio
async def test_closing_that_is_cancelled_takes_nothing_along(server: RedisServer) -> None:
    async with _open(server.url) as store:
        permit = await _permit(store)
        giving = asyncio.create_task(_give_back_slowly(store, permit))
        await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.aclose(), 0.01)
        await giving
        await _permit(store)


@pytest.mark.asyncio
async def test_a_command_that_outlives_the_closing_leaves_no_connection_open(server: RedisServer) -> None:
    connections = RedisConnections(Secret(server.url))
    await connections.info()
    server.ask("CLIENT", "PAUSE", "200")
    command = asyncio.create_task(connections.info())
    await asyncio.sleep(0)
    await connections.aclose()
    assert not command.done()
    assert (await command)["run_id"]
    async with asyncio.timeout(10):
        while server.ask("CLIENT", "LIST").count(b"age=") > 1:  # noqa: ASYNC110  # the server sees an end a little later
            await asyncio.sleep(0.01)
