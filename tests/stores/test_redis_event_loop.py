"""The time limits of calls that share one timer: each ends in time, and a cancellation by others stays one."""

from __future__ import annotations

import asyncio
import time

import pytest

from smsc_async.stores.redis.event_loop import TimeLimits, current_task


class OverError(Exception):
    """The time of a call is over."""


async def _call(limits: TimeLimits, seconds: float, *, lasts: float, renewed: bool = False) -> float:
    """Return the seconds that a call lasted, whose time is limited as in ``RedisConnections``."""
    task, loop = current_task(), asyncio.get_running_loop()
    cancelling, began = task.cancelling(), loop.time()
    limits.begin(task, seconds)
    try:
        await asyncio.sleep(lasts)
        if renewed:
            limits.begin(task, seconds)
            await asyncio.sleep(lasts)
    except asyncio.CancelledError:
        if limits.is_over(task, cancelling):
            raise OverError(loop.time() - began) from None
        raise
    finally:
        limits.end(task)
    return loop.time() - began


def test_the_end_of_a_limit_cancels_its_call_alone_and_leaves_no_cancellation_behind() -> None:
    async def main() -> None:
        limits = TimeLimits()
        long = asyncio.create_task(_call(limits, 30.0, lasts=0.2))
        with pytest.raises(OverError):
            await _call(limits, 0.05, lasts=30.0)
        assert current_task().cancelling() == 0
        assert await long >= 0.2

    asyncio.run(main())


def test_calls_one_after_another_have_a_limit_each_whatever_the_limit_of_the_first_was() -> None:
    async def main() -> list[float]:
        limits = TimeLimits()
        lasted: list[float] = []
        await _call(limits, 0.2, lasts=0.0)
        for seconds in (0.3, 0.05, 0.1):
            await _call(limits, seconds, lasts=0.0)
            with pytest.raises(OverError) as error:
                await _call(limits, seconds, lasts=30.0)
            lasted.append(error.value.args[0])
        return lasted

    for seconds, lasted in zip((0.3, 0.05, 0.1), asyncio.run(main()), strict=True):
        assert lasted >= seconds - 0.01


def test_a_limit_that_begins_again_counts_from_there() -> None:
    async def main() -> None:
        limits = TimeLimits()
        assert await _call(limits, 0.3, lasts=0.2, renewed=True) >= 0.4

    asyncio.run(main())


def test_a_call_that_others_cancel_as_well_is_cancelled() -> None:
    async def main() -> None:
        limits = TimeLimits()
        task = asyncio.create_task(_call(limits, 0.05, lasts=30.0))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, task.cancel)
        time.sleep(0.1)  # noqa: ASYNC251  # so the loop finds both due before the task runs again
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_call_that_fails_at_the_end_of_its_time_leaves_no_cancellation_behind() -> None:
    async def fails(limits: TimeLimits) -> None:
        task = current_task()
        limits.begin(task, 0.05)
        try:
            await asyncio.sleep(30.0)
        except asyncio.CancelledError:
            raise OverError from None
        finally:
            limits.end(task)

    async def main() -> None:
        with pytest.raises(OverError):
            await fails(TimeLimits())
        assert current_task().cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())
