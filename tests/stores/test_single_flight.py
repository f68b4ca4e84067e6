"""One request for everybody who asks, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from smsc_async.limiter.clock import now
from smsc_async.simulator import sample_tariffs
from smsc_async.stores.single_flight import SingleFlight
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

LIST = sample_tariffs()


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def test_the_first_leads_and_the_others_get_what_it_lands_with() -> None:
    flights = SingleFlight()
    flight, leads = flights.join("key", now() + 10)
    other, follows = flights.join("key", now() + 20)
    assert (leads, follows, other) == (True, False, flight)
    async with anyio.create_task_group() as group:
        group.start_soon(flight.wait, now() + 5)
        await anyio.sleep(1.0)
        flights.complete("key", flight, LIST)
    assert flight.result is LIST
    assert flights.join("key", now() + 10)[1]


async def test_who_asks_after_the_landing_is_told_at_once() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    flights.complete("key", flight, LIST)
    started = now()
    await flight.wait(now() + 5)
    assert now() == started
    assert not flight.on_landing(lambda: None)


async def test_a_flight_lands_once_and_not_in_the_place_of_the_next() -> None:
    flights = SingleFlight()
    first, _ = flights.join("key", now() + 10)
    flights.complete("key", first, None)
    second, leads = flights.join("key", now() + 10)
    assert leads
    flights.complete("key", first, LIST)
    assert first.result is None
    assert flights.join("key", now() + 10) == (second, False)


async def test_who_waits_no_longer_is_not_called() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    started = now()
    await flight.wait(now() + 3)
    assert now() - started == pytest.approx(3.0)
    assert not flight._on_landing  # pyright: ignore[reportPrivateUsage]  # who is left is inside
    flights.complete("key", flight, LIST)
    flight.forget(lambda: None)


async def test_who_waits_for_an_overdue_flight_stops_waiting() -> None:
    flights = SingleFlight()
    started = now()
    flight, _ = flights.join("key", started + 10)
    await flight.wait(started + 60)
    assert 10.0 < now() - started < 20.0
    assert flights.join("key", now() + 10)[1]
    assert flight.landed
    assert flight.result is None


async def test_a_flight_that_was_given_up_is_boarded_no_more() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    flight.abandon_lost()
    assert flights.join("key", now() + 10)[1]


async def test_a_forked_process_has_no_flights() -> None:
    flights = SingleFlight()
    flights.join("key", now() + 10)
    flights.abandon()
    assert flights.join("key", now() + 10)[1]
