"""The event loop of a Redis store, and the tasks in it that the end of a call does not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

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
        pass
    raise RuntimeError("RedisStore works on asyncio only: on trio use SQLiteStore")


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
