"""The line before the permits, in virtual time through the transport that users put before their own requests."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from functools import partial

import anyio
import httpx
import pytest

from smsc_async import Account, LimitedTransport, MemoryStore, Quota, QuotaExhausted, StoreNotReady, TrialsExhausted
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.queue import WaiterQueue
from tests.limiter.counts import sweep, usage_counts, waiter_count
from tests.support.slow import exhaustive_after
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

QUOTA = Quota()


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def take(queue: WaiterQueue, login: str = "alex", *, token: bool = True) -> Permit:
    return await queue.acquire(Permit(login, QUOTA, token=token))


async def answer(queue: WaiterQueue, permit: Permit) -> None:
    permit.seen = now()
    await queue.release(permit, Completion.COMPLETE)


async def use_up(queue: WaiterQueue, login: str = "alex") -> None:
    for _ in range(3):
        await answer(queue, await take(queue, login))


async def test_waiters_are_served_in_the_order_in_which_they_came() -> None:
    queue = MemoryStore().queue
    order: list[int] = []

    async def wait(number: int) -> None:
        await anyio.sleep(number / 1000)
        permit = await take(queue)
        order.append(number)
        await anyio.sleep(random.Random(number).uniform(0, 5))
        await answer(queue, permit)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(wait, number)
    assert order == list(range(50))
    assert waiter_count(queue) == 0


async def test_only_the_bucket_of_a_login_makes_it_wait() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    started = now()
    await take(queue, "boris")
    await take(queue, token=False)
    assert now() == started


async def test_a_request_that_needs_no_token_does_not_wait_behind_those_that_do() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    async with anyio.create_task_group() as group:
        group.start_soon(take, queue)
        await anyio.sleep(1.0)
        started = now()
        await take(queue, token=False)
        assert now() == started
        group.cancel_scope.cancel()


async def test_a_waiter_that_is_cancelled_takes_nothing_along() -> None:
    store = MemoryStore()
    queue = store.queue
    await use_up(queue)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(take, queue)
        await anyio.sleep(1.0)
        assert waiter_count(queue) == 20
        group.cancel_scope.cancel()
    assert waiter_count(queue) == 0
    started = now()
    await use_up(queue)
    assert now() - started == pytest.approx(60.0)


async def test_whoever_is_cancelled_already_is_told_that_and_not_that_it_is_late() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await take(queue)
    assert scope.cancelled_caught
    assert waiter_count(queue) == 0


async def test_when_the_head_is_cancelled_the_next_one_gets_its_turn() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    got: list[float] = []

    async def wait_for_it() -> None:
        await anyio.sleep(0.5)
        await take(queue)
        got.append(now())

    started = now()
    async with anyio.create_task_group() as group:
        group.start_soon(wait_for_it)
        async with anyio.create_task_group() as inner:
            inner.start_soon(take, queue)
            await anyio.sleep(1.0)
            inner.cancel_scope.cancel()
    assert got == [pytest.approx(started + 61.0)]


async def test_a_wait_known_to_be_too_long_is_refused_at_once_queue_included() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(take, queue)
        await anyio.sleep(1.0)
        started = now()
        with anyio.fail_after(70.0), pytest.raises(QuotaExhausted) as caught:
            await take(queue)
        assert now() == started
        # The three before take the three tokens at 61 s; the fourth waits for one of theirs to come back.
        assert caught.value.retry_after == pytest.approx(60.0 + 61.0, abs=0.1)
        group.cancel_scope.cancel()


async def test_a_wait_within_the_deadline_is_waited() -> None:
    queue = MemoryStore().queue
    await use_up(queue)
    started = now()
    with anyio.fail_after(61.5):
        permit = await take(queue)
    assert permit.waited == pytest.approx(61.0)
    assert now() - started == pytest.approx(61.0)


async def test_what_becomes_too_late_while_it_waits_is_refused_as_soon_as_that_is_known() -> None:
    store = MemoryStore()
    queue = store.queue
    await use_up(queue)

    async def shut_later() -> None:
        await anyio.sleep(10.0)
        await store.drain_tokens("alex", QUOTA)
        queue.notify("alex")

    async with anyio.create_task_group() as group:
        group.start_soon(shut_later)
        started = now()
        with anyio.fail_after(65.0), pytest.raises(QuotaExhausted) as caught:
            await take(queue)
        assert now() - started == pytest.approx(10.0)
        assert caught.value.retry_after == pytest.approx(61.0)


async def test_a_slot_that_comes_free_goes_to_the_first_who_waits_for_one() -> None:
    queue = MemoryStore().queue
    held = [await take(queue, token=False) for _ in range(14)]
    got: list[int] = []

    async def wait(number: int) -> None:
        await anyio.sleep(number / 100)
        await take(queue, token=False)
        got.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
        await anyio.sleep(1.0)
        for expected in ([0], [0, 1], [0, 1, 2]):
            await queue.release(held.pop(), Completion.COMPLETE)
            await anyio.sleep(0.1)
            assert got == expected


async def test_a_request_that_gets_no_token_with_its_place_waits_for_the_token_next() -> None:
    queue = MemoryStore().queue
    credentials = [Credentials("smsc", Account(login, "123")) for login in ("alex", "boris", "clara", "dora", "emil")]
    waiting, *others = (Permit(each.login, QUOTA, True, each) for each in credentials)
    await use_up(queue, waiting.login)
    started = now()
    for permit in others:  # of accounts that are not tested yet: they take all places
        await queue.acquire(permit)
    with pytest.raises(TrialsExhausted):
        await queue.acquire_now(waiting, lease=30.0)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire, waiting)
        await anyio.sleep(1.0)
        await queue.release(others[0], Completion.COMPLETE, Verdict.LIST)
    assert waiting.place is not None
    assert now() - started == pytest.approx(QUOTA.window)
    assert waiter_count(queue) == 0


async def test_a_slot_that_lingers_comes_free_by_itself() -> None:
    queue = MemoryStore().queue
    held = [await take(queue, token=False) for _ in range(14)]
    await queue.release(held[0], Completion.INCOMPLETE)
    started = now()
    await take(queue, token=False)
    assert now() - started == pytest.approx(5.0)


async def test_a_request_that_was_not_sent_lets_the_next_one_go_at_once() -> None:
    queue = MemoryStore().queue
    held = [await take(queue) for _ in range(3)]
    waited: list[float] = []

    async def wait() -> None:
        waited.append((await take(queue)).waited)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(3.0)
        await queue.release(held[0], Completion.NOT_SENT)
    assert waited == [pytest.approx(3.0)]


async def test_a_cold_store_lets_no_tariff_request_through_for_the_first_window() -> None:
    queue = MemoryStore(cold_start="wait").queue
    started = now()
    with anyio.fail_after(30.0), pytest.raises(StoreNotReady):
        await take(queue)
    await take(queue)
    assert now() - started == pytest.approx(61.0)
    await take(queue)
    assert now() - started == pytest.approx(61.0)


@pytest.mark.parametrize("seed", exhaustive_after(5, range(20)))
@pytest.mark.no_cover
async def test_three_thousand_random_cancellations_lose_no_token_and_no_slot(seed: int) -> None:
    chance = random.Random(seed)
    store = MemoryStore()
    queue = store.queue

    async def call() -> None:
        permit = await take(queue, token=chance.random() < 0.5)
        ending = Completion.INCOMPLETE
        try:
            await anyio.sleep(chance.uniform(0, 3))
            permit.seen = now()
            ending = Completion.COMPLETE
        finally:
            await queue.release(permit, ending)

    async def maybe_cancelled() -> None:
        await anyio.sleep(chance.uniform(0, 300))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await anyio.sleep(chance.choice([0, 0.5, 5, 50]))
                scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(150):
            group.start_soon(maybe_cancelled)
    counts = usage_counts(store._buckets)  # pyright: ignore[reportPrivateUsage]  # what is left over is inside
    assert (counts["tokens_out"], counts["slots"], waiter_count(queue)) == (0, 0, 0)


def test_a_waiter_of_another_thread_is_woken_there() -> None:
    queue = MemoryStore().queue
    held = asyncio.run(_hold(queue))
    waited: list[str] = []
    started = threading.Event()

    async def wait(name: str) -> None:
        started.set()
        await queue.acquire(Permit("alex", QUOTA, token=False))
        waited.append(name)

    threads = [
        threading.Thread(target=partial(anyio.run, wait, name, backend=name), daemon=True)
        for name in ("asyncio", "trio")
    ]
    for thread in threads:
        started.clear()
        thread.start()
        assert started.wait(10.0)
    while waiter_count(queue) < 2:
        pass
    for permit in held[:2]:
        asyncio.run(queue.release(permit, Completion.COMPLETE))
    for thread in threads:
        thread.join(10.0)
    assert sorted(waited) == ["asyncio", "trio"]


async def _hold(queue: WaiterQueue) -> list[Permit]:
    return [await queue.acquire(Permit("alex", QUOTA, token=False)) for _ in range(14)]


def test_a_waiter_whose_loop_was_closed_under_it_blocks_nobody() -> None:
    queue = MemoryStore().queue
    quota = Quota(per=0.05, guard=0.0)
    loop = asyncio.new_event_loop()

    async def use_up_all() -> None:
        for _ in range(3):
            permit = await queue.acquire(Permit("alex", quota, token=True))
            permit.seen = now()
            await queue.release(permit, Completion.COMPLETE)

    loop.run_until_complete(use_up_all())
    stuck = loop.create_task(queue.acquire(Permit("alex", quota, token=True)))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    try:
        assert waiter_count(queue) == 1
        queue.notify("alex")
        assert waiter_count(queue) == 0
        asyncio.run(use_up_all())
    finally:
        # What asyncio says of a task that was left so is not what is tested here.
        stuck._log_destroy_pending = False  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        stuck.get_coro().close()  # pyright: ignore[reportOptionalMemberAccess]


def test_a_head_whose_event_loop_is_closed_does_not_block_the_next_waiter() -> None:
    queue = MemoryStore().queue
    quota = Quota(requests=1, per=0.05, guard=0.0, linger=0.0)
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(queue.acquire(Permit("alex", quota, token=True)))
    held.owner_loop = loop
    stuck = loop.create_task(queue.acquire(Permit("alex", quota, token=True)))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    try:

        async def wait() -> Permit:
            with anyio.fail_after(30.0):
                return await queue.acquire(Permit("alex", quota, token=True))

        assert asyncio.run(wait()).login == "alex"
        assert waiter_count(queue) == 0
    finally:
        stuck._log_destroy_pending = False  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        stuck.get_coro().close()  # pyright: ignore[reportOptionalMemberAccess]


URL = "https://smsc.example/sys/"


class Recorder(httpx.AsyncBaseTransport):
    """Answers after a second, and remembers how many were there at once."""

    def __init__(self) -> None:
        self.at_once = self.peak = self.total = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.total += 1
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            await anyio.sleep(1.0)
        finally:
            self.at_once -= 1
        return httpx.Response(200, content=b"fine")


Build = Callable[[httpx.AsyncClient], httpx.Request]
SENDINGS: dict[str, Build] = {
    "query": lambda client: client.build_request("GET", "send.php", params={"login": "alex"}),
    "form": lambda client: client.build_request("POST", "send.php", data={"login": "alex"}),
    "JSON": lambda client: client.build_request("POST", "send.php", json={"login": "Alex "}),
    "multipart": lambda client: client.build_request(
        "POST", "send.php", data={"login": "alex"}, files={"file": b"\x00\xff"}
    ),
    "key": lambda client: client.build_request("POST", "send.php", data={"apikey": "k-1"}),
}
TARIFF_REQUESTS: dict[str, Build] = {
    "query": lambda client: client.build_request("GET", "get.php", params={"get_price": 1, "login": "alex", "fmt": 2}),
    "form": lambda client: client.build_request("POST", "get.php", data={"get_price": 1, "login": "alex"}),
    "both": lambda client: client.build_request("POST", "get.php", params={"login": "alex"}, data={"get_price": 1}),
}


@pytest.mark.parametrize("kind", SENDINGS)
async def test_every_request_of_a_login_holds_a_slot_however_it_names_it(kind: str) -> None:
    wire = Recorder()
    async with (
        httpx.AsyncClient(transport=LimitedTransport(wire, store=MemoryStore()), base_url=URL) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(40):
            group.start_soon(client.send, SENDINGS[kind](client))
    assert (wire.total, wire.peak) == (40, 14)


async def test_a_request_that_names_no_login_passes_unlimited() -> None:
    wire = Recorder()
    headers = {"content-type": "application/json"}
    async with (
        httpx.AsyncClient(transport=LimitedTransport(wire, store=MemoryStore()), base_url=URL) as client,
        anyio.create_task_group() as group,
    ):
        for content in [b"", b"{", b"[1]", b'{"other": 1}'] * 10:
            group.start_soon(partial(client.post, "send.php", content=content, headers=headers))
    assert wire.peak == 40


@pytest.mark.parametrize("kind", TARIFF_REQUESTS)
async def test_a_tariff_request_takes_a_token_however_it_is_made(kind: str) -> None:
    transport = LimitedTransport(Recorder(), store=MemoryStore())
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        started = now()
        for _ in range(4):
            await client.send(TARIFF_REQUESTS[kind](client))
        # The fourth a window after the first was answered, and each took a second.
        assert now() - started == pytest.approx(63.0)


async def test_a_body_that_is_streamed_holds_its_slot_until_it_is_read_or_closed() -> None:
    store = MemoryStore()

    async def chunks() -> object:
        for _ in range(3):
            await anyio.sleep(1.0)
            yield b"x"

    transport = LimitedTransport(
        httpx.MockTransport(lambda _: httpx.Response(200, content=chunks())),  # type: ignore[arg-type]  # an async stream
        store=store,
    )
    buckets = store._buckets  # pyright: ignore[reportPrivateUsage]  # what is held is inside
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        async with client.stream("GET", "send.php", params={"login": "alex"}) as response:
            assert usage_counts(buckets)["slots"] == 1
            await response.aread()
        sweep(buckets, now())
        assert set(usage_counts(buckets).values()) == {0}
        async with client.stream("GET", "send.php", params={"login": "alex"}):
            pass
        assert usage_counts(buckets)["lingering"] == 1


async def test_an_answer_that_cannot_be_read_in_a_loop_keeps_no_slot_for_good() -> None:
    store = MemoryStore()
    transport = LimitedTransport(httpx.MockTransport(lambda _: httpx.Response(200, content=iter([b"x"]))), store=store)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        for _ in range(5):  # more than there are tokens
            with pytest.raises(TypeError, match="cannot be read"):
                await client.send(TARIFF_REQUESTS["form"](client))
        await anyio.sleep(QUOTA.absence)
        assert usage_counts(store._buckets)["slots"] == 0  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(TypeError, match="cannot be read"):
            await client.send(TARIFF_REQUESTS["form"](client))


async def test_a_limited_transport_closes_the_one_inside_and_takes_no_limited_one() -> None:
    class Closing(Recorder):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    inner = Closing()
    limited = LimitedTransport(inner, store=MemoryStore())
    await limited.aclose()
    assert inner.closed
    with pytest.raises(TypeError, match="already"):
        LimitedTransport(limited)
