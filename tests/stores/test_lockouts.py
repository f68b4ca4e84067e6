"""The lockout rules over every store: what one instance learns, all instances know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from smsc_async import Account, QuotaExhausted, TrialsExhausted
from smsc_async.fetch import lockout
from smsc_async.fetch.lockout import Cause, Refused, Verdict
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota
from smsc_async.stores import Store
from tests.limiter.counts import waiter_count
from tests.stores.conftest import LOOPS_OF_STORES, Make

pytestmark = pytest.mark.anyio

SERVICE: Final = "smsc.example"
QUOTA: Final = Quota()
WRONG: Final = Account("alex", "wrong")


@pytest.fixture(params=LOOPS_OF_STORES)
def loop_and_store(request: pytest.FixtureRequest) -> tuple[str, str]:
    names: tuple[str, str] = request.param
    return names


@pytest.fixture
def anyio_backend(loop_and_store: tuple[str, str]) -> str:
    return loop_and_store[0]


@pytest.fixture
def store_kind(loop_and_store: tuple[str, str]) -> str:
    return loop_and_store[1]


def _accounts(count: int, name: str = "login") -> list[Account]:
    return [Account(f"{name}-{n}", "123") for n in range(count)]


async def _take(store: Store, account: Account, *, service: str = SERVICE) -> Permit | Refusal:
    login = f"{service} {account.login}"
    return await store.acquire(Permit(login, QUOTA, token=False, credentials=Credentials(service, account)), lease=30.0)


async def _taken(store: Store, account: Account) -> Permit:
    permit = await _take(store, account)
    assert isinstance(permit, Permit), permit
    return permit


async def _refused(store: Store, account: Account) -> Refused:
    refusal = await _take(store, account)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.locked_out is not None
    return refusal.locked_out


async def _end(store: Store, permit: Permit, verdict: Verdict) -> None:
    completion = {Verdict.NOT_SENT: Completion.NOT_SENT, Verdict.UNANSWERED: Completion.INCOMPLETE}
    await store.release(permit, completion.get(verdict, Completion.COMPLETE), verdict)


async def _exchange(store: Store, account: Account, verdict: Verdict) -> None:
    await _end(store, await _taken(store, account), verdict)


async def _places(store: Store, accounts: Sequence[Account]) -> int:
    """Return how many of the accounts get a place at the same time."""
    permits = [await _take(store, account) for account in accounts]
    for permit in permits:
        if isinstance(permit, Permit):
            await _end(store, permit, Verdict.NOT_SENT)
    return sum(isinstance(permit, Permit) for permit in permits)


async def test_another_instance_shows_a_lockout_without_taking_anything(make_store: Make) -> None:
    here, there = make_store(), make_store()
    await _exchange(here, WRONG, Verdict.REFUSED)
    for _ in range(2):
        await there.load_lockouts(SERVICE, WRONG)
        (shown,) = there.lockouts(SERVICE)
        assert (shown.cause, shown.seconds > 2600) == (Cause.CREDENTIALS, True)
    assert (await there.usage(f"{SERVICE} alex", QUOTA)).slots == 0
    await there.load_lockouts("another.example", WRONG)
    assert there.lockouts("another.example") == []


async def test_a_request_without_a_slot_takes_no_place_in_what_lockouts_shows(make_store: Make) -> None:
    store, login, quota = make_store(), f"{SERVICE} alex", Quota(concurrent=1)
    for account in _accounts(3):
        await _exchange(store, account, Verdict.UNANSWERED)
    assert isinstance(await store.acquire(Permit(login, quota, token=False), lease=30.0), Permit)
    guarded = Permit(login, quota, token=False, credentials=Credentials(SERVICE, Account("alex", "123")))
    refusal = await store.acquire(guarded, lease=30.0)
    assert isinstance(refusal, Refusal)
    assert refusal.locked_out is None
    assert store.lockouts(SERVICE) == []


async def test_refused_credentials_are_known_to_another_instance_and_others_are_not_concerned(make_store: Make) -> None:
    here, there = make_store(), make_store()
    await _exchange(here, WRONG, Verdict.REFUSED)
    refused = await _refused(there, WRONG)
    assert (refused.cause, refused.final) == (Cause.CREDENTIALS, True)
    assert refused.retry_in == pytest.approx(lockout.BACKOFF[0], abs=60)
    assert isinstance(await _take(there, Account("alex", "123")), Permit)
    assert isinstance(await _take(there, WRONG, service="other.example"), Permit)


async def test_two_instances_share_four_places(make_store: Make) -> None:
    stores = [make_store(), make_store()]
    accounts = _accounts(5)
    permits = [await _taken(stores[n % 2], accounts[n]) for n in range(4)]
    refused = await _refused(stores[0], accounts[4])
    assert (refused.cause, refused.retry_in, refused.final) == (Cause.TRIALS, 0.0, False)
    await _end(stores[1], permits[1], Verdict.OTHER)
    assert isinstance(await _take(stores[0], accounts[4]), Permit)


async def test_confirmed_credentials_need_no_place_in_another_instance(make_store: Make) -> None:
    here, there = make_store(), make_store()
    known, *others = _accounts(4)
    await _exchange(here, known, Verdict.LIST)
    for account in others:
        await _taken(here, account)
    assert (await _taken(there, known)).place is not None
    assert (await _refused(there, Account("fourth", "123"))).cause is Cause.TRIALS


@pytest.mark.parametrize(
    ("verdict", "cause", "places"),
    [
        (Verdict.LIST, None, 3),
        (Verdict.REFUSED, Cause.CREDENTIALS, 3),
        (Verdict.BLOCKED, Cause.ADDRESS, 0),
        (Verdict.OTHER, None, 4),
        (Verdict.UNANSWERED, None, 3),
        (Verdict.NOT_SENT, None, 4),
    ],
)
async def test_a_verdict_decides_about_the_next_requests_of_all_instances(
    make_store: Make, verdict: Verdict, cause: Cause | None, places: int
) -> None:
    here, there = make_store(), make_store()
    await _exchange(here, WRONG, verdict)
    assert await _places(there, _accounts(5)) == places
    answer = await _take(there, WRONG)
    assert (answer.locked_out.cause if isinstance(answer, Refusal) and answer.locked_out else None) is cause


async def test_a_release_without_a_verdict_is_settled_by_its_completion(make_store: Make) -> None:
    here, there = make_store(), make_store()
    for completion, places in ((Completion.NOT_SENT, 4), (Completion.INCOMPLETE, 3)):
        await here.release(await _taken(here, WRONG), completion)
        assert await _places(there, _accounts(5)) == places


async def test_places_of_a_killed_worker_are_free_after_its_lease_and_a_minute_from_its_requests(
    make_store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, there = make_store(), make_store()
    for account in _accounts(4):
        await _taken(killed, account)
    other = Account("other", "123")
    assert (await _refused(there, other)).retry_in == 0.0
    # The store has the instants of sending, and a look adds the lease and the minute. Both are over once they are short.
    await anyio.sleep(0.1)
    with monkeypatch.context() as patch:
        patch.setattr(lockout, "LEASE", 0.05)
        assert 0 < (await _refused(there, other)).retry_in <= lockout.FIRST_PROBE
        patch.setattr(lockout, "UNANSWERED_FOR", 0.05)
        await _taken(there, Account("new", "123"))
    # The places of the next requests last as long as ever.
    assert await _places(there, _accounts(4, "newer")) == 3


async def test_a_reset_for_one_account_lifts_its_lockout_alone(make_store: Make) -> None:
    here, there = make_store(), make_store()
    others = Account("boris", "wrong")
    for account in (WRONG, others):
        await _exchange(here, account, Verdict.REFUSED)
    await there.reset_lockouts(SERVICE, WRONG)
    assert isinstance(await _take(here, WRONG), Permit)
    assert (await _refused(here, others)).cause is Cause.CREDENTIALS


async def test_a_reset_for_all_lifts_every_lockout(make_store: Make) -> None:
    here, there = make_store(), make_store()
    for account in (WRONG, Account("boris", "wrong")):
        await _exchange(here, account, Verdict.REFUSED)
    await _exchange(here, Account("clara", "123"), Verdict.BLOCKED)
    assert (await _refused(there, WRONG)).cause is Cause.CREDENTIALS
    await there.reset_lockouts(SERVICE, None)
    assert there.lockouts(SERVICE) == []
    assert isinstance(await _take(here, WRONG), Permit)
    assert await _places(here, _accounts(5)) == 3


async def test_a_reset_in_a_store_without_lockouts_changes_nothing(make_store: Make) -> None:
    store = make_store()
    await store.reset_lockouts(SERVICE, WRONG)
    await store.reset_lockouts(SERVICE, None)
    assert store.lockouts(SERVICE) == []
    assert await _places(store, _accounts(5)) == 4


async def test_a_waiting_call_gets_its_place_at_the_reset(make_store: Make) -> None:
    store = make_store()
    for account in _accounts(4):
        await _exchange(store, account, Verdict.UNANSWERED)
    permits: list[Permit] = []

    async def wait() -> None:
        credentials = Credentials(SERVICE, WRONG)
        permits.append(await store.queue.acquire(Permit("alex", QUOTA, token=True, credentials=credentials)))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(0.1)
            assert not permits
            await store.reset_lockouts(SERVICE, None)
    assert permits[0].waited < lockout.FIRST_PROBE


async def test_lockouts_have_the_names_of_logins_and_their_seconds(make_store: Make) -> None:
    here, there = make_store(), make_store()
    assert here.lockouts(SERVICE) == []
    await _exchange(here, WRONG, Verdict.REFUSED)
    await _refused(there, WRONG)
    for store in (here, there):
        (seen,) = store.lockouts(SERVICE)
        assert (seen.cause, seen.login) == (Cause.CREDENTIALS, "alex")
        assert seen.seconds == pytest.approx(lockout.BACKOFF[0], abs=60)
        assert store.lockouts("other.example") == []


async def test_lockouts_of_another_service_are_its_own(make_store: Make) -> None:
    store = make_store()
    await _exchange(store, WRONG, Verdict.REFUSED)
    permit = await _take(store, Account("boris", "123"), service="other.example")
    assert isinstance(permit, Permit)
    await _end(store, permit, Verdict.BLOCKED)
    assert [each.cause for each in store.lockouts("other.example")] == [Cause.ADDRESS]
    assert [each.cause for each in store.lockouts(SERVICE)] == [Cause.CREDENTIALS]


async def test_twenty_tasks_of_two_instances_never_have_more_than_four_places(make_store: Make) -> None:
    stores = [make_store(), make_store()]
    answers: list[Permit | Refusal] = []

    async def take(n: int, account: Account) -> None:
        answers.append(await _take(stores[n % 2], account))

    async with anyio.create_task_group() as group:
        for n, account in enumerate(_accounts(20)):
            group.start_soon(take, n, account)
    permits = [each for each in answers if isinstance(each, Permit)]
    assert len(permits) == 4
    for permit in permits:
        await _end(stores[0], permit, Verdict.NOT_SENT)
    assert await _places(stores[1], _accounts(5, "new")) == 4


async def test_twenty_waiting_tasks_of_two_instances_all_get_a_place_in_turn(make_store: Make) -> None:
    stores = [make_store(), make_store()]
    held = peak = served = 0

    async def call(n: int, account: Account) -> None:
        nonlocal held, peak, served
        store = stores[n % 2]
        permit = await store.queue.acquire(
            Permit(account.login, QUOTA, token=True, credentials=Credentials(SERVICE, account))
        )
        held += 1
        peak = max(peak, held)
        await anyio.sleep(0.01)
        held -= 1
        await store.queue.release(permit, Completion.COMPLETE, Verdict.LIST)
        served += 1

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for n, account in enumerate(_accounts(20)):
                group.start_soon(call, n, account)
    assert served == 20
    assert 1 < peak <= 4


async def test_a_cancelled_acquire_leaves_no_place_taken(make_store: Make) -> None:
    store, other = make_store(), make_store()
    for tick in range(16):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_after, scope, tick)
                permit = await _taken(store, Account(f"cancelled-{tick}", "123"))
                with anyio.CancelScope(shield=True):
                    await _end(store, permit, Verdict.NOT_SENT)
                group.cancel_scope.cancel()
    await store.aclose()
    assert await _places(other, _accounts(5)) == 4


async def _cancel_after(scope: anyio.CancelScope, ticks: int) -> None:
    for _ in range(ticks):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_call_without_a_place_in_time_is_refused_and_leaves_token_and_slot(make_store: Make) -> None:
    here, there = make_store(), make_store()
    for account in _accounts(4):
        await _taken(here, account)
    credentials = Credentials(SERVICE, WRONG)
    await there.usage("alex", QUOTA)  # so that it is open
    with anyio.fail_after(1.0), pytest.raises(TrialsExhausted):
        await there.queue.acquire(Permit("alex", QUOTA, token=True, credentials=credentials))
    permits = [await there.acquire(Permit("alex", QUOTA, token=True), lease=30.0) for _ in range(3)]
    assert all(isinstance(permit, Permit) for permit in permits)


async def test_a_busy_event_loop_hides_the_cause_from_no_call(make_store: Make) -> None:
    store = make_store()
    for account in _accounts(4):
        await _taken(store, account)

    async def block() -> None:
        await anyio.sleep(0.6)
        time.sleep(0.4)  # noqa: ASYNC251  # the loop is late for both timers of the call

    async with anyio.create_task_group() as group:
        group.start_soon(block)
        with anyio.fail_after(0.8), pytest.raises(TrialsExhausted):
            await store.queue.acquire(Permit("alex", QUOTA, token=True, credentials=Credentials(SERVICE, WRONG)))


async def test_a_cancelled_wait_for_a_place_is_over_and_takes_none(make_store: Make) -> None:
    store = make_store()
    permits = [await _taken(store, account) for account in _accounts(4)]
    with anyio.move_on_after(30.0) as scope:
        async with anyio.create_task_group() as group:
            for n in range(3):
                credentials = Credentials(SERVICE, Account(f"waiting-{n}", "123"))
                group.start_soon(store.queue.acquire, Permit(f"{n}", QUOTA, token=True, credentials=credentials))
            await anyio.sleep(0.2)
            assert waiter_count(store.queue) == 3
            scope.cancel()
    assert waiter_count(store.queue) == 0
    for permit in permits:
        await _end(store, permit, Verdict.NOT_SENT)
    assert await _places(make_store(), _accounts(5)) == 4


async def test_a_second_sending_takes_a_token_of_its_own_while_there_is_one(make_store: Make) -> None:
    attempt = Attempt("alex", QUOTA)
    async with LimitedExchange(make_store(), attempt) as exchange:
        for _ in range(3):
            await exchange.allow_reading()
        with pytest.raises(QuotaExhausted):
            await exchange.allow_reading()
    assert (attempt.readings, len(attempt.permits)) == (3, 3)
    refusal = await make_store().acquire(Permit("alex", QUOTA, token=True), lease=30.0)
    assert isinstance(refusal, Refusal)


async def test_credentials_at_risk_are_sent_once(make_store: Make) -> None:
    attempt = Attempt("alex", QUOTA, Credentials(SERVICE, WRONG))
    async with LimitedExchange(make_store(), attempt) as exchange:
        await exchange.allow_reading()
        with pytest.raises(TrialsExhausted, match="sent once"):
            await exchange.allow_reading()
    assert attempt.readings == 1


async def test_a_call_without_a_token_leaves_its_place(make_store: Make) -> None:
    store = make_store()
    for _ in range(3):
        assert isinstance(await store.acquire(Permit("alex", QUOTA, token=True), lease=30.0), Permit)
    credentials = Credentials(SERVICE, Account("alex", "123"))
    refusal = await store.acquire(Permit("alex", QUOTA, token=True, credentials=credentials), lease=30.0)
    assert isinstance(refusal, Refusal)
    assert refusal.locked_out is None
    assert await _places(make_store(), _accounts(5)) == 4
