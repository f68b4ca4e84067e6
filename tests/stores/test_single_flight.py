"""One fetch for all callers of an account, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from smsc_async import DecodeError, MemoryStore, TrialsExhausted
from smsc_async.errors import QuotaExhausted
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.simulator import sample_tariffs
from smsc_async.stores import single_flight
from smsc_async.stores.single_flight import InFlight, SingleFlight
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

LIST = sample_tariffs()


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def test_the_first_caller_starts_the_flight_and_all_callers_get_its_result() -> None:
    flights = SingleFlight()
    flight, is_new = flights.join("key", now() + 10)
    other, is_other_new = flights.join("key", now() + 20)
    assert (is_new, is_other_new, other) == (True, False, flight)
    async with anyio.create_task_group() as group:
        group.start_soon(flight.wait, now() + 5)
        await anyio.sleep(1.0)
        flights.complete("key", flight, LIST)
    assert flight.result is LIST
    assert flights.join("key", now() + 10)[1]


async def test_a_caller_of_a_complete_flight_does_not_wait() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    flights.complete("key", flight, LIST)
    started = now()
    await flight.wait(now() + 5)
    assert now() == started


async def test_a_refusal_is_returned_though_the_flight_of_another_thread_goes_on_meanwhile() -> None:
    class Flight(InFlight):
        """Begins an exchange in its own thread, after this one has seen the refusal."""

        def __getattribute__(self, name: str) -> object:
            value: object = super().__getattribute__(name)
            if name == "refusal" and value is not None:
                self.refusal = None
            return value

    flight = Flight(now() + 90)
    flight.refuse(QuotaExhausted(60.0))
    assert isinstance(await flight.wait(now() + 5), QuotaExhausted)


async def test_a_flight_completes_once_and_does_not_displace_the_next() -> None:
    flights = SingleFlight()
    first, _ = flights.join("key", now() + 10)
    flights.complete("key", first, None)
    second, is_new = flights.join("key", now() + 10)
    assert is_new
    flights.complete("key", first, LIST)
    assert first.result is None
    assert flights.join("key", now() + 10) == (second, False)


async def test_a_wait_ends_at_the_deadline_of_the_caller() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    started = now()
    await flight.wait(now() + 3)
    assert now() - started == pytest.approx(3.0)


async def test_a_wait_ends_at_once_when_the_permit_will_come_too_late() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 60)
    started = now()

    async def report() -> None:
        await anyio.sleep(1.0)
        flight.refuse(QuotaExhausted(30.0))

    async with anyio.create_task_group() as group:
        group.start_soon(report)
        await flight.wait(now() + 20)
    assert now() - started == pytest.approx(1.0)


async def test_a_wait_for_a_lost_flight_ends_when_the_flight_is_overdue() -> None:
    flights = SingleFlight()
    started = now()
    flight, _ = flights.join("key", started + 10)
    await flight.wait(started + 600)
    assert 10.0 < now() - started < 60.0
    assert flights.join("key", now() + 10)[1]
    assert flight.is_complete
    assert flight.result is None


async def test_a_waiting_flight_is_cancelled_when_its_last_caller_leaves() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 100)
    flights.join("key", now() + 100)
    with flight.scope as scope:
        flight.leave()
        await anyio.sleep(1.0)
        flight.leave()
        await anyio.sleep(50.0)
    assert scope.cancelled_caught
    assert not flight.is_wanted


async def test_an_exchange_continues_without_callers() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 5)
    attempt = Attempt("alex", Quota())
    flight.attempts = [attempt]
    with flight.scope as scope:
        assert not flight.is_connecting
        flight.begin_exchange()
        assert flight.is_connecting
        attempt.readings = 1
        assert not flight.is_connecting
        flight.leave()
        await anyio.sleep(50.0)
    assert not scope.cancelled_caught
    assert flight.may_have_counted


async def test_an_exchange_that_begins_while_the_last_caller_leaves_from_another_loop_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later: list[Callable[[], object]] = []

    def call_later(_: object, call: Callable[[], object]) -> None:
        later.append(call)

    monkeypatch.setattr(single_flight, "call_in_loop", call_later)
    flight, _ = SingleFlight().join("key", now() + 5)
    with flight.scope as scope:
        flight.leave()
        flight.begin_exchange()
        later.pop()()
        await anyio.sleep(50.0)
    assert not scope.cancelled_caught
    assert not flight.is_abandoned


async def test_a_flight_without_callers_starts_no_other_attempt() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 5)
    with flight.scope as scope:
        flight.begin_exchange()
        flight.leave()
        await anyio.sleep(1.0)
        flight.end_exchange()
        await anyio.sleep(1.0)
    assert scope.cancelled_caught


async def test_a_forked_process_has_no_flights() -> None:
    store = MemoryStore()
    store.flights.join("key", now() + 10)
    store._after_fork()  # pyright: ignore[reportPrivateUsage]
    assert store.flights.join("key", now() + 10)[1]


@pytest.mark.asyncio
async def test_a_deadline_that_ends_in_the_queue_for_a_place_says_so() -> None:
    flight = InFlight(now() + 60.0)
    flight.refuse(TrialsExhausted(5.0))
    assert flight.refusal_by(now() + 1.0, is_impatient=False) is None  # a place may become free
    assert isinstance(flight.refusal_by(now(), is_impatient=False), TrialsExhausted)
    flight.failure = DecodeError("an attempt before")
    assert flight.refusal_by(now(), is_impatient=False) is None
