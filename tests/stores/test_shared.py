"""Answers that processes share: what is kept, how much of it, and who waits for whom."""

from __future__ import annotations

import asyncio
import math
import threading
import zlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from smsc_async import Account, Quota, RedisStore, SQLiteStore, StoreError, Tariffs, decode
from smsc_async.accounts import Secret
from smsc_async.limiter.bucket import Permit
from smsc_async.protocol import Reply
from smsc_async.records import Format
from smsc_async.simulator import make_tariffs, render
from smsc_async.stores import FetchLease, sealed_reply
from smsc_async.stores.keys import Keys, ListKey, wrapped_pepper
from smsc_async.stores.reply_cache import ReplyCache, Undecoded
from smsc_async.stores.sealed_reply import packed, sealed, unpacked
from smsc_async.testing import SmscServer
from tests.stores.redis_server import RedisServer
from tests.support.stopwatch import stopwatch

pytestmark = pytest.mark.asyncio

ENDPOINT = "https://smsc.example/sys/get.php"
BODY = b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "codes": [], "mail": "0.10"}'
REPLY = Reply(200, "application/json", None, BODY)
LIST = decode(BODY)
SIZE = len(sealed(REPLY, ListKey("name", b"key"), 0.0))
ALEX = Account("alex", "123")


@pytest.fixture(params=["sqlite", "redis"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    server.ask("FLUSHALL")
    return server.url


def _open(name: str, *, keep_bytes: int = 2**20, pepper: str = "a long random text") -> SQLiteStore | RedisStore:
    kind = RedisStore if name.startswith("unix:") else SQLiteStore
    store = kind(name, pepper=pepper, keep_bytes=keep_bytes, cold_start="grant")
    store.LEASE_SECONDS = 0.15
    return store


async def _fetch(store: SQLiteStore | RedisStore, account: Account = ALEX) -> None:
    lead = await store.lease_or_reply(ENDPOINT, account, 60.0)
    assert isinstance(lead, FetchLease)
    lead.reply, lead.tariffs = REPLY, LIST
    await store.release_lease(lead)


async def test_a_follower_gets_what_the_leader_lands(name: str) -> None:
    here, there = _open(name), _open(name)
    here.LEASE_SECONDS, there.LEASE_SECONDS = 1.5, 60.0
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 0.0)
    assert isinstance(lead, FetchLease)
    holding = asyncio.create_task(here.renew_lease(lead))
    following = asyncio.create_task(there.lease_or_reply(ENDPOINT, ALEX, 0.0))
    await asyncio.sleep(0)
    here.LEASE_SECONDS = 60.0  # from the first renewal on, after half a second, so that no later pause ends the lease
    await asyncio.sleep(2.0)
    assert not following.done()
    lead.reply, lead.tariffs = REPLY, LIST
    await here.release_lease(lead)
    assert await following == LIST
    await holding
    await here.renew_lease(lead)
    await here.aclose()
    await there.aclose()


async def test_a_follower_leads_where_nothing_has_landed(name: str) -> None:
    here, there = _open(name), _open(name)
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 60.0)
    following = asyncio.create_task(there.lease_or_reply(ENDPOINT, ALEX, 60.0))
    await asyncio.sleep(0.05)
    assert isinstance(lead, FetchLease)
    await here.release_lease(lead)
    assert isinstance(await following, FetchLease)
    await here.aclose()
    await there.aclose()


async def test_a_follower_leads_where_the_leader_has_not_renewed(name: str) -> None:
    here, there = _open(name), _open(name)
    assert isinstance(await here.lease_or_reply(ENDPOINT, ALEX, 60.0), FetchLease)
    with stopwatch() as watch:
        assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 60.0), FetchLease)
    assert watch.seconds < 0.6
    await here.aclose()
    await there.aclose()


async def test_a_follower_that_is_cancelled_leaves_no_lead(name: str) -> None:
    here, there = _open(name), _open(name)
    here.LEASE_SECONDS = there.LEASE_SECONDS = 60.0
    await here.acquire(Permit("another", Quota(), token=False), lease=1.0)
    for ticks in range(12):
        task = asyncio.create_task(here.lease_or_reply(ENDPOINT, ALEX, 60.0))
        for _ in range(ticks):
            await asyncio.sleep(0.0001)
        task.cancel()
        try:
            lead = await task
        except asyncio.CancelledError:
            continue
        assert isinstance(lead, FetchLease)
        await here.release_lease(lead)
    async with asyncio.timeout(20):
        assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 60.0), FetchLease)
    await here.aclose()
    await there.aclose()


async def test_a_long_list_of_another_process_is_read_off_the_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tariffs = make_tariffs(2_000)
    reply = Reply(200, "application/json; charset=utf-8", None, render(tariffs, Format.JSON, charset="utf-8"))
    here, there = (_open(name, keep_bytes=2**26) for _ in range(2))
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 60.0)
    assert isinstance(lead, FetchLease)
    lead.reply, lead.tariffs = reply, tariffs
    await here.release_lease(lead)
    threads: list[int] = []

    def noted(shared: bytes, wall: float) -> Tariffs | None:
        threads.append(threading.get_ident())
        return unpacked(shared, wall)

    monkeypatch.setattr(sealed_reply, "unpacked", noted)
    assert await there.lease_or_reply(ENDPOINT, ALEX, 60.0) == tariffs
    assert threads != [threading.get_ident()]
    assert len(threads) == 1
    for store in (here, there):
        await store.aclose()


async def test_an_answer_that_cannot_be_read_is_fetched_anew(name: str) -> None:
    here, there = _open(name), _open(name)
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 60.0)
    assert isinstance(lead, FetchLease)
    lead.reply, lead.tariffs = Reply(200, "", None, b"something else"), LIST
    await here.release_lease(lead)
    assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 60.0), FetchLease)
    assert there.get_cached(ENDPOINT, ALEX, math.inf) is None
    await here.aclose()
    await there.aclose()


async def test_so_many_bytes_are_kept_and_the_least_recently_used_goes_first(name: str) -> None:
    open_one = partial(_open, name, keep_bytes=2 * SIZE + 20)
    here = open_one()
    alex, boris, clara = Account("alex", "1"), Account("boris", "2"), Account("clara", "3")
    await _fetch(here, alex)
    await _fetch(here, boris)
    other = open_one()
    assert isinstance(await other.lease_or_reply(ENDPOINT, alex, 60.0), Tariffs)
    await _fetch(here, clara)
    await other.aclose()
    another = open_one()
    kept = [isinstance(await another.lease_or_reply(ENDPOINT, each, 60.0), Tariffs) for each in (alex, boris, clara)]
    assert kept == [True, False, True]
    await here.aclose()
    await another.aclose()


async def test_nothing_is_kept_where_there_is_no_room(name: str) -> None:
    here = _open(name, keep_bytes=0)
    await _fetch(here)
    await _fetch(here)
    assert here.get_cached(ENDPOINT, ALEX, math.inf) is None
    assert isinstance(await here.lease_or_reply(ENDPOINT, ALEX, 60.0), FetchLease)
    await here.aclose()


async def test_what_is_packed_comes_out_as_it_was_and_nothing_else_comes_out() -> None:
    assert unpacked(packed(REPLY), 1_000.0) == LIST
    for shared in (b"", b"junk", packed(REPLY)[:-9], zlib.compress(b"no head"), zlib.compress(b'""\n'), packed(REPLY)):
        assert unpacked(shared, 1e30) is None


async def test_a_shelf_holds_lists_and_bytes_up_to_a_size() -> None:
    shelf = ReplyCache(2 * 2_400 * 2)
    shelf.put(("one", b""), LIST, 10.0)
    shelf.put(("two", b""), Undecoded(partial(unpacked, packed(REPLY), 0.0), 100), 0.0)
    assert shelf.find(("one", b""), 9.0) is None
    assert shelf.find(("one", b""), 11.0) is LIST
    assert shelf.find(("two", b""), 11.0) == LIST
    shelf.put(("three", b""), Undecoded(partial(unpacked, b"junk", 0.0), 4), 0.0)
    assert shelf.find(("three", b""), 11.0) is None
    for each in ("three", "four"):
        shelf.put((each, b""), LIST, 0.0)
    assert shelf.find(("one", b""), math.inf) is None
    assert ("three", b"") in shelf


async def test_digests_and_seal_keys_depend_on_the_pepper_and_on_every_part() -> None:
    pepper, other = wrapped_pepper("a long random text"), wrapped_pepper(b"another random text")
    keys, others = Keys(pepper), Keys(other)
    assert Keys(wrapped_pepper(b"a long random text")).pepper_name == keys.pepper_name != others.pepper_name
    accounts = [ALEX, Account("alex", "124"), Account("ale", "x123"), Account.with_api_key("123", name="alex")]
    for each in (keys, others):
        assert len({each.credentials(account) for account in accounts}) == len(accounts)
    assert keys.credentials(ALEX) != others.credentials(ALEX)
    assert keys.login("alex") not in {others.login("alex"), keys.credentials(ALEX)}
    places = [keys.list_key(endpoint, account) for endpoint in ("one", "two") for account in accounts]
    assert len({each.name for each in places}) == len({each.seal_key for each in places}) == len(places)
    assert keys.list_key("one", ALEX).name.startswith(f"{keys.credentials(ALEX)}:")
    assert "seal_key" not in repr(places)


@pytest.mark.parametrize("pepper", ["", "fifteen letters", b"short", Secret("short"), None])
async def test_a_short_pepper_is_refused_with_the_command_that_makes_one(
    pepper: str | bytes | Secret | None, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"python -c .import secrets; print\(secrets.token_urlsafe\(32\)\)"):
        RedisStore("redis://localhost", pepper=pepper)
    if pepper is not None:
        with pytest.raises(ValueError, match="16 characters"):
            SQLiteStore(tmp_path / "store.db", pepper=pepper)


async def test_who_comes_with_another_pepper_is_told_and_gets_no_quota_of_their_own(name: str) -> None:
    quota = Quota()
    store, stranger, friend = _open(name), _open(name, pepper="another random text"), _open(name)
    assert isinstance(await store.acquire(Permit("alex", quota, token=True), lease=1.0), Permit)
    with pytest.raises(StoreError, match="pepper") as caught:
        await stranger.acquire(Permit("alex", quota, token=True), lease=1.0)
    assert not caught.value.retryable
    assert isinstance(await friend.acquire(Permit("alex", quota, token=True), lease=1.0), Permit)
    for each in (store, stranger, friend):
        await each.aclose()


async def test_who_asks_for_a_new_list_gets_none_that_another_caller_was_content_with(name: str) -> None:
    with SmscServer() as server:
        first, store = _open(name), _open(name)
        async with server.client(store=first) as client:
            await client.tariffs()
        await asyncio.sleep(0.1)
        called = datetime.now(UTC)
        async with server.client(store=store) as client:
            content, new = await asyncio.gather(client.tariffs(max_age=600), client.tariffs(max_age=0))
            assert client.statistics().requests == 1
        await first.aclose()
        await store.aclose()
    assert content.fetched_at is not None
    assert new.fetched_at is not None
    assert content.fetched_at < called < new.fetched_at
    assert len(server.log) == 2


async def test_neither_a_long_list_nor_the_closing_waits_for_a_thread_of_the_application(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_reply, "_LONG_BYTES", 0)
    limiter = anyio.to_thread.current_default_thread_limiter()
    monkeypatch.setattr(limiter, "total_tokens", 1)
    async with _open(name) as here:
        await _fetch(here)
        there = _open(name)
        await there.usage("alex", Quota())  # opens the store
        limiter.acquire_on_behalf_of_nowait(limiter)  # the application uses all its threads
        try:
            with anyio.fail_after(10.0):
                assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 60.0), Tariffs)
                await there.aclose()
        finally:
            limiter.release_on_behalf_of(limiter)
