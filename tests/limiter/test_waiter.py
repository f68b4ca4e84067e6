"""Waiters: a notification in the same thread, from another one, and for an event loop that is closed."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Callable

import anyio
import pytest
import trio

from smsc_async.fetch import background
from smsc_async.fetch.background import BackgroundTasks
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, call_in_loop, in_trio, is_closed_loop, new_waiter, running_loop
from tests.limiter.counts import waiter_count


def test_a_program_without_trio_does_not_run_in_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio")
    assert not in_trio()


def test_an_asyncio_program_runs_beside_an_old_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(trio.lowlevel, "in_trio_task")

    async def loop_of_the_program() -> bool:
        return running_loop() is asyncio.get_running_loop()

    assert asyncio.run(loop_of_the_program())


@pytest.mark.anyio
async def test_a_notification_before_the_wait_ends_the_next_wait_only() -> None:
    waiter = new_waiter()
    assert waiter.notify()
    await waiter.wait(math.inf)
    started = now()
    await waiter.wait(0.01)
    assert now() - started >= 0.009


@pytest.mark.anyio
async def test_two_notifications_end_one_wait() -> None:
    waiter = new_waiter()

    async def notify_twice() -> None:
        waiter.notify()
        waiter.notify()

    async with anyio.create_task_group() as group:
        group.start_soon(notify_twice)
        await waiter.wait(math.inf)


@pytest.mark.anyio
async def test_another_thread_can_notify() -> None:
    waiter = new_waiter()
    thread = threading.Thread(target=waiter.notify)
    thread.start()
    await waiter.wait(math.inf)
    thread.join()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_waiter_of_a_closed_loop_cannot_be_notified(backend: str) -> None:
    async def make() -> Callable[[], bool]:
        return new_waiter().notify

    notify = anyio.run(make, backend=backend)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(notify()))
    thread.start()
    thread.join()
    assert results == [False]


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


@pytest.mark.anyio
async def test_a_call_runs_in_the_loop_that_it_is_for() -> None:
    loop, here, called = running_loop(), threading.get_ident(), anyio.Event()
    threads: list[int] = []

    def call() -> None:
        threads.append(threading.get_ident())
        called.set()

    await anyio.to_thread.run_sync(call_in_loop, loop, call)
    with anyio.fail_after(5):
        await called.wait()
    call_in_loop(loop, call)  # at once, since this loop runs here
    assert threads == [here, here]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_closed_loop_calls_nothing(backend: str) -> None:
    async def loop_of_the_program() -> object:
        return running_loop()

    called: list[bool] = []
    loop = anyio.run(loop_of_the_program, backend=backend)
    call_in_loop(loop, lambda: called.append(True))
    assert not called


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_event_loop_that_runs_is_not_closed(backend: str) -> None:
    async def ask() -> bool:
        return is_closed_loop(running_loop())

    assert not anyio.run(ask, backend=backend)


class Slow:
    """A source that answers after a while, as a store over a network does."""

    def __init__(self) -> None:
        self.released: list[Completion] = []

    def try_acquire(self, permit: Permit) -> Permit | None:
        return None

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        await anyio.sleep(0.001)
        return permit

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        return False

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        await anyio.sleep(0.001)
        self.released.append(completion)


@pytest.mark.anyio
async def test_a_queue_waits_for_a_source_that_answers_later() -> None:
    source = Slow()
    queue = WaiterQueue(source)
    permit = await queue.acquire(Permit("alex", Quota(), token=True))
    await queue.release(permit, Completion.COMPLETE)
    assert source.released == [Completion.COMPLETE]
    assert waiter_count(queue) == 0


@pytest.mark.anyio
async def test_work_that_does_not_stop_when_told_does_not_keep_the_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PATIENCE", 0.05)
    detached = BackgroundTasks()
    ended: list[str] = []

    may_end = anyio.Event()

    async def stubborn() -> None:
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

    async def never() -> None:
        raise AssertionError

    async def main() -> None:
        BackgroundTasks().start(never, lambda: ended.append("asyncio"))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(main())

    async def trio_main() -> None:
        BackgroundTasks().start(anyio.sleep_forever, lambda: ended.append("trio"))

    trio.run(trio_main)
    assert ended == ["asyncio", "trio"]
