"""The required outcomes of the lockout rules, through the client in virtual time, counted at the server.

``benchmarks/lockout.py`` simulates the rules alone; these tests run all of the call path.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest

from smsc_async import (
    Account,
    AuthenticationError,
    Client,
    CredentialsRefused,
    DeadlineExceeded,
    MemoryStore,
    Quota,
    SmscError,
    SQLiteStore,
    TransportError,
    TrialsExhausted,
    Update,
)
from smsc_async.http.limited_exchange import LimitedExchange
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import quota_key
from smsc_async.stores import Store
from smsc_async.stores.sqlite.worker_thread import Worker
from tests.faults.scripted import URL, Answer, Request, Scripted, confirm, good, refusal, status
from tests.support.slow import exhaustive_after
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = [pytest.mark.anyio, pytest.mark.no_cover]

MINUTE: Final = 60.0
HALF_HOUR: Final = 1800.0
HOUR: Final = 3600.0


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


@attrs.define(eq=False)
class Service:
    """A service that counts authorization errors and blocks nothing, so that a fifth one is seen.

    Attributes:
        cut: The logins whose next connection is cut without a reply.
        has_moved: Whether the address of the program is on no list of allowed addresses.
        gateway: Whether a gateway answers 504 after the service has counted.
        errors: When the service counted an authorization error, and for which login.
        served: The logins that got a list.
    """

    cut: set[str] = attrs.field(factory=set[str])
    has_moved: bool = False
    gateway: bool = False
    errors: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    served: set[str] = attrs.field(factory=set[str])
    scripted: Scripted = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scripted = Scripted(self._answer, latency=0.1)

    def _answer(self, request: Request) -> Answer:
        if request.login in self.cut:
            self.cut.discard(request.login)
            return httpx.ReadError("cut")
        answer = good()
        if self.has_moved or request.password != "123":
            self.errors.append((request.at, request.login))
            answer = refusal(2)
        elif not self.gateway:
            self.served.add(request.login)
        return status(504) if self.gateway else answer

    @property
    def requests(self) -> list[Request]:
        return self.scripted.requests

    def peak(self) -> int:
        """Return the most errors in any 30 minutes."""
        times = [at for at, _ in self.errors]
        return max((sum(start <= at < start + HALF_HOUR for at in times) for start in times), default=0)

    def client(self, store: Store | None = None, **options: Any) -> Client:
        return Client(
            base_url=URL, transport=self.scripted, store=MemoryStore() if store is None else store, max_age=0, **options
        )


def _accounts(count: int, name: str = "login") -> list[Account]:
    return [Account(f"{name}-{n}", "123") for n in range(count)]


def _wrong(count: int, name: str = "wrong") -> list[Account]:
    return [Account(f"{name}-{n}", "wrong") for n in range(count)]


async def _fleet(client: Client, accounts: Sequence[Account], **options: float) -> dict[str, SmscError | None]:
    """Fetch all lists together; return what became of each login."""
    outcomes = {each.account.login: each.error async for each in client.tariffs_for(accounts, **options)}
    assert all(each is None or isinstance(each, SmscError) for each in outcomes.values())
    return outcomes  # type: ignore[return-value]


async def _one_by_one(client: Client, accounts: Sequence[Account]) -> dict[str, SmscError | None]:
    outcomes: dict[str, SmscError | None] = {}
    for account in accounts:
        outcomes[account.login] = None
        try:
            await client.tariffs(account)
        except SmscError as error:
            outcomes[account.login] = error
    return outcomes


def _served(outcomes: dict[str, SmscError | None]) -> set[str]:
    return {login for login, error in outcomes.items() if error is None}


@pytest.mark.parametrize("order", [_fleet, _one_by_one], ids=["fleet", "one by one"])
@pytest.mark.parametrize("ago", [0.0, HOUR], ids=["confirmed", "proven"])
async def test_1_a_moved_address_costs_at_most_four_errors(
    order: Callable[[Client, Sequence[Account]], Awaitable[dict[str, SmscError | None]]], ago: float
) -> None:
    service, store, accounts = Service(), MemoryStore(), _accounts(300)
    for account in accounts:
        confirm(store, account)
    await anyio.sleep(ago)
    service.has_moved = True
    async with service.client(store) as client:
        for pause in (0.0, 10 * MINUTE, 21 * MINUTE, 15 * MINUTE):
            await anyio.sleep(pause)
            outcomes = await order(client, accounts)
            kinds = {type(error) for error in outcomes.values()}
            assert kinds <= {AuthenticationError, CredentialsRefused, TrialsExhausted}
    assert 1 <= service.peak() <= 4


@pytest.mark.parametrize("seed", exhaustive_after(1, range(5)))
async def test_2_ten_changed_passwords_hurt_no_other_account(seed: int) -> None:
    service, store, accounts = Service(), MemoryStore(), _accounts(300)
    for account in accounts:
        confirm(store, account)
    await anyio.sleep(HOUR)
    changed = {each.login for each in random.Random(seed).sample(accounts, 10)}
    service.scripted.answers = partial(_changed, service, changed)
    async with service.client(store) as client:
        outcomes = await _fleet(client, accounts)
    kinds = {type(outcomes[account.login]) for account in accounts if account.login not in changed}
    assert kinds <= {type(None), TrialsExhausted}
    assert service.peak() <= 8


def _changed(service: Service, changed: set[str], request: Request) -> Answer:
    if request.login not in changed:
        return good()
    service.errors.append((request.at, request.login))
    return refusal(2)


async def test_2a_four_typos_of_new_users_delay_no_account_that_is_known() -> None:
    service, store, accounts = Service(), MemoryStore(), _accounts(300)
    for account in accounts[:150]:
        confirm(store, account)
    await anyio.sleep(HOUR)
    for account in accounts[150:]:
        confirm(store, account)
    async with service.client(store) as client:
        typos = await _one_by_one(client, _wrong(4))
        assert [type(error) for error in typos.values()] == [AuthenticationError] * 3 + [TrialsExhausted]
        began = now()
        assert len(_served(await _fleet(client, accounts))) == 300
        assert now() - began < MINUTE
    assert service.peak() <= 4


async def test_3_a_wrong_password_with_short_deadlines_costs_one_error() -> None:
    service = Service()
    service.scripted.latency = 2.0
    (wrong,) = _wrong(1)
    kinds: list[type[SmscError]] = []
    async with service.client(deadline=1.0) as client:
        for _ in range(100):
            began = now()
            with pytest.raises(SmscError) as caught:
                await client.tariffs(wrong)
            kinds.append(type(caught.value))
            await anyio.sleep(max(0.0, began + 1.0 - now()))
    assert len(service.requests) == len(service.errors) == 1
    assert kinds[0] is DeadlineExceeded
    assert set(kinds[3:]) == {CredentialsRefused}


async def test_4_a_gateway_that_hides_the_errors_gets_one_request_for_each_call() -> None:
    service = Service(gateway=True)
    async with service.client() as client:
        for account in _wrong(3):
            with pytest.raises(SmscError, match="504"):
                await client.tariffs(account)
    assert len(service.requests) == len(service.errors) == 3


async def test_5_wrong_passwords_in_front_take_no_place_before_all_others_are_served() -> None:
    service, accounts = Service(), _accounts(36)
    served: set[str] = set()
    async with service.client() as client:
        for run in range(2):
            await anyio.sleep(run * HALF_HOUR)
            served |= _served(await _fleet(client, [*_wrong(4), *accounts]))
    assert served == {account.login for account in accounts}
    assert len(service.errors) == 4
    assert service.peak() <= 4


async def test_6_cut_connections_slow_a_first_pass_down_by_less_than_three() -> None:
    seconds: list[float] = []
    accounts = _accounts(200)
    for unlucky in (0, 10):
        service = Service(cut={each.login for each in random.Random(7).sample(accounts, unlucky)})
        async with service.client() as client:
            began = now()
            assert len(_served(await _fleet(client, accounts))) >= 188
            seconds.append(now() - began)
    assert seconds[1] <= 3 * seconds[0]


async def test_7_one_login_that_mistypes_four_times_delays_no_other() -> None:
    service = Service()
    async with service.client() as client:
        for n in range(4):
            expected = AuthenticationError if n < 2 else TrialsExhausted
            with pytest.raises(expected):
                await client.tariffs(Account("clumsy", f"typo {n}"))
        began = now()
        assert (await client.tariffs(Account("other", "123"))).zones
        assert now() - began < 0.5
    assert len(service.errors) == 2


async def test_8_after_four_resets_a_new_account_is_served_within_ten_seconds() -> None:
    accounts = _accounts(4)
    service = Service(cut={each.login for each in accounts})
    async with service.client() as client:
        assert not _served(await _fleet(client, accounts))
        began = now()
        assert (await client.tariffs(Account("other", "123"))).zones
        assert now() - began < 10.0


async def test_8_a_call_waits_for_a_place_that_comes_before_its_deadline() -> None:
    accounts = _accounts(4)
    service = Service(cut={each.login for each in accounts})
    async with service.client() as client:
        await _fleet(client, accounts)
        # The wait is longer than what is left of the deadline after it.
        assert (await client.tariffs(Account("other", "123"), deadline=7.0)).zones
        with pytest.raises(AuthenticationError):
            await client.tariffs(*_wrong(1))


async def test_8_a_call_waits_for_a_probe_in_flight_which_may_free_the_places() -> None:
    accounts = _accounts(4)
    service = Service(cut={each.login for each in accounts})
    service.scripted.latency = 1.0
    waits: dict[str, float] = {}

    async def call(client: Client, account: Account) -> None:
        began = now()
        await client.tariffs(account, deadline=9.0)
        waits[account.login] = now() - began

    async with service.client() as client:
        await _fleet(client, accounts)
        async with anyio.create_task_group() as group:
            for account in _accounts(2, "other"):  # one is the probe; the next probe would be ten seconds later
                group.start_soon(call, client, account)
    assert sorted(round(each) for each in waits.values()) == [5, 6]


@pytest.fixture
def sqlite_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SQLiteStore, SQLiteStore]]:
    """Two stores over one file, which work in the event loop: the virtual clock does not know their threads."""

    async def run(_: Worker, work: Callable[[], Any], _undo: object = None) -> Any:
        await anyio.lowlevel.checkpoint()
        return work()

    monkeypatch.setattr(Worker, "run", run)
    one, other = (SQLiteStore(tmp_path / "store.db", pepper="a long random text") for _ in range(2))
    yield one, other
    for store in (one, other):
        store._file.close()  # pyright: ignore[reportPrivateUsage]  # the worker would close it


async def test_9_places_and_tokens_of_a_killed_worker_are_free_in_time(
    sqlite_stores: tuple[SQLiteStore, SQLiteStore],
) -> None:
    service, alex, other = Service(), Account("alex", "123"), Account("other", "123")
    of_killed, store = sqlite_stores
    async with service.client(store, deadline=200.0) as client:
        await client.tariffs(alex)
        await anyio.sleep(MINUTE + 1)
        began = now()
        for _ in range(3):  # without a success since the last minute, these take the places of untested credentials too
            attempt = Attempt(quota_key("smsc.example", "alex"), Quota(), Credentials("smsc.example", alex))
            with anyio.fail_after(1.0):  # a deadline is not the end of the exchange
                await LimitedExchange(of_killed, attempt).__aenter__()
        waited: dict[str, float] = {}

        async def call(account: Account) -> None:
            await client.tariffs(account)
            waited[account.login] = now() - began

        async with anyio.create_task_group() as group:
            group.start_soon(call, alex)
            group.start_soon(call, other)
    assert waited["other"] <= 66.0
    # Not before an exchange of 30 s could have ended.
    assert 30.0 + Quota().window < waited["alex"] <= 96.0 + 1.2


def _low(low: float, _high: float) -> float:
    return low


async def _watch_each(client: Client, accounts: Sequence[Account], updates: list[Update]) -> None:
    async def watch(account: Account) -> None:
        try:
            async for update in client.watch(account, every=10 * MINUTE):
                updates.append(update)  # noqa: PERF401  # it does not end
        except AuthenticationError as error:
            updates.append(Update(account.login, error=error))

    async with anyio.create_task_group() as group:
        for account in accounts:
            group.start_soon(watch, account)


async def _watch_for(client: Client, accounts: Sequence[Account], updates: list[Update]) -> None:
    async with aclosing(client.watch_for(accounts, every=10 * MINUTE)) as watched:
        async for update in watched:
            updates.append(update)  # noqa: PERF401  # it does not end


@pytest.mark.parametrize("watch", [_watch_each, _watch_for], ids=["watch", "watch_for"])
async def test_10_watches_end_only_for_their_own_wrong_password(
    monkeypatch: pytest.MonkeyPatch, watch: Callable[[Client, Sequence[Account], list[Update]], Awaitable[None]]
) -> None:
    monkeypatch.setattr(random, "uniform", _low)  # rounds at whole seconds, which are exact numbers
    chance = random.Random(0)
    accounts = _accounts(300)
    wrong = {each.login for each in chance.sample(accounts, 5)}
    accounts = [Account(each.login, "wrong") if each.login in wrong else each for each in accounts]
    service = Service(cut={each.login for each in chance.sample(accounts, 4)})
    updates: list[Update] = []
    async with service.client() as client:
        began = now()
        with anyio.move_on_after(HOUR + MINUTE):
            await watch(client, accounts, updates)
        assert now() - began >= HOUR
    assert {each.account for each in updates if isinstance(each.error, AuthenticationError)} == wrong
    assert {type(each.error) for each in updates} <= {AuthenticationError, TransportError, TrialsExhausted}
    assert not service.cut
    # The others are alive: each of them fetched a list in its last interval.
    lately = {each.login for each in service.requests if each.at > began + HOUR - 10 * MINUTE}
    assert lately == service.served
    assert len(service.served) == 295
    assert Counter(login for _, login in service.errors) == Counter(wrong)
    assert service.peak() <= 4


async def test_11_short_deadlines_of_one_tenant_delay_nobody_and_open_no_circuit() -> None:
    service, store, accounts = Service(), MemoryStore(), _accounts(40)
    service.scripted.latency = 0.3
    for account in accounts[:20]:
        confirm(store, account)
    waits: list[float] = []

    async def hasty(client: Client) -> None:
        for n in range(600):
            with suppress(SmscError):
                await client.tariffs(Account(f"hasty-{n % 9}", "123"), deadline=0.1)
            assert "outage" not in {each.cause for each in client.lockouts()}

    async with service.client(store) as client, anyio.create_task_group() as group:
        group.start_soon(hasty, client)
        await anyio.sleep(5.0)
        for account in accounts:
            began = now()
            await client.tariffs(account)
            waits.append(now() - began)
        group.cancel_scope.cancel()
    assert max(waits) < 0.8


async def _repeated(client: Client, account: Account) -> AsyncIterator[SmscError | None]:
    """The loop of the documentation: repeat an account with ``TrialsExhausted`` after its time."""
    while True:
        try:
            await client.tariffs(account)
        except TrialsExhausted as error:
            yield error
            await anyio.sleep(error.retry_after)
        except SmscError as error:
            yield error
            return
        else:
            yield None
            return


async def test_12_a_first_night_serves_or_refuses_every_account_with_the_loop_that_repeats() -> None:
    accounts = _accounts(300)
    wrong = {accounts[n].login for n in random.Random(3).sample(range(300), 5)}
    accounts = [Account(each.login, "wrong") if each.login in wrong else each for each in accounts]
    service = Service()
    endings: dict[str, SmscError | None] = {}

    async def fetch(client: Client, account: Account) -> None:
        async for error in _repeated(client, account):
            endings[account.login] = error
            assert not isinstance(error, TrialsExhausted) or error.retry_after > 0

    async with service.client() as client, anyio.create_task_group() as group:
        for account in accounts:
            group.start_soon(fetch, client, account)
    assert {login for login, error in endings.items() if error is None} == {
        each.login for each in accounts if each.login not in wrong
    }
    assert {type(endings[login]) for login in wrong} == {AuthenticationError}
    assert service.peak() <= 4


@pytest.mark.parametrize("is_shared", [True, False], ids=["SQLiteStore", "MemoryStore"])
async def test_13_a_crash_loop_repeats_a_wrong_password_only_without_a_shared_store(
    sqlite_stores: tuple[SQLiteStore, SQLiteStore], is_shared: bool
) -> None:
    service, (wrong,) = Service(), _wrong(1)
    kinds: list[type[SmscError]] = []
    for start in range(7):
        async with service.client(sqlite_stores[start % 2] if is_shared else MemoryStore()) as client:
            with pytest.raises(AuthenticationError) as caught:
                await client.tariffs(wrong)
            kinds.append(type(caught.value))
        await anyio.sleep(10.0)
    assert len(service.errors) == (1 if is_shared else 7)  # the fifth one blocks the address: see docs/lockout.md
    assert set(kinds[1:]) == {CredentialsRefused if is_shared else AuthenticationError}
