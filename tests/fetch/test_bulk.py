"""Many accounts at once, in virtual time on both loops: drawn as there is room, handed out as they come."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import anyio
import httpx
import pytest

from smsc_async import Account, AuthenticationError, Client, MemoryStore, Outcome, Tariffs, TransportError, decode
from smsc_async.fetch.call import Calls
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio
BODY = b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.10"}'
REFUSAL = b'{"error": "authorise error", "error_code": 2}'


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


class Service(httpx.AsyncBaseTransport):
    """Answers each login after as many seconds as its name says, and counts who is under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.peak = 0
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        login = dict(httpx.QueryParams(await request.aread()))["login"]
        self.asked.append(login)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            await anyio.sleep(float(login.partition("-")[0]))
        finally:
            self.under_way -= 1
        return httpx.Response(200, content=REFUSAL if login.endswith("wrong") else BODY)


@pytest.fixture(autouse=True)
def credentials_that_have_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the fleet the trial of unknown credentials, four at a time, which tests/fetch/test_lockout.py tests."""
    for name in ("PLACES", "FAST"):
        monkeypatch.setattr(f"smsc_async.fetch.lockout.{name}", 1_000)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    base_url = "https://smsc.example/sys/"
    async with Client(base_url=base_url, transport=service, store=MemoryStore(), retries=0) as client:
        yield client


def accounts(*seconds: float) -> list[Account]:
    return [Account(f"{each}-{number}", "123") for number, each in enumerate(seconds)]


def endless() -> Iterator[Account]:
    return (Account(f"1-{number}", "123") for number in itertools.count())


class streamed(AsyncIterator[Account]):  # noqa: N801  # called like a function
    """The same accounts as an async iterable. Not a generator: trio wants those closed by whoever leaves them early."""

    def __init__(self, source: Iterable[Account], pause: float = 0.0) -> None:
        self._source = iter(source)
        self._pause = pause

    async def __anext__(self) -> Account:
        await anyio.sleep(self._pause)
        for account in self._source:
            return account
        raise StopAsyncIteration


def logins(outcomes: list[Outcome]) -> list[str]:
    return [outcome.account.login for outcome in outcomes]


@pytest.mark.parametrize("wrap", [iter, streamed], ids=["iterable", "async iterable"])
async def test_every_account_has_one_outcome(
    service: Service, client: Client, wrap: Callable[[list[Account]], Iterator[Account] | AsyncIterator[Account]]
) -> None:
    given = accounts(*[1.0] * 120)
    outcomes = [outcome async for outcome in client.tariffs_for(wrap(given))]
    assert sorted(logins(outcomes)) == sorted(account.login for account in given)
    assert all(outcome.tariffs is not None and outcome.error is None for outcome in outcomes)
    assert service.peak == Client.AT_ONCE == 50


@pytest.mark.parametrize("wrap", [list, streamed], ids=["iterable", "async iterable"])
async def test_no_accounts_have_no_outcomes(
    client: Client, wrap: Callable[[Iterator[Account]], list[Account] | AsyncIterator[Account]]
) -> None:
    assert [outcome async for outcome in client.tariffs_for(wrap(iter(())))] == []


async def test_credentials_that_never_worked_go_four_at_a_time_the_first_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    given = accounts(*[1.0] * 12)
    for took in (4.0, 2.0):
        began = anyio.current_time()
        assert len([outcome async for outcome in client.tariffs_for(given, max_age=0)]) == 12
        assert anyio.current_time() - began == pytest.approx(took)


async def test_outcomes_come_as_they_are_ready(client: Client) -> None:
    outcomes = [outcome async for outcome in client.tariffs_for(accounts(3.0, 1.0, 2.0))]
    assert logins(outcomes) == ["1.0-1", "2.0-2", "3.0-0"]


async def test_three_hundred_accounts_take_as_long_as_six_in_a_row(client: Client) -> None:
    began = anyio.current_time()
    assert len([outcome async for outcome in client.tariffs_for(accounts(*[1.0] * 300))]) == 300
    assert anyio.current_time() - began == pytest.approx(6.0)


async def test_a_slow_account_keeps_nobody_back(client: Client) -> None:
    began = anyio.current_time()
    outcomes = [outcome async for outcome in client.tariffs_for(accounts(10.0, *[1.0] * 49 * 9))]
    assert logins(outcomes)[-1] == "10.0-0"
    assert anyio.current_time() - began == pytest.approx(10.0)


async def test_the_trouble_of_an_account_is_its_own(client: Client) -> None:
    given = [Account("1-fine", "123"), Account("1-wrong", "123"), Account("2-fine", "123")]
    outcomes = {outcome.account.login: outcome async for outcome in client.tariffs_for(given)}
    assert isinstance(outcomes["1-wrong"].error, AuthenticationError)
    assert outcomes["1-wrong"].tariffs is None
    assert outcomes["1-fine"].tariffs == outcomes["2-fine"].tariffs is not None


async def test_an_account_that_comes_twice_is_asked_for_once(service: Service, client: Client) -> None:
    outcomes = [outcome async for outcome in client.tariffs_for(accounts(1.0) * 20)]
    assert len(outcomes) == 20
    assert len(service.asked) == 1


async def test_nothing_is_drawn_before_somebody_asks(service: Service, client: Client) -> None:
    drawn = iter(accounts(1.0, 1.0))
    client.tariffs_for(drawn)
    await anyio.sleep(5.0)
    assert len(list(drawn)) == 2
    assert not service.asked


@pytest.mark.parametrize("wrap", [iter, streamed], ids=["iterable", "async iterable"])
async def test_an_endless_source_is_drawn_as_there_is_room(
    service: Service, client: Client, wrap: Callable[[Iterator[Account]], Iterator[Account] | AsyncIterator[Account]]
) -> None:
    fleet = client.tariffs_for(wrap(endless()))
    for taken in range(1, 121):
        await anext(fleet)
        await anyio.sleep(0.3)  # a slow reader
        assert len(service.asked) <= taken + 50
    assert service.peak <= 50


@pytest.mark.parametrize("wrap", [iter, streamed], ids=["iterable", "async iterable"])
async def test_a_loop_that_is_left_early_leaves_nothing(
    service: Service, client: Client, wrap: Callable[[Iterator[Account]], Iterator[Account] | AsyncIterator[Account]]
) -> None:
    async for _ in client.tariffs_for(wrap(endless())):
        break
    asked = len(service.asked)
    await anyio.sleep(5.0)
    # What was under way came to its end and is kept; nothing more was drawn.
    assert service.under_way == 0
    assert len(service.asked) <= 51
    known = [account for account in itertools.islice(endless(), asked) if account.login in service.asked]
    began = anyio.current_time()
    assert len([outcome async for outcome in client.tariffs_for(known)]) == asked
    assert anyio.current_time() == began
    assert not len(client._calls.tasks)  # pyright: ignore[reportPrivateUsage]


async def test_a_slow_source_keeps_no_outcome_back(client: Client) -> None:
    began = anyio.current_time()
    seen: list[float] = []
    async for _ in client.tariffs_for(streamed(accounts(1.0, 1.0, 1.0), pause=10.0)):
        seen.append(anyio.current_time() - began)  # noqa: PERF401  # the clock, while it runs
    assert seen == pytest.approx([11.0, 21.0, 31.0])


async def test_two_callers_of_one_fleet_share_it(client: Client) -> None:
    fleet = client.tariffs_for(accounts(1.0, 2.0, 3.0, 4.0))
    taken: list[str] = []

    async def take() -> None:
        async for outcome in fleet:
            taken.append(outcome.account.login)  # noqa: PERF401  # two at once

    with anyio.fail_after(60.0):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            group.start_soon(take)
    assert sorted(taken) == ["1.0-0", "2.0-1", "3.0-2", "4.0-3"]


@pytest.mark.parametrize("is_async", [False, True], ids=["iterable", "async iterable"])
async def test_a_fault_of_the_source_comes_after_what_was_drawn_before_it(client: Client, is_async: bool) -> None:
    def broken() -> Iterator[Account]:
        yield from accounts(1.0, 2.0)
        raise LookupError("the list of accounts is gone")

    fleet = client.tariffs_for(streamed(broken()) if is_async else broken())
    assert logins([await anext(fleet), await anext(fleet)]) == ["1.0-0", "2.0-1"]
    with pytest.raises(LookupError, match="is gone"):
        await anext(fleet)
    with pytest.raises(StopAsyncIteration):
        await anext(fleet)


async def test_a_cancelled_wait_for_the_next_outcome_loses_none(client: Client) -> None:
    fleet = client.tariffs_for(accounts(1.0, 2.0))
    with anyio.move_on_after(0.5):
        await anext(fleet)
    assert logins([outcome async for outcome in fleet]) == ["1.0-0", "2.0-1"]


async def test_a_client_that_is_closed_meanwhile_ends_its_fleet(client: Client) -> None:
    fleet = client.tariffs_for(endless())
    errors: list[Exception | None] = []

    async def take_all() -> None:
        async for outcome in fleet:
            errors.append(outcome.error)  # noqa: PERF401  # until it is closed

    async def close() -> None:
        await anyio.sleep(1.5)
        await client.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(close)
        with pytest.raises(RuntimeError, match="closed"):
            await take_all()
    assert errors[:50] == [None] * 50
    assert all(isinstance(error, TransportError) for error in errors[50:])


async def test_a_fleet_that_is_left_as_its_client_closes_asks_for_nothing_more(
    service: Service, client: Client
) -> None:
    fleet = client.tariffs_for(endless())
    for _ in range(2):
        await anext(fleet)  # the second begins another in the first's place, which has not come to its first step
    await client.aclose()
    asked = len(service.asked)
    await anyio.sleep(100.0)
    assert len(service.asked) == asked
    assert not len(client._calls.tasks)  # pyright: ignore[reportPrivateUsage]


async def test_what_is_no_account_is_named(client: Client) -> None:
    with pytest.raises(TypeError, match="not NoneType"):
        await anext(client.tariffs_for([None]))  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def test_a_fault_of_the_client_itself_is_an_outcome(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Calls, "_join", fault)
    outcomes = [outcome async for outcome in client.tariffs_for(accounts(1.0, 1.0))]
    assert [type(outcome.error) for outcome in outcomes] == [ZeroDivisionError] * 2


async def test_keys_and_ages_are_those_of_the_call(service: Service, client: Client) -> None:
    (account,) = accounts(1.0)
    for max_age in (60.0, 60.0, 0.0):
        assert [outcome.tariffs is not None async for outcome in client.tariffs_for([account], max_age=max_age)] == [
            True
        ]
    assert len(service.asked) == 2


async def test_a_signal_in_a_fetch_ends_the_loop_over_the_outcomes() -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    transport = httpx.MockTransport(interrupt)
    async with Client(base_url="https://smsc.example/sys/", transport=transport, store=MemoryStore()) as client:
        with pytest.raises(KeyboardInterrupt):
            async for _ in client.tariffs_for([Account("0-a", "123"), Account("0-b", "123")]):
                pass


@pytest.mark.parametrize(
    "account", [Account("alex", "hunter2"), Account.with_api_key("hunter2", name="alex")], ids=repr
)
@pytest.mark.parametrize("error", [None, AuthenticationError(2, "no"), KeyError("a bug")], ids=repr)
async def test_an_outcome_is_pickled_without_its_credential(account: Account, error: Exception | None) -> None:
    outcome = Outcome(account, decode(BODY) if error is None else None, error)
    pickled = pickle.dumps(outcome)
    restored = pickle.loads(pickled)
    assert b"hunter2" not in pickled
    assert (restored.tariffs, repr(restored.error)) == (outcome.tariffs, repr(outcome.error))
    assert repr(restored.account) == repr(account)
    assert restored.account != account
    assert account.secret != restored.account.secret
    again = pickle.loads(pickle.dumps(restored))
    assert {again.account, restored.account} == {restored.account}


async def test_an_account_that_was_pickled_sends_nothing_and_says_why(client: Client, service: Service) -> None:
    restored = pickle.loads(pickle.dumps(Outcome(Account("0", "123"))))
    for max_age in (0, 60):
        with pytest.raises(RuntimeError, match="make a new Account"):
            await client.tariffs(restored.account, max_age=max_age)
    assert [type(each.error) for each in [o async for o in client.tariffs_for([restored.account])]] == [RuntimeError]
    assert service.asked == []


async def test_a_copy_of_an_outcome_has_the_credential() -> None:
    outcome = Outcome(Account("alex", "123"))
    for same in (copy.copy(outcome), copy.deepcopy(outcome)):
        assert same.account.secret.reveal() == "123"


@pytest.mark.parametrize("source", [list, streamed])
async def test_a_bulk_fetch_that_is_closed_draws_no_more_and_its_calls_fill_the_store(
    client: Client, service: Service, source: Callable[[Iterable[Account]], Iterable[Account]]
) -> None:
    given = accounts(1, 2, 3, *[4] * 200)
    async with contextlib.aclosing(client.tariffs_for(source(given))) as outcomes:
        first = await anext(outcomes)
    assert first.account == given[0]
    assert [outcome async for outcome in outcomes] == []
    await anyio.sleep(5)
    assert Client.AT_ONCE <= len(service.asked) <= Client.AT_ONCE + 2
    assert isinstance(await client.tariffs(given[2], deadline=0.1), Tariffs)


async def test_a_bulk_fetch_that_is_closed_ends_the_tasks_that_wait_for_outcomes(client: Client) -> None:
    outcomes = client.tariffs_for(accounts(10))
    ended: list[bool] = []

    async def consume() -> None:
        ended.append([outcome async for outcome in outcomes] == [])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            group.start_soon(consume)
            await anyio.sleep(1)
            await outcomes.aclose()
    assert ended == [True, True]


async def test_an_account_that_comes_after_the_closing_is_not_fetched(client: Client, service: Service) -> None:
    outcomes = client.tariffs_for(streamed(accounts(1, 1), pause=2.0))
    with anyio.move_on_after(1):
        await anext(outcomes)
    await outcomes.aclose()
    await anyio.sleep(10)
    assert service.asked == []
