"""Lists in a store that somebody else can write to: a damaged, exchanged, forged or old one counts as absent."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from smsc_async import Account, MemoryStore, RedisStore, SQLiteStore, Tariffs, decode
from smsc_async.protocol import Reply
from smsc_async.stores import FetchLease, Store
from smsc_async.stores.keys import ListKey
from smsc_async.stores.sealed_reply import SEALED_BYTES, packed, sealed, unsealed
from tests.stores.redis_cluster import wait_until
from tests.stores.redis_server import RedisServer

pytestmark = pytest.mark.asyncio

ENDPOINT, OTHER_ENDPOINT = "https://smsc.example/sys/get.php", "https://other.example/sys/get.php"
ALEX, BORIS = Account("alex", "123"), Account("boris", "123")
PEPPER = "a long random text"
YOUNG, OLD = "{smsc}:lists", "{smsc}:lists:old"


def _reply(price: str) -> Reply:
    body = f'{{"zones": [{{"zone": "1", "name": "Russia", "api": "{price}"}}], "codes": [], "mail": "0.10"}}'
    return Reply(200, "application/json", None, body.encode())


class Rows:
    """The lists as somebody sees and writes them who has the file or the server, and not the pepper."""

    def __init__(self, address: str) -> None:
        self._address = address

    def open(self, *, keep_bytes: int = 2**20) -> SQLiteStore | RedisStore:
        if self._address.startswith("unix:"):
            return RedisStore(self._address, pepper=PEPPER, cold_start="grant", keep_bytes=keep_bytes)
        return SQLiteStore(self._address, pepper=PEPPER, keep_bytes=keep_bytes)

    def read(self) -> dict[bytes, bytes]:
        if self._address.startswith("unix:"):
            rows = [row for lists in (OLD, YOUNG) for row in self._redis().hgetall(lists).items()]
            return {name: row[8:] for name, row in rows}
        with sqlite3.connect(self._address) as connection:
            rows = connection.execute("SELECT key, sealed FROM replies").fetchall()
        connection.close()
        return {key.encode(): stored for key, stored in rows}

    def write(self, name: bytes, value: object) -> None:
        if self._address.startswith("unix:"):
            text = value if isinstance(value, bytes) else str(value).encode()
            seconds, micro = self._redis().time()
            self._redis().hset(YOUNG, name, struct.pack(">d", seconds * 1e6 + micro) + text)
            return
        with sqlite3.connect(self._address) as connection:
            connection.execute("UPDATE replies SET sealed = ? WHERE key = ?", (value, name.decode()))
        connection.close()

    def _redis(self) -> Any:
        client: Any = Redis  # its types differ between releases
        return client.from_url(self._address)


@pytest.fixture(params=["sqlite", "redis"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    if request.param == "sqlite":
        return Rows(str(tmp_path / "store.db"))
    server: RedisServer = request.getfixturevalue("redis_server")
    server.ask("FLUSHALL")
    return Rows(server.url)


async def _fetch(store: Store, account: Account, price: str = "2.50", endpoint: str = ENDPOINT) -> None:
    lease = await store.lease_or_reply(endpoint, account, 60.0)
    assert isinstance(lease, FetchLease)
    reply = _reply(price)
    lease.reply, lease.tariffs = reply, decode(reply.body)
    await store.release_lease(lease)


async def _look(store: Store, account: Account, endpoint: str = ENDPOINT) -> str | None:
    """Return the price in the list of a store that has nothing in memory; ``None`` for the right to fetch one."""
    result = await store.lease_or_reply(endpoint, account, 60.0)
    if isinstance(result, Tariffs):
        return str(result.zone("1").api)
    cached = store.get_cached(endpoint, account, math.inf)
    await store.release_lease(result)
    return None if cached is None else f"cached {cached.zone('1').api}"


def _planted() -> bytes:
    forged = Reply(200, "", None, _reply("0.01").body)
    return sealed(forged, ListKey("any", b"a key of their own"), time.time())


DAMAGES: dict[str, Callable[[bytes], object]] = {
    "one bit": lambda row: row[:-1] + bytes([row[-1] ^ 1]),
    "the instant": lambda row: row[:32] + struct.pack(">d", time.time() + 1) + row[40:],
    "cut": lambda row: row[:20],
    "empty": lambda _: b"",
    "planted": lambda _: _planted(),
    "planted without a seal": lambda _: packed(_reply("0.01")),
    "text": lambda _: "a text",
    "a number": lambda _: 7,
    "a real number": lambda _: 7.5,
    "too long": lambda row: row + bytes(SEALED_BYTES),
    "a bomb": lambda _: bytes(40) + zlib.compress(bytes(2**24)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_or_forged_list_counts_as_absent_and_is_reported_once(
    rows: Rows, damage: Callable[[bytes], object], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = rows.open(), rows.open()
    await _fetch(here, ALEX)
    ((name, row),) = rows.read().items()
    rows.write(name, damage(row))
    with caplog.at_level(logging.WARNING, logger="smsc_async"):
        for _ in range(2):
            assert await _look(there, ALEX) is None
    assert there.rejected_lists >= 2
    assert [("wrong seal" in record.message, there.name in record.message) for record in caplog.records] == [
        (True, True)
    ]
    await _fetch(there, ALEX, "3.50")
    other = rows.open()
    assert await _look(other, ALEX) == "3.50"
    assert other.rejected_lists == 0
    for store in (here, there, other):
        await store.aclose()


async def test_lists_that_were_exchanged_go_to_nobody(rows: Rows) -> None:
    here, there = rows.open(), rows.open()
    places = [(ALEX, ENDPOINT), (BORIS, ENDPOINT), (ALEX, OTHER_ENDPOINT)]
    for number, (account, endpoint) in enumerate(places, 1):
        await _fetch(here, account, f"{number}.00", endpoint)
    assert [await _look(there, *place) for place in places] == ["1.00", "2.00", "3.00"]
    before = rows.read()
    assert len(before) == 3
    names = list(before)
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        rows.write(name, before[other])
    reader = rows.open()
    assert [await _look(reader, *place) for place in places] == [None] * 3
    assert reader.rejected_lists == 3
    for store in (here, there, reader):
        await store.aclose()


async def test_an_old_list_that_is_put_back_is_not_fresh_again(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = rows.open(), rows.open()
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    await _fetch(here, ALEX)
    ((name, row),) = rows.read().items()
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0 + 3_600.0)
    rows.write(name, row)
    assert await _look(there, ALEX) in {None, "cached 2.50"}
    assert there.get_cached(ENDPOINT, ALEX, 3_000.0) is None
    assert there.rejected_lists == 0
    await here.aclose()
    await there.aclose()


async def test_a_list_has_an_end(rows: Rows) -> None:
    here, there = rows.open(), rows.open()
    for store in (here, there):
        store.LIST_TTL = 0.2
    await _fetch(here, ALEX)
    await asyncio.sleep(0.25)
    lease = await there.lease_or_reply(ENDPOINT, ALEX, math.inf)
    assert isinstance(lease, FetchLease)
    assert there.get_cached(ENDPOINT, ALEX, math.inf) is None
    await there.release_lease(lease)
    if isinstance(there, RedisStore):
        there.LIST_TTL = 60.0  # Redis drops the row at its end, and a busy machine may pause before the rows are read
    await _fetch(there, BORIS)
    assert len(rows.read()) == 1
    await here.aclose()
    await there.aclose()


async def test_the_lists_of_an_account_are_forgotten_and_those_of_others_are_not(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smsc_async.stores.redis.store._SCAN_COUNT", "5")
    here = rows.open()
    await _fetch(here, ALEX)
    await _fetch(here, ALEX, endpoint=OTHER_ENDPOINT)
    await _fetch(here, BORIS, "9.00")
    for number in range(30):
        await _fetch(here, Account(f"login{number}", "x" * 600))
    for number in range(30):
        await here.forget(Account(f"login{number}", "x" * 600))
    await here.forget(Account("alex", "another password"))
    assert len(rows.read()) == 3
    await here.forget(ALEX)
    assert len(rows.read()) == 1
    assert here.get_cached(ENDPOINT, ALEX, math.inf) is None
    there = rows.open()
    assert await _look(there, ALEX) is None
    assert await _look(there, BORIS) == "9.00"
    await here.aclose()
    await there.aclose()


async def test_a_memory_store_forgets_an_account() -> None:
    store = MemoryStore()
    await _fetch(store, ALEX)
    await _fetch(store, BORIS)
    await store.forget(ALEX)
    assert store.get_cached(ENDPOINT, ALEX, math.inf) is None
    assert store.get_cached(ENDPOINT, BORIS, math.inf) is not None
    assert store.rejected_lists == 0


async def test_the_total_of_bytes_stays_right_while_lists_come_and_go(rows: Rows) -> None:
    size = len(sealed(_reply("2.50"), ListKey("name", b"key"), 0.0))
    here = rows.open(keep_bytes=4 * size + 60)
    for number in range(12):
        await _fetch(here, Account(f"login{number % 5}", str(number)))
        await here.forget(Account("login1", "1"))
        assert len(rows.read()) <= 4
    assert len(rows.read()) == 4
    await here.aclose()


def _generations(server: RedisServer) -> tuple[int, int]:
    """Return the number of young lists and that of old ones."""
    young, old = (int(server.ask("HLEN", lists)[1:]) for lists in (YOUNG, OLD))
    return young, old


def _let_half_the_ttl_pass(server: RedisServer) -> None:
    assert server.ask("PEXPIRE", YOUNG, str(int(RedisStore.LIST_TTL * 500) - 1)) == b":1\r\n"


async def test_a_list_on_redis_that_is_not_used_for_half_of_its_ttl_is_dropped(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    rows = Rows(redis_server.url)
    store = rows.open()
    await _fetch(store, ALEX)
    await _fetch(store, BORIS)
    _let_half_the_ttl_pass(redis_server)
    await _fetch(store, Account("clara", "3"))
    assert _generations(redis_server) == (1, 2)
    other = rows.open()
    assert await _look(other, ALEX) == "2.50"
    assert _generations(redis_server) == (2, 1)
    _let_half_the_ttl_pass(redis_server)
    await _fetch(store, Account("dora", "4"))
    assert _generations(redis_server) == (1, 2)
    another = rows.open()
    assert [await _look(another, each) for each in (ALEX, BORIS)] == ["2.50", None]
    for each in (store, other, another):
        await each.aclose()


async def test_the_redis_server_drops_lists_itself(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_server.ask("FLUSHALL")
    monkeypatch.setattr(RedisStore, "LIST_TTL", 0.4)
    store = Rows(redis_server.url).open()
    await _fetch(store, ALEX)
    await store.aclose()
    gone = lambda: redis_server.ask("EXISTS", YOUNG, OLD, f"{YOUNG}:bytes") == b":0\r\n"  # noqa: E731
    await asyncio.to_thread(wait_until, gone)


async def test_the_ttl_is_right_again_after_the_clock_of_the_server_was_set_back(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    store = Rows(redis_server.url).open()
    await _fetch(store, ALEX)
    redis_server.ask("PEXPIRE", YOUNG, str(10**12))
    await _fetch(store, BORIS)
    assert 0 < int(redis_server.ask("PTTL", YOUNG)[1:]) <= RedisStore.LIST_TTL * 1_000
    assert _generations(redis_server) == (2, 0)
    await store.aclose()


async def test_a_store_on_redis_without_place_for_lists_leaves_those_of_others(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    rows = Rows(redis_server.url)
    store, reader = rows.open(), rows.open(keep_bytes=0)
    await _fetch(store, ALEX)
    _let_half_the_ttl_pass(redis_server)
    await _fetch(store, BORIS)
    for _ in range(2):
        assert await _look(reader, ALEX) == "2.50"
        await _fetch(reader, Account("clara", "3"))
        assert _generations(redis_server) == (1, 1)
    for each in (store, reader):
        await each.aclose()


async def test_old_lists_on_redis_are_forgotten_too(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    rows = Rows(redis_server.url)
    store = rows.open()
    await _fetch(store, ALEX)
    await _fetch(store, ALEX, endpoint=f"{ENDPOINT}?other")
    _let_half_the_ttl_pass(redis_server)
    await _fetch(store, BORIS)
    await _fetch(store, ALEX, endpoint=f"{ENDPOINT}?young")
    assert _generations(redis_server) == (2, 2)
    await store.forget(ALEX)
    assert _generations(redis_server) == (1, 0)
    await store.aclose()


async def test_a_thousand_junk_accounts_cost_no_time(rows: Rows) -> None:
    store = rows.open()
    await store.reset_lockouts("smsc", None)
    began = time.process_time()
    for number in range(1_000):
        await store._names("smsc", Account(f"junk{number}", "x"))  # pyright: ignore[reportPrivateUsage]
    assert time.process_time() - began < 0.1
    await store.aclose()


async def test_a_seal_belongs_to_one_key() -> None:
    key = ListKey("name", b"key")
    row = sealed(_reply("2.50"), key, 5.0)
    content = unsealed(row, key)
    assert content is not None
    assert content.wall == 5.0
    assert unsealed(row, ListKey("name", b"another")) is None
    assert unsealed(row, ListKey("another", b"key")) is None
