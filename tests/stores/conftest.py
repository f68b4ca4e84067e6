"""The stores under test, each as its users make it, with a window that is short enough for real time."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from smsc_async import MemoryStore, RedisStore, SQLiteStore
from smsc_async.limiter.quota import Quota
from smsc_async.stores import Store, base
from smsc_async.stores.redis import connection, nodes
from tests.stores.redis_cluster import RedisCluster
from tests.stores.redis_server import RedisServer
from tests.support.slow import EXHAUSTIVE_CASE

QUOTA = Quota(per=0.3, guard=0.02, linger=0.1)

_SECONDS = connection.SECONDS

Make: TypeAlias = Callable[[], Store]
"""Returns another store over the same file or server, as another process would have it."""

LOOPS_OF_STORES = [
    # A cluster takes seconds to start, and runs the scripts that a single server runs.
    pytest.param((loop, kind), id=f"{loop}-{kind}", marks=EXHAUSTIVE_CASE if kind == "cluster" else [])
    for kind in ("memory", "sqlite", "redis", "cluster")
    for loop in ("asyncio", "trio")
    if (loop, kind) not in {("trio", "redis"), ("trio", "cluster")}
]


@pytest.fixture(autouse=True)
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call wait longer for Redis, because the machine may be busy."""
    for module in (connection, nodes):
        monkeypatch.setattr(module, "SECONDS", 20.0)


@pytest.fixture
def usual_seconds(patient_redis: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call wait for Redis as long as a user's does."""
    for module in (connection, nodes):
        monkeypatch.setattr(module, "SECONDS", _SECONDS)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster(replicas=False) as cluster:
        yield cluster


@pytest.fixture
def only_new_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call of ``base._after_fork()`` reach the stores of this test alone: no other one was forked.

    The default store would warn from then on, and connections of other tests would stay open until the interpreter exits.
    """
    monkeypatch.setattr(base, "STORES", weakref.WeakSet[Store]())


@pytest.fixture
async def make_store(
    store_kind: str, tmp_path: Path, request: pytest.FixtureRequest, anyio_backend_name: str
) -> AsyncIterator[Make]:
    made: list[SQLiteStore | RedisStore] = []
    memory = MemoryStore()
    url = ""
    if store_kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.ask("FLUSHALL")
        url = server.url
    elif store_kind == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        for node in cluster.nodes:
            node.ask("FLUSHALL")
        url = cluster.url

    def make() -> Store:
        if store_kind == "memory":
            return memory
        if store_kind == "sqlite":
            made.append(SQLiteStore(tmp_path / "store.db", pepper="a long random text", lease=1.0))
        else:
            made.append(RedisStore(url, pepper="a long random text", lease=1.0, cold_start="grant"))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
def store(make_store: Make) -> Store:
    return make_store()
