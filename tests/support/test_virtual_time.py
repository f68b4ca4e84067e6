from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream
from hypothesis import given
from hypothesis import strategies as st

from tests.support.virtual_time import (
    BACKEND_NAMES,
    START_SECONDS,
    VIRTUAL,
    VIRTUAL_IDS,
    Backend,
    BackendName,
    run_virtual,
)


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


@pytest.mark.anyio
@pytest.mark.parametrize("again", range(2))
async def test_every_test_gets_a_new_clock(again: int) -> None:
    assert anyio.current_time() == START_SECONDS
    await anyio.sleep(3_600.0)
    assert anyio.current_time() == pytest.approx(START_SECONDS + 3_600.0, abs=1e-6)


@pytest.mark.anyio
async def test_sleepers_wake_in_the_order_of_their_timers() -> None:
    woke: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await anyio.sleep(seconds)
        woke.append((seconds, anyio.current_time() - START_SECONDS))

    async with anyio.create_task_group() as group:
        for seconds in (3_600.0, 0.25, 60.0, 61.0):
            group.start_soon(sleeper, seconds)
    assert [seconds for seconds, _ in woke] == [0.25, 60.0, 61.0, 3_600.0]
    assert all(at == pytest.approx(seconds, abs=1e-6) for seconds, at in woke)


@pytest.mark.anyio
async def test_a_deadline_ends_a_wait_for_ever_at_its_time() -> None:
    with anyio.move_on_after(86_400.0 * 3) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert anyio.current_time() - START_SECONDS == pytest.approx(86_400.0 * 3, abs=1e-6)


@pytest.mark.anyio
async def test_tasks_that_are_ready_run_before_the_clock_moves() -> None:
    send, receive = anyio.create_memory_object_stream[int]()

    async def talk() -> None:
        async with send:
            for number in range(100):
                await send.send(number)

    with anyio.fail_after(0.001):
        async with receive, anyio.create_task_group() as group:
            group.start_soon(talk)
            assert [number async for number in receive] == list(range(100))
    assert anyio.current_time() == START_SECONDS


@pytest.mark.anyio
async def test_the_clock_stands_still_for_a_worker_thread() -> None:
    with anyio.fail_after(0.001):
        await anyio.to_thread.run_sync(time.sleep, 0.05)
    assert anyio.current_time() == START_SECONDS


@pytest.mark.anyio
async def test_the_clock_does_not_wait_for_a_thread_that_was_abandoned() -> None:
    begun, end = anyio.Event(), threading.Event()

    def work() -> None:
        anyio.from_thread.run_sync(begun.set)
        end.wait(10.0)

    async def abandoned() -> None:
        await anyio.to_thread.run_sync(work, abandon_on_cancel=True)

    async with anyio.create_task_group() as group:
        group.start_soon(abandoned)
        await begun.wait()
        group.cancel_scope.cancel()
    await anyio.sleep(3_600.0)
    assert anyio.current_time() >= START_SECONDS + 3_600.0
    end.set()


@pytest.mark.anyio
async def test_bytes_through_a_loopback_socket_take_no_time() -> None:
    async def echo(stream: SocketStream) -> None:
        async with stream:
            await stream.send(await stream.receive())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        port = listener.extra(SocketAttribute.local_port)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
        group.cancel_scope.cancel()


def test_the_clock_stands_still_for_an_executor_of_asyncio() -> None:
    async def think() -> float:
        async with asyncio.timeout(0.001):
            await asyncio.gather(asyncio.to_thread(time.sleep, 0.05), asyncio.to_thread(time.sleep, 0.02))
        return asyncio.get_running_loop().time()

    assert run_virtual("asyncio", think) == START_SECONDS


def test_errors_come_out_of_a_virtual_run() -> None:
    async def fail(text: str) -> None:
        await anyio.sleep(1.0)
        raise LookupError(text)

    for backend in BACKEND_NAMES:
        with pytest.raises(LookupError, match="as it is"):
            run_virtual(backend, fail, "as it is")


@given(st.sampled_from(BACKEND_NAMES), st.lists(st.floats(0.0, 1e6), max_size=5))
def test_every_example_gets_a_loop_of_its_own(backend: BackendName, sleeps: list[float]) -> None:
    async def sleep_all() -> float:
        assert anyio.current_time() == START_SECONDS
        for seconds in sleeps:
            await anyio.sleep(seconds)
        return anyio.current_time()

    assert run_virtual(backend, sleep_all) == pytest.approx(START_SECONDS + sum(sleeps), abs=1e-3)
