"""The way of a call, in virtual time against the simulated service."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest

from smsc_async import (
    Account,
    AuthenticationError,
    CircuitOpen,
    Client,
    DeadlineExceeded,
    DecodeError,
    Format,
    LimitedTransport,
    Lockout,
    MemoryStore,
    ParameterError,
    Quota,
    QuotaExhausted,
    QuotaState,
    SmscError,
    StoreError,
    Tariffs,
    TooManyRequests,
    TransportError,
)
from smsc_async.limiter.clock import now
from smsc_async.simulator import Fault, Rules, SimulatedAccount, sample_tariffs
from tests.faults.scripted import confirm
from tests.support.server_log_checks import windows_broken
from tests.support.simulated import ALEX, URL, client_of, service
from tests.support.slow import exhaustive_after
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

BORIS = Account("boris", "456")


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def gather(*calls: Callable[[], Awaitable[Tariffs]]) -> list[Tariffs | SmscError]:
    """Run calls at once and return what each came to, in their order."""
    results: dict[int, Tariffs | SmscError] = {}

    async def run(place: int, call: Callable[[], Awaitable[Tariffs]]) -> None:
        try:
            results[place] = await call()
        except SmscError as error:
            results[place] = error

    async with anyio.create_task_group() as group:
        for place, call in enumerate(calls):
            group.start_soon(run, place, call)
    return [results[place] for place in range(len(calls))]


async def test_a_list_comes_whole_and_knows_when() -> None:
    async with client_of(service()) as client:
        tariffs = await client.tariffs()
    assert tariffs == sample_tariffs()
    assert not tariffs.stale
    assert tariffs.fetched_at is not None
    assert datetime.now(UTC) - tariffs.fetched_at < timedelta(minutes=5)


@pytest.mark.parametrize("reply_format", Format)
async def test_every_format_brings_the_same_list(reply_format: Format) -> None:
    simulator = service()
    async with client_of(simulator, reply_format=reply_format) as client:
        assert await client.tariffs() == sample_tariffs()
    assert [arrival.format for arrival in simulator.log] == [reply_format]


async def test_an_api_key_takes_the_place_of_login_and_password() -> None:
    simulator = service()
    async with client_of(simulator, Account.with_api_key("k-alex", name="alex")) as client:
        assert await client.tariffs() == sample_tariffs()
    assert [arrival.code for arrival in simulator.log] == [0]


async def test_a_list_is_kept_for_its_age_and_fetched_again_after() -> None:
    simulator = service()
    async with client_of(simulator, max_age=60) as client:
        first = await client.tariffs()
        await anyio.sleep(59)
        assert await client.tariffs() is first
        await anyio.sleep(2)
        assert await client.tariffs() is not first
        await client.tariffs(max_age=0)
        await client.tariffs(max_age=math.inf)
    assert len(simulator.log) == 3


async def test_the_last_list_wins_over_the_one_before() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        before = await client.tariffs()
        simulator.put(SimulatedAccount("alex", "123", tariffs=sample_tariffs(Decimal("1.1"))))
        after = await client.tariffs(max_age=0)
        assert after != before
        assert await client.tariffs() is after


@pytest.mark.no_cover
async def test_ten_thousand_callers_of_one_account_make_one_request() -> None:
    simulator = service(latency=1.0)
    async with client_of(simulator) as client:
        results = await gather(*[client.tariffs] * 10_000)
        stats = client.statistics()
    assert len(simulator.log) == 1
    assert all(result is results[0] for result in results)
    assert (stats.calls, stats.hits, stats.shared, stats.requests) == (10_000, 0, 9_999, 1)


async def test_callers_who_join_while_it_is_under_way_share_the_request() -> None:
    simulator = service(latency=10.0)
    async with client_of(simulator) as client:

        async def later() -> Tariffs:
            await anyio.sleep(5.0)
            return await client.tariffs(max_age=0)

        first, second = await gather(client.tariffs, later)
    assert first is second
    assert len(simulator.log) == 1


async def test_a_wrong_password_gets_error_2_while_the_right_list_is_fresh_in_memory() -> None:
    async with client_of(service()) as client:
        await client.tariffs()
        with pytest.raises(AuthenticationError):
            await client.tariffs(Account("alex", "wrong"))


async def test_a_wrong_password_gets_error_2_while_the_right_list_is_in_flight() -> None:
    async with client_of(service(latency=5.0)) as client:
        right, wrong = await gather(client.tariffs, lambda: client.tariffs(Account("alex", "wrong")))
    assert right == sample_tariffs()
    assert isinstance(wrong, AuthenticationError)


async def test_a_key_of_the_same_account_does_not_get_the_list_of_the_password() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        await client.tariffs()
        with pytest.raises(AuthenticationError):
            await client.tariffs(Account.with_api_key("not k-alex", name="alex"))
    assert len(simulator.log) == 2


async def test_twenty_clients_one_after_another_never_make_a_fourth_request_in_a_minute() -> None:
    simulator = service(rules=Rules(requests=3))
    store = MemoryStore()
    for _ in range(20):
        async with client_of(simulator, store=store, deadline=120) as client:
            await client.tariffs(max_age=0)
    assert len(simulator.log) == 20
    assert not simulator.violations()
    arrivals = [(arrival.at, arrival.finished_at) for arrival in simulator.log]
    assert not windows_broken(arrivals)
    assert arrivals[-1][0] - arrivals[0][0] == pytest.approx(6 * 61.0, abs=3.0)


async def test_clients_without_a_store_share_the_one_of_the_process() -> None:
    simulator = service()
    who = Account("boris", "456")
    for _ in range(3):
        async with client_of(simulator, who, store=None) as client:
            await client.tariffs(max_age=0)
    async with client_of(simulator, who, store=None) as client:
        with pytest.raises(QuotaExhausted) as caught:
            await client.tariffs(max_age=0, deadline=30)
    assert caught.value.retry_after == pytest.approx(61.0, abs=1.0)
    assert len(simulator.log) == 3


async def test_accounts_do_not_wait_for_each_other() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        for _ in range(3):
            await client.tariffs(max_age=0)
        started = now()
        await client.tariffs(BORIS)
        assert now() - started < 1.0


async def test_a_cancelled_caller_returns_at_once_and_the_others_get_their_list() -> None:
    simulator = service(latency=5.0)
    async with client_of(simulator) as client:
        returned: list[float] = []

        async def impatient() -> None:
            with anyio.move_on_after(1.0):
                await client.tariffs()
            returned.append(now())

        async def patient() -> None:
            results.extend(await gather(*[client.tariffs] * 100))

        results: list[Tariffs | SmscError] = []
        started = now()
        async with anyio.create_task_group() as group:
            group.start_soon(impatient)
            group.start_soon(patient)
        assert returned == [pytest.approx(started + 1.0, abs=0.05)]
        assert len(results) == 100
        assert all(result == sample_tariffs() for result in results)
    assert len(simulator.log) == 1


async def test_an_exchange_whose_callers_are_all_cancelled_fills_the_store() -> None:
    simulator = service(latency=5.0)
    async with client_of(simulator) as client:
        with anyio.move_on_after(1.0):
            await client.tariffs()
        await anyio.sleep(5.0)
        assert await client.tariffs() == sample_tariffs()
        assert client.statistics().hits == 1
    assert len(simulator.log) == 1


async def test_a_call_ends_by_its_deadline_when_nothing_answers() -> None:
    simulator = service()
    simulator.fail(Fault.hang())
    async with client_of(simulator) as client:
        started = now()
        with pytest.raises(DeadlineExceeded) as caught:
            await client.tariffs(deadline=7.0)
        assert now() - started == pytest.approx(7.0, abs=0.01)
    assert caught.value.may_have_counted
    assert "7 s" in str(caught.value)


async def test_a_caller_with_less_time_than_the_leader_ends_by_its_own_deadline() -> None:
    simulator = service(latency=20.0)
    async with client_of(simulator) as client:
        started = now()

        async def hurried() -> Tariffs:
            await anyio.sleep(1.0)
            return await client.tariffs(deadline=5.0)

        patient, hurry = await gather(client.tariffs, hurried)
        assert isinstance(hurry, DeadlineExceeded)
        assert hurry.may_have_counted
        assert patient == sample_tariffs()
        assert now() - started == pytest.approx(20.0, abs=0.5)


async def test_a_caller_with_more_time_than_the_leader_leads_the_next_try() -> None:
    simulator = service()
    simulator.fail(Fault.hang(), times=1)
    async with client_of(simulator) as client:

        async def follow() -> Tariffs:
            await anyio.sleep(1.0)
            return await client.tariffs(deadline=50.0)

        hurried, patient = await gather(lambda: client.tariffs(deadline=5.0), follow)
    assert isinstance(hurried, DeadlineExceeded)
    assert patient == sample_tariffs()
    assert len(simulator.log) == 2


async def test_a_caller_waits_for_a_leader_that_is_lost_no_longer_than_the_leader_had_time() -> None:
    store = MemoryStore()
    async with client_of(service(), store=store) as client:
        key = (client._calls.fetcher.hosts.primary, ALEX.fingerprint)  # pyright: ignore[reportPrivateUsage]  # as a loop that stands still
        store.flights.join(key, now() + 10)
        started = now()
        assert await client.tariffs(deadline=90.0) == sample_tariffs()
        assert 10.0 < now() - started < 60.0
    assert len(store.flights) == 0


async def test_a_permit_that_comes_too_late_is_refused_at_once_with_the_time_left() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        for _ in range(3):
            await client.tariffs(max_age=0)
        started = now()
        with pytest.raises(QuotaExhausted) as caught:
            await client.tariffs(max_age=0, deadline=20.0)
        assert now() == started
        assert caught.value.retry_after == pytest.approx(61.0, abs=1.0)
        assert not caught.value.may_have_counted
        await anyio.sleep(caught.value.retry_after)
        await client.tariffs(max_age=0, deadline=1.0)
    assert not simulator.violations()


async def test_a_wait_for_a_permit_is_counted() -> None:
    async with client_of(service()) as client:
        for _ in range(4):
            await client.tariffs(max_age=0)
        stats = client.statistics()
    assert (stats.requests, stats.waits) == (4, 1)
    assert stats.waited == pytest.approx(61.0, abs=1.0)


async def test_an_error_of_a_shared_request_is_everybodys_own_copy() -> None:
    async with client_of(service(latency=5.0), Account("alex", "wrong")) as client:
        errors = await gather(*[client.tariffs] * 3)
        assert client.statistics().refusals == {2: 1}
    assert all(isinstance(error, AuthenticationError) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert all(
        isinstance(error, SmscError) and error.__cause__ is None and error.__context__ is None for error in errors
    )


async def test_every_caller_of_a_request_gets_its_error_without_another_request() -> None:
    simulator = service(latency=5.0)
    simulator.fail(Fault.refusal(1))
    async with client_of(simulator) as client:
        errors = await gather(*[client.tariffs] * 3)
        assert client.statistics().requests == 1
    assert [type(error) for error in errors] == [ParameterError] * 3


async def test_a_stale_list_comes_only_when_asked_for_and_marked() -> None:
    simulator = service()
    async with client_of(simulator, retries=0) as client:
        fresh = await client.tariffs()
        await anyio.sleep(3_600)
        simulator.fail(Fault.http_status(503))
        with pytest.raises(TransportError):
            await client.tariffs()
        stale = await client.tariffs(stale_ok=True)
    assert stale == fresh
    assert stale.stale
    assert isinstance(stale.error, TransportError)
    assert stale.fetched_at == fresh.fetched_at


async def test_there_is_no_stale_list_where_there_was_none_or_the_credentials_are_refused() -> None:
    simulator = service()
    async with client_of(simulator, retries=0) as client:
        simulator.fail(Fault.http_status(503), times=1)
        with pytest.raises(TransportError):
            await client.tariffs(stale_ok=True)
        await client.tariffs()
        simulator.put(SimulatedAccount("alex", "another"))
        with pytest.raises(AuthenticationError):
            await client.tariffs(max_age=0, stale_ok=True)


async def test_error_9_closes_the_login_for_a_window_and_is_tried_again() -> None:
    simulator = service()
    simulator.fail(Fault.refusal(9), times=1)
    async with client_of(simulator) as client:
        started = now()
        assert await client.tariffs() == sample_tariffs()
        assert now() - started == pytest.approx(61.0, abs=1.0)
        assert client.statistics().refusals == {9: 1}


async def test_error_9_is_raised_where_the_deadline_leaves_no_time_for_a_window() -> None:
    simulator = service()
    simulator.fail(Fault.refusal(9), times=1)
    store = MemoryStore()
    async with client_of(simulator, store=store) as client, client_of(simulator, store=store) as other:
        with pytest.raises(TooManyRequests):
            await client.tariffs(deadline=30.0)
        with pytest.raises(QuotaExhausted):
            await other.tariffs(deadline=30.0)
    assert len(simulator.log) == 1


async def test_a_closed_client_says_so_and_can_be_entered_again() -> None:
    simulator = service()
    client = client_of(simulator)
    async with client:
        await client.tariffs()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.tariffs()
    with pytest.raises(RuntimeError, match="closed"):
        client.tariffs_for([ALEX])
    async with client:
        assert await client.tariffs(max_age=0) == sample_tariffs()


async def test_callers_of_a_client_that_is_closed_get_an_error_and_another_client_goes_on() -> None:
    simulator = service(latency=20.0)
    store = MemoryStore()
    one, other = client_of(simulator, store=store), client_of(simulator, store=store)

    async def close_soon() -> Tariffs:
        await anyio.sleep(1.0)
        await one.aclose()
        await one.aclose()
        return await other.tariffs()

    async def follow() -> Tariffs:
        await anyio.sleep(0.5)
        return await other.tariffs()

    led, followed, closer = await gather(one.tariffs, follow, close_soon)
    await other.aclose()
    assert isinstance(led, TransportError)
    assert "closed" in str(led)
    assert followed == closer == sample_tariffs()
    assert len(simulator.log) == 2


async def test_a_client_that_is_dropped_open_warns() -> None:
    client = client_of(service())
    with anyio.move_on_after(0.01):
        await client.tariffs()
    await anyio.sleep(0.01)  # the event loop holds the cancellation, and so the frame of the call, until its next step
    with pytest.warns(ResourceWarning, match="aclose"):  # noqa: PT031  # to drop it takes two
        del client
        gc.collect()


async def test_a_client_that_was_never_used_is_dropped_silently() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client_of(service())
        gc.collect()


async def test_a_bug_in_a_transport_surfaces_as_it_is_and_counts_as_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    store = MemoryStore()
    confirm(store, ALEX)
    async with Client(ALEX, base_url=URL, transport=httpx.MockTransport(handler), store=store, retries=0) as client:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await client.tariffs()
        with pytest.raises(QuotaExhausted):
            await client.tariffs(deadline=5)


async def test_a_test_that_fails_within_a_transport_fails_and_sends_nothing_more() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        pytest.fail("not what was expected")  # no Exception, unlike what assert raises

    async with Client(
        ALEX, base_url=URL, transport=httpx.MockTransport(handler), store=MemoryStore(), retries=0
    ) as client:
        with pytest.raises(pytest.fail.Exception, match="not what was expected"):
            await client.tariffs()
    assert len(asked) == 1


class Endless(httpx.AsyncByteStream):
    """A body of a transport of one's own, which goes on though it was closed."""

    chunks = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.chunks += 1
        return b"x" * 2**20


async def test_a_body_that_goes_on_after_it_was_closed_is_left() -> None:
    body = Endless()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    async with Client(ALEX, base_url=URL, transport=transport, store=MemoryStore()) as client:
        with pytest.raises(DecodeError, match="longer than 4194304 bytes"):
            await client.tariffs()
    assert body.chunks <= 16


async def test_a_transport_that_ends_the_program_ends_it() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    async with Client(ALEX, base_url=URL, transport=httpx.MockTransport(handler), store=MemoryStore()) as client:
        with pytest.raises(KeyboardInterrupt):
            await client.tariffs()


async def test_a_fault_of_the_store_reaches_the_caller_and_the_next_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with client_of(service(), store=store) as client:
        with monkeypatch.context() as patch:
            patch.setattr(store, "release_lease", None)
            with pytest.raises(TypeError):
                await client.tariffs()
        assert await client.tariffs() == sample_tariffs()


async def test_a_call_needs_an_account() -> None:
    async with client_of(service(), None) as client:
        with pytest.raises(ValueError, match="account"):
            await client.tariffs()
        assert await client.tariffs(ALEX) == sample_tariffs()


@pytest.mark.parametrize(
    "wrong",
    [{"max_age": -1}, {"max_age": math.nan}, {"deadline": 0}, {"deadline": math.inf}, {"deadline": math.nan}],
)
async def test_a_time_out_of_its_range_is_refused_with_its_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        client_of(service(), None, **wrong)
    async with client_of(service()) as client:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            await client.tariffs(**wrong)  # type: ignore[arg-type]  # floats
        with pytest.raises(ValueError, match=next(iter(wrong))):
            client.tariffs_for([ALEX], **wrong)


async def test_other_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="retries"):
        Client(ALEX, retries=-1)
    with pytest.raises(ValueError, match="Format"):
        Client(ALEX, reply_format=7)  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="LimitedTransport"):
        Client(ALEX, transport=LimitedTransport(httpx.MockTransport(lambda _: httpx.Response(200))))


async def test_what_is_of_another_kind_is_told_where_it_is_given() -> None:
    other: Any = ("alex", "123")
    with pytest.raises(TypeError, match=r"an Account, such as Account\(login, password\), not tuple$"):
        Client(other)
    path: Any = "tariffs.db"
    with pytest.raises(TypeError, match=r"such as SQLiteStore\(path\) or MemoryStore\(\), not str"):
        Client(ALEX, store=path)
    seconds: Any = "5"
    async with client_of(service()) as client:
        with pytest.raises(TypeError, match=r"Account.*not tuple$"):
            await client.tariffs(other)
        with pytest.raises(TypeError, match="deadline='5': must be a number of seconds, not str"):
            await client.tariffs(deadline=seconds)
        with pytest.raises(TypeError, match="max_age='5': must be a number"):
            await client.tariffs(max_age=seconds)
        one: Any = ALEX
        with pytest.raises(TypeError, match="takes many accounts"):
            client.tariffs_for(one)
        with pytest.raises(TypeError, match=r"Account.*not tuple$"):
            client.watch(other)
        with pytest.raises(TypeError, match=r"such as History\(path\), not str"):
            client.watch(history=path)


@pytest.mark.parametrize(
    ("base_url", "complaint"),
    [
        ("http://smscentre.com/sys/", "https"),
        ("ftp://smscentre.com/sys/", "not ftp:…$"),
        ("smscentre.com/sys/", "such as https://smscentre.com/sys/$"),
        ("https://user:pass@smscentre.com/sys/", "Account"),
        ("https://smscentre.com/sys/?login=alex", "Account"),
    ],
)
async def test_a_base_url_that_would_show_the_password_is_refused(base_url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        Client(ALEX, base_url=base_url)
    assert "pass@" not in str(caught.value)


async def test_a_quota_of_ones_own_is_kept() -> None:
    simulator = service(rules=Rules(requests=1, per=10.0))
    async with client_of(simulator, quota=Quota(requests=1, per=10.0)) as client:
        for _ in range(3):
            await client.tariffs(max_age=0)
    assert not simulator.violations()


async def test_the_quota_of_an_account_is_shown_and_nothing_of_it_is_taken() -> None:
    simulator = service(latency=1.0)
    async with client_of(simulator) as client:
        for _ in range(5):
            assert await client.quota() == QuotaState(3, 0.0, 0)
        async with anyio.create_task_group() as group:
            group.start_soon(client.tariffs)
            await anyio.sleep(0.5)
            assert await client.quota(Account(" ALEX ", "other")) == QuotaState(2, 0.0, 1)
        await client.tariffs(max_age=0)
        await client.tariffs(max_age=0)
        state = await client.quota()
        assert (state.remaining, state.in_flight) == (0, 0)
        assert 55 < state.next_in < 61
        await anyio.sleep(state.next_in)
        assert (await client.quota()).remaining == 1
        assert await client.quota(BORIS) == QuotaState(3, 0.0, 0)
    assert len(simulator.log) == 3


async def test_the_quota_of_an_account_comes_with_its_lockouts_alone() -> None:
    async with client_of(service()) as client:
        with pytest.raises(AuthenticationError):
            await client.tariffs(Account("boris", "wrong"))
        assert [each.cause for each in (await client.quota(Account("Boris", "wrong"))).lockouts] == ["credentials"]
        assert (await client.quota()).lockouts == ()
        with pytest.raises(ValueError, match=r"quota\(\)"):
            await Client(base_url=URL).quota()


async def test_a_store_that_waits_after_its_start_has_no_request_left() -> None:
    async with client_of(service(), store=MemoryStore(cold_start="wait")) as client:
        assert await client.quota() == QuotaState(0, 61.0, 0, (Lockout("store", "smsc.example", None, 61.0),))


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", exhaustive_after(1, [100, 1000]))
async def test_no_call_of_four_workers_waits_for_a_list_that_is_refreshed_in_the_background(rate: int) -> None:
    simulator, store = service(latency=2.0), MemoryStore()
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(client_of(simulator, store=store, max_age=3600, refresh_after=20))
            for _ in range(4)
        ]
        await workers[0].tariffs()
        began = now()
        for tick in range(9 * rate):  # for 90 s
            before = now()
            for number in range(10):
                await workers[number % 4].tariffs()
            assert now() == before
            await anyio.sleep(max(began + (tick + 1) * 10 / rate - now(), 0))
        # The second refresh has to leave the last token, until the first one is free.
        assert [round(each.at - began) for each in simulator.log] == [-2, 20, 72]
        done = [client.statistics() for client in workers]
        assert sum(each.hits for each in done) == 90 * rate
        assert sum(each.shared for each in done) == 0
    assert simulator.violations() == []


async def test_a_refresh_never_takes_the_last_request_of_the_quota() -> None:
    simulator = service()
    async with client_of(simulator, max_age=3600, refresh_after=1) as client:
        await client.tariffs()
        await client.tariffs(max_age=0)
        for _ in range(50):
            await anyio.sleep(1)
            await client.tariffs()
        assert len(simulator.log) == 2
        await client.tariffs(max_age=0, deadline=1)
    async with client_of(simulator, max_age=3600, refresh_after=1, quota=Quota(requests=1)) as client:
        await anyio.sleep(100)
        await client.tariffs()
        await anyio.sleep(100)
        await client.tariffs()
        await anyio.sleep(1)
        assert len(simulator.log) == 4


async def test_a_refresh_that_fails_is_not_repeated_for_half_a_minute_and_the_list_is_returned() -> None:
    simulator = service()
    quota = Quota(requests=100)
    async with client_of(simulator, max_age=3600, refresh_after=10, quota=quota, retries=0) as client:
        first = await client.tariffs()
        simulator.fail(Fault.http_status(503))
        await anyio.sleep(11)
        for _ in range(65):
            assert await client.tariffs() is first
            await anyio.sleep(1)
        assert len(simulator.log) == 1 + 3
        simulator.heal()
        await anyio.sleep(30)
        assert await client.tariffs() is first
        await anyio.sleep(1)
        assert await client.tariffs() is not first


async def test_a_call_for_a_new_list_waits_for_the_refresh_and_does_not_share_its_failure() -> None:
    simulator = service(latency=2.0)
    async with client_of(simulator, max_age=3600, refresh_after=10, retries=0) as client:
        await client.tariffs()
        await anyio.sleep(11)
        await client.tariffs()
        await anyio.sleep(1)
        assert not (await client.tariffs(max_age=0)).stale
        assert len(simulator.log) == 2
        await anyio.sleep(100)
        simulator.fail(Fault.http_status(503), times=1)
        await client.tariffs()
        await anyio.sleep(1)
        assert not (await client.tariffs(max_age=0)).stale
        assert len(simulator.log) == 4


async def test_clients_of_one_store_share_a_refresh() -> None:
    simulator, store = service(latency=2.0), MemoryStore()
    async with (
        client_of(simulator, store=store, max_age=3600, refresh_after=10) as one,
        client_of(simulator, store=store, max_age=3600, refresh_after=10) as two,
    ):
        await one.tariffs()
        await anyio.sleep(11)
        for client in (one, two, one, two):
            await client.tariffs()
        await anyio.sleep(5)
        assert len(simulator.log) == 2
        assert await one.tariffs() is await two.tariffs()


@pytest.mark.parametrize("refresh_after", [0, -1, 60, 61, math.nan])
async def test_a_refresh_comes_before_the_end_of_the_age(refresh_after: float) -> None:
    with pytest.raises(ValueError, match=r"refresh_after=.*less than max_age=60"):
        Client(refresh_after=refresh_after)
    with pytest.raises(TypeError, match="refresh_after='20'"):
        Client(refresh_after="20")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_the_last_list_comes_at_once_if_the_quota_is_used_up() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        await client.tariffs()
        await client.tariffs(max_age=0)
        last = await client.tariffs(max_age=0)
        began = now()
        stale = await client.tariffs(max_age=0, stale_ok=True)
        assert now() == began
        assert stale.stale
        assert stale == last
        assert isinstance(stale.error, QuotaExhausted)
        assert 55 < stale.error.retry_after < 61
        await anyio.sleep(62)
        assert not (await client.tariffs(max_age=0, stale_ok=True)).stale


async def test_the_last_list_comes_at_once_if_the_service_refuses_with_error_9() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        await client.tariffs()
        simulator.fail(Fault.refusal(9), times=1)
        began = now()
        assert isinstance((await client.tariffs(max_age=0, stale_ok=True)).error, QuotaExhausted)
        assert now() - began < 1


async def test_the_last_list_comes_at_once_in_an_outage() -> None:
    simulator = service()
    async with client_of(simulator, quota=Quota(requests=100), retries=0) as client:
        await client.tariffs()
        simulator.fail(Fault.http_status(503))
        while not client.lockouts():
            await client.tariffs(max_age=0, stale_ok=True)
        for _ in range(20):
            began = now()
            stale = await client.tariffs(max_age=0, stale_ok=True)
            assert stale.stale
            if isinstance(stale.error, CircuitOpen):
                assert now() == began
                return
        pytest.fail("no call was refused by the circuit breaker")


async def test_a_store_that_fails_makes_a_refresh_fail_and_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with client_of(service(), store=store, max_age=60, refresh_after=10) as client:
        first = await client.tariffs()

        async def broken(*_: object) -> None:
            raise StoreError("the disk is full", "here")

        monkeypatch.setattr(store, "lease_or_reply", broken)
        await anyio.sleep(11)
        assert await client.tariffs() is first
        await anyio.sleep(1)
        assert await client.tariffs() is first


async def test_without_a_last_list_a_call_with_stale_ok_waits_for_the_quota() -> None:
    simulator = service()
    async with client_of(simulator) as client:
        for _ in range(3):
            await client.tariffs(max_age=0)
    async with client_of(simulator, store=MemoryStore(cold_start="wait")) as client:
        assert not (await client.tariffs(stale_ok=True)).stale
        assert not (await client.tariffs(stale_ok=True)).stale
    assert len(simulator.log) == 4
