"""A list looked at again and again: in virtual time, with a history where it has to outlive something."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

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
    DeadlineExceeded,
    DecodeError,
    History,
    MemoryStore,
    ParameterError,
    Quota,
    QuotaExhausted,
    Snapshot,
    StoreError,
    Tariffs,
    TransportError,
    TrialsExhausted,
    Update,
    Zone,
)
from smsc_async.analysis.filters import ChangeFilter
from smsc_async.fetch.background import BackgroundTasks
from smsc_async.history.archive import Archive
from smsc_async.history.deliveries import Deliveries
from smsc_async.history.locks import DeliveryLock
from smsc_async.history.watch import (
    POSTPONE_SECONDS,
    RETRY_SECONDS,
    Recorder,
    Schedule,
    Watch,
)
from smsc_async.history.watch_many import WatchMany, watch_accounts
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
    recorder = Recorder("alex", source, history)
    return Watch(recorder, recorder.reader(reader), every)


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
    schedule = Schedule(1_005.0, 60.0)
    instants = (1_000.0, 1_004.0, 1_064.9, 1_065.0, 1_066.0, 1_124.9, 99_999.0)
    assert [schedule.after(at) for at in instants] == [1_065, 1_065, 1_065, 1_125, 1_125, 1_125, 100_005]


def test_a_round_is_never_due_at_the_instant_of_the_one_before() -> None:
    due = 3_000.3763700995128  # the rounding of (due - start) / every leads to the instant itself
    assert Schedule(2_904.1 + 0.07637009951314895, 0.1).after(due) > due


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


async def test_a_watch_ends_if_its_own_credentials_are_refused(history: History) -> None:
    for kept, error in ((history, AuthenticationError(2)), (None, CredentialsRefused())):
        updates = watch(Source(error), kept)
        with pytest.raises(type(error)):
            await anext(updates)
        assert [update async for update in updates] == []


@pytest.mark.parametrize(
    "error",
    [
        ParameterError(1),
        AddressBlocked(4),
        AddressPaused(4, "", 60.0),
        CircuitOpen(60.0),
        TrialsExhausted(60.0),
        QuotaExhausted(9.0),
        DeadlineExceeded("late"),
        TransportError("cut"),
        DecodeError("a page"),
        StoreError("busy"),
    ],
)
async def test_every_other_error_is_an_update_and_the_next_round_comes(error: Exception) -> None:
    updates = await take(watch(Source(1, error, 2), None), 2)
    assert updates[0].error is error
    assert (updates[0].event_id, prices(updates[1])) == ("", (1, 2))


async def test_an_error_of_the_users_own_code_surfaces_and_the_watch_can_go_on() -> None:
    source = Source(1, KeyError("theirs"), 2)
    updates = watch(source, None, every=3_600)
    with pytest.raises(KeyError):
        await anext(updates)
    assert prices(await anext(updates)) == (1, 2)
    assert [at - source.asked[0] for at in source.asked] == [0, 3_600, 3_600 + RETRY_SECONDS]


async def test_killed_before_it_is_told_a_change_is_told_after_the_restart(history: History) -> None:
    await take(watch(Source(1, 2, 3), history), 2)  # which reports the first, and not the second
    killed = Recorder("alex", Source(4), history)
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

        recorder = Recorder("alex", fetch, history if has_history else None)
        reader = recorder.reader("watch")
        updates: list[Update] = []
        for _ in lists:
            await recorder.round()
            while (update := await reader.next()) is not None:
                updates.append(update)
                await reader.reported()
        return [prices(update) for update in updates]

    assert await told((1, 11), (1, 12), (2, 10), (2, 13)) == [(1, 2)]
    assert await told((2, 14)) == []
    if has_history:
        assert [period.tariffs for period in await history.periods("alex")] == [tariffs_of(1), tariffs_of(2)]


@pytest.mark.parametrize("has_history", [True, False])
async def test_a_list_that_is_older_than_the_last_one_is_no_change(history: History, has_history: bool) -> None:
    # As that of another process, which was slower.
    fetched = iter([(1, 1), (3, 3), (2, 2), (3, 4)])

    async def fetch() -> Tariffs:
        price, minute = next(fetched)
        return attrs.evolve(tariffs_of(price), fetched_at=START + timedelta(minutes=minute))

    recorder = Recorder("alex", fetch, history if has_history else None)
    reader = recorder.reader("watch")
    seen: list[tuple[object, object]] = []
    for _ in range(4):
        await recorder.round()
        while (update := await reader.next()) is not None:
            seen.append(prices(update))
            await reader.reported()
    assert seen == [(1, 3)]
    if has_history:
        assert [period.tariffs for period in await history.periods("alex")] == [tariffs_of(1), tariffs_of(3)]


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


@pytest.mark.parametrize("has_history", [True, False])
async def test_a_new_reader_that_looks_late_gets_the_changes_since_the_first_round(
    history: History, has_history: bool
) -> None:
    await history.add(Snapshot("alex", START - timedelta(days=1), tariffs_of(0)))
    recorder = Recorder("alex", Source(1, 1, 2, 3), history if has_history else None)
    reader = recorder.reader("late")
    for _ in range(4):
        await recorder.round()
    seen: list[tuple[object, object]] = []
    while (update := await reader.next()) is not None:
        seen.append(prices(update))
        await reader.reported()
    assert seen == [(1, 2), (2, 3)]


async def test_a_new_reader_whose_first_look_waits_for_the_disk_gets_the_changes_since_the_first_round(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder("alex", Source(1, 2), history)
    reader = recorder.reader("late")
    seen: list[Update | None] = []
    real, go = Archive.write, anyio.Event()

    async def write_late(self: Archive, work: Any) -> object:
        monkeypatch.setattr(Archive, "write", real)
        await go.wait()
        return await real(self, work)

    async def look() -> None:
        seen.append(await reader.next())

    async with anyio.create_task_group() as group:
        monkeypatch.setattr(Archive, "write", write_late)
        group.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        await recorder.round()
        await recorder.round()
        go.set()
    assert seen[0] is not None
    assert prices(seen[0]) == (1, 2)


async def test_a_change_that_is_none_of_the_prices_is_none(history: History) -> None:
    await history.add(Snapshot("alex", START - timedelta(days=1), tariffs_of(1)))
    await history.mark_reported(
        Snapshot("alex", START - timedelta(days=2), attrs.evolve(tariffs_of(1), mail=Decimal("0.1")))
    )
    assert prices(await first(watch(Source(1, 2), history))) == (1, 2)


async def test_a_history_that_cannot_be_used_is_an_error_of_each_round_and_the_watch_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database" * 100)
    source = Source(1, 1, 1, 2)
    updates = watch(source, History(path))
    for _ in range(5):
        assert isinstance((await anext(updates)).error, StoreError)
    assert source.asked[-1] - source.asked[0] == 60 * (len(source.asked) - 1) > 0
    path.unlink()
    assert prices(await anext(updates)) == (1, 2)


async def failing(*_: object) -> None:
    raise StoreError("the disk is full")


async def test_a_report_that_could_not_be_noted_is_noted_later_and_not_told_twice(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(1, 2, 2, 3)
    updates = watch(source, history)
    told = [await anext(updates)]
    with monkeypatch.context() as patch:
        patch.setattr(Deliveries, "mark", failing)
        told.append(await anext(updates))
        assert isinstance(told.pop().error, StoreError)
        # Nobody else is given what was reported.
        assert await Recorder("alex", source, history).reader("watch").next() is None
    told.append(await anext(updates))
    assert [prices(update) for update in told] == [(1, 2), (2, 3)]
    assert await history.reported("alex") == told[0].snapshot


async def test_a_first_list_that_could_not_be_noted_is_noted_by_the_next_look(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder("alex", Source(1, 1, 2), history)
    reader = recorder.reader("watch")
    with monkeypatch.context() as patch:
        patch.setattr(Deliveries, "mark", failing)
        await recorder.round()
        assert await reader.next() is None
    await recorder.round()
    assert await reader.next() is None
    assert await history.reported("alex") == (await history.snapshots("alex"))[0]
    await recorder.round()
    update = await reader.next()
    assert update is not None
    assert prices(update) == (1, 2)


async def test_a_first_list_that_could_not_be_noted_is_compared_with_the_second(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder("alex", Source(1, 2), history)
    reader = recorder.reader("watch")
    with monkeypatch.context() as patch:
        patch.setattr(Deliveries, "mark", failing)
        await recorder.round()
        assert await reader.next() is None
    await recorder.round()
    update = await reader.next()
    assert update is not None
    assert prices(update) == (1, 2)


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


async def test_another_password_sees_no_list_no_change_and_no_name_of_the_right_one(history: History) -> None:
    simulator = service(rules=Rules(requests=1000))
    put(simulator, 1)
    right, wrong = Account("alex", "123"), Account("alex", "wrong")
    async with client_of(simulator, None, store=MemoryStore(), quota=Quota(requests=1000)) as client:
        with anyio.move_on_after(1):
            await anext(client.watch(right, history=history))
        put(simulator, 2)
        recorder = Recorder("alex", partial(client.tariffs, right, max_age=0), history, right)
        await recorder.round()  # a change that was recorded, and not reported yet
        sent = len(simulator.log)
        with pytest.raises(AuthenticationError):
            await anext(client.watch(wrong, history=history))
        assert len(simulator.log) == sent + 1
        assert await history.snapshots("alex", credentials=wrong) == ()
        assert await history.reported("alex", credentials=wrong) is None
        # The password is changed at the provider: the new one begins with its own first list.
        simulator.put(SimulatedAccount("alex", "new", tariffs=tariffs_of(3)))
        updates = client.watch(Account("alex", "new"), history=history, every=60)
        with anyio.move_on_after(1):
            await anext(updates)
        simulator.put(SimulatedAccount("alex", "new", tariffs=tariffs_of(4)))
        assert prices(await anext(updates)) == (3, 4)
        await updates.aclose()
        # What was recorded for the former password is still there for it.
        update = await Recorder("alex", Source(9), history, right).reader("watch").next()
        assert update is not None
        assert prices(update) == (1, 2)


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


async def test_two_watches_of_one_history_report_a_change_once(history: History) -> None:
    one, other = (watch(Source(*[1] * 3, 2, 2, 3, 3, 3), history) for _ in range(2))
    given: list[Update] = []

    async def consume(updates: Watch) -> None:
        async for update in updates:
            assert update.error is None
            given.append(update)
            await anyio.sleep(1)  # as long as it has not come back, the change is its own

    with anyio.move_on_after(1_000):
        async with anyio.create_task_group() as group:
            group.start_soon(consume, one)
            group.start_soon(consume, other)
    assert [prices(update) for update in given] == [(1, 2), (2, 3)]
    assert len({update.event_id for update in given}) == 2


async def test_a_watch_that_is_closed_or_dropped_leaves_its_change_to_the_next(history: History) -> None:
    for close in (True, False):
        updates = watch(Source(1, 2), history, reader=str(close))
        first_time = await anext(updates)
        waiting = Recorder("alex", Source(2), history).reader(str(close))
        waiting.release()  # nothing yet
        assert await waiting.next() is None
        if close:
            await updates.aclose()
            assert [update async for update in updates] == []
        else:
            del updates
            gc.collect()
        again = await waiting.next()
        assert again is not None
        assert (again.event_id, again.changes) == (first_time.event_id, first_time.changes)
        assert await waiting.next() is again
        await history.forget("alex")


async def test_readers_of_different_progress_give_a_change_the_same_event_id(history: History) -> None:
    recorder = Recorder("alex", Source(1, 2, 3), history)
    readers = [recorder.reader(name) for name in ("fast", "slow")]
    ids: list[list[str]] = [[], []]
    for turn in range(3):
        await recorder.round()
        for place, reader in enumerate(readers):
            while (update := await reader.next()) is not None and (place == 0 or turn != 1):
                assert len(update.event_id) == 32
                ids[place].append(update.event_id)
                await reader.reported()
            reader.release()
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


async def test_a_receiver_is_not_tried_before_it_wants_in_any_process(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder("alex", Source(1, 2), history)
    reader = recorder.reader("hook")
    update = None
    for _ in range(2):
        await recorder.round()
        update = await reader.next()
    assert update is not None
    await reader.postpone(10**9)
    for each in (reader, recorder.reader("hook")):
        assert await each.next() is None
        assert each.retry_in is not None
        assert POSTPONE_SECONDS - 60 < each.retry_in <= POSTPONE_SECONDS
    # A receiver that wanted it until a second ago, and a clock that was set back by a day.
    deliveries = history.deliveries("alex", reader="hook")
    for seconds in (-1, 86_400):
        await deliveries.postpone(datetime.now(UTC) + timedelta(seconds=seconds))
        assert await reader.next() == update
        assert reader.retry_in is None
        reader.release()


async def test_a_watch_without_a_history_has_nothing_to_postpone() -> None:
    recorder = Recorder("alex", Source(1, 2), None)
    reader = recorder.reader("hook")
    update = None
    for _ in range(2):
        await recorder.round()
        update = await reader.next()
    await reader.postpone(60)
    assert await reader.next() == update


@pytest.mark.parametrize("has_history", [True, False])
async def test_a_price_that_creeps_is_reported_once_its_changes_add_up(history: History, has_history: bool) -> None:
    # In hundredths, each step less than the threshold of a percent.
    source = Source(10_000, 10_060, 10_099, 10_100, 10_150, 10_040)
    recorder = Recorder("alex", source, history if has_history else None)
    reader = recorder.reader("big", ChangeFilter(min_ratio=Fraction(1, 100)))
    seen: list[tuple[object, object] | None] = []
    for _ in range(6):
        await recorder.round()
        update = await reader.next()
        seen.append(None if update is None else prices(update))
        if update is not None:
            await reader.reported()
    assert seen == [None, None, None, (10_000, 10_100), None, None]


def many(count: int, fetch: Callable[[Account], Awaitable[Tariffs]], history: History | None = None) -> WatchMany:
    accounts = [Account(f"u{number}", "p") for number in range(count)]
    start = BackgroundTasks().start
    return watch_accounts(fetch, accounts, every=3_600, history=history, reader="watch", start=start)


async def test_the_rounds_of_many_accounts_are_spread_over_the_interval() -> None:
    instants: dict[str, list[float]] = {}

    async def fetch(account: Account) -> Tariffs:
        instants.setdefault(account.login, []).append(now() - began)
        return attrs.evolve(tariffs_of(len(instants[account.login])), fetched_at=datetime.now(UTC))

    began = now()
    updates = many(4, fetch)
    assert [update.account for update in await take(updates, 4)] == ["u0", "u1", "u2", "u3"]
    assert {login: [round(at) for at in each] for login, each in instants.items()} == {
        f"u{place}": [900 * place, 3_600 + 900 * place] for place in range(4)
    }
    await updates.aclose()
    assert [update async for update in updates] == []


async def test_slow_rounds_are_at_the_same_time_and_of_a_bounded_number() -> None:
    in_progress: list[int] = [0]
    most = 0

    async def fetch(_: Account) -> Tariffs:
        nonlocal most
        in_progress[0] += 1
        most = max(most, in_progress[0])
        await anyio.sleep(1_800)
        in_progress[0] -= 1
        raise DeadlineExceeded("late")

    updates = await take(many(200, fetch), 200)
    assert {type(update.error) for update in updates} == {DeadlineExceeded}
    assert most == 50


async def test_of_300_watches_those_with_wrong_passwords_end_and_no_other() -> None:
    wrong = {f"u{number}" for number in range(0, 300, 60)}
    cut = {f"u{number}" for number in range(7, 300, 80)}
    calls: Counter[str] = Counter()

    async def fetch(account: Account) -> Tariffs:
        calls[account.login] += 1
        await anyio.sleep(0.1)
        if account.login in wrong:
            raise AuthenticationError(2)
        if account.login in cut and calls[account.login] == 1:
            raise TransportError("closed the connection without an answer")
        return attrs.evolve(tariffs_of(1), fetched_at=datetime.now(UTC))

    updates = many(300, fetch)
    errors: list[Update] = []
    with anyio.move_on_after(2 * 3_600):
        async for update in updates:
            errors.append(update)  # noqa: PERF401  # it does not end
    assert {update.account for update in errors if isinstance(update.error, AuthenticationError)} == wrong
    assert {update.account for update in errors if isinstance(update.error, TransportError)} == cut
    assert len(errors) == len(wrong) + len(cut)
    assert {login for login, count in calls.items() if count == 1} == wrong
    assert len(calls) == 300


async def test_many_watches_end_with_their_last_account_and_without_any_at_once() -> None:
    async def fetch(_: Account) -> Tariffs:
        raise AuthenticationError(2)

    assert len([update async for update in many(2, fetch)]) == 2
    assert [update async for update in many(0, fetch)] == []


async def test_each_change_of_many_accounts_is_reported_once_across_restarts(history: History) -> None:
    versions: Counter[str] = Counter()

    async def fetch(account: Account) -> Tariffs:
        await anyio.lowlevel.checkpoint()
        versions[account.login] += 1
        return attrs.evolve(tariffs_of(versions[account.login]), fetched_at=START + timedelta(minutes=next(_minutes)))

    first_run = await take(many(3, fetch, history), 4)  # of which the last one is not reported
    second_run = await take(many(3, fetch, history), 4)
    assert [update.account for update in [*first_run, *second_run]] == ["u0", "u1", "u2", "u0", "u0", "u0", "u1", "u2"]
    assert second_run[0].event_id == first_run[-1].event_id
    assert [prices(update) for update in second_run] == [(2, 3), (3, 4), (2, 3), (2, 3)]
    assert len({update.event_id for update in [*first_run, *second_run]}) == 7


async def test_an_error_of_the_history_is_an_update_of_many_and_one_of_the_users_own_surfaces(tmp_path: Path) -> None:
    calls: list[str] = []

    async def fetch(account: Account) -> Tariffs:
        calls.append(account.login)
        if account.login == "u0":
            return attrs.evolve(tariffs_of(1), fetched_at=datetime.now(UTC))
        raise KeyError("theirs")

    (tmp_path / "history.db").write_bytes(b"not a database" * 100)
    updates = many(2, fetch, History(tmp_path / "history.db"))
    with pytest.raises(KeyError):
        await take(updates, 99)
    assert calls.count("u1") == 1
    assert calls.count("u0") == 7  # every five minutes, until the first round of the other one
    assert isinstance((await anext(updates)).error, StoreError)


async def test_a_client_watches_many_accounts_under_names_and_each_sees_its_own_changes(history: History) -> None:
    simulator = service(rules=Rules(requests=1000))
    named = {"chat 1": Account("alex", "123"), "chat 2": Account("alex", "wrong"), "chat 3": Account("boris", "456")}
    for number, login in enumerate(("alex", "boris")):
        simulator.put(SimulatedAccount(login, named[f"chat {2 * number + 1}"].secret.reveal(), tariffs=tariffs_of(1)))
    async with client_of(simulator, None, store=MemoryStore(), quota=Quota(requests=1000)) as client:
        updates = client.watch_for(named, every=30, history=history, deadline=20)
        refused = await anext(updates)
        assert (refused.account, type(refused.error)) == ("chat 2", AuthenticationError)
        with anyio.move_on_after(30):
            await anext(updates)
        for login, password, price in (("alex", "123", 2), ("boris", "456", 5)):
            simulator.put(SimulatedAccount(login, password, tariffs=tariffs_of(price)))
        changes = [(update.account, prices(update)) for update in await take(updates, 2)]
        assert sorted(changes) == [("chat 1", (1, 2)), ("chat 3", (1, 5))]
        await updates.aclose()
        assert [update async for update in updates] == []
    assert await history.accounts() == ("chat 1", "chat 3")
    assert [arrival.code for arrival in simulator.log].count(2) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_a_program_leaves_the_iteration_of_many(kind: type[BaseException]) -> None:
    async def fetch(_: Account) -> Tariffs:
        raise kind

    with pytest.raises(kind):
        await anext(many(1, fetch))


async def test_a_client_that_is_closed_ends_the_watch_of_many() -> None:
    async with client_of(service(), None) as client:
        updates = client.watch_for([Account("alex", "123")], every=30)
    with pytest.raises(RuntimeError, match="closed"):
        await anext(updates)
    with pytest.raises(RuntimeError, match="closed"):
        client.watch_for([])


async def test_misuse_of_a_watch_of_many_is_refused_at_once() -> None:
    alex: Any = Account("alex", "123")
    async with client_of(service(), None) as client:
        with pytest.raises(TypeError, match=r"many accounts.*watch\(\)$"):
            client.watch_for(alex)
        with pytest.raises(ValueError, match="every="):
            client.watch_for([alex], every=0)
        with pytest.raises(ValueError, match="deadline="):
            client.watch_for([alex], deadline=0)
        with pytest.raises(ValueError, match="a mapping of names to watch_for"):
            client.watch_for([Account.with_api_key("k-alex")])
        await client.watch_for({"mine": Account.with_api_key("k-alex")}).aclose()


def test_misuse_of_many_is_refused_at_once() -> None:
    async def fetch(_: Account) -> Tariffs:
        raise NotImplementedError

    for accounts, history, message in (
        (["alex"], None, "must be an Account, such as"),
        ([Account("alex", "1")], "file", "must be a History"),
    ):
        options: dict[str, Any] = {"every": 60, "history": history, "reader": "watch", "start": BackgroundTasks().start}
        with pytest.raises(TypeError, match=message):
            watch_accounts(fetch, cast("list[Account]", accounts), **options)


async def next_update(watch: Watch) -> Update:
    with anyio.fail_after(60):
        return await anext(watch)


async def test_a_watch_that_was_cancelled_leaves_its_change_to_another_one(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await anyio.sleep(3600)

    first = watch(Source(1, 2), history)
    with monkeypatch.context() as patch, anyio.move_on_after(10) as scope:
        patch.setattr(Deliveries, "mark", hang)
        await anext(first)
    assert scope.cancelled_caught
    assert prices(await next_update(watch(Source(1, 2), history, every=1.0))) == (Decimal(1), Decimal(2))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_watch_whose_task_was_cancelled_before_its_thread_had_the_lock_leaves_it_to_another_one(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, may_go_on, acquire = threading.Event(), threading.Event(), DeliveryLock.acquire

    def slow(lock: DeliveryLock) -> bool:
        waits.set()
        may_go_on.wait(60)
        return acquire(lock)

    first = watch(Source(1, 2), history)
    with monkeypatch.context() as patch:
        patch.setattr(DeliveryLock, "acquire", slow)
        task = asyncio.ensure_future(first.__anext__())
        await asyncio.to_thread(waits.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    may_go_on.set()
    assert prices(await next_update(watch(Source(1, 2), history, every=0.01))) == (Decimal(1), Decimal(2))
