"""A list looked at again and again: in virtual time, with a history where it has to outlive something."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import attrs
import pytest

from smsc_async import (
    Account,
    AddressBlocked,
    AddressPaused,
    AuthenticationError,
    Change,
    CircuitOpen,
    CredentialsRefused,
    History,
    MemoryStore,
    NotSent,
    ParameterError,
    Quota,
    Snapshot,
    StoreError,
    Tariffs,
    Update,
    Zone,
)
from smsc_async.history.watch import RETRY_SECONDS, Rounds, Schedule, Watch, Watcher
from smsc_async.limiter.clock import now
from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator
from tests.support.simulated import client_of, service
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


@pytest.fixture(autouse=True)
def all_in_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_async.history.watch.random.uniform", min)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.db")


def tariffs_of(api: int | None) -> Tariffs:
    return Tariffs((Zone("1", "Russia", None if api is None else Decimal(api)),), (), Decimal("0.10"))


class Source:
    """Gives one list after the other, each a minute later, or raises; the last one for ever."""

    def __init__(self, *lists: int | Exception) -> None:
        self._lists = list(lists)
        self.asked: list[float] = []

    async def __call__(self) -> Tariffs:
        self.asked.append(now())
        await anyio.lowlevel.checkpoint()
        turn = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(turn, Exception):
            raise turn
        return attrs.evolve(tariffs_of(turn), fetched_at=START + timedelta(minutes=next(_minutes)))


_minutes = itertools.count()


def watch(source: Source, history: History | None, *, every: float = 60.0, reader: str = "watch") -> Watch:
    return Watch(Watcher("alex", source, history, reader), every)


def prices(update: Update) -> tuple[object, object]:
    (change,) = update.changes
    return change.old, change.new


async def take(updates: AsyncIterator[Update], count: int) -> list[Update]:
    with anyio.fail_after(100_000):  # of virtual seconds: a change that is lost is not waited for
        return [await anext(updates) for _ in range(count)]


async def first(updates: AsyncIterator[Update]) -> Update:
    return (await take(updates, 1))[0]


async def test_each_change_is_told_once(history: History) -> None:
    source = Source(1, 1, 2, 2, 2, 3, 1, 1, 4)
    updates = await take(watch(source, history), 4)
    assert [prices(update) for update in updates] == [(1, 2), (2, 3), (3, 1), (1, 4)]
    first = updates[0]
    assert (first.account, first.error) == ("alex", None)
    assert first.before is not None
    assert first.snapshot is not None
    assert first.before.taken_at < first.snapshot.taken_at == (await history.periods("alex"))[1].since
    assert len(await history.snapshots("alex")) == 9


async def test_without_a_history_it_compares_with_what_it_has_seen() -> None:
    updates = await take(watch(Source(1, 1, 2, 3), None), 2)
    assert [prices(update) for update in updates] == [(1, 2), (2, 3)]


async def test_rounds_are_at_fixed_instants_and_what_was_slept_through_is_not_made_up_for() -> None:
    source = Source(*range(99))
    began = now()
    async for _ in watch(source, None):
        if len(source.asked) == 3:
            await anyio.sleep(1_000.5)  # or so the machine did
        if len(source.asked) == 6:
            break
        await anyio.sleep(7)
    # One as soon as it can be, then as before.
    assert [at - began for at in source.asked] == [0, 60, 120, 1127.5, 1140, 1200]


def test_the_next_round_is_the_first_of_the_schedule_that_is_still_to_come() -> None:
    schedule = Schedule(1_000.0, 60.0, 5.0)
    instants = (1_000.0, 1_004.0, 1_064.9, 1_065.0, 1_066.0, 1_124.9, 99_999.0)
    assert [schedule.after(at) for at in instants] == [1_065, 1_065, 1_065, 1_125, 1_125, 1_125, 100_005]


async def test_a_clock_that_rings_a_little_early_does_not_bring_a_round_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        await real(seconds * 0.999999)

    real = anyio.sleep
    monkeypatch.setattr(anyio, "sleep", sleep)
    source = Source(*range(99))
    await take(watch(source, None), 3)
    assert [round(at - source.asked[0]) for at in source.asked] == [0, 60, 120, 180]


async def test_watches_that_begin_together_part(monkeypatch: pytest.MonkeyPatch) -> None:
    phases = iter([1.5, 4.5])

    def uniform(low: float, high: float) -> float:
        assert (low, high) == (0, 6)
        return next(phases)

    monkeypatch.setattr("smsc_async.history.watch.random.uniform", uniform)
    sources = Source(*range(99)), Source(*range(99))
    for source in sources:
        began = now()
        await take(watch(source, None), 2)
        assert source.asked[0] == began
    assert [source.asked[1] - source.asked[0] for source in sources] == [61.5, 64.5]
    assert [source.asked[2] - source.asked[1] for source in sources] == [60, 60]


async def test_a_round_that_failed_is_told_and_the_watch_goes_on(history: History) -> None:
    source = Source(1, AddressBlocked(4), StoreError("busy"), 2)
    updates = await take(watch(source, history), 3)
    assert [type(update.error) for update in updates] == [AddressBlocked, StoreError, type(None)]
    assert (updates[0].snapshot, updates[0].before, updates[0].changes) == (None, None, ())
    assert prices(updates[2]) == (1, 2)
    assert [at - source.asked[0] for at in source.asked] == [0, 60, 120, 180]


async def test_after_a_failure_the_next_round_is_soon() -> None:
    source = Source(1, AddressBlocked(4), 2)
    await take(watch(source, None, every=3_600), 2)
    assert [at - source.asked[0] for at in source.asked] == [0, 3_600, 3_600 + RETRY_SECONDS]


@pytest.mark.parametrize("error", [AuthenticationError(2), ParameterError(1), CredentialsRefused()])
async def test_what_only_the_user_can_mend_ends_the_watch(error: Exception) -> None:
    with pytest.raises(type(error)):
        await anext(watch(Source(error), None))


async def test_an_address_that_is_not_let_through_for_a_while_is_no_end() -> None:
    updates = await take(watch(Source(AddressPaused(4, "", 60.0), CircuitOpen(60.0)), None), 2)
    assert all(isinstance(update.error, NotSent) for update in updates)


async def test_killed_before_it_is_told_a_change_is_told_after_the_restart(history: History) -> None:
    await take(watch(Source(1, 2, 3), history), 2)  # which reports the first, and not the second
    killed = Watcher("alex", Source(4), history, "watch")
    await killed.round()  # recorded, and no more
    restarted = Source(5)
    updates = await take(watch(restarted, history), 3)
    assert [prices(update) for update in updates] == [(2, 3), (3, 4), (4, 5)]
    assert restarted.asked[0] == now()  # the first two needed no answer of the service


async def test_killed_before_it_has_come_back_it_is_told_the_last_change_again_and_no_other(history: History) -> None:
    first = await take(watch(Source(1, 2, 3), history), 2)
    again = await take(watch(Source(3, 4), history), 2)
    assert again[0].changes == first[1].changes
    assert prices(again[1]) == (3, 4)


async def test_killed_after_it_has_come_back_it_is_not_told_again(history: History) -> None:
    updates = watch(Source(1, 2, 2), history)
    await anext(updates)
    with anyio.move_on_after(70):
        await anext(updates)
    assert prices(await first(watch(Source(2, 3), history))) == (2, 3)


@pytest.mark.parametrize("has_history", [True, False])
async def test_a_clock_that_is_slow_for_a_while_makes_no_change_told_twice(history: History, has_history: bool) -> None:
    day = datetime(2100, 1, 1, tzinfo=UTC)  # later than the clock of this machine is

    async def told(*lists: tuple[int, int]) -> list[tuple[object, object]]:
        fetched = iter([attrs.evolve(tariffs_of(price), fetched_at=day + timedelta(hours=at)) for price, at in lists])

        async def fetch() -> Tariffs:
            return next(fetched)

        watcher = Watcher("alex", fetch, history if has_history else None, "watch")
        updates: list[Update] = []
        for _ in lists:
            await watcher.round()
            while watcher.unreported:
                updates.append(watcher.unreported[0])
                await watcher.reported()
        return [prices(update) for update in updates]

    assert await told((1, 11), (1, 12), (2, 10), (2, 13)) == [(1, 2)]
    assert await told((2, 14)) == []
    if has_history:
        assert [period.tariffs for period in await history.periods("alex")] == [tariffs_of(1), tariffs_of(2)]


async def test_what_changed_while_nobody_watched_is_told(history: History) -> None:
    updates = watch(Source(1, 1), history)
    with anyio.move_on_after(70):
        await anext(updates)
    assert prices(await first(watch(Source(7), history))) == (1, 7)


async def test_the_snapshot_is_on_the_disk_before_its_change_is_told_and_the_mark_after(history: History) -> None:
    updates = watch(Source(1, 2, 3), history)
    update = await anext(updates)
    assert await history.last("alex") == update.snapshot
    assert await history.reported("alex") == update.before
    await anext(updates)
    assert await history.reported("alex") == update.snapshot


async def test_a_new_reader_begins_with_the_last_list_and_each_is_told_everything(history: History) -> None:
    for minute, api in enumerate((1, 2)):
        await history.add(Snapshot("alex", START - timedelta(minutes=9 - minute), tariffs_of(api)))
    assert prices(await first(watch(Source(3), history))) == (2, 3)
    bot = watch(Source(3), history, reader="bot", every=1)
    with anyio.move_on_after(5):
        await anext(bot)
    assert prices(await first(watch(Source(4), history))) == (2, 3)
    assert prices(await first(watch(Source(5), history, reader="bot"))) == (3, 5)


async def test_a_change_that_is_none_of_the_prices_is_none(history: History) -> None:
    await history.add(Snapshot("alex", START - timedelta(days=1), tariffs_of(1)))
    await history.mark_reported(
        Snapshot("alex", START - timedelta(days=2), attrs.evolve(tariffs_of(1), mail=Decimal("0.1")))
    )
    assert prices(await first(watch(Source(1, 2), history))) == (1, 2)


async def test_a_history_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"not a database" * 100)
    source = Source(1)
    with pytest.raises(StoreError):
        await anext(watch(source, History(tmp_path / "odd")))
    assert source.asked == []


class Broken(History):
    """A history that cannot note what was reported, for a while."""

    broken = False

    async def mark_reported(self, snapshot: Snapshot, *, reader: str = "watch") -> None:
        if self.broken:
            raise StoreError("the disk is full")
        await super().mark_reported(snapshot, reader=reader)


async def test_a_report_that_could_not_be_noted_is_noted_later_and_not_told_twice(tmp_path: Path) -> None:
    history = Broken(tmp_path / "history.db")
    source = Source(1, 2, 2, 3)
    updates = watch(source, history)
    told = [await anext(updates)]
    history.broken = True
    told.append(await anext(updates))
    assert len(source.asked) == 2
    history.broken = False
    told.append(await anext(updates))
    assert isinstance(told.pop(1).error, StoreError)
    assert [prices(update) for update in told] == [(1, 2), (2, 3)]
    assert await history.reported("alex") == told[0].snapshot


async def test_a_first_list_that_could_not_be_noted_is_noted_before_the_next_is_fetched(tmp_path: Path) -> None:
    history = Broken(tmp_path / "history.db")
    history.broken = True
    rounds = Rounds(Watcher("alex", Source(1, 2), history, "watch"), 60)
    assert isinstance(await rounds.next(), Snapshot)
    assert isinstance(await rounds.next(), StoreError)
    assert await history.reported("alex") is None
    history.broken = False
    assert isinstance(await rounds.next(), Snapshot)
    assert await history.reported("alex") == (await history.snapshots("alex"))[0]


def put(simulator: Simulator, api: int) -> None:
    simulator.put(SimulatedAccount("alex", "123", tariffs=tariffs_of(api)))


async def changes_of(updates: AsyncIterator[Update], simulator: Simulator) -> list[Change | str]:
    told: list[Change | str] = []
    async for update in updates:
        told += [type(update.error).__name__] if update.error is not None else update.changes
        if len(told) == 1:
            simulator.fail(Fault.http_status(503), times=1)
            put(simulator, 3)
        elif len(told) == 3:
            break
    return told


async def test_a_client_watches_within_its_quota_and_through_an_outage(history: History) -> None:
    simulator = service()
    put(simulator, 1)
    async with client_of(simulator, retries=0) as client:
        await client.tariffs()
        put(simulator, 2)
        first, error, second = await changes_of(client.watch(every=30, history=history, deadline=20), simulator)
        assert isinstance(first, Change)
        assert isinstance(second, Change)
        assert [str(each) for each in (first.old, first.new, error, second.old, second.new)] == [
            "1",
            "2",
            "TransportError",
            "2",
            "3",
        ]
        assert simulator.violations() == []
        assert await history.accounts() == ("alex",)
        # What came less than half of the time between rounds ago will do.
        seen = len(simulator.log)
        with anyio.move_on_after(1):
            await anext(client.watch(every=30, history=history, reader="another"))
        assert len(simulator.log) == seen


async def test_a_wrong_password_ends_it_and_is_sent_once() -> None:
    simulator = service()
    async with client_of(simulator, Account("alex", "wrong")) as client:
        for kind in (AuthenticationError, CredentialsRefused):
            with pytest.raises(kind):
                await anext(client.watch())
    assert len(simulator.log) == 1


async def test_misuse_is_told_at_once() -> None:
    async with client_of(service(), None) as client:
        with pytest.raises(ValueError, match="whose list"):
            client.watch()
        for seconds in (0.0, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="every="):
                client.watch(Account("alex", "123"), every=seconds)
        with pytest.raises(ValueError, match="deadline="):
            client.watch(Account("alex", "123"), deadline=0)
        with pytest.raises(ValueError, match="under which name"):
            client.watch(Account.with_api_key("k-alex"))
    with pytest.raises(RuntimeError, match="closed"):
        client.watch(Account("alex", "123"))


async def test_a_key_is_filed_under_the_name_that_it_is_given(history: History) -> None:
    simulator = service(rules=Rules(requests=1000))
    quota = Quota(requests=1000)
    async with client_of(simulator, None, store=MemoryStore(), quota=quota) as client:
        for account, name in (
            (Account.with_api_key("k-alex"), "mine"),
            (Account.with_api_key("k-alex", name="alex"), None),
        ):
            with anyio.move_on_after(1):
                await anext(client.watch(account, history=history, name=name))
    assert await history.accounts() == ("alex", "mine")


async def test_a_watch_that_is_closed_ends_and_its_last_change_is_told_again(history: History) -> None:
    async with contextlib.aclosing(watch(Source(1, 2, 3), history)) as updates:
        assert prices(await anext(updates)) == (1, 2)
    assert [update async for update in updates] == []
    assert prices(await first(watch(Source(3), history))) == (1, 2)
