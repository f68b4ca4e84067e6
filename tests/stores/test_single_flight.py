"""One fetch for all callers, whatever its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import pytest

from smsc_async.errors import SmscError
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


async def test_the_first_caller_leads_and_the_others_get_its_result() -> None:
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


async def test_a_wait_after_the_end_returns_at_once() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    flights.complete("key", flight, LIST)
    started = now()
    await flight.wait(now() + 5)
    assert now() == started
    assert not flight.add_done_callback(lambda: None)


async def test_a_flight_ends_once_and_does_not_end_the_next() -> None:
    flights = SingleFlight()
    first, _ = flights.join("key", now() + 10)
    flights.complete("key", first, None)
    second, leads = flights.join("key", now() + 10)
    assert leads
    flights.complete("key", first, LIST)
    assert first.result is None
    assert flights.join("key", now() + 10) == (second, False)


async def test_a_waiter_that_gave_up_is_not_called() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    started = now()
    await flight.wait(now() + 3)
    assert now() - started == pytest.approx(3.0)
    assert not flight._callbacks  # pyright: ignore[reportPrivateUsage]  # what remains is private
    flights.complete("key", flight, LIST)
    flight.remove_done_callback(lambda: None)


async def test_a_waiter_stops_when_the_flight_is_overdue() -> None:
    flights = SingleFlight()
    started = now()
    flight, _ = flights.join("key", started + 10)
    await flight.wait(started + 60)
    assert 10.0 < now() - started < 20.0
    assert flights.join("key", now() + 10)[1]
    assert flight.landed
    assert flight.result is None


async def test_an_abandoned_flight_has_no_new_waiters() -> None:
    flights = SingleFlight()
    flight, _ = flights.join("key", now() + 10)
    flight.abandon_lost()
    assert flights.join("key", now() + 10)[1]


async def test_a_forked_process_has_no_flights() -> None:
    flights = SingleFlight()
    flights.join("key", now() + 10)
    flights.abandon()
    assert flights.join("key", now() + 10)[1]


async def test_a_lost_flight_releases_the_permits_of_its_leader() -> None:
    class LostProgress:
        failure: SmscError | None = None
        attempts = 1
        waited = 0.0
        abandoned = 0

        def may_have_left(self) -> bool:
            return True

        def abandon(self) -> None:
            self.abandoned += 1

    flights, progress = SingleFlight(), LostProgress()
    loop = asyncio.new_event_loop()

    async def lead() -> None:
        flight, _ = flights.join("key", now() + 1e6)
        flight.progress = progress

    def lead_and_close() -> None:
        loop.run_until_complete(lead())
        loop.close()

    thread = threading.Thread(target=lead_and_close)
    thread.start()
    thread.join()
    _, leads = flights.join("key", now() + 10)
    assert leads
    assert progress.abandoned == 1
