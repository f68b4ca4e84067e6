"""Opening, closing, copying and pickling: the same for every store."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from smsc_async import Account, MemoryStore, RedisStore, SQLiteStore
from smsc_async.accounts import Secret
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota
from smsc_async.simulator import sample_tariffs
from smsc_async.stores import FetchLease, Store
from smsc_async.stores.keys import Pepper
from tests.stores.conftest import LOOPS_OF_STORES, Make
from tests.support.simulated import URL

PEPPER = "a long random text"


class TestOnBothLoops:
    @pytest.fixture(params=LOOPS_OF_STORES)
    def loop_and_store(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        parameters: tuple[str, str] = request.param
        return parameters

    @pytest.fixture
    def anyio_backend(self, loop_and_store: tuple[str, str]) -> str:
        return loop_and_store[0]

    @pytest.fixture
    def store_kind(self, loop_and_store: tuple[str, str]) -> str:
        return loop_and_store[1]

    @pytest.mark.anyio
    async def test_a_store_is_a_context_manager_and_works_again_after_its_end(self, make_store: Make) -> None:
        store = make_store()
        for _ in range(2):
            async with store as entered:
                assert entered is store
                assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)
        await store.aclose()

    @pytest.mark.anyio
    async def test_closing_a_store_keeps_the_quota(self, make_store: Make) -> None:
        store = make_store()
        for _ in range(3):
            async with store:
                assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)
        assert not isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)

    @pytest.mark.anyio
    async def test_a_store_that_read_nothing_can_be_closed(self, make_store: Make) -> None:
        store = make_store()
        assert store.lockouts("smsc") == []
        await store.aclose()


def _round_trip(store: Store) -> Store:
    copied: Store = pickle.loads(pickle.dumps(store))
    return copied


@pytest.mark.parametrize("duplicate", [_round_trip, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    ("kind", "pepper"),
    [(SQLiteStore, None)]
    + [
        (kind, pepper)
        for kind in (SQLiteStore, RedisStore)
        for pepper in (PEPPER, b"\xff\x00 is surely not UTF-8", Secret(PEPPER))
    ],
)
def test_a_copy_of_a_shared_store_has_the_same_arguments(
    kind: Callable[..., SQLiteStore | RedisStore], pepper: Pepper | None, duplicate: Callable[[Store], Store]
) -> None:
    address = "redis://user:hunter2@localhost:1/0" if kind is RedisStore else "/somewhere/store.db"
    store = kind(address, pepper=pepper, keep_bytes=1_000, lease=7.0, cold_start="wait")
    copied = duplicate(store)
    assert isinstance(copied, type(store))
    assert repr(copied) == repr(store)
    assert copied._pepper == store._pepper  # pyright: ignore[reportPrivateUsage]
    for name in ("_keep_bytes", "_lease", "_cold_start"):
        assert getattr(copied, name) == getattr(store, name)
    assert copied.queue is not store.queue


@pytest.mark.parametrize("kind", [SQLiteStore, RedisStore])
def test_no_representation_shows_the_pepper_or_the_password(kind: Callable[..., SQLiteStore | RedisStore]) -> None:
    address = "redis://user:hunter2@localhost:1/0" if kind is RedisStore else "/somewhere/store.db"
    store = kind(address, pepper=PEPPER)
    shown = f"{store!r} {store} {vars(store)!r} {[vars(each) for each in vars(store).values() if hasattr(each, '__dict__')]!r}"
    assert PEPPER not in shown
    assert "hunter2" not in shown


@pytest.mark.anyio
async def test_a_copy_in_a_spawned_process_shares_the_quota(tmp_path: Path) -> None:
    program = """
import anyio, pickle, sys
from smsc_async import Quota
from smsc_async.limiter.bucket import Permit
async def main():
    async with pickle.load(sys.stdin.buffer) as store:
        wanted = [Permit("alex", Quota(), token=True) for _ in range(3)]
        permits = [await store.acquire(each, lease=30.0) for each in wanted]
    print(sum(isinstance(each, Permit) for each in permits))
anyio.run(main)
"""
    store = SQLiteStore(tmp_path / "store.db", pepper=PEPPER)
    assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, input=pickle.dumps(store), capture_output=True, check=True).stdout  # noqa: ASYNC221
    assert output == b"2\n"
    await store.aclose()


@pytest.mark.parametrize("duplicate", [_round_trip, copy.copy, copy.deepcopy])
def test_an_unused_memory_store_can_be_copied(duplicate: Callable[[Store], Store]) -> None:
    copied = duplicate(MemoryStore(keep_bytes=0, cold_start="wait"))
    assert copied.try_acquire(Permit("alex", Quota(), token=True)) is None


async def _acquire(store: MemoryStore) -> None:
    await store.acquire(Permit("alex", Quota(), token=True), lease=90.0)


async def _cache(store: MemoryStore) -> None:
    await store.release_lease(FetchLease(URL, Account("alex", "123"), tariffs=sample_tariffs()))


async def _lock_out(store: MemoryStore) -> None:
    credentials = Credentials("smsc", Account("alex", "wrong"))
    permit = await store.acquire(Permit("alex", Quota(), token=True, credentials=credentials), lease=90.0)
    if isinstance(permit, Permit):  # not if it waits for its cold start
        await store.release(permit, Completion.NOT_SENT, Verdict.REFUSED)


@pytest.mark.anyio
@pytest.mark.parametrize("use", [_acquire, _cache, _lock_out])
@pytest.mark.parametrize("cold_start", ["grant", "wait"])
async def test_a_memory_store_in_use_refuses_a_copy(use: Callable[..., object], cold_start: str) -> None:
    store = MemoryStore(cold_start=cold_start)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await use(store)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    with pytest.raises(TypeError, match="in use"):
        pickle.dumps(store)


def test_a_forked_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_holds() -> None:
    store = MemoryStore()
    with store._buckets._lock:  # pyright: ignore[reportPrivateUsage]
        child = threading.Thread(target=store._after_fork, daemon=True)  # pyright: ignore[reportPrivateUsage]
        child.start()
        child.join(20.0)
        assert not child.is_alive()


@pytest.mark.anyio
async def test_a_memory_store_can_be_copied_again_when_nothing_is_in_use() -> None:
    store = MemoryStore()
    permit = await store.acquire(Permit("alex", Quota(), token=True), lease=30.0)
    assert isinstance(permit, Permit)
    await store.release(permit, Completion.NOT_SENT)
    assert isinstance(copy.copy(store), MemoryStore)
