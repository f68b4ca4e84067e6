"""Background tasks that nothing can end any more: those of a forked parent, and those of a dropped event loop."""

from __future__ import annotations

import asyncio
import gc
import os

import anyio
import httpx
import pytest

from smsc_async import Account, Client, MemoryStore
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


@pytest.mark.filterwarnings("ignore:a smsc_async.Client was dropped:ResourceWarning")
def test_a_flight_of_a_dropped_event_loop_ends_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    store, begun = MemoryStore(), list[str]()

    async def hang(request: httpx.Request) -> httpx.Response:
        begun.append(request.method)
        await asyncio.Event().wait()
        raise AssertionError

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.10"}'
        )

    def client_of(handler: object) -> Client:
        transport = httpx.MockTransport(handler)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        return Client(Account("alex", "123"), base_url="https://smsc.example/sys/", transport=transport, store=store)

    def drop() -> None:
        loop = asyncio.new_event_loop()
        client = client_of(hang)
        task = loop.create_task(client.tariffs())
        loop.run_until_complete(asyncio.sleep(0.05))
        assert not task.done()
        loop.close()

    drop()
    gc.collect()
    assert begun == ["POST"]
    assert {record.name for record in caplog.records} <= {"asyncio"}  # a task was destroyed while it was pending

    async def call() -> None:
        async with client_of(answer) as client:
            assert (await client.tariffs()).zones

    asyncio.run(call())
