"""The buckets under many threads, and a check that the checker detects broken buckets.

The threads switch in the middle of the critical sections, since the checker yields in the functions that run there. So a
missing lock is detected in milliseconds, on every interpreter.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Final

import pytest

from smsc_async.limiter import buckets as buckets_module
from smsc_async.limiter.bucket import Bucket, Completion, Held, Permit, Refusal, Row, held_of, refusal_of, row_of
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.quota import Quota
from tests.limiter.counts import sweep

QUOTA: Final = Quota(requests=2, concurrent=3)
LOGINS: Final[tuple[str, ...]] = ("alex", "boris")
NOW: Final = 1_000.0
THREADS: Final = 4
ROUNDS: Final = 60


class _Checker:
    """Threads that use buckets, and a count of what they have: more permits than the quota allows is a violation."""

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._tokens: dict[str, int] = dict.fromkeys(LOGINS, 0)
        self._slots: dict[str, int] = dict.fromkeys(LOGINS, 0)
        self._spent: dict[str, int] = dict.fromkeys(LOGINS, 0)

    def run(self, seed: int) -> None:
        chances = [random.Random(seed * 100 + number) for number in range(THREADS)]
        threads = [threading.Thread(target=self._work, args=(chance,), daemon=True) for chance in chances]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
            assert not thread.is_alive(), "the threads block each other"
        for login in LOGINS:
            probes = [Permit(login, QUOTA, token=True) for _ in range(QUOTA.requests + 1)]
            free = sum(self.buckets.acquire(probe, NOW) is None for probe in probes)
            if free != QUOTA.requests - self._spent[login]:
                self.violations.append(f"{login}: {free} tokens free, {self._spent[login]} of {QUOTA.requests} spent")

    def _work(self, chance: random.Random) -> None:
        try:
            for _ in range(ROUNDS):
                self._use(chance)
                if chance.random() < 0.05:
                    sweep(self.buckets, NOW)
        except Exception as error:  # noqa: BLE001  # reported by the test's thread
            self.violations.append(repr(error))

    def _use(self, chance: random.Random) -> None:
        permit = Permit(chance.choice(LOGINS), QUOTA, token=chance.random() < 0.5)
        login, token = permit.login, permit.token
        if self.buckets.acquire(permit, NOW) is not None:
            return
        self._count(login, tokens=token, slots=1)
        time.sleep(0)
        completion = Completion.COMPLETE if token and chance.random() < 0.02 else Completion.NOT_SENT
        # Before the release: another thread may have the permit immediately after it.
        self._count(login, tokens=-token, slots=-1, spent=token and completion is Completion.COMPLETE)
        permit.seen = NOW
        self.buckets.release(permit, NOW, completion)

    def _count(self, login: str, *, tokens: int, slots: int, spent: int = 0) -> None:
        with self._lock:
            self._tokens[login] += tokens
            self._slots[login] += slots
            self._spent[login] += spent
            used = self._tokens[login] + self._spent[login]
            if used > QUOTA.requests or self._slots[login] > QUOTA.concurrent:
                self.violations.append(f"{login}: {used} tokens and {self._slots[login]} slots in use")


def _violations(make: Callable[[], Buckets], seed: int) -> list[str]:
    checker = _Checker(make())
    checker.run(seed)
    return checker.violations


@pytest.fixture(autouse=True)
def _switch_in_critical_sections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def yielding_held_of(bucket: Bucket, now: float) -> Held:
        held = held_of(bucket, now)
        time.sleep(0)
        return held

    def yielding_refusal_of(rows: Sequence[Row], now: float, quota: Quota, *, token: bool) -> Refusal | None:
        refusal = refusal_of(rows, now, quota, token=token)
        time.sleep(0)
        return refusal

    monkeypatch.setattr(buckets_module, "held_of", yielding_held_of)
    monkeypatch.setattr(buckets_module, "refusal_of", yielding_refusal_of)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("seed", range(10))
def test_threads_never_have_more_permits_than_the_quota_and_lose_none(seed: int) -> None:
    assert _violations(Buckets, seed) == []


class _NoLock:
    """A lock that everybody has at once."""

    def acquire(self, *, blocking: bool = True) -> bool:
        return True

    def release(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _WithoutLock(Buckets):
    def __init__(self) -> None:
        super().__init__()
        self._lock = _NoLock()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


class _CompactsWithoutLock(Buckets):
    def release(self, permit: Permit, now: float, completion: Completion) -> None:
        buckets_module._write_release(permit, now, completion)  # pyright: ignore[reportPrivateUsage]
        if held := held_of(self._table.get(permit.login, ()), now):
            self._table[permit.login] = held
        else:
            self._table.pop(permit.login, None)


class _ChecksBeforeTheLock(Buckets):
    def acquire(
        self, permit: Permit, now: float, is_closed: Callable[[Hashable], bool] = lambda _: False
    ) -> Refusal | None:
        rows = [*map(row_of, held_of(self._table.get(permit.login, ()), now))]
        refusal = refusal_of(rows, now, permit.quota, token=permit.token)
        time.sleep(0)
        if refusal is None:
            with self._lock:
                self._table[permit.login] = (*self._table_entry(permit.login), permit)
        return refusal

    def _table_entry(self, login: str) -> Held:
        bucket = self._table.get(login, ())
        return (bucket,) if isinstance(bucket, Permit) else bucket


class _ForgetsTokens(Buckets):
    def release(self, permit: Permit, now: float, completion: Completion) -> None:
        super().release(permit, now, Completion.NOT_SENT)


@pytest.mark.parametrize("broken", [_WithoutLock, _CompactsWithoutLock, _ChecksBeforeTheLock, _ForgetsTokens])
def test_the_checker_detects_a_planted_fault(broken: type[Buckets]) -> None:
    check = partial(_violations, broken)
    assert any(check(seed) for seed in range(50))
