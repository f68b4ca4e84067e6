"""A store that lost its state: closed as long as a lost permit can matter, counted from the loss, and no longer."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio

from smsc_async import MemoryStore, Quota, QuotaExhausted, RedisStore, SQLiteStore, StoreError, StoreNotReady
from smsc_async.limiter import clock
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import SERVICE_QUOTA
from smsc_async.stores.redis import shards as redis_shards
from smsc_async.stores.sqlite import boot
from smsc_async.stores.sqlite import file as sqlite_file
from tests.stores.redis_address import Address
from tests.stores.redis_server import RedisServer

pytestmark = pytest.mark.asyncio

PEPPER = "a long random text"
SHORT = Quota(per=0.3, guard=0.02, linger=0.05)
CLOSED = Quota().absence + 30.0  # with the defaults


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def _open(url: str, *, lease: float = 30.0, cold: bool = True) -> AsyncGenerator[RedisStore]:
    store = RedisStore(url, pepper=PEPPER, lease=lease, cold_start="wait" if cold else "grant")
    yield store
    await store.aclose()


async def _take(
    store: SQLiteStore | RedisStore | MemoryStore, quota: Quota = SERVICE_QUOTA, lease: float = 10.0
) -> Permit | Refusal:
    return await store.acquire(Permit("alex", quota, token=True), lease=lease)


async def _refused(store: SQLiteStore | RedisStore, event: str) -> float:
    with pytest.raises(StoreNotReady, match=event) as caught:
        await _take(store)
    error = caught.value
    assert isinstance(error, StoreError)
    assert error.retryable
    assert error.store == store.name
    assert error.retry_after is not None
    assert abs(store.closed_for - error.retry_after) < 1.0
    return error.retry_after


def _info(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    real = redis_shards._seconds_without_loss  # pyright: ignore[reportPrivateUsage]

    def changed(info: dict[str, str]) -> float:
        return real({**info, **changes})

    monkeypatch.setattr(redis_shards, "_seconds_without_loss", changed)


async def test_a_server_that_is_up_for_longer_than_the_closed_period_is_served_at_once(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _info(monkeypatch, uptime_in_seconds="98")
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        assert store.closed_for == 0.0


async def test_the_first_use_of_a_young_server_counts_from_its_start(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _info(monkeypatch, uptime_in_seconds="80")
    with caplog.at_level(logging.WARNING, logger="smsc_async"):
        async with _open(server.url) as store, _open(server.url) as other:
            for each in (store, other, store):
                assert 0.0 < await _refused(each, "is new") <= CLOSED - 79.0
    assert [record.message.partition(" in ")[0] for record in caplog.records] == [
        f"{store.name}: the store is new on this server, so permits may be lost; requests are sent again"
    ] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "slave"},
        {"master_replid2": "8c8f"},
        {"second_repl_offset": "17"},
        {"evicted_keys": "1"},
        *({f"cmdstat_{each}": "calls=1"} for each in ("flushall", "flushdb", "swapdb", "replicaof", "slaveof")),
        *({f"cmdstat_{each}": "calls=1"} for each in ("debug", "restore", "restore-asking")),
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_server_that_may_have_lost_something_counts_from_now(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    _info(monkeypatch, uptime_in_seconds="1000000", **changes)
    async with _open(server.url) as store:
        assert await _refused(store, "is new") > CLOSED - 5.0


async def test_a_server_counts_its_uptime_in_whole_seconds_so_one_of_them_is_not_trusted(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Started at 10.95 s and asked at 11.05 s, a server says 1.
    _info(monkeypatch, uptime_in_seconds="1")
    async with _open(server.url) as store:
        assert await _refused(store, "is new") > CLOSED - 0.9


async def test_a_real_flush_shows(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _info(monkeypatch, uptime_in_seconds="1000000")
    server.ask("FLUSHALL")
    async with _open(server.url) as store:
        assert await _refused(store, "is new") > CLOSED - 5.0


@pytest.mark.parametrize("keeps_its_data", [True, False])
async def test_a_restarted_server_counts_from_its_start(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, *, keeps_its_data: bool
) -> None:
    async with _open(server.url, cold=False) as store:
        assert isinstance(await _take(store), Permit)
    if keeps_its_data:
        server.ask("SAVE")
    server.kill()
    server.start()
    _info(monkeypatch, uptime_in_seconds="60")
    async with _open(server.url) as store:
        event = "restarted" if keeps_its_data else "is new"
        assert CLOSED - 65.0 < await _refused(store, event) <= CLOSED - 59.0


async def test_a_flush_counts_from_now_for_those_who_have_used_the_store(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _info(monkeypatch, uptime_in_seconds="1000000")
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        server.ask("DEL", "{smsc}:store")
        assert await _refused(store, "emptied") > CLOSED - 5.0


@pytest_asyncio.fixture
async def address(tmp_path: Path) -> AsyncGenerator[Address]:
    address = Address(tmp_path / "s")
    await address.start()
    yield address
    await address.aclose()


async def _until_granted(store: RedisStore) -> int:
    """Return how many permits there are at once after the store has opened again."""
    permits: list[Permit] = []
    async with asyncio.timeout(20):
        while not permits:
            while isinstance(answer := await _take(store, SHORT), Permit):
                permits.append(answer)
            await asyncio.sleep(min(answer.retry_in, 0.05))
    for permit in permits:
        await store.release(permit, Completion.NOT_SENT)
    return len(permits)


async def test_an_address_that_leads_from_one_server_to_another_and_back_closes_each_time(
    server: RedisServer, address: Address
) -> None:
    long = Quota()  # a window that no pause of the machine outlasts
    with RedisServer() as other:
        async with _open(address.url, lease=0.3) as store, _open(address.url, lease=0.3) as second:
            await address.lead_to(server)
            assert await _until_granted(store) == 3
            for target, event in ((other, "another one took its place"), (server, "another server was used meanwhile")):
                await address.lead_to(target)
                with pytest.raises(StoreNotReady, match=event):
                    await _take(store, long, lease=0.01)
                closed_for = store.closed_for
                assert closed_for > long.absence
                # Another worker comes later, and does not close it once more.
                await asyncio.sleep(0.1)
                with pytest.raises(StoreNotReady):
                    await _take(second, long, lease=0.01)
                assert second.closed_for < closed_for - 0.05
                assert await _until_granted(store) == 3


async def test_a_worker_that_began_on_the_other_server_closes_the_first_one_too(
    server: RedisServer, address: Address
) -> None:
    with RedisServer() as other:
        async with (
            _open(address.url, lease=0.3, cold=False) as former,
            _open(address.url, lease=0.3, cold=False) as store,
        ):
            await address.lead_to(server)
            assert isinstance(await _take(former, SHORT), Permit)
            await address.lead_to(other)
            assert isinstance(await _take(store, SHORT), Permit)
            await address.lead_to(server)
            with pytest.raises(StoreNotReady, match="another server was used meanwhile"):
                await _take(store, SHORT, lease=0.01)


@pytest.mark.usefixtures("usual_seconds")
async def test_a_server_400_ms_away_works(server: RedisServer, address: Address) -> None:
    await address.lead_to(server)
    address.delay = 0.4
    async with _open(address.url, cold=False) as store:
        permit = await _patiently(lambda: _take(store))
        assert isinstance(permit, Permit)
        await store.release(permit, Completion.NOT_SENT)
        assert isinstance(await _take(store), Permit)
        address.delay = 0.0


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return the result of a call, the first of which may end while the store is still connecting."""
    for _ in range(3):
        try:
            return await call()
        except StoreError as error:
            assert error.retryable  # noqa: PT017
    return await call()


async def test_waiters_of_a_closed_store_get_its_error_and_not_that_of_the_quota(server: RedisServer) -> None:
    async with _open(server.url) as store:

        async def wait(seconds: float) -> None:
            with anyio.fail_after(seconds):
                await store.queue.acquire(Permit("alex", Quota(), token=True))

        first = asyncio.create_task(wait(120.0))
        while store.closed_for == 0.0:  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        with pytest.raises(StoreNotReady, match="is new"):
            await wait(60.0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_quota_that_is_used_up_is_no_loss(server: RedisServer) -> None:
    async with _open(server.url, cold=False) as store:
        for _ in range(3):
            assert isinstance(await _take(store), Permit)
        with anyio.fail_after(5), pytest.raises(QuotaExhausted):
            await store.queue.acquire(Permit("alex", Quota(), token=True))
        assert store.closed_for == 0.0


async def test_a_memory_store_that_waits_says_so() -> None:
    store = MemoryStore(cold_start="wait")
    with anyio.fail_after(5), pytest.raises(StoreNotReady, match="cold_start") as caught:
        await store.queue.acquire(Permit("alex", Quota(), token=True))
    assert caught.value.retry_after == pytest.approx(store.closed_for, abs=1.0)
    assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=90.0), Refusal)
    assert MemoryStore().closed_for == 0.0


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def _use(path: Path) -> None:
    async with SQLiteStore(path, pepper=PEPPER) as store:
        assert isinstance(await _take(store), Permit)


@pytest.mark.parametrize(("uptime", "is_closed"), [(3_600.0, False), (60.0, True)])
async def test_a_boot_counts_from_the_boot(
    path: Path, monkeypatch: pytest.MonkeyPatch, uptime: float, *, is_closed: bool
) -> None:
    await _use(path)
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: "another-boot")
    monkeypatch.setattr(clock, "_read", lambda: uptime)
    async with SQLiteStore(path, pepper=PEPPER) as store:
        if is_closed:
            assert await _refused(store, "the machine was restarted") == pytest.approx(CLOSED - uptime)
        else:
            assert isinstance(await _take(store), Permit)


async def test_a_clock_that_is_not_known_to_begin_at_the_boot_counts_from_now(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _use(path)
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: "another-boot time:[4026532000]")
    async with SQLiteStore(path, pepper=PEPPER) as store:
        assert await _refused(store, "the machine was restarted") > CLOSED - 5.0


async def test_a_boot_and_a_copy_count_from_now(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _use(path)
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    copy.chmod(0o600)
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: "another-boot")
    async with SQLiteStore(copy, pepper=PEPPER) as store:
        assert await _refused(store, "replaced or copied") > CLOSED - 5.0


@pytest.mark.parametrize(
    ("identifier", "starts"),
    [("since 1000", False), ("6f2c", True), ("6f2c time:[4026531834]", True), ("6f2c time:[4026532000]", False)],
)
async def test_a_clock_starts_at_the_boot_where_that_is_documented(identifier: str, *, starts: bool) -> None:
    assert boot.starts_at_boot(identifier) == starts


async def test_a_machine_that_was_suspended_was_not_restarted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _use(path)
    for module in ("sqlite.file", "sqlite.store", "shared", "base"):
        monkeypatch.setattr(f"smsc_async.stores.{module}.now", lambda: now() + 28_800.0)
    async with SQLiteStore(path, pepper=PEPPER) as store:
        assert isinstance(await _take(store), Permit)


async def test_a_call_with_enough_time_waits_for_a_closed_store(tmp_path: Path) -> None:
    # The lease of the request is shorter than the time for which the store is closed.
    for store in (SQLiteStore(tmp_path / "store.db", lease=0.2, cold_start="wait"), MemoryStore(cold_start="wait")):
        async with store:
            with anyio.fail_after(60):
                permit = await store.queue.acquire(Permit("alex", SHORT, token=True), lease=0.01)
            assert store.closed_for == 0.0
            await store.queue.release(permit, Completion.NOT_SENT)
