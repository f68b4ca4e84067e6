"""Every way in which two or three threads can get between each other's steps in the table of buckets.

Threads are real, and only one of them runs at a time: it is stopped before each instruction that reads or writes
something the others see, and may lose its turn there. All schedules with up to two turns lost are tried, so that a rule of
``limiter/table.py`` that does not hold is found here and not by the service. Below, three tables are broken in one place
each, to see that this finds them.
"""

from __future__ import annotations

import dis
import itertools
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

import attrs
import pytest

from smsc_async.limiter import bucket as bucket_module
from smsc_async.limiter import buckets as table_module
from smsc_async.limiter.bucket import FREE, OUT, Completion, Permit, Refusal, closed, held_of
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.quota import Quota

LOGIN: Final = "alex"
NOW: Final = 1_000.0
# What others see, or change: all else is on a thread's own stack, and in nobody's way.
_SHARED: Final = {
    "_lock",
    "acquire",
    "_open",
    "_table",
    "_sweep_at",
    "_unswept",
    "setdefault",
    "get",
    "copy",
    "token_free_at",
    "slot_free_at",
}
_TRACED: Final = {table_module.__file__, bucket_module.__file__}
_ALL: Final = sys.maxsize


@attrs.define
class _Turn:
    """So many steps of an actor's."""

    actor: int
    steps: int = _ALL
    was_enough: bool = False  # whether the actor was over by then


class _Turns:
    """Who runs, and for how many steps."""

    def __init__(self, plan: Sequence[_Turn], actors: int) -> None:
        self._plan = list(plan)
        self._now = _Turn(-1)
        self._left = 0
        self._may_run = [threading.Semaphore(0) for _ in range(actors)]
        self._ended = threading.Semaphore(0)
        self._over = [False] * actors
        self._locked_by: int | None = None
        self._failures: list[BaseException] = []

    def run(self, actors: Sequence[Callable[[], None]]) -> None:
        threads = [
            threading.Thread(target=self._act, args=(number, actor), daemon=True) for number, actor in enumerate(actors)
        ]
        for thread in threads:
            thread.start()
        self._next()
        assert self._ended.acquire(timeout=30.0), "they wait for each other"
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def step(self, number: int) -> None:
        if self._left > 0:
            self._left -= 1
            return
        self._next()
        self._may_run[number].acquire()

    def lock(self, number: int) -> None:
        while self._locked_by is not None:
            # Nobody else can go on; the rest of this turn comes after.
            self._now.steps = self._left
            self._plan[:0] = [_Turn(self._locked_by), self._now]
            self._left = 0
            self.step(number)
        self._locked_by = number

    def lock_at_once(self, number: int) -> bool:
        if self._locked_by is not None:
            return False
        self._locked_by = number
        return True

    def unlock(self) -> None:
        self._locked_by = None

    def _act(self, number: int, actor: Callable[[], None]) -> None:
        self._may_run[number].acquire()

        def trace(frame: FrameType, event: str, arg: object) -> Any:  # as Python calls it
            file = frame.f_code.co_filename
            if file not in _TRACED and not (file == __file__ and isinstance(frame.f_locals.get("self"), Buckets)):
                return None
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            if event == "opcode" and frame.f_lasti in _shared_in(frame.f_code):
                self.step(number)
            return trace

        _ME.number, _ME.turns = number, self
        sys.settrace(trace)
        try:
            actor()
        except BaseException as error:  # noqa: BLE001  # told in the test's thread
            self._failures.append(error)
        finally:
            sys.settrace(None)
            self._over[number] = True
            self._now.was_enough = True
            self._next()

    def _next(self) -> None:
        while self._plan:
            self._now = self._plan.pop(0)
            if not self._over[self._now.actor]:
                self._left = self._now.steps
                self._may_run[self._now.actor].release()
                return
            self._now.was_enough = True
        self._ended.release()


class _Me(threading.local):
    number: int
    turns: _Turns


_ME: Final = _Me()


@cache
def _shared_in(code: CodeType) -> frozenset[int]:
    """Where a function reads or writes what others see."""
    return frozenset(
        each.offset
        for each in dis.get_instructions(code)
        if each.argval in _SHARED or each.opname in {"STORE_SUBSCR", "DELETE_SUBSCR"}
    )


class _Lock:
    """A lock whose waiters lose their turn."""

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        return _ME.turns.lock_at_once(_ME.number)

    def release(self) -> None:
        _ME.turns.unlock()

    def __enter__(self) -> None:
        _ME.turns.lock(_ME.number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ME.turns.unlock()


@attrs.define
class Scene:
    """What happened to one login, told as the rule has it."""

    buckets: Buckets
    quota: Quota
    granted: list[Permit] = attrs.field(factory=list[Permit])
    refused: list[Permit] = attrs.field(factory=list[Permit])
    tokens_at: list[float] = attrs.field(factory=list[float])
    slots_at: list[float] = attrs.field(factory=list[float])

    def acquire(self) -> None:
        permit = Permit(LOGIN, self.quota, token=True)
        if self.buckets.claim(permit) or self.buckets.acquire(permit, NOW) is None:
            self.granted.append(permit)
        else:
            self.refused.append(permit)

    def release(self, ending: Completion) -> None:
        permit = self.granted[0]
        del self.granted[0]
        permit.seen = None if ending is Completion.NOT_SENT else NOW
        self.buckets.release(permit, NOW, ending)
        if ending is not Completion.NOT_SENT:
            self.tokens_at.append(NOW + self.quota.window)
        if ending is Completion.INCOMPLETE:
            self.slots_at.append(NOW + self.quota.linger)

    def drain_tokens(self) -> None:
        self.buckets.drain_tokens(LOGIN, NOW, self.quota)
        self.tokens_at += [NOW + self.quota.window] * self.quota.requests

    def sweep(self) -> None:
        self.buckets.sweep(NOW)

    def judge(self) -> None:
        """See that the table knows what happened, no less and no more."""
        self.buckets._lock = threading.Lock()  # pyright: ignore[reportPrivateUsage]
        count = self.buckets.count()
        assert (count["tokens_out"], count["slots"]) == (len(self.granted), len(self.granted))
        assert len(self.granted) <= self.quota.requests
        for instant in (NOW, NOW + self.quota.linger, NOW + self.quota.window):
            tokens = self.quota.requests - len(self.granted) - sum(at > instant for at in self.tokens_at)
            probes = [Permit(LOGIN, self.quota, token=True) for _ in range(self.quota.requests + 1)]
            had = [
                permit
                for permit in probes
                if self.buckets.claim(permit) or self.buckets.acquire(permit, instant) is None
            ]
            assert len(had) == max(tokens, 0), f"{instant - NOW} s later"
            for permit in had:
                self.buckets.release(permit, instant, Completion.NOT_SENT)
        for permit in self.granted:
            self.buckets.release(permit, NOW, Completion.NOT_SENT)
        self.buckets.sweep(NOW + self.quota.absence)
        assert set(self.buckets.count().values()) == {0}


Act = Callable[[Scene], None]


def _ends(ending: Completion) -> Act:
    return lambda scene: scene.release(ending)


def _spent(scene: Scene) -> None:
    """Leave one token away."""
    scene.acquire()
    scene.release(Completion.COMPLETE)


def _was_used(scene: Scene) -> None:
    """Leave what is free by now, and not swept yet."""
    permit = Permit(LOGIN, scene.quota, token=True)
    assert scene.buckets.claim(permit)
    permit.seen = NOW - 500.0
    scene.buckets.release(permit, permit.seen, Completion.COMPLETE)


def _is_due(scene: Scene) -> None:
    """Have the next who gives back make the table anew."""
    scene.buckets._sweep_at = FREE  # pyright: ignore[reportPrivateUsage]


def _explore(make: Callable[[], Buckets], quota: Quota, before: Sequence[Act], acts: Sequence[Act]) -> set[int]:
    """Play a scene in all schedules; return how many permits were refused in one or another."""
    refused: set[int] = set()

    def play(first: _Turn, second: _Turn, rest: Sequence[int]) -> None:
        scene = Scene(make(), quota)
        scene.buckets._sweep_at = OUT  # pyright: ignore[reportPrivateUsage]
        for act in before:
            act(scene)
        scene.buckets._lock = _Lock()  # type: ignore[assignment] # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        plan = [first, second, *map(_Turn, [*rest, first.actor, second.actor])]
        _Turns(plan, len(acts)).run([partial(act, scene) for act in acts])
        scene.judge()
        refused.add(len(scene.refused))

    for one, other, *rest in itertools.permutations(range(len(acts))):
        first = _Turn(one, 0)
        while not first.was_enough:
            second = _Turn(other, 0)
            while not second.was_enough:
                first, second = _Turn(one, first.steps), _Turn(other, second.steps + 1)
                given = first.steps, second.steps
                play(first, second, rest)
                first.steps, second.steps = given
            first.steps += 1
    return refused


@pytest.mark.parametrize(
    ("requests", "before", "acts", "refused"),
    [
        pytest.param(1, [], [Scene.acquire, Scene.acquire], {1}, id="two take the only token"),
        pytest.param(2, [], [Scene.acquire, Scene.acquire], {0}, id="two take two"),
        pytest.param(2, [_spent], [Scene.acquire, Scene.acquire], {1}, id="two take the last of two"),
        pytest.param(1, [_was_used], [Scene.acquire, Scene.acquire], {1}, id="two take what has come free"),
        pytest.param(1, [], [Scene.acquire, Scene.sweep], {0}, id="one takes while the table is made anew"),
        pytest.param(1, [_was_used], [Scene.acquire, Scene.sweep], {0}, id="one takes what is about to be dropped"),
        pytest.param(1, [_spent], [Scene.acquire, Scene.sweep], {1}, id="what is spent is not dropped"),
        pytest.param(
            1, [], [Scene.acquire, Scene.acquire, Scene.sweep], {1}, id="two take while the table is made anew"
        ),
        pytest.param(
            1, [_was_used], [Scene.acquire, Scene.acquire, Scene.sweep], {1}, id="two take what is about to be dropped"
        ),
        pytest.param(1, [], [Scene.acquire, Scene.sweep, Scene.sweep], {0}, id="the table is made anew twice"),
        pytest.param(
            1, [Scene.acquire], [_ends(Completion.COMPLETE), Scene.acquire], {1}, id="given back, it stays away"
        ),
        pytest.param(
            1,
            [Scene.acquire, _is_due],
            [_ends(Completion.COMPLETE), Scene.acquire],
            {1},
            id="made anew by who gives back",
        ),
        pytest.param(
            2,
            [Scene.acquire],
            [_ends(Completion.COMPLETE), Scene.acquire, Scene.acquire],
            {1},
            id="one given back, two taken",
        ),
        pytest.param(
            1, [Scene.acquire], [_ends(Completion.NOT_SENT), Scene.acquire], {0, 1}, id="not sent, it comes back"
        ),
        pytest.param(
            2, [Scene.acquire], [_ends(Completion.COMPLETE), Scene.acquire], {0}, id="one given back, one taken"
        ),
        pytest.param(
            3,
            [Scene.acquire, Scene.acquire],
            [_ends(Completion.COMPLETE), _ends(Completion.COMPLETE)],
            {0},
            id="two given back",
        ),
        pytest.param(
            3,
            [Scene.acquire, Scene.acquire],
            [_ends(Completion.INCOMPLETE), _ends(Completion.NOT_SENT)],
            {0},
            id="two that failed",
        ),
        pytest.param(
            2, [Scene.acquire], [_ends(Completion.COMPLETE), Scene.sweep], {0}, id="given back while it is made anew"
        ),
        pytest.param(
            2,
            [Scene.acquire],
            [_ends(Completion.INCOMPLETE), Scene.sweep, Scene.acquire],
            {0},
            id="cut, taken and made anew",
        ),
        pytest.param(
            2, [Scene.acquire], [_ends(Completion.COMPLETE), Scene.drain_tokens], {0}, id="given back and shut"
        ),
        pytest.param(2, [], [Scene.acquire, Scene.drain_tokens], {0, 1}, id="taken or shut"),
        pytest.param(
            2, [], [Scene.acquire, Scene.drain_tokens, Scene.sweep], {0, 1}, id="taken or shut while it is made anew"
        ),
    ],
)
def test_no_order_of_steps_breaks_the_rule(
    requests: int, before: list[Act], acts: list[Act], refused: set[int]
) -> None:
    assert _explore(Buckets, Quota(requests=requests), before, acts) == refused


class _LooksFirst(Buckets):
    """Breaks the first rule."""

    def claim(self, permit: Permit) -> bool:
        if permit.login in self._table:
            return False
        self._table[permit.login] = permit
        return True


class _LooksOnce(Buckets):
    """Breaks the fourth: who enters a login does not look again."""

    def claim(self, permit: Permit) -> bool:
        table = self._open
        return table is not None and table.setdefault(permit.login, permit) is permit


class _StaysOpen(Buckets):
    """Breaks the fourth: the table is made anew while it is open."""

    def _make_anew(self) -> None:
        self._table = self._table.copy()
        self._open = self._table


class _AsksAnew(Buckets):
    """Breaks the fourth: whose claim was copied does not find it."""

    def acquire(
        self, permit: Permit, now: float, is_other_closed_loop: Callable[[Hashable], bool] = lambda _: False
    ) -> Refusal | None:
        stranger = Permit(permit.login, permit.quota, permit.token)
        refusal = super().acquire(stranger, now, is_other_closed_loop)
        permit.slot_free_at = stranger.slot_free_at if refusal is None else permit.slot_free_at
        return refusal


class _OverwritesClaims(Buckets):
    """Breaks the first rule under the lock."""

    def drain_tokens(self, login: str, now: float, quota: Quota) -> None:
        with self._lock:
            held = held_of(self._table.get(login, ()), now)
            self._table[login] = closed(held, (now + quota.window,) * quota.requests)


@pytest.mark.parametrize(
    ("broken", "acts"),
    [
        (_LooksFirst, [Scene.acquire, Scene.acquire]),
        (_LooksOnce, [Scene.acquire, Scene.sweep]),
        (_StaysOpen, [Scene.acquire, Scene.sweep]),
        (_AsksAnew, [Scene.acquire, Scene.sweep]),
        (_OverwritesClaims, [Scene.acquire, Scene.drain_tokens]),
    ],
)
def test_a_table_that_breaks_one_rule_is_found_out(broken: type[Buckets], acts: list[Act]) -> None:
    with pytest.raises(AssertionError):
        _explore(broken, Quota(requests=1), [], acts)
