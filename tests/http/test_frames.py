"""Which frames of an exception lose their locals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from smsc_async.http.frames import chain, clear_frames


def _locals(error: BaseException, name: str) -> list[object]:
    entry, values = error.__traceback__, list[object]()
    while entry is not None:
        values.append(entry.tb_frame.f_locals.get(name))
        entry = entry.tb_next
    return [each for each in values if each is not None]


def _fail(error: BaseException, planted: str = "secret") -> None:
    raise error


def test_frames_of_causes_contexts_and_groups_are_cleared() -> None:
    chained: list[BaseException] = []
    try:
        try:
            _fail(KeyError())
        except KeyError as first:
            chained.append(first)
            try:
                _fail(ExceptionGroup("two", [first, ValueError()]))
            except ExceptionGroup as group:
                chained.append(group)
                raise RuntimeError from group
    except RuntimeError as last:
        last.__cause__.__context__ = last  # type: ignore[union-attr]  # a cycle must not hang
        assert [len(_locals(each, "planted")) for each in chained] == [1, 1]
        clear_frames(last)
        assert [len(_locals(each, "planted")) for each in chained] == [0, 0]


def test_the_members_of_a_group_come_before_its_cause_and_its_context() -> None:
    inner, first, second, cause, context = OSError("inner"), OSError("1"), OSError("2"), OSError("3"), OSError("4")
    first.__cause__ = inner
    group = ExceptionGroup("two", [first, second])
    group.__cause__, group.__context__ = cause, context
    assert list(chain(group)) == [group, first, inner, second, cause, context]


def test_an_error_that_waits_in_another_task_does_not_end_that_task() -> None:
    shared = OSError("of a mock that raises one instance again and again")

    async def fail() -> None:
        await asyncio.sleep(0)
        _fail(shared)

    async def stream(go_on: asyncio.Event) -> AsyncGenerator[int]:
        try:
            await fail()
        except OSError:
            yield 1
        await go_on.wait()
        yield 2

    async def wait(go_on: asyncio.Event, planted: str = "needed later") -> str:
        async for _ in stream(go_on):
            try:
                await fail()
            finally:
                await go_on.wait()
        return planted

    async def main() -> None:
        go_on = asyncio.Event()
        waiting = asyncio.create_task(wait(go_on))
        await asyncio.sleep(0.01)
        with pytest.raises(OSError, match="of a mock") as caught:
            await fail()
        clear_frames(caught.value)
        assert [each for each in _locals(shared, "planted") if each == "needed later"]
        go_on.set()
        with pytest.raises(OSError, match="of a mock"):
            await waiting

    asyncio.run(main())


def test_frames_that_a_cancellation_has_ended_are_cleared() -> None:
    async def hang(planted: str = "secret") -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert _locals(caught.value, "planted")
        clear_frames(caught.value)
        assert not _locals(caught.value, "planted")

    asyncio.run(main())
