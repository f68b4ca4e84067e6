"""The first use of a store that takes itself for an emptied one: a client gets its list once the quota allows it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from smsc_async import Client, MemoryStore, Quota, RedisStore, SQLiteStore
from smsc_async.stores import Store
from smsc_async.testing import SmscServer
from tests.stores.redis_server import RedisServer

BRIEF = Quota(per=0.3, guard=0.05, linger=0.05)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    match request.param:
        case "memory":
            return MemoryStore(cold_start="wait")
        case "sqlite":
            return SQLiteStore(tmp_path / "store.db", pepper="a long random text", lease=0.2, cold_start="wait")
        case _:
            server: RedisServer = request.getfixturevalue("redis_server")
            server.ask("FLUSHALL")
            return RedisStore(server.url, pepper="a long random text", lease=0.2)


@pytest.mark.asyncio
async def test_the_first_list_comes_after_a_window_though_no_credentials_have_worked_yet(
    store: Store, smsc_server: SmscServer
) -> None:
    began = time.monotonic()
    async with Client(smsc_server.account, base_url=smsc_server.base_url, quota=BRIEF, store=store) as client:
        before = await client.quota()
        assert (before.remaining, before.in_flight) == (0, 0)
        assert 0 < before.next_in <= 0.7
        assert (await client.tariffs()).zones
    assert time.monotonic() - began >= BRIEF.window
    await getattr(store, "aclose", _nothing)()


async def _nothing() -> None:
    pass
