"""The client over real sockets: threads, several loops, a fork, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from smsc_async import Account, Client, MemoryStore, Quota, QuotaExhausted, SQLiteStore
from smsc_async.fetch import lockout
from smsc_async.limiter import wait_lists
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator, sample_tariffs, serve
from smsc_async.testing import SmscServer
from tests.limiter.counts import usage_counts, waiter_count

# The server's window is 0.4 s; the client's guard is as wide again as a busy machine may need.
RULES = Rules(per=0.4)
QUOTA = Quota(per=0.4, guard=0.1, linger=0.1)


@pytest.fixture
def simulator() -> Simulator:
    return Simulator([SimulatedAccount("alex", "123"), SimulatedAccount("boris", "456")], rules=RULES)


@pytest.fixture
def base_url(simulator: Simulator) -> Iterator[str]:
    with serve(simulator) as server:
        yield server.base_url


def client_at(base_url: str, store: MemoryStore, **options: float) -> Client:
    return Client(Account("alex", "123"), base_url=base_url, store=store, quota=QUOTA, deadline=60, **options)  # type: ignore[arg-type]  # numbers


@pytest.mark.parametrize(
    "backends", [["asyncio"] * 10, ["trio"] * 10, ["asyncio", "trio"] * 5], ids=["asyncio", "trio", "both"]
)
def test_ten_threads_with_a_loop_each_keep_one_quota(backends: list[str], base_url: str, simulator: Simulator) -> None:
    store = MemoryStore()
    faults: list[BaseException] = []

    async def use() -> None:
        async with client_at(base_url, store) as client:
            for _ in range(2):
                await client.tariffs(max_age=0)

    def run(backend: str) -> None:
        try:
            anyio.run(use, backend=backend)
        except BaseException as fault:  # noqa: BLE001  # told by the test
            faults.append(fault)

    threads = [threading.Thread(target=run, args=[backend]) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    # Threads that ask at the same time share a request, so there are twenty at most.
    assert 2 <= len(simulator.log) <= 20
    assert not simulator.violations()
    assert all(arrival.code == 0 for arrival in simulator.log)


def test_one_client_serves_several_loops_in_turn(base_url: str) -> None:
    client = client_at(base_url, MemoryStore())

    async def use() -> None:
        async with client:
            assert await client.tariffs(max_age=0) == sample_tariffs()

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(use, backend=backend)


def test_a_client_that_was_not_closed_in_one_loop_works_in_the_next(base_url: str) -> None:
    client = client_at(base_url, MemoryStore())
    with warnings.catch_warnings():
        # The sockets of the loops before are dropped with them: asyncio says so.
        warnings.simplefilter("ignore", ResourceWarning)
        for backend in ("asyncio", "trio", "asyncio", "trio"):
            assert anyio.run(partial(client.tariffs, max_age=0), backend=backend) == sample_tariffs()
        anyio.run(client.aclose, backend="trio")
        del client
        gc.collect()


def test_a_loop_that_ends_in_the_middle_of_a_request_leaves_the_next_caller_to_ask(
    base_url: str, simulator: Simulator
) -> None:
    store = MemoryStore()

    async def leave() -> None:
        client = client_at(base_url, store)
        task = asyncio.create_task(client.tariffs())
        await asyncio.sleep(0)
        task.cancel()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the socket that was left with the loop
        asyncio.run(leave())
        gc.collect()
    assert len(store.flights) == 0
    asyncio.run(_fetch(base_url, store))
    assert not simulator.violations()


def test_a_loop_that_is_closed_while_a_call_waits_for_its_turn_keeps_nobody_waiting_behind_it(base_url: str) -> None:
    store = MemoryStore()
    client = client_at(base_url, store)
    left: list[asyncio.Task[object]] = []

    async def lose_patience() -> None:
        for _ in range(3):
            await client.tariffs(max_age=0)
        await asyncio.wait({asyncio.create_task(client.tariffs(max_age=0))}, timeout=0.1)
        left.extend(asyncio.all_tasks() - {asyncio.current_task()})

    async def ask_again() -> None:
        async with client:
            assert await client.tariffs(deadline=5.0, max_age=0) == sample_tariffs()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the socket that was left with the loop
        _run_and_close(lose_patience())
        assert waiter_count(store.queue) == 1
        asyncio.run(ask_again())
        assert waiter_count(store.queue) == 0
        _end(left)


def test_a_loop_that_nobody_runs_any_more_leads_the_line_no_longer_than_it_would_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wait_lists, "_OVERDUE", 0.1)
    quota = Quota(requests=1, per=0.1, guard=0.0, linger=0.1)
    store = MemoryStore()
    held = store.try_acquire(Permit("alex", quota, token=True))
    assert held is not None
    idle = asyncio.new_event_loop()

    async def wait(seconds: float) -> None:
        with anyio.fail_after(seconds):
            permit = await store.queue.acquire(Permit("alex", quota, token=True))
        await store.queue.release(permit, Completion.NOT_SENT)

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(wait(0.2))
        await asyncio.sleep(0.01)
        return task

    waiting = idle.run_until_complete(begin())
    store.try_release(held, Completion.NOT_SENT)
    assert waiter_count(store.queue) == 1
    time.sleep(0.4)
    asyncio.run(wait(5.0))
    with pytest.raises(TimeoutError):
        idle.run_until_complete(waiting)  # it goes on: nothing of the others' is touched
    idle.close()
    assert waiter_count(store.queue) == 0
    assert store.try_acquire(Permit("alex", quota, token=True)) is not None


async def _cancel_in_the_middle(client: Client, simulator: Simulator) -> None:
    """Begin a call, and cancel it when its request has reached the service."""
    before = len(simulator.log)
    call = asyncio.create_task(client.tariffs())
    async with asyncio.timeout(60):
        while len(simulator.log) == before:  # noqa: ASYNC110  # a server in another thread
            await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


@pytest.mark.parametrize("anew", [False, True], ids=["the same client", "another client"])
def test_a_loop_that_is_closed_in_the_middle_of_a_request_keeps_nothing_from_the_next_caller(
    base_url: str, simulator: Simulator, anew: bool
) -> None:
    store = MemoryStore()
    simulator.fail(Fault.hang(), times=1)
    client = client_at(base_url, store)
    left: list[asyncio.Task[object]] = []

    async def lose_patience() -> None:
        await _cancel_in_the_middle(client, simulator)
        left.extend(asyncio.all_tasks() - {asyncio.current_task()})

    async def ask_again() -> None:
        async with client_at(base_url, store) if anew else client as second:
            for _ in range(4):  # more than there are tokens beside the lost one
                assert await second.tariffs(deadline=5.0, max_age=0) == sample_tariffs()

    _run_and_close(lose_patience())
    buckets = store._buckets  # pyright: ignore[reportPrivateUsage]
    assert usage_counts(buckets)["tokens_out"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the socket that was left with the loop
        asyncio.run(ask_again())
        _end(left)
        asyncio.run(client.aclose())  # forgets the fetch of the closed loop
        gc.collect()


def test_loops_that_are_closed_in_the_middle_of_requests_keep_nothing_from_other_accounts(
    base_url: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "FIRST_PROBE", 0.1)
    store = MemoryStore()
    clients: list[Client] = []
    left: list[asyncio.Task[object]] = []
    simulator.fail(Fault.hang(), times=4)

    async def lose_patience(login: str) -> None:
        client = Client(Account(login, "123"), base_url=base_url, store=store)
        clients.append(client)
        await _cancel_in_the_middle(client, simulator)
        left.extend(asyncio.all_tasks() - {asyncio.current_task()})

    for number in range(4):
        _run_and_close(lose_patience(f"another{number}"))
    assert usage_counts(store._buckets)["tokens_out"] == 4  # pyright: ignore[reportPrivateUsage]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the sockets that were left with the loops
        asyncio.run(_fetch(base_url, store))
        _end(left)
        clients.clear()
        gc.collect()


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_loop_that_is_closed_keeps_no_permit_of_a_transport(closed_first: bool) -> None:
    quota = Quota(requests=1, per=0.3, guard=0.0, linger=0.1)
    line = MemoryStore().queue
    loop = asyncio.new_event_loop()
    loop.run_until_complete(line.acquire(Permit("alex", quota, token=True))).owner_loop = loop

    async def take() -> float:
        began = time.monotonic()
        if not closed_first:
            # When somebody waits for it already, who is told by nobody.
            asyncio.get_running_loop().call_later(0.1, loop.close)
        with anyio.fail_after(10.0):
            await line.acquire(Permit("alex", quota, token=True))
        return time.monotonic() - began

    if closed_first:
        loop.close()
    waited = asyncio.run(take())
    # Not before what the lost request may still be: under way.
    assert waited >= 0.4


def test_a_loop_that_goes_on_keeps_its_permit() -> None:
    quota = Quota(requests=1, per=0.1, guard=0.0, linger=0.1)
    line = MemoryStore().queue
    loop = asyncio.new_event_loop()
    loop.run_until_complete(line.acquire(Permit("alex", quota, token=True))).owner_loop = loop

    async def take() -> None:
        with pytest.raises((TimeoutError, QuotaExhausted)), anyio.fail_after(0.5):
            await line.acquire(Permit("alex", quota, token=True))

    for backend in ("asyncio", "trio"):
        anyio.run(take, backend=backend)
    loop.close()


def test_an_answer_is_gone_with_its_call_and_not_when_cycles_are_collected(base_url: str) -> None:
    def exchanges() -> int:
        return sum(isinstance(each, Attempt) for each in gc.get_objects())

    async def fetch() -> None:
        async with client_at(base_url, MemoryStore()) as client:
            await client.tariffs()
            assert exchanges() == before

    gc.collect()
    before = exchanges()
    gc.disable()
    try:
        for backend in ("asyncio", "trio"):
            anyio.run(fetch, backend=backend)
    finally:
        gc.enable()


def _run_and_close(work: Coroutine[object, object, None]) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work)
    loop.close()  # unlike asyncio.run(), with what is under way


def _end(left: list[asyncio.Task[object]]) -> None:
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        with suppress(RuntimeError):
            task.get_coro().close()  # pyright: ignore[reportOptionalMemberAccess]
    left.clear()
    gc.collect()


async def _fetch(base_url: str, store: MemoryStore) -> None:
    async with client_at(base_url, store) as client:
        assert await client.tariffs() == sample_tariffs()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_client_works_in_the_child_after_a_fork_in_the_middle_of_a_request(
    base_url: str, simulator: Simulator
) -> None:
    client = client_at(base_url, MemoryStore())

    async def fork_while_under_way() -> int:
        asking = asyncio.create_task(client.tariffs())
        await asyncio.sleep(0.001)
        child = os.fork()
        if child == 0:
            # Not through this loop, whose selector is the parent's.
            os._exit(_in_the_child(client))
        assert await asking == sample_tariffs()
        await client.aclose()
        return child

    with warnings.catch_warnings():
        # Forking beside threads is discouraged, and the server of this test is one.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = asyncio.run(fork_while_under_way())
    assert os.waitpid(child, 0)[1] == 0
    assert not simulator.violations()


def _in_the_child(client: Client) -> int:
    ended = [1]

    def use() -> None:
        tariffs = asyncio.run(client.tariffs(max_age=0))
        ended[0] = 0 if tariffs == sample_tariffs() else 2

    # In a thread of its own, since this one still has the parent's loop running.
    thread = threading.Thread(target=use)
    thread.start()
    thread.join(30.0)
    return ended[0]


@pytest.mark.asyncio
@pytest.mark.no_cover
async def test_workers_that_share_a_store_send_one_request_for_each_refresh(tmp_path: Path) -> None:
    quota = Quota(requests=50, per=5, guard=0.1, linger=0.1)
    with SmscServer(rules=Rules(requests=50, per=5), latency=0.3) as server:
        stores = [SQLiteStore(tmp_path / "store.db", pepper="a long random text") for _ in range(4)]
        clients = [
            Client(server.account, base_url=server.base_url, store=store, quota=quota, max_age=60, refresh_after=0.5)
            for store in stores
        ]
        for client in clients:
            await client.tariffs()
        began = time.monotonic()
        while len(server.log) < 3:
            for client in clients:
                await client.tariffs()
            await asyncio.sleep(0.01)
        # Before the clients are closed: one that waits for the lease of another then sends a request of its own.
        arrivals = [arrival.at for arrival in server.log]
        intervals = (time.monotonic() - began) / 0.5
        for client, store in zip(clients, stores, strict=True):
            await client.aclose()
            await store.aclose()
        assert len(arrivals) <= intervals + 2
        assert min(after - before for before, after in pairwise(arrivals)) >= 0.5
