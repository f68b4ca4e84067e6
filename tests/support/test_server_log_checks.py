from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server_log_checks import Exchange, peak_in_progress, windows_broken

# Multiples of a quarter: exact in binary, so that "exactly 60 s later" is met often and means what it says.
quarters = st.integers(0, 800).map(lambda quarter: quarter / 4)
exchanges = st.tuples(quarters, st.none() | st.integers(0, 200).map(lambda quarter: quarter / 4)).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
)
logs = st.lists(exchanges, max_size=40)


def arrivals(*seconds: float) -> list[Exchange]:
    return [(each, each) for each in seconds]


def test_an_empty_log_breaks_nothing() -> None:
    assert windows_broken([]) == []
    assert peak_in_progress([]) == 0


def test_three_in_a_minute_break_nothing() -> None:
    assert windows_broken(arrivals(0.0, 0.0, 59.9)) == []


def test_a_fourth_within_the_minute_is_reported_with_its_window() -> None:
    assert windows_broken(arrivals(0.0, 30.0, 31.0, 59.9, 200.0)) == [(0.0, 30.0, 31.0, 59.9)]


def test_a_fourth_after_exactly_a_minute_is_in_the_next_window() -> None:
    assert windows_broken(arrivals(0.0, 0.0, 0.0, 60.0)) == []


def test_a_window_across_the_edge_of_two_minutes_is_seen() -> None:
    assert windows_broken(arrivals(58.0, 59.0, 61.0, 62.0)) == [(58.0, 59.0, 61.0, 62.0)]


def test_arrivals_need_not_be_in_order() -> None:
    assert windows_broken(arrivals(50.0, 0.0, 20.0, 10.0)) == [(0.0, 10.0, 20.0, 50.0)]


def test_another_quota_is_held_to_its_own_numbers() -> None:
    assert windows_broken(arrivals(0.0, 5.0), requests=1, per=5.0) == []
    assert windows_broken(arrivals(0.0, 4.9), requests=1, per=5.0) == [(0.0, 4.9)]


def test_the_peak_counts_what_overlaps() -> None:
    assert peak_in_progress([(0.0, 10.0), (1.0, 2.0), (1.5, 3.0), (4.0, 5.0)]) == 3


def test_an_exchange_that_ends_makes_room_for_one_that_begins() -> None:
    assert peak_in_progress([(0.0, 1.0), (1.0, 2.0)]) == 1


def test_an_exchange_that_is_not_over_stays_in_progress() -> None:
    assert peak_in_progress([(0.0, None), (1_000_000.0, 1_000_001.0)]) == 2


def test_an_exchange_that_takes_no_time_meets_those_in_progress() -> None:
    assert peak_in_progress([(1.0, 1.0), (0.0, 2.0), (1.0, 2.0), (1.0, 1.0)]) == 3


def test_an_exchange_over_before_it_arrived_is_an_error_of_the_log() -> None:
    with pytest.raises(ValueError, match=r"arrived at 2\.0 cannot be over at 1\.0"):
        peak_in_progress([(2.0, 1.0)])


@given(logs, st.integers(1, 4))
def test_windows_are_broken_where_a_naive_count_says_so(log: list[Exchange], requests: int) -> None:
    def in_window(start: float) -> int:
        return sum(1 for arrived, _ in log if start <= arrived < start + 60.0)

    # A window that holds too many can be moved right until it begins with one of them.
    broken = windows_broken(log, requests=requests)
    assert bool(broken) == any(in_window(arrived) > requests for arrived, _ in log)
    for run in broken:
        assert len(run) == requests + 1
        assert in_window(run[0]) > requests


@given(logs)
def test_every_broken_run_is_reported_once(log: list[Exchange]) -> None:
    times = sorted(arrived for arrived, _ in log)
    naive = [times[i : i + 4] for i in range(len(times)) if i + 3 < len(times) and times[i + 3] - times[i] < 60.0]
    assert [list(run) for run in windows_broken(log)] == naive


@given(logs)
def test_the_peak_is_that_of_a_naive_count(log: list[Exchange]) -> None:
    def over(exchange: Exchange) -> float:
        return math.inf if exchange[1] is None else exchange[1]

    naive = (
        1 + sum(1 for j, other in enumerate(log) if i != j and other[0] <= each[0] < over(other))
        for i, each in enumerate(log)
    )
    assert peak_in_progress(log) == max(naive, default=0)


@given(st.lists(exchanges, max_size=5))
def test_the_order_of_the_log_does_not_matter(log: list[Exchange]) -> None:
    for order in itertools.islice(itertools.permutations(log), 20):
        assert windows_broken(order) == windows_broken(log)
        assert peak_in_progress(order) == peak_in_progress(log)
