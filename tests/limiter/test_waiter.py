"""Clocks and sleeps: by the loop that runs, in whatever thread, and where there is none."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable

import anyio
import pytest
import trio

from smsc_async.fetch import background
from smsc_async.fetch.background import BackgroundTasks
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, in_trio, new_waiter


def test_a_real_loop_of_either_kind_counts_as_every_thread_does() -> None:
    async def read() -> float:
        return now()

    for backend in ("asyncio", "trio"):
        before = time.monotonic()
        assert before <= anyio.run(read, backend=backend) <= time.monotonic()
    before = time.monotonic()
    assert before <= now() <= time.monotonic()


def test_without_trio_nobody_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio")
    assert not in_trio()
    assert now() <= time.monotonic()


@pytest.mark.anyio
async def test_a_wake_before_the_sleep_is_kept_and_ends_one_sleep() -> None:
    waiter = new_waiter()
    assert waiter.wake()
    await waiter.sleep(math.inf)
    started = now()
    await waiter.sleep(0.01)
    assert now() - started >= 0.009


@pytest.mark.anyio
async def test_two_wakes_are_one() -> None:
    waiter = new_waiter()

    async def wake() -> None:
        waiter.wake()
        waiter.wake()

    async with anyio.create_task_group() as group:
        group.start_soon(wake)
        await waiter.sleep(math.inf)


@pytest.mark.anyio
async def test_another_thread_can_wake() -> None:
    waiter = new_waiter()
    thread = threading.Thread(target=waiter.wake)
    thread.start()
    await waiter.sleep(math.inf)
    thread.join()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_waiter_of_a_loop_that_is_over_cannot_be_woken(backend: str) -> None:
    async def make() -> Callable[[], bool]:
        return new_waiter().wake

    wake = anyio.run(make, backend=backend)
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(wake()))
    thread.start()
    thread.join()
    assert told == [False]


@pytest.mark.parametrize("other", ["asyncio", "trio"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_waiter_is_lost_with_its_loop_and_not_before(backend: str, other: str) -> None:
    async def make() -> Waiter:
        waiter = new_waiter()
        assert not waiter.is_lost()
        return waiter

    waiter = anyio.run(make, backend=backend)

    async def ask() -> bool:
        return waiter.is_lost()

    assert anyio.run(ask, backend=other)


class Slow:
    """A ledger that answers only after a while, as one over a network does."""

    def __init__(self) -> None:
        self.given_back: list[Completion] = []

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        return None

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        await anyio.sleep(0.001)
        return Permit(login, quota, token)

    def try_release(self, permit: Permit, ending: Completion) -> bool:
        return False

    async def release(self, permit: Permit, ending: Completion) -> None:
        await anyio.sleep(0.001)
        self.given_back.append(ending)


@pytest.mark.anyio
async def test_a_gate_waits_for_a_ledger_that_has_to_be_asked() -> None:
    ledger = Slow()
    gate = WaiterQueue(ledger)
    permit = await gate.acquire("alex", Quota(), token=True)
    await gate.release(permit, Completion.COMPLETE)
    assert ledger.given_back == [Completion.COMPLETE]
    assert gate.waiting() == 0


@pytest.mark.anyio
async def test_work_that_does_not_stop_when_told_does_not_keep_the_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PATIENCE", 0.05)
    detached = BackgroundTasks()
    ended: list[str] = []

    may_end = anyio.Event()

    async def stubborn(_: object) -> None:
        with anyio.CancelScope(shield=True):
            await may_end.wait()

    detached.start(stubborn, lambda: ended.append("stubborn"))
    await anyio.sleep(0.01)
    with anyio.fail_after(60):
        await detached.aclose()
    assert not ended
    may_end.set()
    with anyio.fail_after(60):
        while not ended:  # noqa: ASYNC110  # nothing sets an event
            await anyio.sleep(0.001)
    assert ended == ["stubborn"]


def test_work_that_was_cancelled_before_its_first_step_has_ended_too() -> None:
    ended: list[str] = []

    async def never(_: object) -> None:
        raise AssertionError

    async def main() -> None:
        BackgroundTasks().start(never, lambda: ended.append("asyncio"))

    asyncio.run(main())

    async def trio_main() -> None:
        BackgroundTasks().start(lambda _: anyio.sleep_forever(), lambda: ended.append("trio"))

    trio.run(trio_main)
    assert ended == ["asyncio", "trio"]
