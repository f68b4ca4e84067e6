"""Background tasks of another process."""

from __future__ import annotations

import os

import anyio
import pytest

from smsc_async.fetch.background import BackgroundTasks


@pytest.mark.anyio
async def test_a_child_process_forgets_the_tasks_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, release, ended = BackgroundTasks(), anyio.Event(), anyio.Event()

    async def work(_: anyio.CancelScope) -> None:
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
