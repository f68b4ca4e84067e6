"""Background tasks: the bookkeeping of many tasks in several event loops."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Hashable

import anyio
import anyio.lowlevel
import pytest

from smsc_async.fetch import background
from smsc_async.fetch.background import BackgroundTasks
from smsc_async.limiter.waiter import is_closed_loop


def _nothing() -> None:
    pass


async def _run(tasks: BackgroundTasks, count: int) -> None:
    release = anyio.Event()

    async def work() -> None:
        await release.wait()

    for _ in range(count):
        tasks.start(work, _nothing)
    assert len(tasks) == count
    release.set()
    while len(tasks):
        await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_the_cost_of_a_start_does_not_grow_with_the_tasks_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def count_look(_: Hashable) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(background, "is_closed_loop", count_look)
    await _run(BackgroundTasks(), 300)
    assert looks <= 300


def test_a_task_that_ended_leaves_no_reference_to_its_event_loop() -> None:
    tasks = BackgroundTasks()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_run(tasks, 3))
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None


def test_a_start_in_another_thread_during_the_look_at_the_loops_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = BackgroundTasks()
    started, finish = threading.Event(), threading.Event()

    async def start_in_other_thread() -> None:
        async def work() -> None:
            await asyncio.to_thread(finish.wait)

        tasks.start(work, _nothing)
        started.set()
        await asyncio.to_thread(finish.wait)

    other = threading.Thread(target=lambda: asyncio.run(start_in_other_thread()))

    def meanwhile(loop: Hashable) -> bool:
        if other.ident is None:
            other.start()
            started.wait()
        return is_closed_loop(loop)

    monkeypatch.setattr(background, "is_closed_loop", meanwhile)

    async def start_two() -> None:
        async def work() -> None:
            await anyio.lowlevel.checkpoint()

        tasks.start(work, _nothing)
        tasks.start(work, _nothing)
        await anyio.lowlevel.checkpoint()

    try:
        asyncio.run(start_two())
    finally:
        finish.set()
        other.join()


@pytest.mark.anyio
async def test_a_child_process_forgets_the_tasks_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, release, ended = BackgroundTasks(), anyio.Event(), anyio.Event()

    async def work() -> None:
        await release.wait()

    tasks.start(work, ended.set)
    assert len(tasks) == 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        await tasks.aclose()
        assert len(tasks) == 0
    assert not ended.is_set()
    release.set()
    with anyio.fail_after(5):
        await ended.wait()
