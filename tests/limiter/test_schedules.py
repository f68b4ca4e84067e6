"""The quota, judged by the arrivals at a server: random calls, delays, cancellations and give-ups in virtual time."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings

from tests.limiter.wire import URL, Call, ClassicBucket, Limit, SendLog, ours, random_schedule, run_schedule
from tests.support.server_log_checks import peak_in_progress, windows_broken
from tests.support.virtual_time import BACKEND_NAMES, BackendName

pytestmark = pytest.mark.no_cover  # see CONTRIBUTING

# On each loop: 200 by default, 2,000 in the thorough profile (HYPOTHESIS_PROFILE=thorough).
SCHEDULES = 200 if settings().max_examples < 1_000 else 2_000


def _broken(backend: BackendName, limit: Limit, seeds: range) -> tuple[int, int]:
    """How many windows were broken by schedules of those seeds, and the highest peak of requests in progress."""
    windows = peak = 0
    for seed in seeds:
        chance = random.Random(seed)
        wire = run_schedule(backend, limit, random_schedule(chance), chance)
        windows += len(windows_broken(wire.tariff_requests()))
        peak = max(peak, peak_in_progress(wire.requests()))
    return windows, peak


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_no_schedule_makes_a_fourth_request_in_a_minute_or_a_fifteenth_at_once(backend: BackendName) -> None:
    windows, peak = _broken(backend, ours, range(100, 100 + SCHEDULES))  # among them 248, which has fourteen
    assert windows == 0
    # That it comes near shows that the schedules press hard enough.
    assert peak == 14


@pytest.mark.parametrize("limit", [ClassicBucket, SendLog])
def test_the_same_judge_catches_the_limiters_of_the_books(limit: Limit) -> None:
    windows, _ = _broken("asyncio", limit, range(60))
    assert windows > 0


def test_the_same_judge_catches_too_many_at_once() -> None:
    _, peak = _broken("asyncio", lambda inner: inner, range(200))
    assert peak > 14


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_sixty_calls_at_once_take_nineteen_windows_and_no_more(backend: BackendName) -> None:
    chance = random.Random(0)
    calls = [Call(0.0, None, URL)] * 60
    wire = run_schedule(backend, ours, calls, chance)
    arrivals = sorted(arrived for arrived, _ in wire.tariff_requests())
    assert not windows_broken(wire.tariff_requests())
    round_trips = 20 * (2 * 12.0 + 90.0)
    assert 19 * 61.0 <= arrivals[-1] - arrivals[0] <= 19 * 61.0 + round_trips


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_with_answers_at_once_sixty_calls_take_nineteen_windows_to_the_millisecond(backend: BackendName) -> None:
    class Instant(random.Random):
        def choice(self, seq: list[float]) -> float:  # type: ignore[override]  # the first, 0.0, of every range
            return seq[0]

    wire = run_schedule(backend, ours, [Call(0.0, None, URL)] * 60, Instant())
    arrivals = sorted(arrived for arrived, _ in wire.tariff_requests())
    assert arrivals[-1] - arrivals[0] == pytest.approx(19 * 61.0, abs=1e-3)
