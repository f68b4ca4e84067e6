"""The arithmetic of tokens and slots against the rule written out naively."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.quota import Quota
from tests.limiter.counts import sweep, usage_counts

QUOTA = Quota()
LOGIN = "alex"


def _take(
    buckets: Buckets, now: float, *, token: bool = True, login: str = LOGIN, quota: Quota = QUOTA
) -> Permit | Refusal:
    """As a store does it."""
    permit = Permit(login, quota, token)
    return buckets.acquire(permit, now) or permit


def _taken(buckets: Buckets, now: float, *, token: bool = True, login: str = LOGIN, quota: Quota = QUOTA) -> Permit:
    permit = _take(buckets, now, token=token, login=login, quota=quota)
    assert isinstance(permit, Permit)
    return permit


def _can_take(buckets: Buckets, now: float, *, token: bool = True, login: str = LOGIN) -> bool:
    return isinstance(_take(buckets, now, token=token, login=login), Permit)


def _give_back(
    buckets: Buckets, permit: Permit, now: float, *, ending: Completion = Completion.COMPLETE, seen: float | None = None
) -> None:
    permit.seen = now if seen is None and ending is Completion.COMPLETE else seen
    buckets.release(permit, now, ending)


def test_three_tokens_are_given_and_a_fourth_is_not() -> None:
    buckets = Buckets()
    assert [_can_take(buckets, 0.0) for _ in range(4)] == [True, True, True, False]


def test_a_token_comes_free_a_window_after_its_answer_was_seen_and_not_before() -> None:
    buckets = Buckets()
    first, *_ = [_taken(buckets, 0.0) for _ in range(3)]
    _give_back(buckets, first, 20.0, seen=10.0)
    assert not _can_take(buckets, 70.9)
    assert _can_take(buckets, 71.0)


def test_an_answer_that_was_cut_counts_from_when_its_head_was_seen_and_its_slot_lingers() -> None:
    buckets = Buckets()
    _give_back(buckets, _taken(buckets, 0.0), 20.0, ending=Completion.INCOMPLETE, seen=10.0)
    assert usage_counts(buckets) == {"buckets": 1, "tokens_out": 0, "slots": 0, "lingering": 1}
    assert [_can_take(buckets, 70.9) for _ in range(3)] == [True, True, False]
    assert _can_take(buckets, 71.0)


def test_an_exchange_without_an_answer_keeps_its_token_for_linger_and_a_window() -> None:
    buckets = Buckets()
    first, *_ = [_taken(buckets, 0.0) for _ in range(3)]
    _give_back(buckets, first, 30.0, ending=Completion.INCOMPLETE)
    assert not _can_take(buckets, 95.9)
    assert _can_take(buckets, 96.0)


@pytest.mark.parametrize("others", [0, 1])
def test_a_request_that_was_not_sent_gives_back_token_and_slot_at_once(others: int) -> None:
    buckets = Buckets()
    first, *rest = [_taken(buckets, 0.0) for _ in range(1 + others)]
    _give_back(buckets, first, 5.0, ending=Completion.NOT_SENT)
    sweep(buckets, 5.0)
    assert usage_counts(buckets) == {"buckets": others, "tokens_out": others, "slots": others, "lingering": 0}
    assert [_can_take(buckets, 5.0) for _ in range(4 - len(rest))] == [True] * (3 - len(rest)) + [False]


def test_a_permit_is_given_back_once() -> None:
    buckets = Buckets()
    permit, *_ = [_taken(buckets, 0.0) for _ in range(3)]
    _give_back(buckets, permit, 1.0)
    for ending in Completion:
        _give_back(buckets, permit, 30.0, ending=ending)
    assert not _can_take(buckets, 61.9)
    assert _can_take(buckets, 62.0)
    assert usage_counts(buckets)["slots"] == 3


def test_a_permit_that_was_never_taken_is_not_taken_back() -> None:
    buckets = Buckets()
    _taken(buckets, 0.0, login="boris")
    _give_back(buckets, Permit(LOGIN, QUOTA, token=True), 1.0, ending=Completion.NOT_SENT)
    assert usage_counts(buckets) == {"buckets": 1, "tokens_out": 1, "slots": 1, "lingering": 0}


def test_the_fifteenth_request_of_a_login_has_no_slot_and_another_login_has() -> None:
    buckets = Buckets()
    assert all(_can_take(buckets, 0.0, token=False) for _ in range(14))
    assert _take(buckets, 0.0, token=False) == Refusal(math.inf)
    assert _can_take(buckets, 0.0, token=False, login="boris")


def test_a_tariff_request_without_a_slot_takes_no_token() -> None:
    buckets = Buckets()
    assert all(_can_take(buckets, 0.0, token=False) for _ in range(14))
    assert not _can_take(buckets, 0.0)
    assert usage_counts(buckets)["tokens_out"] == 0


def test_a_lingering_slot_is_counted_and_tells_when_it_comes_free() -> None:
    buckets = Buckets()
    first, *_ = [_taken(buckets, 0.0, token=False) for _ in range(14)]
    _give_back(buckets, first, 2.0, ending=Completion.INCOMPLETE)
    assert _take(buckets, 3.0, token=False) == Refusal(4.0)
    assert _can_take(buckets, 7.0, token=False)
    assert not _can_take(buckets, 7.0, token=False)


def test_a_refusal_tells_when_each_token_can_be_free_at_the_earliest() -> None:
    buckets = Buckets()
    first, second, _ = [_taken(buckets, 0.0) for _ in range(3)]
    _give_back(buckets, first, 10.0)
    _give_back(buckets, second, 20.0)
    assert _take(buckets, 30.0) == Refusal(41.0, (41.0, 51.0, 61.0))


def test_a_refusal_cannot_tell_when_while_all_tokens_are_out() -> None:
    buckets = Buckets()
    for _ in range(3):
        _taken(buckets, 0.0)
    assert _take(buckets, 30.0) == Refusal(math.inf, (61.0, 61.0, 61.0))


def test_a_shut_bucket_gives_nothing_for_a_window_whatever_was_free() -> None:
    buckets = Buckets()
    _give_back(buckets, _taken(buckets, 0.0), 1.0)
    buckets.drain_tokens(LOGIN, 10.0, QUOTA)
    assert _take(buckets, 10.0) == Refusal(61.0, (61.0, 61.0, 61.0))
    assert not _can_take(buckets, 70.9)
    assert [_can_take(buckets, 71.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_of_which_nothing_is_held_can_be_shut() -> None:
    buckets = Buckets()
    buckets.drain_tokens(LOGIN, 10.0, QUOTA)
    assert _take(buckets, 10.0) == Refusal(61.0, (61.0, 61.0, 61.0))
    assert _can_take(buckets, 10.0, token=False)
    assert [_can_take(buckets, 71.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_that_was_shut_while_a_token_is_out_waits_for_enough_of_both() -> None:
    buckets = Buckets()
    permit = _taken(buckets, 0.0)
    buckets.drain_tokens(LOGIN, 10.0, QUOTA)
    assert _take(buckets, 10.0) == Refusal(61.0, (61.0, 61.0, 61.0))
    _give_back(buckets, permit, 12.0)
    assert [_can_take(buckets, 71.0) for _ in range(3)] == [True, True, False]


def test_a_token_that_is_away_for_longer_than_its_bucket_is_shut_is_not_freed_by_that() -> None:
    buckets = Buckets()
    _give_back(buckets, _taken(buckets, 0.0), 10.0, ending=Completion.INCOMPLETE)
    sweep(buckets, 15.0)
    buckets.drain_tokens(LOGIN, 10.0, QUOTA)
    assert [_can_take(buckets, 71.0) for _ in range(3)] == [True, True, False]
    assert _can_take(buckets, 76.0)


def test_nothing_is_kept_once_all_tokens_are_free() -> None:
    buckets = Buckets()
    for i in range(1_000):
        _give_back(buckets, _taken(buckets, i / 100, login=f"login{i}"), i / 100)
    assert usage_counts(buckets)["buckets"] == 1_000
    sweep(buckets, 10.0 + QUOTA.window)
    assert set(usage_counts(buckets).values()) == {0}


def test_a_request_that_takes_no_token_leaves_nothing_behind() -> None:
    buckets = Buckets()
    _give_back(buckets, _taken(buckets, 0.0, token=False), 1.0)
    sweep(buckets, 1.0)
    assert set(usage_counts(buckets).values()) == {0}


@pytest.mark.parametrize("ending", [Completion.COMPLETE, Completion.INCOMPLETE])
def test_nothing_is_forgotten_before_its_token_is_free_nor_kept_for_long(ending: Completion) -> None:
    buckets = Buckets()
    free_at: list[float] = []
    for i in range(2_000):
        now = i * 0.37
        _give_back(buckets, _taken(buckets, now, login=f"login{i}"), now, ending=ending)
        free_at.append(now + (QUOTA.window if ending is Completion.COMPLETE else QUOTA.absence))
        held = usage_counts(buckets)["buckets"]
        assert held >= sum(at > now for at in free_at)
        assert held <= sum(at > now - QUOTA.absence for at in free_at)


def test_an_acquire_after_a_minute_removes_free_buckets_and_frees_their_memory() -> None:
    buckets = Buckets()
    for i in range(5_000):
        _give_back(buckets, _taken(buckets, 0.0, login=f"login{i}"), 0.0)

    def size() -> int:
        return sys.getsizeof(buckets._table)  # pyright: ignore[reportPrivateUsage]

    full = size()
    _taken(buckets, 100.0, login="another")
    assert usage_counts(buckets)["buckets"] == 1
    assert size() < full / 50


def test_a_long_window_of_one_login_keeps_nobody_elses_bucket_for_as_long() -> None:
    buckets, long = Buckets(), Quota(per=1_800.0)
    trial = _taken(buckets, 0.0, login="trial", quota=long)
    _give_back(buckets, trial, 0.0)
    _give_back(buckets, _taken(buckets, 1.0), 1.0)
    _give_back(buckets, _taken(buckets, 100.0, login="boris"), 100.0)
    assert usage_counts(buckets)["buckets"] == 2


def test_the_exchanges_of_those_who_are_lost_are_ended_without_an_answer() -> None:
    buckets = Buckets()
    lost, other = _taken(buckets, 0.0), _taken(buckets, 0.0)
    third = _taken(buckets, 0.0)
    lost.owner_loop, other.owner_loop = "lost", "other"
    assert buckets.acquire(Permit(LOGIN, QUOTA, token=True), 10.0, "lost".__eq__) == Refusal(
        61.0 + 5.0, (61.0, 61.0, 66.0)
    )
    assert usage_counts(buckets) == {"buckets": 1, "tokens_out": 2, "slots": 2, "lingering": 1}
    assert [permit.owner_loop for permit in (lost, other, third)] == [None, "other", None]
    _give_back(buckets, third, 10.0, ending=Completion.NOT_SENT)
    _give_back(buckets, other, 10.0)
    assert other.owner_loop is None
    assert [_can_take(buckets, 75.9) for _ in range(3)] == [True, True, False]


def test_what_is_under_way_outlasts_any_sweep() -> None:
    buckets = Buckets()
    permit = _taken(buckets, 0.0)
    sweep(buckets, 1_000.0)
    assert usage_counts(buckets) == {"buckets": 1, "tokens_out": 1, "slots": 1, "lingering": 0}
    _give_back(buckets, permit, 1_000.0)
    assert [_can_take(buckets, 1_060.9) for _ in range(3)] == [True, True, False]


def test_a_process_without_its_holders_counts_them_as_ended_without_an_answer() -> None:
    buckets = Buckets()
    held = [_taken(buckets, 0.0, token=token) for token in (True, True, False)]
    _give_back(buckets, _taken(buckets, 0.0, token=False), 9.0, ending=Completion.INCOMPLETE)
    buckets.after_fork(10.0)
    assert usage_counts(buckets) == {"buckets": 1, "tokens_out": 0, "slots": 0, "lingering": 4}
    for permit in held:
        _give_back(buckets, permit, 11.0, ending=Completion.NOT_SENT)  # they are the parent's to give back
    assert _can_take(buckets, 10.0)
    assert not _can_take(buckets, 75.9)
    assert _can_take(buckets, 76.0)


def test_a_process_without_its_holders_forgets_no_token_that_was_spent_before() -> None:
    buckets = Buckets()
    for _ in range(2):
        _give_back(buckets, _taken(buckets, 0.0), 1.0)
    _taken(buckets, 2.0)
    buckets.after_fork(3.0)
    assert not _can_take(buckets, 61.9)
    assert [_can_take(buckets, 62.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 0},
        {"requests": 2.5},
        {"requests": True},
        {"concurrent": -1},
        {"per": 0.0},
        {"per": math.nan},
        {"per": math.inf},
        {"per": "60"},
        {"guard": -0.1},
        {"linger": -1},
        {"linger": True},
    ],
)
def test_a_quota_that_makes_no_sense_is_refused_with_the_field_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Quota(**wrong)  # type: ignore[arg-type]  # what is wrong here is the point


class BucketMachine(RuleBasedStateMachine):
    """Any order of takes and returns over one login, beside the rule told as a list of instants."""

    def __init__(self) -> None:
        super().__init__()
        self.buckets = Buckets()
        self.now = 1_000.0
        self.held: list[Permit] = []
        self.tokens_free_at: list[float] = []
        self.slots_free_at: list[float] = []

    @rule(seconds=st.one_of(st.just(0.0), st.sampled_from([1.0, 5.0, 60.0, 61.0, 66.0, 500.0]), st.floats(0, 130)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(token=st.booleans())
    def acquire(self, token: bool) -> None:
        tokens = sum(each.token for each in self.held) + sum(at > self.now for at in self.tokens_free_at)
        slots = len(self.held) + sum(at > self.now for at in self.slots_free_at)
        allowed = slots < QUOTA.concurrent and (not token or tokens < QUOTA.requests)
        answer = _take(self.buckets, self.now, token=token)
        assert isinstance(answer, Permit) == allowed
        if isinstance(answer, Permit):
            self.held.append(answer)
        else:
            assert answer.retry_in > 0
            assert list(answer.tokens_in) == sorted(answer.tokens_in)

    @precondition(lambda self: self.held)  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
    @rule(data=st.data(), ending=st.sampled_from(Completion), was_seen=st.booleans())
    def release(self, data: st.DataObject, ending: Completion, was_seen: bool) -> None:
        permit = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        permit.seen = seen = self.now if was_seen or ending is Completion.COMPLETE else None
        self.buckets.release(permit, self.now, ending)
        if ending is Completion.INCOMPLETE:
            self.slots_free_at.append(self.now + QUOTA.linger)
        if permit.token and ending is not Completion.NOT_SENT:
            self.tokens_free_at.append(61.0 + (seen if seen is not None else self.now + QUOTA.linger))

    @rule()
    def drain_tokens(self) -> None:
        self.buckets.drain_tokens(LOGIN, self.now, QUOTA)
        self.tokens_free_at += [self.now + 61.0] * 3

    @rule()
    def sweep(self) -> None:
        sweep(self.buckets, self.now)

    @rule()
    def fork(self) -> None:
        self.buckets.after_fork(self.now)
        tokens = sum(each.token for each in self.held)
        self.slots_free_at += [self.now + QUOTA.absence] * len(self.held)
        self.tokens_free_at += [self.now + QUOTA.absence] * tokens
        self.held.clear()

    @invariant()
    def a_bucket_in_use_is_three_floats_at_most_beside_its_slots(self) -> None:
        bucket = self.buckets._table.get(LOGIN, ())  # pyright: ignore[reportPrivateUsage]  # what it costs is inside
        each = () if isinstance(bucket, Permit) else bucket
        # Where a bucket was shut with all tokens out, twice as many: those who come back find it full.
        assert sum(isinstance(one, float) for one in each) <= 2 * QUOTA.requests
        assert sum(isinstance(one, Permit) for one in each) <= QUOTA.concurrent


TestBucketAgainstTheRule = pytest.mark.no_cover(BucketMachine.TestCase)
