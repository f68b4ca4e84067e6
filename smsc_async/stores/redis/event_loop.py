"""The event loop of a Redis store: the time limits of its calls, and the tasks that the end of a call does not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any, Final, TypeVar

T = TypeVar("T")

# Seconds for which closing waits for the release of permits.
_UNFINISHED_SECONDS: Final = 0.4


def asyncio_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        RuntimeError: It is not asyncio's, and redis-py works on asyncio only.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("RedisStore works on asyncio only: on trio use SQLiteStore") from None


def drop_closed_loops(by_loop: MutableMapping[asyncio.AbstractEventLoop, Any]) -> None:
    """Remove the values of closed event loops: a value refers to its loop, so a weak key does not end with the loop."""
    for loop in [each for each in by_loop if each.is_closed()]:
        del by_loop[loop]


def of_loop(by_loop: MutableMapping[asyncio.AbstractEventLoop, T], make: Callable[[], T]) -> T:
    """Return the value of the running event loop, which ``make`` returns at the first use.

    Raises:
        RuntimeError: It is not asyncio's.
    """
    loop = asyncio_loop()
    if loop not in by_loop:
        drop_closed_loops(by_loop)
        by_loop[loop] = make()
    return by_loop[loop]


def current_task() -> asyncio.Task[Any]:
    """Return the task that runs now."""
    task = asyncio.current_task()
    assert task is not None, "coroutines of a store run in tasks"
    return task


class TimeLimits:
    """The time limits of the calls in one event loop.

    All share one timer, since ``asyncio.timeout()`` takes a twentieth of the time of a permit. As there, the end of the time
    cancels the task, and its call replaces the cancellation by an error.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Limit the time of a task's call from now on, in place of its former limit."""
        loop = task.get_loop()
        self._ends[task] = end = loop.time() + seconds
        if self._timer is None or end < self._timer.when():
            self._check_at(loop, end)

    def end(self, task: asyncio.Task[Any]) -> None:
        """End the limit of a task."""
        self._ends.pop(task, None)
        self.is_over(task, 0)

    def is_over(self, task: asyncio.Task[Any], cancelling: int) -> bool:
        """Return whether the end of its time cancelled a task, and nothing else did; a second call returns ``False``.

        Args:
            task: The current task.
            cancelling: Its ``cancelling()`` before the call.
        """
        if task not in self._over:
            return False
        self._over.remove(task)
        return task.uncancel() <= cancelling

    def _check_at(self, loop: asyncio.AbstractEventLoop, instant: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(instant, self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        instant = loop.time()
        for task in [task for task, end in self._ends.items() if end <= instant]:
            del self._ends[task]
            self._over.add(task)
            task.cancel()
        if self._ends:
            self._check_at(loop, min(self._ends.values()))


class StoreTasks:
    """The tasks of a store, each until its end; for any number of event loops."""

    def __init__(self) -> None:
        # Whether a call waits for the task.
        self._tasks: dict[asyncio.Task[None], bool] = {}

    def begin(self, work: Coroutine[Any, Any, None], *, is_awaited: bool = True) -> asyncio.Task[None]:
        """Start work that the cancellation of its caller does not interrupt.

        Args:
            work: What to do.
            is_awaited: Whether a call waits for the end; else closing ends what lasts too long.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = is_awaited
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def of_loop(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[None]]:
        """Return the tasks of an event loop."""
        return [task for task in list(self._tasks) if task.get_loop() is loop]

    def after_fork(self) -> None:
        """Forget the tasks in a forked child, in which none of them runs."""
        self._tasks = {}

    async def aclose(self) -> None:
        """Wait a moment for the tasks of this event loop, and cancel those that no call waits for."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _UNFINISHED_SECONDS
        # Again for what they begin meanwhile: after the closing it would open connections that nobody closes.
        while (tasks := self.of_loop(loop)) and (left := until - loop.time()) > 0:
            # gather() would cancel them together with this task. A permit that they do not release ends with its lease.
            await asyncio.wait(tasks, timeout=left)
        unwanted = [task for task in self.of_loop(loop) if not self._tasks[task]]
        for task in unwanted:
            task.cancel()
        await asyncio.gather(*unwanted, return_exceptions=True)
