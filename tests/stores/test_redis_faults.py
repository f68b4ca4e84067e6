"""A Redis that is killed, stopped, flushed, restarted, or loses an answer: closed and soon told, never a permit twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from smsc_async import Account, Quota, RedisStore, StoreError
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.stores import FetchLease
from smsc_async.stores.redis import server_lockouts
from smsc_async.stores.redis import shards as redis_shards
from smsc_async.stores.redis import store as redis_store
from smsc_async.stores.redis.scripts import CALL, OPEN, Script
from tests.stores.redis_server import RedisServer
from tests.support.server_log_checks import windows_broken
from tests.support.stopwatch import Stopwatch, stopwatch

pytestmark = pytest.mark.asyncio

QUOTA = Quota(per=0.3, guard=0.02, linger=0.05)
ALEX = Account("alex", "123")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def _open(url: str, *, lease: float = 0.3, cold: bool = False) -> AsyncGenerator[RedisStore]:
    store = RedisStore(url, pepper="a long random text", lease=lease, cold_start="wait" if cold else "grant")
    yield store
    await store.aclose()


async def _take(store: RedisStore, *, lease: float = 5.0) -> Permit | Refusal:
    return await store.acquire(Permit("alex", QUOTA, token=True), lease=lease)


class Load:
    """Workers that take permits as fast as they get them, and a log of when each was used."""

    def __init__(self, url: str) -> None:
        self.used: list[tuple[float, float | None]] = []
        self.failed: list[StoreError] = []
        self.longest = 0.0
        self._url = url
        self._over = False
        self.watch = Stopwatch()

    async def work(self) -> None:
        async with _open(self._url) as store:
            while not self._over:
                began = time.monotonic() - self.watch.stalled
                try:
                    async with asyncio.timeout(60):
                        answer = await _take(store)
                except StoreError as error:
                    self.failed.append(error)
                    self.longest = max(self.longest, time.monotonic() - self.watch.stalled - began)
                    await asyncio.sleep(0.02)
                    continue
                if isinstance(answer, Refusal):
                    await asyncio.sleep(min(answer.retry_in, 0.05))
                    continue
                self.used.append((time.monotonic(), None))
                await asyncio.sleep(0.01)
                answer.seen = now()
                await store.release(answer, Completion.COMPLETE)

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        self.watch.start()
        tasks = [asyncio.create_task(self.work()) for _ in range(3)]
        while len(self.used) < 3:  # noqa: ASYNC110  # nothing is waited for in earnest
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        yield
        # Two windows more: a permit too many would be in one of them.
        used = len(self.used)
        async with asyncio.timeout(60):
            while len(self.used) < used + 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        self._over = True
        await asyncio.gather(*tasks)
        self.watch.stop()

    def check(self) -> None:
        assert windows_broken(self.used, per=QUOTA.per) == []
        assert self.longest < 1.2


async def test_a_server_that_is_killed_and_restarted_empty_under_load_gives_nothing_twice(server: RedisServer) -> None:
    load = Load(server.url)
    async with load.run():
        server.kill()
        await asyncio.sleep(0.3)
        server.start()
        restarted = time.monotonic()
    load.check()
    assert load.failed
    again = [at for at, _ in load.used if at > restarted]
    assert again
    assert again[0] - restarted > QUOTA.absence


async def test_a_server_that_is_restarted_with_an_old_snapshot_is_closed_for_a_while() -> None:
    with RedisServer("--appendonly", "no") as server:
        async with _open(server.url) as store:
            permit = await _take(store)
            assert isinstance(permit, Permit)
            await store.release(permit, Completion.NOT_SENT)
            server.ask("SAVE")
            taken = [await _take(store) for _ in range(3)]
            assert all(isinstance(each, Permit) for each in taken)
            server.kill()
            server.start()
            assert isinstance(await _take(store), Refusal)
        async with _open(server.url) as another:
            refused = await _take(another)
            assert isinstance(refused, Refusal)
            assert 0 < refused.retry_in <= QUOTA.absence + 0.3
            await asyncio.sleep(refused.retry_in + 0.01)
            assert isinstance(await _take(another), Permit)


@pytest.mark.usefixtures("usual_seconds")
async def test_a_server_that_is_stopped_under_load_fails_every_call_within_a_second(server: RedisServer) -> None:
    load = Load(server.url)
    async with load.run():
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(1.2)
        server.signal(signal.SIGCONT)
    load.check()
    assert load.failed
    assert "did not answer" in str(load.failed[0])
    assert str(server.socket) in str(load.failed[0])


async def test_a_store_that_is_flushed_under_load_is_closed_for_a_window_and_a_lease(server: RedisServer) -> None:
    load = Load(server.url)
    async with load.run():
        server.ask("FLUSHALL")
        flushed = time.monotonic()
    load.check()
    assert not load.failed
    again = [at for at, _ in load.used if at > flushed + 0.05]
    assert again[0] - flushed > QUOTA.absence


async def test_scripts_that_the_server_has_forgotten_are_told_again(server: RedisServer) -> None:
    load = Load(server.url)
    async with load.run():
        server.ask("SCRIPT", "FLUSH")
    load.check()
    assert not load.failed


async def test_a_store_found_empty_gives_nothing_for_a_window_and_a_lease(server: RedisServer) -> None:
    server.ask("FLUSHALL")
    async with _open(server.url, cold=True) as store:
        refused = await _take(store)
        assert isinstance(refused, Refusal)
        assert refused.tokens_in == (refused.retry_in,) * 3
        assert QUOTA.absence < refused.retry_in <= QUOTA.absence + 0.3
        await asyncio.sleep(refused.retry_in + 0.01)
        assert isinstance(await _take(store), Permit)
    async with _open(server.url, cold=True) as another:
        assert isinstance(await _take(another), Permit)


@pytest.mark.parametrize("how", ["flushed", "restarted"])
async def test_who_misses_the_store_later_than_others_does_not_close_it_again(server: RedisServer, how: str) -> None:
    async with _open(server.url) as first, _open(server.url) as idle:
        for store in (first, idle):
            assert isinstance(await store.acquire(Permit("boris", QUOTA, token=True), lease=0.3), Permit)
        # Longer than the idle worker's next command takes: it counts that time as time in which it was not certain.
        await asyncio.sleep(0.5)
        if how == "flushed":
            server.ask("FLUSHALL")
        else:
            server.ask("SAVE")
            server.kill()
            server.start()
        refused = await _take(first)
        assert isinstance(refused, Refusal)
        await asyncio.sleep(refused.retry_in + 0.01)
        # If the machine pauses during that command, the idle worker waits for as long again; not for a window and a lease.
        watch = Stopwatch()
        watch.start()
        while isinstance(answer := await _take(idle), Refusal):  # noqa: ASYNC110
            await asyncio.sleep(answer.retry_in)
        watch.stop()
        assert watch.seconds < QUOTA.absence
        assert isinstance(await _take(first), Permit)


async def test_a_lost_answer_takes_no_second_permit(server: RedisServer) -> None:
    async with _open(server.url) as store:
        assert isinstance(await store.acquire(Permit("boris", QUOTA, token=True), lease=30.0), Permit)
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call
        lost: list[object] = []

        async def losing(*call: Any) -> object:
            if not lost:
                lost.append(await real(*call))
            return await real(*call)

        wire.call = losing  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        assert [isinstance(await _take(store), Permit) for _ in range(4)] == [True, True, True, False]


async def test_a_lost_answer_counts_no_second_error_and_takes_no_second_place(server: RedisServer) -> None:
    async with _open(server.url) as store:
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call

        async def losing(script: Script, *arguments: Any) -> object:
            if script is CALL:
                await real(script, *arguments)
            return await real(script, *arguments)

        wire.call = losing  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        for n in range(3):
            permit = await _try(store, Account(f"login-{n}", "wrong"))
            assert isinstance(permit, Permit)
            await store.release(permit, Completion.COMPLETE, Verdict.REFUSED)
        wire.call = real  # type: ignore[method-assign]
        assert isinstance(await _try(store, ALEX), Permit)
        refusal = await _try(store, Account("boris", "456"))
        assert isinstance(refusal, Refusal)
        assert refusal.locked_out is not None


async def test_a_place_whose_token_was_not_granted_is_free_again(server: RedisServer) -> None:
    async with _open(server.url) as store, _open(server.url) as other:
        assert isinstance(await _try(store, ALEX), Permit)
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call

        fails: list[bool] = []

        async def failing(script: Script, *arguments: Any) -> object:
            answer = await real(script, *arguments)
            if fails:
                fails.pop()
                raise StoreError("no answer")
            return answer

        wire.call = failing  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        for n in range(3):
            await asyncio.gather(*store._tasks.of_loop(asyncio.get_running_loop()))  # pyright: ignore[reportPrivateUsage]
            fails.append(True)
            with pytest.raises(StoreError):
                await _try(store, Account(f"login-{n}", "123"))
        await asyncio.gather(*store._tasks.of_loop(asyncio.get_running_loop()))  # pyright: ignore[reportPrivateUsage]
        assert [isinstance(await _try(other, Account(f"new-{n}", "123")), Permit) for n in range(3)] == [True] * 3


async def test_a_place_is_returned_quietly_if_the_server_is_gone(server: RedisServer) -> None:
    async with _open(server.url) as store:
        permit = await _try(store, ALEX)
        assert isinstance(permit, Permit)
        server.kill()
        with pytest.raises(StoreError):
            await _try(store, Account("boris", "456"))
        await store.release(permit, Completion.COMPLETE, Verdict.REFUSED)


@pytest.mark.usefixtures("usual_seconds")
async def test_calls_that_change_lockouts_together_all_fail_in_time_if_the_server_does_not_answer(
    server: RedisServer,
) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _try(store, ALEX), Permit)
        server.signal(signal.SIGSTOP)
        watch = Stopwatch()
        watch.start()
        began = time.monotonic()
        accounts = [Account(f"login-{n}", "123") for n in range(5)]
        failures = await asyncio.gather(*[_try(store, each) for each in accounts], return_exceptions=True)
        seconds = time.monotonic() - began
        watch.stop()
        server.signal(signal.SIGCONT)
        assert {type(failure) for failure in failures} == {StoreError}
        assert seconds - watch.stalled < 1.4


async def test_a_fleet_of_one_process_does_not_disturb_itself(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_lockouts, "_TURN_SECONDS", 20.0)  # on a busy machine the turns would end early
    async with _open(server.url) as store:
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call
        runs: list[Script] = []

        async def counting(script: Script, *arguments: Any) -> object:
            runs.append(script)
            return await real(script, *arguments)

        wire.call = counting  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.gather(*[_try(store, Account(f"login-{n}", "123")) for n in range(30)])
        # A write for each of the four that got a place, and a read for each of the others.
        assert runs.count(CALL) <= 4 + 26 + 10


async def _try(store: RedisStore, account: Account) -> Permit | Refusal:
    credentials = Credentials("smsc", account)
    return await store.acquire(Permit(account.login, Quota(), token=True, credentials=credentials), lease=30.0)


async def test_a_connection_that_was_closed_while_idle_is_made_anew(server: RedisServer) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        await asyncio.gather(_take(store), _take(store))
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        assert isinstance(await store.acquire(Permit("boris", QUOTA, token=True), lease=30.0), Permit)


async def test_a_permit_that_was_on_its_way_for_longer_than_its_lease_is_given_back(server: RedisServer) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call

        async def slow(*call: Any) -> object:
            told = await real(*call)
            await asyncio.sleep(0.1)
            return told

        wire.call = slow  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        assert await _take(store, lease=0.05) == Refusal(0.0)
        wire.call = real  # type: ignore[method-assign]
        assert isinstance(await _take(store), Permit)
        assert isinstance(await _take(store), Permit)


async def test_a_cancelled_take_leaves_nothing_taken(server: RedisServer) -> None:
    async with _open(server.url, lease=60.0) as store:
        await store.acquire(Permit("another", QUOTA, token=False), lease=30.0)
        for ticks in range(14):
            task = asyncio.create_task(_take(store, lease=60.0))
            for _ in range(ticks):
                await asyncio.sleep(0.0002)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                answer = await task
                assert isinstance(answer, Permit)
                await store.release(answer, Completion.NOT_SENT)
        await _until_returned(store)
        assert [isinstance(await _take(store), Permit) for _ in range(3)] == [True] * 3


async def _until_returned(store: RedisStore) -> None:
    """Wait for the returns of permits that were cancelled: they happen a little later, but long before the end of a lease."""
    async with asyncio.timeout(20):
        while (await store.usage("alex", QUOTA)).tokens_in:  # noqa: ASYNC110  # no event says it
            await asyncio.sleep(0.01)


async def test_a_call_that_is_cancelled_while_the_server_thinks_leaves_no_lead_and_no_permit(
    server: RedisServer,
) -> None:
    endpoint = "https://smsc.example/sys/get.php"
    async with _open(server.url) as store, _open(server.url) as other:
        store.LEASE_SECONDS = other.LEASE_SECONDS = 60.0
        await store.acquire(Permit("another", QUOTA, token=False), lease=30.0)
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call

        async def slow(*call: Any) -> object:
            told = await real(*call)
            await asyncio.sleep(0.1)
            return told

        wire.call = slow  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        calls: list[Awaitable[object]] = [store.lease_or_reply(endpoint, ALEX, 60.0), _take(store)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0.05)
        wire.call = real  # type: ignore[method-assign]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _until_returned(other)
        async with asyncio.timeout(20):
            assert isinstance(await other.lease_or_reply(endpoint, ALEX, 60.0), FetchLease)
        assert [isinstance(await _take(other), Permit) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_set_an_hour_forth_or_back_changes_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    def shifted(script: Script) -> Script:
        faked = "{redis.call('TIME')[1] + (redis.call('GET', 'faked') or 0), redis.call('TIME')[2]}"
        return Script(script.text.replace("redis.call('TIME')", faked))

    for module, name in ((redis_shards, "CALL"), (redis_shards, "OPEN")):
        monkeypatch.setattr(module, name, shifted(getattr(module, name)))
    load = Load(server.url)
    async with load.run():
        server.ask("SET", "faked", str(hours * 3600))
        stepped = time.monotonic()
        stalled = load.watch.stalled
    load.check()
    after = [at for at, _ in load.used if at > stepped]
    assert after[0] - stepped - (load.watch.stalled - stalled) < QUOTA.window + 0.2
    assert not load.failed
    # A process that has not heard the time before the step waits no longer than one that has.
    async with _open(server.url) as another:
        answer = await _take(another)
        assert isinstance(answer, Permit) or answer.retry_in < QUOTA.window


async def _delayed(store: RedisStore, work: Awaitable[object], *seconds: float) -> None:
    """Do something whose commands take so long to reach the server, one after the other."""
    left = list(seconds)
    wire = store._redis  # pyright: ignore[reportPrivateUsage]
    real = wire.call

    async def late(*call: Any) -> object:
        script, keys, arguments, *rest = call
        words = tuple(arguments(None))
        if left:
            await asyncio.sleep(left.pop(0))
        return await real(script, keys, lambda _: words, *rest)

    wire.call = late  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
    try:
        await work
    finally:
        wire.call = real  # type: ignore[method-assign]


async def test_a_command_that_comes_late_is_no_step_of_the_clock(server: RedisServer) -> None:
    quota = Quota(per=0.8, guard=0.02, linger=0.05)
    async with _open(server.url) as slow, _open(server.url) as store:
        held = await slow.acquire(Permit("alex", quota, token=True), lease=5.0)
        assert isinstance(held, Permit)
        used: list[float] = []

        async def use() -> None:
            permit = await store.acquire(Permit("alex", quota, token=True), lease=5.0)
            if isinstance(permit, Permit):
                used.append(time.monotonic())
                permit.seen = now()
                await store.release(permit, Completion.COMPLETE)

        late = asyncio.create_task(_delayed(slow, slow.release(held, Completion.NOT_SENT), 0.45))
        await asyncio.sleep(0.35)
        await use()
        await use()
        await late
        while len(used) < 5:
            await use()
            await asyncio.sleep(0.02)
        assert used[3] - used[0] > quota.per


async def test_a_server_that_is_a_little_slow_is_asked_again(
    server: RedisServer, request: pytest.FixtureRequest
) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        await _delayed(store, _take(store), 0.6)
        assert isinstance(await _take(store), Permit)
        request.getfixturevalue("usual_seconds")
        # Each delay is longer than what the store has seen so far, and a quarter of a second.
        with pytest.raises(StoreError, match="did not answer"):
            await _delayed(store, _take(store), 0.7, 1.4)


async def test_workers_whose_clocks_disagree_are_given_no_token_too_soon(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stood_still = 0.0
    quota = Quota(per=0.6, guard=0.02, linger=0.05)
    async with _open(server.url) as paused, _open(server.url) as store:
        used: list[float] = []

        async def use(who: RedisStore) -> None:
            # Two hours later than the real one: the clock of a machine that has just booted must not become negative.
            for module in (redis_store, redis_shards):
                monkeypatch.setattr(module, "now", lambda: now() + 7200.0 - (stood_still if who is paused else 0.0))
            permit = await who.acquire(Permit("alex", quota, token=True), lease=30.0)
            if isinstance(permit, Permit):
                used.append(time.monotonic())
                permit.seen = redis_store.now()  # type: ignore[attr-defined]
                await who.release(permit, Completion.COMPLETE)

        await use(paused)
        await use(store)
        stood_still = 3600.0  # a virtual machine that was paused, and does not know
        began = time.monotonic()
        with stopwatch() as watch:
            while len(used) < 9:
                await use(paused)
                await use(store)
                await asyncio.sleep(0.01)
        assert windows_broken([(at, None) for at in used], per=quota.per) == []
        assert used[5] - began - watch.stalled < 2 * quota.window


async def test_nothing_listens_and_no_credential_is_told() -> None:
    async with _open("redis://user:hunter2@127.0.0.1:1/0") as store:
        with pytest.raises(StoreError) as caught:
            await _take(store)
    assert caught.value.store == "127.0.0.1:1"
    assert "hunter2" not in f"{caught.value!r} {caught.value} {caught.value.__context__} {store!r}"


async def test_keys_and_values_hold_no_login_and_no_password(server: RedisServer) -> None:
    account = Account("somebody@example.com", "correct horse")
    async with _open(server.url) as store:
        await store.acquire(Permit(account.login, QUOTA, token=True), lease=30.0)
        await store.acquire(Permit("x", QUOTA, token=True, credentials=Credentials("smsc", account)), lease=30.0)
        await store.lease_or_reply("https://smsc.example/sys/get.php", account, 60.0)
    with RedisServer() as other:
        assert other.ask("PING")
    server.ask("SAVE")
    dump = (server.socket.parent / "dump.rdb").read_bytes()
    assert b"somebody" not in dump
    assert b"correct horse" not in dump


async def test_every_script_keeps_to_one_slot_of_a_cluster() -> None:
    with RedisServer("--cluster-enabled", "yes") as server:
        server.ask("CLUSTER", "ADDSLOTS", *map(str, range(16384)))
        while b"cluster_state:ok" not in server.ask("CLUSTER", "INFO"):
            time.sleep(0.02)  # noqa: ASYNC251  # nothing else runs
        async with _open(server.url) as store:
            permit = await _take(store)
            assert isinstance(permit, Permit)
            await store.release(permit, Completion.COMPLETE)
            await store.drain_tokens("alex", QUOTA)
            lead = await store.lease_or_reply("https://smsc.example/sys/get.php", ALEX, 60.0)
            assert isinstance(lead, FetchLease)
            await store.release_lease(lead)
            credentials = Credentials("smsc", ALEX)
            permit = await store.acquire(Permit("alex", QUOTA, token=False, credentials=credentials), lease=30.0)
            assert isinstance(permit, Permit)
            await store.release(permit, Completion.COMPLETE, Verdict.LIST)


async def test_a_wrong_url_is_refused() -> None:
    with pytest.raises(ValueError, match="URL"):
        RedisStore("http://localhost", pepper="a long random text")


async def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smsc_async.stores.redis.nodes", None)
    with pytest.raises(ImportError, match=r"smsc-async\[redis\]"):
        RedisStore("redis://localhost")


async def test_a_server_that_is_flushed_without_end_is_told(server: RedisServer) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        wire = store._redis  # pyright: ignore[reportPrivateUsage]
        real = wire.call

        async def lost(script: Script, *call: Any) -> object:
            if script is OPEN:
                return await real(script, *call)
            return b"lost", 0, 0.0, list[object]()

        wire.call = lost  # type: ignore[method-assign,assignment] # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(StoreError, match="several times"):
            await _take(store)


async def test_a_leader_hears_nothing_of_a_store_that_was_lost_and_leads_anew(server: RedisServer) -> None:
    endpoint = "https://smsc.example/sys/get.php"
    async with _open(server.url) as store:
        store.LEASE_SECONDS = 0.1
        lead = await store.lease_or_reply(endpoint, ALEX, 60.0)
        assert isinstance(lead, FetchLease)
        holding = asyncio.create_task(store.renew_lease(lead))
        server.ask("FLUSHALL")
        await asyncio.sleep(0.1)
        await store.release_lease(lead)
        await holding
        server.ask("FLUSHALL")
        assert isinstance(await store.lease_or_reply(endpoint, ALEX, 60.0), FetchLease)


async def test_a_child_process_has_connections_of_its_own(server: RedisServer) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)

        def child() -> int:
            pid = os.fork()
            if not pid:
                granted = asyncio.run(_granted(store))
                os._exit(granted)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        assert await asyncio.to_thread(child) == 2
        assert isinstance(await _take(store), Refusal)
    # What the child does, where its coverage is seen.
    store._after_fork()  # pyright: ignore[reportPrivateUsage]


async def test_calls_that_come_together_open_the_store_once(server: RedisServer) -> None:
    async with _open(server.url) as store:
        answers = await asyncio.gather(*[_take(store) for _ in range(5)])
        assert sum(isinstance(each, Permit) for each in answers) == 3
        server.ask("FLUSHALL")
        answers = await asyncio.gather(*[_take(store) for _ in range(5)])
        assert not any(isinstance(each, Permit) for each in answers)


async def _granted(store: RedisStore) -> int:
    return sum([isinstance(await _take(store), Permit) for _ in range(3)])


async def test_trio_is_told_where_to_go(server: RedisServer) -> None:
    store = RedisStore(server.url, pepper="a long random text")

    async def take() -> None:
        await _take(store)

    with pytest.raises(RuntimeError, match="asyncio only"):
        await asyncio.to_thread(trio.run, take)
    # So that ``async with`` shows this error alone.
    await asyncio.to_thread(trio.run, store.aclose)
