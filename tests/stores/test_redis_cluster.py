"""A real Redis Cluster: keys that move, masters that fail, and lockouts that are on two nodes."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from smsc_async import Account, Quota, RedisStore, StoreError, StoreNotReady
from smsc_async.fetch import lockout
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import quota_key, service_of
from smsc_async.simulator import SimulatedAccount, Simulator
from smsc_async.stores.lockout_states import LoadedStates
from smsc_async.stores.redis import cluster_lockouts, connection, event_loop, server_lockouts, shards
from smsc_async.stores.redis.connection import RedisConnections
from smsc_async.stores.redis.scripts import Script
from smsc_async.stores.redis.topology import shard_tag, slot_of
from smsc_async.stores.shared import Ended
from tests.stores.redis_cluster import Node, RedisCluster, free_ports
from tests.stores.redis_server import OVER_TLS, over_tls
from tests.support.simulated import URL, client_of
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.slow

QUOTA = Quota(per=0.6, guard=0.02, linger=0.05)
LONG = Quota()
SERVICE = "smsc"


@pytest.fixture
def cluster(redis_cluster: RedisCluster) -> RedisCluster:
    """Three masters that no test of this kind may damage."""
    for node in redis_cluster.nodes:
        node.ask("FLUSHALL")
    return redis_cluster


@pytest.fixture(scope="module")
def movable() -> Iterator[RedisCluster]:
    """Three masters: each test moves the slot of its own login."""
    with RedisCluster(replicas=False) as cluster:
        yield cluster


@pytest.fixture
def login(request: pytest.FixtureRequest) -> str:
    """A login of the test's own."""
    return str(request.function.__name__)


@pytest.fixture
def fragile() -> Iterator[RedisCluster]:
    """Three masters and three replicas of the test's own."""
    with RedisCluster() as cluster:
        yield cluster


@asynccontextmanager
async def _open(cluster: RedisCluster, *, lease: float = 0.5, cold: bool = False) -> AsyncGenerator[RedisStore]:
    store = RedisStore(cluster.url, pepper="a long random text", lease=lease, cold_start="wait" if cold else "grant")
    yield store
    await store.aclose()


async def _take(store: RedisStore, login: str, quota: Quota = LONG) -> Permit | Refusal:
    return await store.acquire(Permit(login, quota, token=True), lease=30.0)


async def _try(store: RedisStore, login: str, password: str = "123", quota: Quota = LONG) -> Permit | Refusal:
    credentials = Credentials(SERVICE, Account(login, password))
    return await store.acquire(Permit(f"{SERVICE} {login}", quota, token=True, credentials=credentials), lease=30.0)


async def _end(store: RedisStore, permit: Permit | Refusal, verdict: Verdict) -> None:
    assert isinstance(permit, Permit)
    await store.release(permit, Completion.COMPLETE, verdict)


def _lockouts(store: RedisStore) -> Any:
    return store._lockouts  # pyright: ignore[reportPrivateUsage]


async def _changed(
    store: RedisStore, service: str, account: Account | None, change: Callable[[LoadedStates], Any]
) -> Any:
    names = await store._names(service, account)  # pyright: ignore[reportPrivateUsage]
    return await _lockouts(store).change(names, change)


def _tag(store: RedisStore, login: str) -> str:
    return store._shards.tag_of(store._key_ring.login(login))  # pyright: ignore[reportPrivateUsage]


def _logins(store: RedisStore, tags: list[str], count: int, *, among: bool = True) -> list[str]:
    """Return logins whose keys are in these groups, or in none of them."""
    names = (f"login-{number}" for number in range(100_000))
    return [
        name for name, _ in zip((n for n in names if (_tag(store, n) in tags) == among), range(count), strict=False)
    ]


async def _all_opened(store: RedisStore) -> None:
    while tasks := store._tasks.of_loop(asyncio.get_running_loop()):  # pyright: ignore[reportPrivateUsage]
        await asyncio.gather(*tasks)


class Calls:
    """The scripts that a store runs, by node."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[str, Script, str]] = []
        real = RedisConnections.call

        async def call(node: RedisConnections, script: Script, keys: Any, *arguments: Any, **options: Any) -> Any:
            self.log.append((node.name, script, keys[-1]))
            return await real(node, script, keys, *arguments, **options)

        monkeypatch.setattr(RedisConnections, "call", call)


# Routing


@pytest.mark.asyncio
async def test_each_login_has_its_quota_and_all_masters_have_their_share(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    async with _open(cluster) as store, _open(cluster) as other:
        for number in range(60):
            stores = (store, other) * 2
            granted = [isinstance(await _take(each, f"login-{number}"), Permit) for each in stores]
            assert granted == [True, True, True, False]
        await _all_opened(store)
        answered = [node for node, _, key in calls.log if ":permits:" in key]
        shares = [answered.count(node.address) for node in cluster.masters]
        assert min(shares) > 0.6 * max(shares)
        # Each group of keys was opened before its first use, by the first process.
        for node in cluster.masters:
            stored = node.ask("KEYS", "*:store").count(b":store")
            assert stored == len(cluster.tags_of(node))


@pytest.mark.asyncio
async def test_a_store_that_knows_one_node_finds_all(cluster: RedisCluster) -> None:
    one = RedisStore(
        over_tls(f"redis+cluster://{cluster.masters[1].address}"), pepper="a long random text", cold_start="grant"
    )
    async with one as store:
        for number in range(12):
            assert isinstance(await _take(store, f"login-{number}"), Permit)


@pytest.mark.asyncio
async def test_a_node_that_does_not_answer_is_no_reason_to_fail(cluster: RedisCluster) -> None:
    url = over_tls(f"redis+cluster://127.0.0.1:1,{cluster.masters[0].address}")
    async with RedisStore(url, pepper="a long random text", cold_start="grant") as store:
        assert isinstance(await _take(store, "alex"), Permit)


@pytest.mark.asyncio
async def test_a_cluster_that_does_not_answer_is_an_error_in_time() -> None:
    async with RedisStore("redis+cluster://127.0.0.1:1,127.0.0.1:2", pepper="a long random text") as store:
        with pytest.raises(StoreError) as caught:
            await _take(store, "alex")
        assert caught.value.retryable


@pytest.mark.asyncio
async def test_slots_without_a_master_are_an_error() -> None:
    with Node(free_ports(1)[0], "--cluster-enabled", "yes", is_tls=OVER_TLS) as node:
        store = RedisStore(over_tls(f"redis+cluster://{node.address}"), pepper="a long random text")
        with pytest.raises(StoreError, match="no master for a slot") as caught:
            await _take(store, "alex")
        assert caught.value.retryable
        await store.aclose()


@pytest.mark.asyncio
async def test_a_single_server_says_that_it_is_no_cluster() -> None:
    with Node(free_ports(1)[0], is_tls=OVER_TLS) as node:
        store = RedisStore(over_tls(f"redis+cluster://{node.address}"), pepper="a long random text")
        with pytest.raises(StoreError, match="not of a cluster") as caught:
            await _take(store, "alex")
        assert not caught.value.retryable
        await store.aclose()


def _move(cluster: RedisCluster, tag: str, *, finish: bool = True) -> tuple[Node, Node]:
    """Move the slot of a hash tag to another master as an operator does; return both masters."""
    slot = slot_of(tag)
    source = next(node for node in cluster.masters if node.ask("CLUSTER", "COUNTKEYSINSLOT", str(slot)) != b":0\r\n")
    target = cluster.masters[cluster.masters.index(source) - 1]
    target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", cluster.id_of(source))
    source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", cluster.id_of(target))
    keys = [
        each for each in source.ask("CLUSTER", "GETKEYSINSLOT", str(slot), "100").decode().split("\r\n") if tag in each
    ]
    for key in keys:
        assert source.ask("MIGRATE", "127.0.0.1", str(target.port), key, "0", "1000").startswith(b"+OK")
    if finish:
        _finish(cluster, tag, target)
    return source, target


def _finish(cluster: RedisCluster, tag: str, target: Node) -> None:
    for node in (target, *(each for each in cluster.masters if each is not target)):
        node.ask("CLUSTER", "SETSLOT", str(slot_of(tag)), "NODE", cluster.id_of(target))


@pytest.mark.asyncio
async def test_a_slot_that_moves_takes_its_permits_along_and_closes_nothing(movable: RedisCluster, login: str) -> None:
    async with _open(movable, cold=True) as store, _open(movable) as first, _open(movable) as other:
        assert [isinstance(await _take(each, login), Permit) for each in (first, other)] == [True, True]
        await _all_opened(first)
        _move(movable, _tag(first, login))
        assert isinstance(await _take(first, login), Permit)
        # Another worker learns that it has moved, and a new one finds it there.
        assert isinstance(refusal := await _take(other, login), Refusal)
        assert refusal.tokens_in
        assert isinstance(refusal := await _take(store, login), Refusal)
        assert refusal.tokens_in
        assert store.closed_for == first.closed_for == other.closed_for == 0.0
        # And back, which makes no old copy of the first node.
        _move(movable, _tag(first, login))
        assert isinstance(await _take(other, login), Refusal)
        assert other.closed_for == 0.0


@pytest.mark.asyncio
async def test_a_new_worker_does_not_trust_a_slot_that_moved(movable: RedisCluster, login: str) -> None:
    async with _open(movable) as former:
        assert isinstance(await _take(former, login), Permit)
    _move(movable, _tag(former, login))
    async with _open(movable) as store:
        with pytest.raises(StoreNotReady, match="restarted or replaced"):
            await _take(store, login)


@pytest.mark.asyncio
async def test_a_slot_that_moves_to_a_node_that_lost_something_is_closed(
    movable: RedisCluster, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_seconds(_: dict[str, str]) -> float:
        return 0.0

    async with _open(movable) as store:
        assert isinstance(await _take(store, login), Permit)
        await _all_opened(store)
        _move(movable, _tag(store, login))
        # As after FLUSHALL, which would close the logins of the other tests too.
        monkeypatch.setattr(shards, "_seconds_without_loss", no_seconds)
        with pytest.raises(StoreNotReady, match="restarted or replaced"):
            await _take(store, login)


@pytest.mark.asyncio
async def test_keys_on_their_way_are_found_on_the_other_node(movable: RedisCluster, login: str) -> None:
    async with _open(movable) as store, _open(movable) as other:
        assert isinstance(await _take(store, login), Permit)
        source, target = _move(movable, _tag(store, login), finish=False)
        assert b"{smsc" not in source.ask("CLUSTER", "GETKEYSINSLOT", str(slot_of(_tag(store, login))), "9")
        assert isinstance(await _take(store, login), Permit)  # by ASK
        target.ask("SCRIPT", "FLUSH")
        assert isinstance(await _take(store, login), Permit)
        assert isinstance(await _take(store, login), Refusal)
        _finish(movable, _tag(store, login), target)
        assert isinstance(await _take(store, login), Refusal)
        assert store.closed_for == other.closed_for == 0.0


@pytest.mark.asyncio
@pytest.mark.usefixtures("usual_seconds")
async def test_a_key_that_is_nowhere_while_its_slot_moves_is_waited_for(movable: RedisCluster, login: str) -> None:
    async with _open(movable) as store:
        assert isinstance(await _take(store, login), Permit)
        tag = _tag(store, login)
        newcomer = _logins(store, [tag], 1)[0]
        _, target = _move(movable, tag, finish=False)
        watch = Stopwatch()
        watch.start()
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"moving keys|within 0\.9 s") as caught:
            await _take(store, newcomer)
        watch.stop()
        assert caught.value.retryable
        assert time.monotonic() - began - watch.stalled < 1.4
        taking = asyncio.create_task(_take(store, newcomer))
        await asyncio.sleep(0.2)
        _finish(movable, tag, target)
        assert isinstance(await taking, Permit)


@pytest.mark.asyncio
@pytest.mark.usefixtures("usual_seconds")
async def test_lists_are_shared_and_forgotten_while_their_slot_moves(movable: RedisCluster, login: str) -> None:
    endpoint, account = "https://smsc.example/sys/get.php", Account(login, "123")
    async with _open(movable) as store:
        await store.forget(account)
        name = store._key_ring.list_key(endpoint, account).name  # pyright: ignore[reportPrivateUsage]
        tag = _tag(store, quota_key(service_of(endpoint), login))
        await store._unlease(Ended(name, 1, b"list"))  # pyright: ignore[reportPrivateUsage]
        _, target = _move(movable, tag, finish=False)
        with pytest.raises(
            StoreError, match=r"moving keys|within 0\.9 s"
        ):  # there is no lease, which may be on either node
            await store.forget(account)
        _finish(movable, tag, target)
        assert target.ask("HLEN", f"{tag}:lists") == b":1\r\n"
        await store.forget(account)
        assert target.ask("EXISTS", f"{tag}:lists") == b":0\r\n"
        lease = await store.lease_or_reply(endpoint, account, 60.0)
        assert not hasattr(lease, "zones")


@pytest.mark.asyncio
async def test_a_list_that_one_process_fetched_is_shared(cluster: RedisCluster) -> None:
    simulator = Simulator([SimulatedAccount("shared", "123")], latency=0.0)
    account = Account("shared", "123")
    async with _open(cluster) as store, _open(cluster) as other, client_of(simulator, account, store=store) as client:
        tariffs = await client.tariffs()
        assert await other.lease_or_reply(f"{URL}get.php", account, 60.0) == tariffs
        usage = await other.usage("smsc.example shared", Quota())
        assert (len(usage.tokens_in), usage.slots) == (1, 0)


# Masters that fail


@pytest.mark.asyncio
async def test_a_failover_closes_the_logins_of_its_node_alone(fragile: RedisCluster) -> None:
    victim = fragile.masters[2]
    async with _open(fragile, lease=30.0) as store, _open(fragile, lease=30.0) as idle:
        hit = _logins(store, fragile.tags_of(victim), 3)
        spared = _logins(store, fragile.tags_of(victim), 3, among=False)
        for login in (*hit, *spared):
            assert isinstance(await _take(store, login), Permit)
        assert isinstance(await _take(idle, hit[0]), Permit)
        await _all_opened(store)
        # The replica takes over at once; tests/stores/test_cluster_processes.py waits for the vote of the nodes.
        await asyncio.to_thread(fragile.fail_over, victim, lost=0.01)
        await _until_moved(store, hit[0])
        for login in hit:
            with pytest.raises(StoreNotReady, match="restarted or replaced"):
                await _take(store, login, Quota(per=5.0))
        for login in spared:
            assert isinstance(await _take(store, login), Permit)
        closed_for = store.closed_for
        assert 0 < closed_for <= LONG.absence + 30.0
        # All groups of the node count from the discovery, also those that are used later and by others.
        await _all_opened(store)
        await asyncio.sleep(0.3)
        with pytest.raises(StoreNotReady):
            await _take(idle, hit[1], Quota(per=5.0))
        assert idle.closed_for < closed_for


async def _until_moved(store: RedisStore, login: str) -> None:
    """Wait until the store reaches the new master of a login."""
    while True:
        try:
            await _take(store, login, Quota(per=5.0))
        except StoreNotReady:
            return
        except StoreError as error:
            assert error.retryable  # noqa: PT017
        await asyncio.sleep(0.05)


@pytest.mark.asyncio
@pytest.mark.usefixtures("usual_seconds")
async def test_a_stopped_node_stops_its_own_logins_alone_and_each_call_ends_in_time(cluster: RedisCluster) -> None:
    stopped = cluster.masters[2]
    async with _open(cluster) as store:
        hit, spared = (_logins(store, cluster.tags_of(stopped), 4, among=among) for among in (True, False))
        for login in (*hit, *spared):
            assert isinstance(await _take(store, login), Permit)
        watch = Stopwatch()
        stopped.signal(signal.SIGSTOP)
        try:
            watch.start()
            began = time.monotonic()
            answers = await asyncio.gather(*[_take(store, each) for each in (*hit, *spared)], return_exceptions=True)
            seconds = time.monotonic() - began
            watch.stop()
        finally:
            stopped.signal(signal.SIGCONT)
        assert [type(each) for each in answers] == [StoreError] * 4 + [Permit] * 4
        assert seconds - watch.stalled < 1.4
        await _patiently(lambda: _take(store, hit[0]))


async def _patiently(call: Callable[[], Any]) -> Any:
    while True:
        try:
            return await call()
        except StoreError as error:
            assert error.retryable  # noqa: PT017
            await asyncio.sleep(0.05)


# Lockouts on two nodes


@pytest.fixture
def full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is at full speed stays there, and a look at it stays fresh, though the machine pauses for a second."""
    monkeypatch.setattr(lockout, "IDLE", 60.0)
    monkeypatch.setattr(cluster_lockouts, "_VIEW_SECONDS", 60.0)


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_confirmed_credentials_at_full_speed_need_their_own_node_alone(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(cluster) as store:
        for number in range(50):
            await _end(store, await _try(store, f"login-{number}"), Verdict.LIST)
        for number in range(50):
            await _end(store, await _try(store, f"login-{number}"), Verdict.LIST)
        calls = Calls(monkeypatch)
        permit = await _try(store, "login-7")
        assert sorted(":permits:" in key for *_, key in calls.log) == [False, True]
        calls.log.clear()
        await _end(store, permit, Verdict.LIST)
        assert sorted(":lockout:" in key for *_, key in calls.log) == [False, True]
        assert f"{shard_tag(0)}:lockout:{SERVICE}" not in {key for *_, key in calls.log}
        # The successes reach the service together, a little later.
        async with asyncio.timeout(20):
            while f"{shard_tag(0)}:lockout:{SERVICE}" not in {key for *_, key in calls.log}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await _all_opened(store)
        assert sum(key == f"{shard_tag(0)}:lockout:{SERVICE}" for *_, key in calls.log) == 1
        view = _lockouts(store)._view.services[SERVICE]
        assert view.state.successes >= 51


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_a_request_takes_two_round_trips_before_and_two_after_and_one_each_at_full_speed(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ended = RedisConnections.call, 0

    async def call(*arguments: Any, **options: Any) -> Any:
        nonlocal ended
        # In the round after that of the calls that have ended.
        number = ended + 1
        await asyncio.sleep(0.1)  # what starts in the same round has started now
        answer = await real(*arguments, **options)
        ended = max(ended, number)
        return answer

    async def rounds(work: Awaitable[Any]) -> tuple[Any, int]:
        nonlocal ended
        ended = 0
        with monkeypatch.context() as patch:
            patch.setattr(RedisConnections, "call", call)
            return await work, ended

    async with _open(cluster) as store:
        await _confirm(store, ["alex", "boris"])
        await _all_opened(store)
        permit, before = await rounds(_try(store, "alex"))
        assert (before, (await rounds(_end(store, permit, Verdict.LIST)))[1]) == (2, 2)
        permit, before = await rounds(_try(store, "boris", "another"))  # at risk, and not seen before
        assert (before, (await rounds(_end(store, permit, Verdict.REFUSED)))[1]) == (3, 2)
        await store.reset_lockouts(SERVICE, None)
        names = [f"login-{number}" for number in range(50)]
        await _confirm(store, names)
        await _confirm(store, names)
        permit, before = await rounds(_try(store, names[7]))
        assert (before, (await rounds(_end(store, permit, Verdict.LIST)))[1]) == (1, 1)


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_an_error_of_confirmed_credentials_at_full_speed_counts_for_all_at_once(cluster: RedisCluster) -> None:
    async with _open(cluster) as store, _open(cluster) as other:
        for _ in range(2):
            for number in range(50):
                await _end(store, await _try(store, f"login-{number}"), Verdict.LIST)
        refused = await _try(store, "login-7")
        others = [await _try(store, f"login-{number}") for number in range(8, 12)]
        await _end(store, refused, Verdict.REFUSED)
        # Suspended: at most three more at once, besides the error.
        answers = [await _try(other, f"login-{number}") for number in range(20, 26)]
        assert sum(isinstance(each, Permit) for each in answers) == 3
        assert isinstance(await _try(store, "login-30"), Refusal)
        again = await _try(other, "login-7")
        assert isinstance(again, Refusal)
        assert again.locked_out is not None
        assert again.locked_out.final
        for each in others:
            await _end(store, each, Verdict.NOT_SENT)


async def _confirm(store: RedisStore, logins: list[str]) -> None:
    for login in logins:
        await _end(store, await _try(store, login), Verdict.LIST)


@pytest.mark.asyncio
@pytest.mark.usefixtures("usual_seconds")
async def test_without_the_state_of_the_service_four_confirmed_requests_go_on_and_no_other(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = next(node for node in cluster.masters if shard_tag(0) in cluster.tags_of(node))
    async with _open(cluster) as store, _open(cluster) as other:
        names = (f"login-{number}" for number in range(100))
        spared = [login for login in names if _tag(store, f"{SERVICE} {login}") not in cluster.tags_of(keeper)][:7]
        await _confirm(store, spared[:6])
        keeper.signal(signal.SIGSTOP)
        try:
            permits = [await _try(store, login) for login in spared[:4]]
            assert all(isinstance(each, Permit) for each in permits)
            assert isinstance(waiting := await _try(store, spared[4]), Refusal)
            assert waiting.locked_out is not None
            assert not waiting.locked_out.final
            with pytest.raises(StoreError) as caught:
                await _try(store, spared[6])  # untested
            assert caught.value.retryable
        finally:
            keeper.signal(signal.SIGCONT)
        with monkeypatch.context() as failing:
            _fail_calls(failing, keeper)
            await _end(store, permits[0], Verdict.REFUSED)
            await _end(store, permits[1], Verdict.LIST)
            # The others are suspended now, as far as this process knows: they are at risk.
            with pytest.raises(StoreError):
                await _try(store, spared[4])
        # The error is saved as soon as that is possible, and counts for everybody.
        await _patiently(lambda: _until_errors(other))
        assert isinstance(await _patiently(lambda: _try(other, spared[0])), Refusal)


def _fail_calls(monkeypatch: pytest.MonkeyPatch, failing: Node) -> None:
    """Let each call to a node fail at once, as if the node refused connections."""
    real = RedisConnections.call

    async def call(node: RedisConnections, *arguments: Any, **options: Any) -> Any:
        if node.name == failing.address:
            raise StoreError("down", node.name)
        return await real(node, *arguments, **options)

    monkeypatch.setattr(RedisConnections, "call", call)


async def _until_errors(store: RedisStore) -> None:
    async with asyncio.timeout(20):
        while not await _changed(store, SERVICE, None, lambda each: len(each.service.errors)):  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.1)


@pytest.mark.asyncio
async def test_a_service_whose_node_lost_something_admits_confirmed_credentials_alone(cluster: RedisCluster) -> None:
    async with _open(cluster, lease=30.0) as store:
        await _confirm(store, ["alex"])
        await _all_opened(store)
        # The state is there, but the node lost something.
        keeper = next(node for node in cluster.masters if shard_tag(0) in cluster.tags_of(node))
        keeper.ask("DEL", f"{shard_tag(0)}:store")
        for login in ("new", "newer"):
            with pytest.raises(StoreNotReady, match="emptied"):
                await _try(store, login)
        assert _tag(store, f"{SERVICE} alex") != shard_tag(0)
        assert isinstance(await _try(store, "alex"), Permit)


@pytest.mark.asyncio
@pytest.mark.exhaustive
@pytest.mark.slow
async def test_errors_that_a_worker_knows_count_again_after_their_node_was_emptied(cluster: RedisCluster) -> None:
    async with _open(cluster, lease=0.05) as store, _open(cluster, lease=0.05) as other:
        for login in ("alex", "boris"):
            await _end(store, await _try(store, login, "wrong"), Verdict.REFUSED)
        keeper = next(node for node in cluster.masters if shard_tag(0) in cluster.tags_of(node))
        keeper.ask("FLUSHALL")
        closed = await _patiently(lambda: _try(store, "clara", quota=QUOTA))
        assert isinstance(closed, Refusal)
        await asyncio.sleep(closed.retry_in + 0.05)
        await _end(store, await _try(store, "clara", quota=QUOTA), Verdict.OTHER)
        await _until_errors(other)


@pytest.mark.asyncio
async def test_credentials_that_others_refuse_between_the_two_steps_get_no_place(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(cluster) as store, _open(cluster) as other:
        first = await _try(other, "alex", "wrong")
        real = cluster_lockouts.ClusterLockouts._save_credentials  # pyright: ignore[reportPrivateUsage]

        async def late(lockouts: Any, *arguments: Any, **options: Any) -> None:
            if lockouts is _lockouts(store):  # pyright: ignore[reportPrivateUsage]
                monkeypatch.setattr(cluster_lockouts.ClusterLockouts, "_save_credentials", real)
                await _end(other, first, Verdict.REFUSED)
            await real(lockouts, *arguments, **options)

        monkeypatch.setattr(cluster_lockouts.ClusterLockouts, "_save_credentials", late)
        assert await _try(store, "alex", "wrong") == Refusal(0.0)
        again = await _try(store, "alex", "wrong")
        assert isinstance(again, Refusal)
        assert again.locked_out is not None
        assert again.locked_out.final
        # The place was returned: beside the error there are three.
        answers = [await _try(other, f"new-{number}") for number in range(4)]
        assert [isinstance(each, Permit) for each in answers] == [True, True, True, False]


@pytest.mark.asyncio
async def test_credentials_that_others_try_between_the_two_steps_count_both_trials(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(cluster) as store, _open(cluster) as other:
        real = cluster_lockouts.ClusterLockouts._save_credentials  # pyright: ignore[reportPrivateUsage]

        async def late(lockouts: Any, *arguments: Any, **options: Any) -> None:
            if lockouts is _lockouts(store):  # pyright: ignore[reportPrivateUsage]
                monkeypatch.setattr(cluster_lockouts.ClusterLockouts, "_save_credentials", real)
                assert isinstance(await _try(other, "alex", "wrong"), Permit)
            await real(lockouts, *arguments, **options)

        monkeypatch.setattr(cluster_lockouts.ClusterLockouts, "_save_credentials", late)
        assert isinstance(await _try(store, "alex", "wrong"), Permit)
        seen: list[int] = []

        def look(states: LoadedStates) -> Refusal:
            seen.append(len(states.credentials.unanswered))
            return Refusal(0.0)  # which is looked at again, and not saved

        await _changed(other, SERVICE, Account("alex", "wrong"), look)  # pyright: ignore[reportPrivateUsage]
        assert seen[-1] == 2


@pytest.mark.asyncio
async def test_lost_answers_take_no_second_place_and_count_no_second_error(cluster: RedisCluster) -> None:
    async with _open(cluster) as store:
        await _take(store, "warm")
        nodes: Any = store._redis  # pyright: ignore[reportPrivateUsage]
        real = nodes.call

        async def losing(script: Script, keys: Any, *arguments: Any) -> object:
            if ":lockout:" in keys[-1]:
                await real(script, keys, *arguments)
            return await real(script, keys, *arguments)

        nodes.call = losing
        for number in range(3):
            await _end(store, await _try(store, f"login-{number}", "wrong"), Verdict.REFUSED)
        nodes.call = real
        for number in range(3):
            assert isinstance(refusal := await _try(store, f"login-{number}", "wrong"), Refusal)
            assert refusal.locked_out is not None
            assert refusal.locked_out.final
        assert isinstance(await _try(store, "alex"), Permit)
        assert isinstance(await _try(store, "boris"), Refusal)


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_a_request_that_was_not_sent_leaves_nothing_behind(cluster: RedisCluster) -> None:
    async with _open(cluster) as store:
        for _ in range(2):
            await _confirm(store, [f"login-{number}" for number in range(50)])
        await store.drain_tokens(f"{SERVICE} login-3", LONG)
        assert isinstance(refusal := await _try(store, "login-3"), Refusal)
        assert refusal.locked_out is None
        lockouts = _lockouts(store)  # pyright: ignore[reportPrivateUsage]
        assert not lockouts._in_flight  # pyright: ignore[reportPrivateUsage]
        for _ in range(2):
            await lockouts.flush(SERVICE)
        assert not lockouts._ended  # pyright: ignore[reportPrivateUsage]


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_closing_saves_what_requests_without_a_place_have_shown(cluster: RedisCluster) -> None:
    async with _open(cluster) as store:
        for _ in range(2):
            await _confirm(store, [f"login-{number}" for number in range(50)])
        await _end(store, await _try(store, "login-3"), Verdict.LIST)
        await store.aclose()
        assert not _lockouts(store)._ended
        assert not _lockouts(store)._timers


@pytest.mark.asyncio
async def test_a_worker_that_never_reached_the_state_of_the_service_goes_on_too(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = next(node for node in cluster.masters if shard_tag(0) in cluster.tags_of(node))
    names = (f"login-{number}" for number in range(100))
    async with _open(cluster) as former, _open(cluster) as store:
        spared = [login for login in names if _tag(store, f"{SERVICE} {login}") not in cluster.tags_of(keeper)][:3]
        await _confirm(former, spared)
        await _take(store, spared[0])
        await _all_opened(store)
        with monkeypatch.context() as failing:
            _fail_calls(failing, keeper)
            for verdict in (Verdict.LIST, Verdict.OTHER):
                await _end(store, await _try(store, spared[0]), verdict)
            async with asyncio.timeout(20):
                while _lockouts(store)._ended:  # noqa: ASYNC110  # the success is not saved, and not tried again
                    await asyncio.sleep(0.05)
            with monkeypatch.context() as patch:
                patch.setattr(lockout, "WINDOW", 0.1)  # the list of these credentials was fetched earlier
                with pytest.raises(StoreError):
                    await _try(store, spared[2])
            await _end(store, await _try(store, spared[1]), Verdict.BLOCKED)
        await _until_paused(former)


async def _until_paused(store: RedisStore) -> None:
    async with asyncio.timeout(20):
        while await _changed(store, SERVICE, None, lambda each: each.service.paused_at) < 0:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.1)


@pytest.mark.asyncio
@pytest.mark.usefixtures("full_speed")
async def test_credentials_that_others_refused_meanwhile_are_not_sent_at_full_speed(cluster: RedisCluster) -> None:
    async with _open(cluster) as store, _open(cluster) as other:
        names = [f"login-{number}" for number in range(50)]
        await _confirm(store, names)
        await _confirm(store, names)

        def refuse(states: LoadedStates) -> None:
            states.credentials.refused_at, states.credentials.refusals = states.instant, 1

        await _changed(other, SERVICE, Account(names[7], "123"), refuse)  # pyright: ignore[reportPrivateUsage]
        assert await _try(store, names[7]) == Refusal(0.0)
        again = await _try(store, names[7])
        assert isinstance(again, Refusal)
        assert again.locked_out is not None
        assert again.locked_out.final
        assert not _lockouts(store)._in_flight
        assert not _lockouts(store)._saving


@pytest.mark.asyncio
async def test_a_place_that_cannot_be_saved_with_the_credentials_costs_no_permit(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(cluster) as store:
        for _ in range(4):
            with monkeypatch.context() as patch:

                async def fail(*_: object, **__: object) -> None:
                    raise StoreError("down")

                patch.setattr(cluster_lockouts.ClusterLockouts, "_save_credentials", fail)
                with pytest.raises(StoreError, match="down"):
                    await _try(store, "alex")
                await _all_opened(store)
        await _end(store, await _try(store, "alex"), Verdict.LIST)
        assert not (await store.usage(f"{SERVICE} alex", LONG)).slots


@pytest.mark.asyncio
async def test_this_process_forgets_credentials_that_it_has_not_used_for_long(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_lockouts, "_REMEMBERED", 3)  # the service, and two accounts
    async with _open(cluster) as store:
        await _confirm(store, ["alex", "boris", "clara"])
        await _confirm(store, ["alex"])
        assert len(_lockouts(store)._texts) == 3


@pytest.mark.asyncio
async def test_a_child_process_has_connections_of_its_own(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_parent: list[Any] = []
    monkeypatch.setattr(connection, "_orphans", of_parent)
    async with _open(cluster) as store:
        assert isinstance(await _take(store, "alex"), Permit)
        await _all_opened(store)
        store._after_fork()  # pyright: ignore[reportPrivateUsage]  # as in the child
        assert isinstance(await _take(store, "alex"), Permit)
    # What is open when the interpreter exits is a warning.
    pools = [pool for by_loop in of_parent for pool in by_loop.values()]
    assert pools
    for pool in pools:
        await pool.aclose()


@pytest.mark.asyncio
async def test_closing_waits_for_what_begins_meanwhile_and_leaves_no_connection(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "_UNFINISHED_SECONDS", 60.0)  # on a busy machine too

    def connections() -> int:
        return sum(node.ask("CLIENT", "LIST").count(b"age=") for node in cluster.nodes)

    async def first_use() -> None:
        assert isinstance(await _take(store, "alex"), Permit)  # and then the store opens all groups of keys

    before = connections()
    async with _open(cluster) as store:
        store._tasks.begin(first_use())  # pyright: ignore[reportPrivateUsage]  # as the release of a call that was cancelled
        await asyncio.sleep(0)
    assert not store._tasks.of_loop(asyncio.get_running_loop())  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(10):
        while connections() > before:  # noqa: ASYNC110  # the server sees an end a little later
            await asyncio.sleep(0.01)


def test_event_loops_that_are_over_are_dropped(cluster: RedisCluster) -> None:
    async def use(store: RedisStore) -> None:
        nodes: Any = store._redis  # pyright: ignore[reportPrivateUsage]
        nodes._masters.clear()
        await _take(store, "alex")
        assert len(nodes._lookups) == 1

    def run() -> None:
        store = RedisStore(cluster.url, pepper="a long random text", cold_start="grant")
        for _ in range(3):
            asyncio.run(use(store))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody closes the connections
        run()
        for _ in range(3):  # what a finalizer lets go is collected in a later pass
            gc.collect()
