"""What the store of a process keeps, and how much of it."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

import anyio
import pytest

from smsc_async import Account, Client, MemoryStore, Quota, QuotaExhausted, Tariffs, decode
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import Reply
from smsc_async.records import Format
from smsc_async.simulator import make_tariffs, render, sample_tariffs
from smsc_async.stores import FetchLease, default_store, memory
from smsc_async.stores.reply_cache import ReplyCache, Undecoded, decode_reply, size_of

pytestmark = pytest.mark.anyio

HERE = "https://smsc.example/sys/get.php"


@pytest.fixture
def switches_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def keep(store: MemoryStore, account: Account, tariffs: Tariffs | None = None) -> None:
    await store.release_lease(FetchLease(HERE, account, tariffs=tariffs or sample_tariffs()))


async def test_a_list_is_given_to_the_credentials_that_fetched_it_and_to_no_others() -> None:
    store = MemoryStore()
    await keep(store, Account("alex", "123"))
    assert store.get_cached(HERE, Account("alex", "123"), 60.0) is not None
    for other in (Account("alex", "1234"), Account("alexa", "123"), Account.with_api_key("123", name="alex")):
        assert store.get_cached(HERE, other, 60.0) is None
    assert store.get_cached(HERE.replace("smsc", "other"), Account("alex", "123"), 60.0) is None


async def test_what_was_used_least_recently_goes_first_when_there_is_too_much() -> None:
    accounts = [Account(f"login{i}", "123") for i in range(4)]
    store = MemoryStore(keep_bytes=4 * size_of(sample_tariffs()))
    for account in accounts[:3]:
        await keep(store, account)
    assert store.get_cached(HERE, accounts[0], 60.0) is not None
    await keep(store, accounts[3])
    kept = [store.get_cached(HERE, account, 60.0) is not None for account in accounts]
    assert kept == [True, False, True, True]


async def test_what_was_used_once_goes_when_its_turn_comes_again() -> None:
    accounts = [Account(f"login{i}", "123") for i in range(6)]
    store = MemoryStore(keep_bytes=3 * size_of(sample_tariffs()))
    await keep(store, accounts[0])
    assert store.get_cached(HERE, accounts[0], 60.0) is not None
    for account in accounts[1:]:
        await keep(store, account)
    kept = [store.get_cached(HERE, account, 60.0) is not None for account in accounts]
    assert kept == [False, False, False, False, True, True]


async def test_a_list_is_there_all_the_while_that_another_takes_its_place(switches_often: None) -> None:
    account, tariffs = Account("alex", "123"), sample_tariffs()
    store = MemoryStore(keep_bytes=6 * size_of(tariffs))
    await keep(store, account)
    over = threading.Event()

    def renew() -> None:
        while not over.is_set():
            for key in (account.fingerprint, b"another", b"a third"):
                store._cache.put((HERE, key), tariffs, 0.0)  # pyright: ignore[reportPrivateUsage]

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        assert all(store.get_cached(HERE, account, 60.0) for _ in range(30_000))
    finally:
        over.set()
        thread.join()


async def test_a_list_that_takes_the_place_of_another_is_counted_once() -> None:
    store = MemoryStore(keep_bytes=4 * size_of(sample_tariffs()))
    for _ in range(10):
        await keep(store, Account("alex", "123"))
    await keep(store, Account("boris", "123"))
    assert store.get_cached(HERE, Account("alex", "123"), 60.0) is not None


async def _fetched(store: MemoryStore, account: Account, zones: int) -> Tariffs:
    """Cache a list as a fetch does, with its reply; return the list."""
    reply = Reply(200, "application/json", None, render(make_tariffs(zones=zones, operators=0), Format.JSON))
    tariffs = decode_reply(reply, datetime.now(UTC))
    await store.release_lease(FetchLease(HERE, account, reply=reply, tariffs=tariffs))
    return tariffs


async def test_a_fetched_list_is_decoded_at_its_first_use_and_then_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    store, account = MemoryStore(), Account("alex", "123")
    fetched_at = (await _fetched(store, account, 50)).fetched_at
    gc.collect()
    first = store.get_cached(HERE, account, 60.0)
    assert first == make_tariffs(zones=50, operators=0)
    assert first is not None
    assert first.fetched_at == fetched_at is not None
    del first
    gc.collect()
    monkeypatch.setattr("smsc_async.stores.reply_cache.decode", None)  # which would fail
    assert store.get_cached(HERE, account, 60.0) is not None


async def test_a_list_that_its_caller_still_has_is_not_decoded_again() -> None:
    store, account = MemoryStore(), Account("alex", "123")
    tariffs = await _fetched(store, account, 50)
    assert store.get_cached(HERE, account, 60.0) is tariffs


async def test_a_list_whose_decoding_would_block_the_loop_is_cached_as_it_is() -> None:
    store, account = MemoryStore(), Account("alex", "123")
    tariffs = await _fetched(store, account, 2_000)
    assert store.get_cached(HERE, account, 60.0) is tariffs


async def test_more_lists_fit_than_decoded_ones_and_all_of_them_can_be_used() -> None:
    accounts = [Account(f"login{i}", "123") for i in range(11)]
    lists = [await _fetched(MemoryStore(), account, 50) for account in accounts]
    store = MemoryStore(keep_bytes=8 * size_of(lists[0]))
    for account in accounts:
        await _fetched(store, account, 50)
    assert [store.get_cached(HERE, account, 60.0) for account in accounts] == lists
    uses = [store.get_cached(HERE, account, 60.0) for account in accounts]
    assert uses == lists
    # Six decoded lists have room.
    assert store.get_cached(HERE, accounts[-1], 60.0) is uses[-1]
    assert store.get_cached(HERE, accounts[0], 60.0) is not uses[0]


async def test_a_list_that_replaces_another_while_that_is_decoded_stays() -> None:
    cache = ReplyCache(2**20)
    key, new = (HERE, b""), sample_tariffs()

    def decode_slowly() -> Tariffs:
        cache.put(key, new, 0.0)
        return make_tariffs(zones=3)

    cache.put(key, Undecoded(decode_slowly, 10), 0.0)
    assert cache.find(key, 60.0) == make_tariffs(zones=3)
    assert cache.find(key, 60.0) is new


async def test_a_store_of_no_bytes_keeps_nothing() -> None:
    store = MemoryStore(keep_bytes=0)
    await keep(store, Account("alex", "123"))
    assert store.get_cached(HERE, Account("alex", "123"), 60.0) is None


async def test_an_exchange_without_a_list_keeps_the_last_one() -> None:
    store = MemoryStore()
    await keep(store, Account("alex", "123"))
    await store.release_lease(FetchLease(HERE, Account("alex", "123")))
    assert store.get_cached(HERE, Account("alex", "123"), 60.0) is not None


@pytest.mark.parametrize("zones", [50, 2_000])
async def test_a_list_weighs_no_more_than_it_is_counted_for(zones: int) -> None:
    body = render(make_tariffs(zones=zones, operators=zones // 10), Format.JSON)
    decode(body)  # what is made once and for all is not the list's
    tracemalloc.start()
    tariffs = decode(body)
    weight, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = size_of(tariffs)
    assert counted / 4 < weight <= counted


async def test_a_reply_weighs_no_more_than_it_is_counted_for() -> None:
    store, accounts = MemoryStore(), [Account(f"login{i}", "123") for i in range(100)]
    await _fetched(store, Account("alex", "123"), 50)  # what is made once and for all
    body = render(make_tariffs(zones=50, operators=0), Format.JSON)
    tracemalloc.start()
    for account in accounts:
        reply = Reply(200, "application/json", None, body + b" " * int(account.login[5:]))
        tariffs = decode_reply(reply, datetime.now(UTC))
        await store.release_lease(FetchLease(HERE, account, reply=reply, tariffs=tariffs))
        del reply, tariffs
    weight, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = sum(size_of(Undecoded(sample_tariffs, len(body) + number)) for number in range(100))
    assert counted / 4 < weight <= counted


@pytest.mark.parametrize("wrong", [{"keep_bytes": -1}, {"cold_start": "maybe"}])
async def test_an_option_that_makes_no_sense_is_refused_with_its_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MemoryStore(**wrong)  # type: ignore[arg-type]  # the point


async def test_a_machine_that_slept_does_not_take_an_old_list_for_a_fresh_one(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    await keep(store, Account("alex", "123"))
    wall = 2_000_000_000.0 + 86_400 * 365 * 30
    monkeypatch.setattr("time.time", lambda: wall)
    assert store.get_cached(HERE, Account("alex", "123"), 3_600.0) is None


async def test_quotas_of_different_width_share_a_store_and_each_keeps_its_own() -> None:
    store = MemoryStore()
    short = Quota(per=0.01, guard=0.0, linger=0.0)
    for quota in (short, Quota()):
        permit = await store.queue.acquire(Permit("alex", quota, token=True))
        permit.seen = 0.0
    assert Client(store=store).statistics().calls == 0


async def test_the_child_of_a_fork_counts_what_the_parent_has_under_way_and_takes_nothing_of_it_back() -> None:
    store = MemoryStore()
    held = [await store.queue.acquire(Permit("alex", Quota(), token=True)) for _ in range(2)]
    store._after_fork()  # pyright: ignore[reportPrivateUsage]  # what the system calls in the child
    mine = await store.queue.acquire(Permit("alex", Quota(), token=True))
    await store.queue.release(held[0], Completion.NOT_SENT)
    with anyio.fail_after(30.0), pytest.raises(QuotaExhausted):
        await store.queue.acquire(Permit("alex", Quota(), token=True))
    await store.queue.release(mine, Completion.NOT_SENT)
    await store.queue.acquire(Permit("alex", Quota(), token=True))


async def test_a_list_that_landed_in_another_thread_in_the_meantime_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    recall = store.get_cached
    answers = iter([None])
    await keep(store, Account("alex", "123"))

    def late(endpoint: str, account: Account, max_age: float) -> Tariffs | None:
        return next(answers, recall(endpoint, account, max_age))

    monkeypatch.setattr(store, "get_cached", late)
    async with Client(Account("alex", "123"), base_url="https://smsc.example/sys/", store=store) as client:
        assert await client.tariffs() == sample_tariffs()
        assert client.statistics().requests == 0


async def test_a_process_has_one_default_store() -> None:
    assert default_store() is default_store()


async def test_lockouts_show_the_latest_credentials_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_SUSPECTS", 2)
    store = MemoryStore()
    for login in ("one", "two", "three"):
        _exchange(store, login, Verdict.REFUSED)
    assert {each.login for each in store.lockouts("smsc")} == {"two", "three"}


async def test_states_of_credentials_that_mean_nothing_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAX_SUSPECTS", 10)
    store = MemoryStore()
    _exchange(store, "refused", Verdict.REFUSED)
    for n in range(100):
        _exchange(store, f"login-{n}", Verdict.NOT_SENT)
    assert [each.login for each in store.lockouts("smsc")] == []
    assert len(store._states) <= 12  # pyright: ignore[reportPrivateUsage]
    credentials = Credentials("smsc", Account("refused", "123"))
    assert store.try_acquire(Permit("refused", Quota(), token=True, credentials=credentials)) is None


def _exchange(store: MemoryStore, login: str, verdict: Verdict) -> None:
    credentials = Credentials("smsc", Account(login, "123"))
    permit = store.try_acquire(Permit(login, Quota(), token=True, credentials=credentials))
    assert permit is not None
    completion = Completion.NOT_SENT if verdict is Verdict.NOT_SENT else Completion.COMPLETE
    store.try_release(permit, completion, verdict)


async def test_a_permit_that_is_released_twice_is_settled_once() -> None:
    store = MemoryStore()
    credentials = Credentials("smsc", Account("alex", "123"))
    permit = store.try_acquire(Permit("alex", Quota(), token=True, credentials=credentials))
    assert permit is not None
    for verdict in (Verdict.LIST, Verdict.REFUSED):
        store.try_release(permit, Completion.COMPLETE, verdict)
    assert store.lockouts("smsc") == []
    assert store.try_acquire(Permit("alex", Quota(), token=True, credentials=credentials)) is not None
