"""The arithmetic of tokens and slots against the rule written out naively."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smsc_async.limiter.bucket import Buckets, Ending, Refusal
from smsc_async.limiter.quota import Quota

QUOTA = Quota()
LOGIN = "alex"


def _take(buckets: Buckets, now: float, *, token: bool = True, login: str = LOGIN, quota: Quota = QUOTA) -> bool:
    return buckets.take(login, now, quota, token=token) is None


def _answer(buckets: Buckets, now: float, *, seen: float | None = None, ending: Ending = Ending.WHOLE) -> None:
    buckets.give_back(LOGIN, now, QUOTA, ending, token=True, seen=now if seen is None else seen)


def test_three_tokens_are_given_and_a_fourth_is_not() -> None:
    buckets = Buckets()
    assert [_take(buckets, 0.0) for _ in range(4)] == [True, True, True, False]


def test_a_token_comes_free_a_window_after_its_answer_was_seen_and_not_before() -> None:
    buckets = Buckets()
    for _ in range(3):
        assert _take(buckets, 0.0)
    _answer(buckets, 20.0, seen=10.0)
    assert not _take(buckets, 70.9)
    assert _take(buckets, 71.0)


def test_an_answer_that_was_cut_counts_from_when_its_head_was_seen_and_its_slot_lingers() -> None:
    buckets = Buckets()
    assert _take(buckets, 0.0)
    _answer(buckets, 20.0, seen=10.0, ending=Ending.CUT)
    assert buckets.count() == {"buckets": 1, "tokens_out": 0, "slots": 0, "lingering": 1}
    for _ in range(2):
        assert _take(buckets, 70.9)
    assert not _take(buckets, 70.9)
    assert _take(buckets, 71.0)


def test_an_exchange_without_an_answer_keeps_its_token_for_linger_and_a_window() -> None:
    buckets = Buckets()
    for _ in range(3):
        assert _take(buckets, 0.0)
    buckets.give_back(LOGIN, 30.0, QUOTA, Ending.CUT, token=True, seen=None)
    assert not _take(buckets, 95.9)
    assert _take(buckets, 96.0)


def test_a_request_that_was_not_sent_gives_back_token_and_slot_at_once() -> None:
    buckets = Buckets()
    assert _take(buckets, 0.0)
    buckets.give_back(LOGIN, 5.0, QUOTA, Ending.UNSENT, token=True, seen=None)
    assert set(buckets.count().values()) == {0}


def test_the_fifteenth_request_of_a_login_has_no_slot_and_another_login_has() -> None:
    buckets = Buckets()
    assert all(_take(buckets, 0.0, token=False) for _ in range(14))
    assert buckets.take(LOGIN, 0.0, QUOTA, token=False) == Refusal(math.inf)
    assert _take(buckets, 0.0, token=False, login="boris")


def test_a_tariff_request_without_a_slot_takes_no_token() -> None:
    buckets = Buckets()
    assert all(_take(buckets, 0.0, token=False) for _ in range(14))
    assert not _take(buckets, 0.0)
    assert buckets.count()["tokens_out"] == 0


def test_a_lingering_slot_is_counted_and_tells_when_it_comes_free() -> None:
    buckets = Buckets()
    for _ in range(14):
        assert _take(buckets, 0.0, token=False)
    buckets.give_back(LOGIN, 2.0, QUOTA, Ending.CUT, token=False, seen=None)
    assert buckets.take(LOGIN, 3.0, QUOTA, token=False) == Refusal(4.0)
    assert _take(buckets, 7.0, token=False)
    assert not _take(buckets, 7.0, token=False)


def test_a_refusal_tells_when_each_token_can_be_free_at_the_earliest() -> None:
    buckets = Buckets()
    for _ in range(3):
        assert _take(buckets, 0.0)
    _answer(buckets, 10.0)
    _answer(buckets, 20.0)
    assert buckets.take(LOGIN, 30.0, QUOTA, token=True) == Refusal(41.0, (41.0, 51.0, 61.0))


def test_a_refusal_cannot_tell_when_while_all_tokens_are_out() -> None:
    buckets = Buckets()
    for _ in range(3):
        assert _take(buckets, 0.0)
    assert buckets.take(LOGIN, 30.0, QUOTA, token=True) == Refusal(math.inf, (61.0, 61.0, 61.0))


def test_a_shut_bucket_gives_nothing_for_a_window_whatever_was_free() -> None:
    buckets = Buckets()
    assert _take(buckets, 0.0)
    _answer(buckets, 1.0)
    buckets.shut(LOGIN, 10.0, QUOTA)
    assert buckets.take(LOGIN, 10.0, QUOTA, token=True) == Refusal(61.0, (61.0, 61.0, 61.0))
    assert not _take(buckets, 70.9)
    assert [_take(buckets, 71.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_that_was_shut_while_a_token_is_out_waits_for_enough_of_both() -> None:
    buckets = Buckets()
    assert _take(buckets, 0.0)
    buckets.shut(LOGIN, 10.0, QUOTA)
    refusal = buckets.take(LOGIN, 10.0, QUOTA, token=True)
    assert refusal == Refusal(61.0, (61.0, 61.0, 61.0))
    _answer(buckets, 12.0)
    assert [_take(buckets, 71.0) for _ in range(3)] == [True, True, False]


def test_nothing_is_kept_once_all_tokens_are_free() -> None:
    buckets = Buckets()
    for i in range(1_000):
        assert _take(buckets, i / 100, login=f"login{i}")
        buckets.give_back(f"login{i}", i / 100, QUOTA, Ending.WHOLE, token=True, seen=i / 100)
    assert buckets.count()["buckets"] == 1_000
    buckets.turn(10.0 + 2 * QUOTA.absence)
    assert set(buckets.count().values()) == {0}


def test_nothing_is_forgotten_before_its_token_is_free() -> None:
    buckets = Buckets()
    free_at: dict[str, float] = {}
    for i in range(2_000):
        now = i * 0.37
        login = f"login{i}"
        assert _take(buckets, now, login=login)
        buckets.give_back(login, now, QUOTA, Ending.CUT, token=True, seen=None)
        free_at[login] = now + QUOTA.absence
        held = buckets.count()["buckets"]
        assert held >= sum(at > now for at in free_at.values())
        assert held <= sum(at > now - 2 * QUOTA.absence for at in free_at.values())


def test_a_process_without_its_holders_counts_them_as_ended_without_an_answer() -> None:
    buckets = Buckets()
    for _ in range(2):
        assert _take(buckets, 0.0)
    assert _take(buckets, 0.0, token=False)
    buckets.forget_holders(10.0)
    assert buckets.count() == {"buckets": 1, "tokens_out": 0, "slots": 0, "lingering": 3}
    assert _take(buckets, 10.0)
    assert not _take(buckets, 75.9)
    assert _take(buckets, 76.0)


def test_a_process_without_its_holders_forgets_no_token_that_was_spent_before() -> None:
    buckets = Buckets()
    for _ in range(2):
        assert _take(buckets, 0.0)
        _answer(buckets, 1.0)
    assert _take(buckets, 2.0)
    buckets.forget_holders(3.0)
    assert not _take(buckets, 61.9)
    assert [_take(buckets, 62.0) for _ in range(3)] == [True, True, False]


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


@attrs.define
class _Held:
    token: bool


class BucketMachine(RuleBasedStateMachine):
    """Any order of takes and returns over one login, beside the rule told as a list of instants."""

    def __init__(self) -> None:
        super().__init__()
        self.buckets = Buckets()
        self.now = 1_000.0
        self.held: list[_Held] = []
        self.tokens_free_at: list[float] = []
        self.slots_free_at: list[float] = []
        self.has_forked = False

    @rule(seconds=st.one_of(st.just(0.0), st.sampled_from([1.0, 5.0, 60.0, 61.0, 66.0, 500.0]), st.floats(0, 130)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(token=st.booleans())
    def take(self, token: bool) -> None:
        tokens = sum(each.token for each in self.held) + sum(at > self.now for at in self.tokens_free_at)
        slots = len(self.held) + sum(at > self.now for at in self.slots_free_at)
        allowed = slots < QUOTA.concurrent and (not token or tokens < QUOTA.requests)
        refusal = self.buckets.take(LOGIN, self.now, QUOTA, token=token)
        assert (refusal is None) == allowed
        if refusal is None:
            self.held.append(_Held(token))
        else:
            assert refusal.retry_in > 0
            assert list(refusal.tokens_in) == sorted(refusal.tokens_in)

    @precondition(lambda self: self.held)  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
    @rule(data=st.data(), ending=st.sampled_from(Ending), was_seen=st.booleans())
    def give_back(self, data: st.DataObject, ending: Ending, was_seen: bool) -> None:
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        seen = self.now if was_seen or ending is Ending.WHOLE else None
        self.buckets.give_back(LOGIN, self.now, QUOTA, ending, token=held.token, seen=seen)
        if ending is Ending.CUT:
            self.slots_free_at.append(self.now + QUOTA.linger)
        if held.token and ending is not Ending.UNSENT:
            self.tokens_free_at.append(61.0 + (seen if seen is not None else self.now + QUOTA.linger))

    @rule()
    def shut(self) -> None:
        self.buckets.shut(LOGIN, self.now, QUOTA)
        self.tokens_free_at += [self.now + 61.0] * 3

    @rule()
    def fork(self) -> None:
        self.buckets.forget_holders(self.now)
        tokens = sum(each.token for each in self.held)
        self.has_forked = True
        self.slots_free_at += [self.now + QUOTA.absence] * len(self.held)
        self.tokens_free_at += [self.now + QUOTA.absence] * tokens
        self.held.clear()

    @invariant()
    def a_bucket_in_use_is_three_floats_at_most(self) -> None:
        stamps = self.buckets._younger.get(LOGIN, ())  # pyright: ignore[reportPrivateUsage]  # what it costs is inside
        # Where a bucket was shut with all tokens out, and then the process forked, twice as many: nothing is left out then.
        assert len(stamps) <= QUOTA.requests * (2 if self.has_forked else 1)


TestBucketAgainstTheRule = pytest.mark.no_cover(BucketMachine.TestCase)
