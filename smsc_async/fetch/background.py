"""Work that outlives the call that began it, and ends with the client at the latest.

An exchange has to come to its end though its caller is cancelled: the service has counted it, and others wait for it.
No task group is held open for it: a scope that is entered in one task and left in another breaks users' fixtures. On
asyncio it is a task that this object keeps, on trio a system task.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import anyio

from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import Waiter, in_trio, new_waiter

__all__ = ["BackgroundTasks"]


class BackgroundTasks:
    """The work under way in one event loop."""

    # How long closing waits for work that is told to stop: it has only to close a socket.
    PATIENCE = 1.0

    def __init__(self) -> None:
        self._scopes: dict[anyio.CancelScope, asyncio.Task[None] | None] = {}
        self._closing: Waiter | None = None

    def start(self, work: Callable[[], Awaitable[None]], ended: Callable[[], None]) -> None:
        """Begin ``work``, and call ``ended`` when it has ended, however that was; ``work`` raises nothing.

        ``ended`` is called even where the work was cancelled before its first step.
        """
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                # A cancellation is noticed where something is awaited, and that may come too late: whatever the work
                # begins by then is no longer closed by anybody.
                if not scope.cancel_called:
                    await work()

        def finished(_: object = None) -> None:
            del self._scopes[scope]
            ended()
            if self._closing is not None:
                self._closing.notify()

        if in_trio():
            from trio.lowlevel import spawn_system_task  # noqa: PLC0415  # only for those who run it

            async def run_system() -> None:
                try:
                    await run()
                finally:
                    finished()

            self._scopes[scope] = None
            spawn_system_task(run_system, name="smsc_async exchange", context=contextvars.copy_context())
        else:
            # The dict holds the task as well: asyncio itself keeps only a weak reference.
            task = asyncio.get_running_loop().create_task(run(), name="smsc_async exchange")
            self._scopes[scope] = task
            task.add_done_callback(finished)

    async def aclose(self) -> None:
        """Stop all work, and return when it has stopped."""
        self._closing = new_waiter()
        for scope in list(self._scopes):
            scope.cancel()
        until = now() + self.PATIENCE
        with anyio.CancelScope(shield=True):
            while self._scopes and (left := until - now()) > 0:
                await self._closing.wait(left)
