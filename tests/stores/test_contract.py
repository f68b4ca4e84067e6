"""What every store does, whatever it is made of: one suite over all of them, on both event loops."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import attrs
import pytest

from smsc_async import Account, QuotaExhausted, Tariffs, decode
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Reply
from smsc_async.stores import FetchLease, Store
from smsc_async.stores.single_flight import SingleFlight
from tests.stores.conftest import LOOPS_OF_STORES, QUOTA, Make
from tests.support.stopwatch import stopwatch

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS_OF_STORES)
def loop_and_store(request: pytest.FixtureRequest) -> tuple[str, str]:
    told: tuple[str, str] = request.param
    return told


@pytest.fixture
def anyio_backend(loop_and_store: tuple[str, str]) -> str:
    return loop_and_store[0]


@pytest.fixture
def store_kind(loop_and_store: tuple[str, str]) -> str:
    return loop_and_store[1]


# What is judged a moment later has to be so still, though the machine stalled meanwhile.
STEADY = Quota(per=0.8, guard=0.02, linger=0.6)
LONG = Quota()

ALEX = Account("alex", "123")
ENDPOINT = "https://smsc.example/sys/get.php"
BODY = b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "codes": [], "mail": "0.10"}'
REPLY = Reply(200, "application/json; charset=utf-8", None, BODY)


def _list() -> Tariffs:
    return attrs.evolve(decode(BODY), fetched_at=datetime.now(UTC))


async def _take(store: Store, login: str = "alex", *, token: bool = True, quota: Quota = QUOTA) -> Permit | Refusal:
    return await store.acquire(Permit(login, quota, token=token), lease=5.0)


async def _taken(store: Store, login: str = "alex", *, token: bool = True, quota: Quota = QUOTA) -> Permit:
    permit = await _take(store, login, token=token, quota=quota)
    assert isinstance(permit, Permit)
    return permit


async def _answered(store: Store, permit: Permit, ending: Completion = Completion.COMPLETE) -> None:
    permit.seen = now()
    await store.release(permit, ending)


async def test_three_tokens_are_given_and_a_fourth_is_not(make_store: Make) -> None:
    answers = [await _take(make_store()) for _ in range(4)]
    assert [isinstance(answer, Permit) for answer in answers] == [True, True, True, False]


async def test_a_token_is_free_a_window_after_its_answer_and_not_before(make_store: Make) -> None:
    here, there = make_store(), make_store()
    permits = [await _taken(here, quota=STEADY) for _ in range(3)]
    for permit in permits:
        await _answered(here, permit)
    refused = await _take(there, quota=STEADY)
    assert isinstance(refused, Refusal)
    assert 0 < refused.retry_in <= STEADY.window
    assert len(refused.tokens_in) == 3
    await anyio.sleep(refused.tokens_in[-1] + 0.005)
    assert [isinstance(await _take(there, quota=STEADY), Permit) for _ in range(4)] == [True, True, True, False]


async def test_what_was_not_sent_is_free_at_once(make_store: Make) -> None:
    here, there = make_store(), make_store()
    permits = [await _taken(here) for _ in range(3)]
    await here.release(permits[0], Completion.NOT_SENT)
    assert isinstance(await _take(there), Permit)


async def test_an_exchange_without_an_answer_keeps_its_token_for_linger_and_a_window(make_store: Make) -> None:
    here, there = make_store(), make_store()
    for _ in range(3):
        await here.release(await _taken(here, quota=LONG), Completion.INCOMPLETE)
    refused = await _take(there, quota=LONG)
    assert isinstance(refused, Refusal)
    assert LONG.window < refused.tokens_in[0] <= LONG.absence


async def test_a_fifteenth_request_has_no_slot_and_takes_no_token(make_store: Make) -> None:
    here, there = make_store(), make_store()
    permits = [await _taken(here, token=False) for _ in range(14)]
    refused = await _take(there)
    assert isinstance(refused, Refusal)
    assert not refused.tokens_in
    await _answered(here, permits[0])
    assert isinstance(await _take(there), Permit)


async def test_a_slot_lingers_after_an_exchange_that_was_cut(make_store: Make) -> None:
    here, there = make_store(), make_store()
    permits = [await _taken(here, token=False, quota=STEADY) for _ in range(14)]
    await here.release(permits[0], Completion.INCOMPLETE)
    refused = await _take(there, token=False, quota=STEADY)
    assert isinstance(refused, Refusal)
    assert 0 < refused.retry_in <= STEADY.linger
    await anyio.sleep(STEADY.linger + 0.005)
    assert isinstance(await _take(there, token=False, quota=STEADY), Permit)


async def test_logins_and_quotas_have_nothing_to_do_with_each_other(make_store: Make) -> None:
    here, there = make_store(), make_store()
    wide = Quota(requests=4, per=1800.0)
    answers = [await _take(here, "alex", quota=wide) for _ in range(5)]
    assert [isinstance(answer, Permit) for answer in answers] == [True, True, True, True, False]
    assert isinstance(await _take(there, "boris"), Permit)


async def test_the_usage_of_a_login_takes_nothing_and_counts_what_all_processes_have_in_use(make_store: Make) -> None:
    here, there = make_store(), make_store()
    assert await there.usage("alex", LONG) == Usage()
    first, second = await _taken(here, quota=LONG), await _taken(here, quota=LONG)
    slot = await _taken(here, token=False, quota=LONG)
    assert await there.usage("alex", LONG) == Usage((LONG.window,) * 2, 3)
    first.seen = now()
    await _answered(here, first)
    await here.release(slot, Completion.INCOMPLETE)
    usage = await there.usage("alex", LONG)
    assert usage.slots == 2  # one lingers
    assert LONG.window - 30 < usage.tokens_in[0] < usage.tokens_in[1] == LONG.window
    await here.release(second, Completion.NOT_SENT)
    assert len((await there.usage("alex", LONG)).tokens_in) == 1
    assert [isinstance(await _take(there, quota=LONG), Permit) for _ in range(3)] == [True, True, False]
    assert await there.usage("boris", LONG) == Usage()
    await here.drain_tokens("alex", LONG)
    assert len((await there.usage("alex", LONG)).tokens_in) >= LONG.requests


async def test_a_login_that_is_shut_has_no_token_for_a_window(make_store: Make) -> None:
    here, there = make_store(), make_store()
    await here.drain_tokens("alex", STEADY)
    refused = await _take(there, quota=STEADY)
    assert isinstance(refused, Refusal)
    assert 0 < refused.tokens_in[0] <= STEADY.window
    assert isinstance(await _take(there, token=False, quota=STEADY), Permit)
    await anyio.sleep(STEADY.window)
    assert isinstance(await _take(there, quota=STEADY), Permit)


async def test_waiting_calls_go_as_tokens_come_free_whoever_gives_them_back(make_store: Make) -> None:
    stores = [make_store() for _ in range(3)]
    granted: list[float] = []

    async def call(store: Store) -> None:
        permit = await store.queue.acquire(Permit("alex", QUOTA, token=True))
        granted.append(now())
        await anyio.sleep(0.02)
        permit.seen = now()
        await store.queue.release(permit, Completion.COMPLETE)

    with stopwatch() as watch:
        async with anyio.create_task_group() as group:
            for i in range(6):
                group.start_soon(call, stores[i % 3])
    granted.sort()
    assert granted[3] - granted[0] > QUOTA.window
    assert granted[5] - granted[0] - watch.stalled < 2 * QUOTA.window


async def test_a_call_whose_permit_comes_too_late_is_refused_at_once(make_store: Make) -> None:
    for _ in range(3):
        await _answered(make_store(), await _taken(make_store(), quota=LONG))
    late = make_store()
    with anyio.fail_after(30), pytest.raises(QuotaExhausted):
        await late.queue.acquire(Permit("alex", LONG, token=True))
    # Again, over a store that is open: the first use of a cluster takes many round trips.
    with stopwatch() as watch, anyio.fail_after(30), pytest.raises(QuotaExhausted) as caught:
        await late.queue.acquire(Permit("alex", LONG, token=True))
    assert watch.seconds < 0.15
    assert 0 < caught.value.retry_after <= LONG.window


async def test_a_cancelled_wait_leaves_no_permit_taken(make_store: Make) -> None:
    store = make_store()
    for tick in range(12):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_after, scope, tick)
                permit = await store.queue.acquire(Permit("alex", QUOTA, token=True), lease=600.0)
                await store.queue.release(permit, Completion.NOT_SENT)
                group.cancel_scope.cancel()
    # A store may return what was cancelled a little later, but long before the end of the lease.
    with anyio.fail_after(60):
        while (await store.usage("alex", QUOTA)).tokens_in:  # noqa: ASYNC110  # no event says it
            await anyio.sleep(0.01)
    assert [isinstance(await _take(make_store()), Permit) for _ in range(3)] == [True, True, True]


async def _cancel_after(scope: anyio.CancelScope, ticks: int) -> None:
    for _ in range(ticks):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_list_goes_to_the_credentials_that_fetched_it_and_to_nobody_else(make_store: Make) -> None:
    here, there = make_store(), make_store()
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 60.0)
    assert isinstance(lead, FetchLease)
    tariffs = _list()
    lead.reply, lead.tariffs = REPLY, tariffs
    await here.release_lease(lead)
    found = here.get_cached(ENDPOINT, ALEX, 60.0)
    assert found == tariffs
    shared = there.get_cached(ENDPOINT, ALEX, 60.0) or await there.lease_or_reply(ENDPOINT, ALEX, 60.0)
    assert shared == tariffs
    assert isinstance(shared, Tariffs)
    assert shared.fetched_at is not None
    assert abs((shared.fetched_at - datetime.now(UTC)).total_seconds()) < 60
    for other in (Account("alex", "124"), Account("boris", "123"), Account.with_api_key("123", name="alex")):
        assert there.get_cached(ENDPOINT, other, math.inf) is None
        assert isinstance(await there.lease_or_reply(ENDPOINT, other, 60.0), FetchLease)
    assert isinstance(await there.lease_or_reply("https://other.example/sys/get.php", ALEX, 60.0), FetchLease)


async def test_a_list_that_is_too_old_is_fetched_anew_and_is_there_all_the_same(make_store: Make) -> None:
    here, there = make_store(), make_store()
    lead = await here.lease_or_reply(ENDPOINT, ALEX, 60.0)
    assert isinstance(lead, FetchLease)
    lead.reply, lead.tariffs = REPLY, _list()
    await here.release_lease(lead)
    await anyio.sleep(0.02)
    assert there.get_cached(ENDPOINT, ALEX, 0.01) is None
    assert isinstance(await there.lease_or_reply(ENDPOINT, ALEX, 0.01), FetchLease)
    assert there.get_cached(ENDPOINT, ALEX, math.inf) == _list()


async def test_a_store_has_one_gate_and_one_set_of_flights(store: Store) -> None:
    assert isinstance(store.queue, WaiterQueue)
    assert isinstance(store.flights, SingleFlight)
    assert store.queue is store.queue
    assert store.flights is store.flights
