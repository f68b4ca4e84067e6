"""The rules of authorization errors, one after another, and over random mixes in virtual time."""

from __future__ import annotations

import itertools
import math
from functools import partial

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from benchmarks.lockout_world import Account, Call, World, most_in_window
from smsc_async.fetch.lockout import (
    Cause,
    CredentialsState,
    LockoutView,
    Place,
    Refused,
    ServiceState,
    Standing,
    Verdict,
    check,
    dump,
    enter,
    expire,
    load_credentials,
    load_service,
    lockouts,
    priority,
    reset,
    settle,
    standing,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_ids = itertools.count()


def _new(login: str | None = None) -> CredentialsState:
    return CredentialsState(login or f"login {next(_ids)}")


def _worked(service: ServiceState, at: float, login: str | None = None) -> CredentialsState:
    """Return credentials with a list; the store knows them from then on."""
    credentials = _new(login)
    credentials.worked_at = at
    service.list_at = max(service.list_at, at)
    return credentials


def _send(service: ServiceState, credentials: CredentialsState, now: float) -> Place:
    place = check(service, credentials, str(next(_ids)), now)
    assert isinstance(place, Place), place
    enter(service, credentials, place)
    return place


def _exchange(service: ServiceState, credentials: CredentialsState, verdict: Verdict, now: float) -> None:
    settle(service, credentials, _send(service, credentials, now), verdict, now)


def _refused(service: ServiceState, credentials: CredentialsState, now: float) -> Refused:
    refused = check(service, credentials, "request", now)
    assert isinstance(refused, Refused), refused
    return refused


def _admits(service: ServiceState, credentials: CredentialsState, now: float) -> bool:
    return isinstance(check(service, credentials, "request", now), Place)


def _fill(service: ServiceState, count: int, now: float, verdict: Verdict = Verdict.REFUSED) -> None:
    for _ in range(count):
        _exchange(service, _new(), verdict, now)


def _admitted(service: ServiceState, everybody: list[CredentialsState], now: float) -> int:
    """Send as many as the rules admit at once."""
    count = 0
    for credentials in everybody:
        if not _admits(service, credentials, now):
            break
        _send(service, credentials, now)
        count += 1
    return count


# Standing


@pytest.mark.parametrize(
    ("worked_at", "suspended_at", "refused_at", "now", "expected"),
    [
        (-math.inf, -math.inf, -math.inf, 100.0, Standing.UNTESTED),
        (100.0, -math.inf, -math.inf, 1899.0, Standing.CONFIRMED),
        (100.0, -math.inf, -math.inf, 1900.0, Standing.PROVEN),
        (100.0, 200.0, -math.inf, 300.0, Standing.SUSPENDED),
        (200.0, 200.0, -math.inf, 300.0, Standing.SUSPENDED),
        (100.0, 200.0, -math.inf, 1900.0, Standing.PROVEN),
        (250.0, 200.0, -math.inf, 300.0, Standing.CONFIRMED),
        (100.0, -math.inf, 200.0, 300.0, Standing.REFUSED),
        (-math.inf, -math.inf, 200.0, 9e6, Standing.REFUSED),
    ],
)
def test_the_standing_of_credentials(
    worked_at: float, suspended_at: float, refused_at: float, now: float, expected: Standing
) -> None:
    service = ServiceState(suspended_at=suspended_at)
    assert standing(service, CredentialsState("a", worked_at, refused_at), now) is expected


def test_a_queue_lets_worked_credentials_go_first_and_refused_ones_last() -> None:
    service = ServiceState()
    refused, unanswered = _new(), _new()
    _exchange(service, refused, Verdict.REFUSED, 0.0)
    _exchange(service, unanswered, Verdict.UNANSWERED, 0.0)
    everybody = [_worked(service, 0.0), _new(), unanswered, refused]
    assert [priority(service, each, 10.0) for each in everybody] == [0, 1, 2, 3]


# Rule 1


@pytest.mark.parametrize(("refusals", "backoff"), [(1, 45 * MINUTE), (2, 2 * HOUR), (3, 12 * HOUR), (4, DAY), (9, DAY)])
def test_credentials_that_never_worked_back_off_longer_with_each_refusal(refusals: int, backoff: float) -> None:
    service, credentials, now = ServiceState(), _new(), 0.0
    for _ in range(refusals):
        now += 2 * DAY
        _exchange(service, credentials, Verdict.REFUSED, now)
    refused = _refused(service, credentials, now + 1.0)
    assert refused == Refused(Cause.CREDENTIALS, backoff - 1.0, final=True, own=True)
    assert _admits(service, credentials, now + backoff)


def test_credentials_that_worked_back_off_for_45_minutes_each_time() -> None:
    service = ServiceState()
    credentials = _worked(service, 0.0)
    for now in (HOUR, 2 * HOUR, 3 * HOUR):
        _exchange(service, credentials, Verdict.REFUSED, now)
        assert _refused(service, credentials, now).retry_in == 45 * MINUTE


def test_other_credentials_of_a_refused_login_are_sent() -> None:
    service = ServiceState()
    _exchange(service, _new("a"), Verdict.REFUSED, 0.0)
    assert _admits(service, _new("a"), 1.0)


def test_a_list_ends_the_backoff() -> None:
    service, credentials = ServiceState(), _new()
    _exchange(service, credentials, Verdict.REFUSED, 0.0)
    _exchange(service, credentials, Verdict.LIST, HOUR)
    assert standing(service, credentials, HOUR) is Standing.CONFIRMED
    assert credentials.refusals == 0


def _moved_and_back(count: int) -> tuple[ServiceState, list[CredentialsState]]:
    """Refuse so many accounts that had worked, and let another one succeed half an hour later, with no list between."""
    service = ServiceState()
    refused = [_worked(service, 0.0) for _ in range(count)]
    other = _worked(service, 0.0)
    for each in refused:
        _exchange(service, each, Verdict.REFUSED, 2000.0)
    _exchange(service, other, Verdict.LIST, 2000.0 + 30 * MINUTE)
    return service, refused


def test_the_size_of_a_burst_is_bounded() -> None:
    service = ServiceState()
    for number in range(9):
        _exchange(service, _worked(service, -DAY), Verdict.REFUSED, number * HOUR)
    assert len(service.burst) == 3


@pytest.mark.parametrize(("count", "is_sent"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_list_clears_the_refusals_of_a_burst_but_not_those_of_one_or_two_changed_passwords(
    count: int, is_sent: bool
) -> None:
    service, refused = _moved_and_back(count)
    now = 2000.0 + 30 * MINUTE + 1.0
    assert [_admits(service, each, now) for each in refused] == [is_sent] * count


def test_a_list_that_was_sent_before_a_burst_does_not_hide_it() -> None:
    service = ServiceState()
    early, other, *refused = (_worked(service, 0.0) for _ in range(5))
    place = _send(service, early, 1000.0)
    for each in refused:
        _exchange(service, each, Verdict.REFUSED, 1001.0)
    settle(service, early, place, Verdict.LIST, 1002.0)
    _exchange(service, other, Verdict.LIST, 1003.0)
    assert all(_admits(service, each, 1004.0) for each in refused)


def test_lists_that_come_out_of_order_leave_the_latest_sending() -> None:
    service = ServiceState()
    first, second = _worked(service, 0.0), _worked(service, 0.0)
    places = _send(service, first, 10.0), _send(service, second, 11.0)
    settle(service, second, places[1], Verdict.LIST, 12.0)
    settle(service, first, places[0], Verdict.LIST, 13.0)
    assert service.list_at == 11.0


def test_a_refusal_after_a_cleared_one_counts_as_the_first() -> None:
    service, refused = _moved_and_back(4)
    _exchange(service, refused[0], Verdict.REFUSED, 2 * HOUR)
    assert refused[0].refusals == 1


def test_three_changed_passwords_with_a_list_between_them_are_no_burst() -> None:
    service = ServiceState()
    refused = [_worked(service, 0.0) for _ in range(3)]
    for number, each in enumerate(refused):
        _exchange(service, each, Verdict.REFUSED, 2000.0 + 10 * number)
        _exchange(service, _worked(service, 0.0), Verdict.LIST, 2005.0 + 10 * number)
    assert not any(_admits(service, each, 2100.0) for each in refused)


# Rule 2


def test_a_fleet_of_confirmed_accounts_starts_with_four_and_doubles() -> None:
    service, now, counts = ServiceState(), 10.0, list[int]()
    for _ in range(6):
        everybody = [_worked(service, 0.0) for _ in range(60)]
        counts.append(_admitted(service, everybody, now))
        for credentials, place in zip(everybody, list(service.fast.values()), strict=False):
            settle(service, credentials, place, Verdict.LIST, now + 0.1)
        now += 0.2
    assert counts == [4, 8, 16, 32, 50, 50]


def test_the_fleet_starts_again_after_a_second_without_a_request() -> None:
    service = ServiceState(successes=40, fast_ended_at=10.0)
    everybody = [_worked(service, 0.0) for _ in range(60)]
    assert _admitted(service, everybody, 11.1) == 4


def test_the_fleet_goes_on_within_a_second() -> None:
    service = ServiceState(successes=40, fast_ended_at=10.0)
    everybody = [_worked(service, 0.0) for _ in range(60)]
    assert _admitted(service, everybody, 11.0) == 44


def test_a_fleet_whose_requests_take_long_keeps_its_speed() -> None:
    service = ServiceState(successes=40, fast_ended_at=10.0)
    everybody = [_worked(service, 0.0) for _ in range(60)]
    _send(service, everybody[0], 10.5)
    assert _admitted(service, everybody, 20.0) == 43


def test_unanswered_trials_leave_a_fleet_fewer_places_to_start_from() -> None:
    service = ServiceState()
    _fill(service, 2, 9.0, Verdict.UNANSWERED)
    assert _admitted(service, [_worked(service, 0.0) for _ in range(9)], 10.0) == 2


def test_unanswered_fast_requests_are_no_trials() -> None:
    service = ServiceState()
    for _ in range(4):
        _exchange(service, _worked(service, 0.0), Verdict.UNANSWERED, 10.0)
    assert _admits(service, _new(), 10.0)


def test_a_fast_request_is_no_probe_past_unanswered_trials() -> None:
    service = ServiceState()
    _fill(service, 4, 9.0, Verdict.UNANSWERED)
    assert not _send(service, _worked(service, 0.0), 10.0).probe


def test_known_errors_and_trials_leave_a_fleet_fewer_places_to_start_from() -> None:
    service = ServiceState()
    _fill(service, 1, 9.0)
    everybody = [_worked(service, 0.0) for _ in range(9)]
    _send(service, _new(), 9.0)
    assert _admitted(service, everybody, 10.0) == 2


def test_a_confirmed_account_is_sent_even_if_errors_fill_all_places() -> None:
    service = ServiceState()
    _fill(service, 4, 9.0)
    everybody = [_worked(service, 0.0) for _ in range(9)]
    assert _admitted(service, everybody, 10.0) == 1


def test_a_typo_suspends_nothing_and_resets_the_slow_start() -> None:
    service = ServiceState(successes=40, fast_ended_at=9.9)
    typo, confirmed = _new(), _worked(service, 0.0)
    _exchange(service, typo, Verdict.REFUSED, 10.0)
    assert standing(service, confirmed, 10.0) is Standing.CONFIRMED
    assert service.successes == 0


def test_a_refusal_of_credentials_that_worked_suspends_all_older_confirmations() -> None:
    service = ServiceState()
    changed, other = _worked(service, 0.0), _worked(service, 0.0)
    _exchange(service, changed, Verdict.REFUSED, 10.0)
    assert standing(service, other, 10.0) is Standing.SUSPENDED


def test_a_second_refusal_of_the_same_credentials_suspends_nothing() -> None:
    service = ServiceState()
    changed = _worked(service, 0.0)
    _exchange(service, changed, Verdict.REFUSED, 10.0)
    other = _worked(service, 20.0)
    _exchange(service, changed, Verdict.REFUSED, 10.0 + 45 * MINUTE)
    assert service.suspended_at == 10.0
    assert standing(service, other, 1000.0) is Standing.CONFIRMED


@pytest.mark.parametrize(("changed", "expected"), [(2, Standing.CONFIRMED), (3, Standing.SUSPENDED)])
def test_one_success_restores_all_while_at_most_two_changed_passwords_are_known(
    changed: int, expected: Standing
) -> None:
    service = ServiceState()
    first, second = _worked(service, 0.0), _worked(service, 0.0)
    for each in [_worked(service, 0.0) for _ in range(changed)]:
        _exchange(service, each, Verdict.REFUSED, 10.0)
    _exchange(service, first, Verdict.LIST, 11.0)
    assert standing(service, first, 11.0) is Standing.CONFIRMED
    assert standing(service, second, 11.0) is expected


def test_a_reply_to_a_request_that_was_sent_before_the_refusal_restores_nothing() -> None:
    service = ServiceState()
    changed, early, other = (_worked(service, 0.0) for _ in range(3))
    place = _send(service, early, 9.0)
    _exchange(service, changed, Verdict.REFUSED, 10.0)
    settle(service, early, place, Verdict.LIST, 10.1)
    assert [standing(service, each, 10.1) for each in (early, other)] == [Standing.SUSPENDED] * 2
    assert service.successes == 0


def test_requests_in_flight_at_a_refusal_count_as_trials() -> None:
    service = ServiceState(successes=40, fast_ended_at=9.0)
    everybody = [_worked(service, 0.0) for _ in range(20)]
    assert _admitted(service, everybody, 9.5) == 20
    first = next(iter(service.fast.values()))
    settle(service, everybody[0], first, Verdict.REFUSED, 10.0)
    assert _refused(service, _worked(service, 0.0), 10.0).retry_in == 0.0


def test_four_are_in_flight_after_a_changed_password_is_known() -> None:
    service = ServiceState()
    _exchange(service, _worked(service, 0.0), Verdict.REFUSED, 10.0)
    _exchange(service, _worked(service, 0.0), Verdict.LIST, 11.0)
    service.successes, service.fast_ended_at = 40, 11.5
    assert _admitted(service, [_worked(service, 11.0) for _ in range(9)], 12.0) == 4


# Rule 3


@pytest.mark.parametrize(("knows_credentials", "places"), [(False, 4), (True, 3)])
def test_untested_credentials_leave_the_last_place_to_credentials_that_worked(
    knows_credentials: bool, places: int
) -> None:
    service = ServiceState()
    if knows_credentials:
        _worked(service, 0.0)
    assert _admitted(service, [_new() for _ in range(9)], 10.0) == places


def test_a_store_forgets_after_a_month_that_it_knew_credentials() -> None:
    service = ServiceState()
    _worked(service, 0.0)
    assert _admitted(service, [_new() for _ in range(9)], 30 * DAY) == 4


def test_suspended_credentials_may_use_the_last_place() -> None:
    service = ServiceState()
    suspended = _worked(service, 0.0)
    _fill(service, 2, 5.0)
    _exchange(service, _worked(service, 0.0), Verdict.REFUSED, 10.0)
    assert not _admits(service, _new(), 11.0)
    assert _admits(service, suspended, 11.0)


def test_known_errors_close_the_places_until_the_oldest_leaves_the_window() -> None:
    service = ServiceState()
    for now in range(4):
        _fill(service, 1, float(now))
    assert _refused(service, _new(), 100.0) == Refused(Cause.TRIALS, 1700.0)
    assert _admits(service, _new(), 1800.0)


def test_the_three_places_of_untested_credentials_open_with_the_error_that_holds_the_third() -> None:
    service = ServiceState()
    for now in range(4):
        _fill(service, 1, float(now))
    _worked(service, 5.0)
    assert _refused(service, _new(), 100.0).retry_in == 1701.0


def test_requests_in_flight_close_the_places_until_one_of_them_ends() -> None:
    service = ServiceState()
    _admitted(service, [_new() for _ in range(4)], 0.0)
    assert _refused(service, _new(), 1.0) == Refused(Cause.TRIALS, 0.0)


@pytest.mark.parametrize(
    ("verdict", "is_free"),
    [
        (Verdict.LIST, True),
        (Verdict.OTHER, True),
        (Verdict.NOT_SENT, True),
        (Verdict.REFUSED, False),
        (Verdict.UNANSWERED, False),
    ],
)
def test_a_place_is_free_after_any_reply_but_error_2(verdict: Verdict, is_free: bool) -> None:
    service, last = ServiceState(), _new()
    _admitted(service, [_new() for _ in range(3)], 0.0)
    settle(service, last, _send(service, last, 0.0), verdict, 1.0)
    # Suspended credentials: a list leaves only three of the places to untested ones.
    suspended = _worked(service, -100.0)
    service.suspended_at = -50.0
    assert _admits(service, suspended, 1.0) is is_free


def test_one_login_can_account_for_two_known_errors() -> None:
    service = ServiceState()
    _exchange(service, _new("a"), Verdict.REFUSED, 0.0)
    _exchange(service, _new("a"), Verdict.REFUSED, 10.0)
    assert _refused(service, _new("a"), 20.0) == Refused(Cause.TRIALS, 1780.0, own=True)
    assert _admits(service, _new("b"), 20.0)
    assert _admits(service, _new("a"), 1800.0)


def test_a_trial_in_flight_counts_for_its_login() -> None:
    service = ServiceState()
    _exchange(service, _new("a"), Verdict.REFUSED, 0.0)
    _send(service, _new("a"), 1.0)
    assert _refused(service, _new("a"), 1.0) == Refused(Cause.TRIALS, 0.0, own=True)


def test_credentials_that_worked_are_sent_though_their_login_mistyped_twice() -> None:
    service = ServiceState()
    for now in (0.0, 1.0):
        _exchange(service, _new("a"), Verdict.REFUSED, now)
    assert _admits(service, _worked(service, -HOUR, "a"), 2.0)


def test_four_unanswered_trials_let_a_probe_through_after_five_seconds_and_then_every_ten() -> None:
    service = ServiceState()
    _fill(service, 4, 0.0, Verdict.UNANSWERED)
    assert _refused(service, _new(), 1.0) == Refused(Cause.TRIALS, 4.0)
    sent = list[float]()
    for second in range(40):
        credentials = _new()
        if _admits(service, credentials, float(second)):
            place = _send(service, credentials, float(second))
            assert place.probe
            settle(service, credentials, place, Verdict.UNANSWERED, float(second))
            sent.append(float(second))
    assert sent == [5.0, 15.0, 25.0, 35.0]


def test_a_request_in_flight_may_free_the_places_before_the_next_probe() -> None:
    service = ServiceState()
    _fill(service, 3, 0.0, Verdict.UNANSWERED)
    place = _send(service, _new(), 1.0)
    assert _refused(service, _new(), 2.0) == Refused(Cause.TRIALS, 3.0, may_end_sooner=True)
    settle(service, _new(), place, Verdict.OTHER, 3.0)
    assert _admits(service, _new(), 3.0)


def test_a_probe_that_was_not_sent_leaves_its_turn_to_the_next_waiter() -> None:
    service = ServiceState()
    _fill(service, 4, 0.0, Verdict.UNANSWERED)
    _exchange(service, _new(), Verdict.NOT_SENT, 5.0)
    assert _admits(service, _new(), 5.0)


def test_no_probe_is_sent_while_errors_and_trials_fill_the_places() -> None:
    service = ServiceState()
    _fill(service, 1, 0.0, Verdict.UNANSWERED)
    _fill(service, 3, 0.0)
    _send(service, _new(), 5.0)
    assert not _admits(service, _new(), 30.0)


def test_unanswered_trials_are_forgotten_a_minute_after_they_were_sent() -> None:
    service = ServiceState()
    _fill(service, 4, 0.0, Verdict.UNANSWERED)
    place = check(service, _new(), "request", 60.0)
    assert isinstance(place, Place)
    assert not place.probe


def test_a_list_clears_the_unanswered_trials() -> None:
    service = ServiceState()
    _fill(service, 4, 0.0, Verdict.UNANSWERED)
    _exchange(service, _new(), Verdict.LIST, 5.0)
    assert _admitted(service, [_new() for _ in range(9)], 6.0) == 3


def test_the_third_and_the_fourth_unanswered_trial_wait_ten_minutes_and_the_fifth_for_the_first_to_leave() -> None:
    service, credentials, sent, now = ServiceState(), _new(), list[float](), 0.0
    while now <= 1830.0:
        if _admits(service, credentials, now):
            _exchange(service, credentials, Verdict.UNANSWERED, now)
            sent.append(now)
        now += 30.0
    assert sent == [0.0, 30.0, 630.0, 1230.0, 1830.0]
    assert _refused(service, credentials, 1831.0).own


def test_a_record_stores_the_trials_of_the_last_half_hour_only() -> None:
    service, credentials = ServiceState(), _new()
    for hour in range(9):
        _exchange(service, credentials, Verdict.UNANSWERED, hour * HOUR)
    assert credentials.unanswered == [8 * HOUR]


def test_a_trial_that_is_settled_after_its_lease_counts_once() -> None:
    service, credentials = ServiceState(), _new()
    place = _send(service, credentials, 0.0)
    expire(service, 40.0)
    assert list(service.unanswered) == [place.request]
    settle(service, credentials, place, Verdict.REFUSED, 41.0)
    assert (len(service.errors), service.unanswered, credentials.unanswered) == (1, {}, [])


@pytest.mark.parametrize(("now", "trials", "unanswered"), [(34.0, 1, 0), (35.0, 0, 1), (59.0, 0, 1), (60.0, 0, 0)])
def test_the_place_of_a_killed_worker_is_free_within_66_seconds(now: float, trials: int, unanswered: int) -> None:
    service, credentials = ServiceState(), _new()
    _send(service, credentials, 0.0)
    expire(service, now)
    assert (len(service.trials), len(service.unanswered)) == (trials, unanswered)
    assert credentials.unanswered == [0.0]


def test_a_lease_that_ended_long_ago_leaves_nothing_behind() -> None:
    service = ServiceState()
    _send(service, _new(), 0.0)
    _send(service, _worked(service, -1.0), 0.0)
    expire(service, 1000.0)
    assert (service.trials, service.fast, service.unanswered) == ({}, {}, {})


# Rule 4


@pytest.mark.parametrize(("successes", "expected"), [(0, 4), (10, 4), (13, 5), (40, 14), (900, 50)])
def test_proven_accounts_grow_by_a_third_of_the_successes(successes: int, expected: int) -> None:
    service = ServiceState(successes=successes, fast_ended_at=HOUR)
    assert _admitted(service, [_worked(service, 0.0) for _ in range(60)], HOUR) == expected


def test_a_proven_account_is_a_trial_after_the_first_error() -> None:
    service = ServiceState()
    _fill(service, 1, HOUR)
    assert not _send(service, _worked(service, 0.0), HOUR).fast


def test_proven_accounts_go_one_at_a_time_after_three_typos() -> None:
    service = ServiceState()
    _fill(service, 3, HOUR)
    assert _admitted(service, [_worked(service, 0.0) for _ in range(9)], HOUR) == 1


# Error 4


def test_error_4_pauses_the_address_for_thirty_minutes() -> None:
    service = ServiceState()
    confirmed = _worked(service, 0.0)
    _exchange(service, confirmed, Verdict.BLOCKED, 10.0)
    assert _refused(service, confirmed, 11.0) == Refused(Cause.ADDRESS, 899.0)
    assert _refused(service, _new(), 11.0) == Refused(Cause.ADDRESS, 1799.0)
    assert _admits(service, _new(), 1810.0)


@pytest.mark.parametrize("knows_credentials", [True, False])
def test_one_probe_is_sent_at_half_time_with_credentials_that_worked_if_there_are_any(knows_credentials: bool) -> None:
    service = ServiceState()
    _exchange(service, _new(), Verdict.BLOCKED, 0.0)
    prober = _worked(service, -HOUR) if knows_credentials else _new()
    assert _admits(service, _new(), 900.0) is not knows_credentials
    assert _send(service, prober, 900.0).probe
    assert _refused(service, _worked(service, -HOUR), 901.0) == Refused(Cause.ADDRESS, 899.0)


@pytest.mark.parametrize(
    ("verdict", "left"),
    [
        (Verdict.LIST, None),
        (Verdict.REFUSED, None),
        (Verdict.OTHER, None),
        (Verdict.BLOCKED, 1800.0),
        (Verdict.UNANSWERED, 899.0),
    ],
)
def test_the_probe_ends_the_pause_unless_the_reply_is_error_4(verdict: Verdict, left: float | None) -> None:
    service = ServiceState()
    _exchange(service, _new(), Verdict.BLOCKED, 0.0)
    prober = _new()
    settle(service, prober, _send(service, prober, 900.0), verdict, 901.0)
    address = [each.seconds for each in lockouts(service, [], 901.0) if each.cause is Cause.ADDRESS]
    assert address == ([] if left is None else [left])


def test_error_4_to_the_probe_pauses_for_another_half_hour_with_a_probe_of_its_own() -> None:
    service = ServiceState()
    _exchange(service, _new(), Verdict.BLOCKED, 0.0)
    _exchange(service, _new(), Verdict.BLOCKED, 900.0)
    assert not _admits(service, _new(), 1799.0)
    assert _admits(service, _new(), 1800.0)


def test_a_probe_of_the_pause_that_was_not_sent_is_sent_by_the_next_caller() -> None:
    service = ServiceState()
    _exchange(service, _new(), Verdict.BLOCKED, 0.0)
    _exchange(service, _new(), Verdict.NOT_SENT, 900.0)
    assert _admits(service, _new(), 900.0)


def test_a_reply_to_a_request_that_was_sent_before_error_4_does_not_end_the_pause() -> None:
    service, early = ServiceState(), _new()
    place = _send(service, early, 0.0)
    _exchange(service, _new(), Verdict.BLOCKED, 1.0)
    settle(service, early, place, Verdict.LIST, 2.0)
    assert not _admits(service, early, 3.0)


# Listing, reset, storage


def test_lockouts_name_every_cause_with_its_time_the_longest_first() -> None:
    service, refused, silent, healthy = ServiceState(), _new("a"), _new("s"), _new("h")
    _exchange(service, refused, Verdict.REFUSED, 0.0)
    _exchange(service, _new("a"), Verdict.REFUSED, 100.0)
    _exchange(service, silent, Verdict.UNANSWERED, 100.0)
    _exchange(service, silent, Verdict.UNANSWERED, 101.0)
    _exchange(service, _worked(service, 0.0), Verdict.BLOCKED, 102.0)
    assert lockouts(service, [refused, silent, healthy], 103.0) == [
        LockoutView(Cause.CREDENTIALS, "a", 2597.0),
        LockoutView(Cause.ADDRESS, None, 1799.0),
        LockoutView(Cause.TRIALS, "a", 1697.0),
        LockoutView(Cause.TRIALS, "s", 598.0),
        LockoutView(Cause.TRIALS, None, 3.0),
    ]


def test_requests_in_flight_alone_are_no_lockout() -> None:
    service = ServiceState()
    _admitted(service, [_new() for _ in range(4)], 0.0)
    assert lockouts(service, [], 1.0) == []


def test_reset_of_one_account_lifts_its_refusal_and_its_share_while_its_errors_count_for_all() -> None:
    service, credentials = ServiceState(), _new("a")
    _exchange(service, credentials, Verdict.REFUSED, 0.0)
    _exchange(service, _new("a"), Verdict.REFUSED, 0.0)
    _exchange(service, _new("b"), Verdict.REFUSED, 0.0)
    reset(service, credentials, 1.0)
    assert _admits(service, credentials, 1.0)
    _exchange(service, _new("b"), Verdict.NOT_SENT, 1.0)
    assert [each.login for each in service.errors] == ["", "", "b"]
    assert [each.login for each in lockouts(service, [credentials], 1.0)] == []


def test_reset_of_everything_leaves_no_lockout() -> None:
    service = ServiceState()
    silent, everybody = _new(), [_new(), _new(), _worked(service, 0.0), _worked(service, 0.0)]
    for now in (-100.0, -90.0):
        _exchange(service, silent, Verdict.UNANSWERED, now)
    for each, verdict in zip(
        everybody, (Verdict.REFUSED, Verdict.UNANSWERED, Verdict.REFUSED, Verdict.BLOCKED), strict=True
    ):
        _exchange(service, each, verdict, 10.0)
    reset(service, None, 11.0)
    assert lockouts(service, [silent, *everybody], 11.0) == []
    assert standing(service, everybody[3], 11.0) is Standing.CONFIRMED
    assert _admitted(service, [silent, *everybody], 11.0) == 4


def test_a_refusal_after_a_reset_of_everything_counts() -> None:
    service, credentials = ServiceState(), _new()
    reset(service, None, 10.0)
    _exchange(service, credentials, Verdict.REFUSED, 11.0)
    assert _refused(service, credentials, 12.0).cause is Cause.CREDENTIALS


def test_states_survive_their_stored_form() -> None:
    service, credentials = ServiceState(), _new()
    _fill(service, 1, 0.0)
    _fill(service, 1, 0.0, Verdict.UNANSWERED)
    _send(service, credentials, 1.0)
    _send(service, _worked(service, 0.0), 1.0)
    assert load_service(dump(service)) == service
    assert load_credentials(dump(credentials)) == credentials


@pytest.mark.parametrize(
    ("credentials", "expires_at"),
    [
        (CredentialsState("a"), -math.inf),
        (CredentialsState("a", unanswered=[0.0, 60.0]), 1860.0),
        (CredentialsState("a", refused_at=100.0), 100.0 + 30 * DAY),
        (CredentialsState("a", worked_at=200.0, unanswered=[300.0]), 200.0 + 30 * DAY),
    ],
)
def test_a_record_expires_when_a_new_one_means_the_same(credentials: CredentialsState, expires_at: float) -> None:
    assert credentials.expires_at == expires_at


# Random mixes


def _has_sent(machine: Service) -> bool:
    return bool(machine.sent)


class Service(RuleBasedStateMachine):
    """Accounts that work or do not, any verdict at any time, restarts in between; the server counts for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.service = ServiceState()
        self.right = [_worked(self.service, 900.0), _worked(self.service, -9000.0), _new(), _new()]
        self.wrong = [_new() for _ in range(6)]
        self.sent: list[tuple[CredentialsState, Place]] = []
        self.errors: list[float] = []

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 11.0, 40.0, 300.0, 1000.0, 3000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        # An exchange ends after 30 s; the caller of one that did not is dead.
        self.sent = [each for each in self.sent if each[1].sent_at > self.now - 30.0]

    @rule(number=st.integers(0, 9))
    def send(self, number: int) -> None:
        credentials = [*self.right, *self.wrong][number]
        place = check(self.service, credentials, str(next(_ids)), self.now)
        if isinstance(place, Refused):
            assert place.retry_in >= 0
            return
        enter(self.service, credentials, place)
        self.sent.append((credentials, place))

    @precondition(_has_sent)
    @rule(
        verdict=st.sampled_from(["answer", "answer", Verdict.UNANSWERED, Verdict.NOT_SENT, Verdict.OTHER]),
        data=st.data(),
    )
    def settle(self, verdict: object, data: st.DataObject) -> None:
        credentials, place = self.sent.pop(data.draw(st.integers(0, len(self.sent) - 1)))
        if not isinstance(verdict, Verdict):
            verdict = Verdict.REFUSED if any(each is credentials for each in self.wrong) else Verdict.LIST
        if verdict is Verdict.REFUSED:
            self.errors.append(place.sent_at)
        settle(self.service, credentials, place, verdict, self.now)

    @rule()
    def restart(self) -> None:
        self.service = load_service(dump(self.service))
        self.sent.clear()

    @invariant()
    def the_server_counts_at_most_four_errors(self) -> None:
        assert most_in_window(self.errors) <= 4

    @invariant()
    def the_state_is_bounded(self) -> None:
        service = self.service
        assert len(service.errors) <= 4
        assert len(service.trials) <= 4
        assert len(service.fast) <= 50
        assert len(service.unanswered) <= 10
        assert all(len(each.unanswered) <= 5 for each in [*self.right, *self.wrong])


TestService = Service.TestCase
TestService.settings = settings(stateful_step_count=60)


@attrs.frozen
class Mix:
    """A minute of calls and faults; everything is over after that."""

    calls: list[tuple[float, int, float]]
    faults: list[tuple[float, str]]
    kills: list[float]
    changed: bool
    delay: tuple[float, float]


_SECONDS = st.floats(0.0, 60.0)
MIXES = st.builds(
    Mix,
    calls=st.lists(st.tuples(_SECONDS, st.integers(0, 19), st.sampled_from([0.1, 1.0, 10.0, 90.0])), max_size=40),
    faults=st.lists(st.tuples(_SECONDS, st.sampled_from(["cut", "silent", "gateway", "unreachable", ""])), max_size=6),
    kills=st.lists(_SECONDS, max_size=3),
    changed=st.booleans(),
    delay=st.sampled_from([(0.08, 0.14), (0.01, 0.02), (0.05, 2.0)]),
)


def _play(mix: Mix) -> tuple[World, list[Call]]:
    """Run the mix, wait until the exchanges in flight have ended, and then call six accounts that took no part."""
    world = World(delay=mix.delay)
    world.server.blocks = False
    world.store.worked([Account(f"u{number}") for number in (0, 1, 2, 100, 101)], 600.0)
    world.store.worked([Account(f"u{number}") for number in (3, 4, 5, 102, 103)], 7200.0)
    # 0-5 have worked, 6-11 are new, 12-19 have wrong passwords.
    world.server.passwords.update({f"u{number}": "other" for number in range(12, 20)})
    if mix.changed:
        world.server.passwords["u0"] = "other"
    faults = sorted(mix.faults)

    def fault(_: Account) -> str | None:
        past = [name for at, name in faults if at <= world.now < 61.0]
        return past[-1] or None if past else None

    def kill() -> None:
        world.client.kill()
        world.client = world.new_client()

    world.server.fault = fault
    for at, number, deadline in mix.calls:
        world.at(at, partial(world.call, Account(f"u{number}"), deadline))
    for at in mix.kills:
        world.at(at, kill)
    world.run(61.0 + 36.0)
    last = [world.call(Account(f"u{number}")) for number in range(100, 106)]
    world.run(400.0)
    return world, last


@given(MIXES)
def test_untested_credentials_never_cause_a_fifth_error_with_a_known_outcome(mix: Mix) -> None:
    world, _ = _play(mix)
    assert most_in_window(world.server.known) <= 4


@given(MIXES)
def test_no_healthy_account_waits_ten_seconds_after_the_last_cause_unless_errors_are_known(mix: Mix) -> None:
    world, last = _play(mix)
    for call in last:
        if call.ending == "TrialsExhausted":
            assert world.server.known
            assert call.retry_after > 0
        else:
            assert call.ending == "list"
            assert call.took <= 10.0 + 2 * mix.delay[1]


@given(st.lists(st.sampled_from([600.0, 7200.0, None]), max_size=60), st.integers(1, 50), st.integers(0, 99))
def test_a_moved_address_costs_at_most_four_errors_whatever_the_accounts_are(
    kinds: list[float | None], at_once: int, seed: int
) -> None:
    world = World(seed)
    world.server.blocks, world.server.moved = False, True
    users = [Account(f"u{number}") for number in range(len(kinds))]
    for user, ago in zip(users, kinds, strict=True):
        world.store.worked([user], ago) if ago else None
    for passes in range(4):
        world.at(passes * 700.0, lambda: world.bulk(users, at_once=at_once))
    world.run(4000.0)
    assert world.server.peak() <= 4
