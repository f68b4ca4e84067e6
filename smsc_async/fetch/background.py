"""Background tasks: work that outlives the call that began it, and ends with the client at the latest.

An exchange comes to its end although its caller is cancelled, because the service has counted it and others wait for it.

Invariants: no task group stays open for the tasks, because a cancel scope that is entered in one task and left in another
breaks users' fixtures (on asyncio a task that this object references, on trio a system task); a task of a closed event
loop, or of the parent of a fork, is forgotten, because nothing can end it there.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from smsc_async.limiter.clock import now
from smsc_async.limiter.waiter import Waiter, Waiters, in_trio, is_closed_loop, running_loop
from smsc_async.stores.single_flight import InFlight

if TYPE_CHECKING:
    import asyncio

# Seconds that closing waits for exchanges which are connecting (a cancelled TLS handshake leaves its socket to the garbage
# collector), and then for the tasks that it has cancelled.
_PATIENCE: Final = 1.0


@attrs.define(eq=False, repr=False)
class _Task:
    scope: anyio.CancelScope
    flight: InFlight | None
    task: asyncio.Task[None] | None = None  # asyncio itself keeps only a weak reference


class BackgroundTasks:
    """The background tasks of a client, in any number of event loops.

    Attributes:
        is_closed: Whether the client is closed.
    """

    def __init__(self) -> None:
        self.is_closed: bool = False
        # By event loop, so that the cost of a start does not grow with the number of tasks.
        self._tasks: dict[Hashable, set[_Task]] = {}
        self._pid = os.getpid()
        self._closing = Waiters()

    def __len__(self) -> int:
        return sum(map(len, list(self._tasks.values())))

    def start(
        self,
        work: Callable[[], Awaitable[None]],
        ended: Callable[[], None] | None = None,
        flight: InFlight | None = None,
    ) -> None:
        """Start ``work`` in the running event loop, and call ``ended`` when it has ended, however it ended.

        Args:
            work: Raises nothing.
            ended: Called even if the work was cancelled before its first step.
            flight: The fetch that the work makes, whose cancel scope it runs in, or ``None``.
        """
        self._forget_lost()
        loop = running_loop()
        mine = self._tasks.setdefault(loop, set())
        entry = _Task(anyio.CancelScope() if flight is None else flight.scope, flight)

        async def run() -> None:
            with entry.scope:
                # A cancellation is delivered at the first await, and by then the work may have opened a connection.
                if not entry.scope.cancel_called:
                    await work()

        def finished(_: object = None) -> None:
            mine.discard(entry)
            if not mine and self._tasks.get(loop) is mine:
                del self._tasks[loop]
            if ended is not None:
                ended()
            self._closing.notify()

        mine.add(entry)
        if in_trio():
            from trio.lowlevel import spawn_system_task  # noqa: PLC0415  # only for users of trio

            async def run_system() -> None:
                try:
                    await run()
                finally:
                    finished()

            spawn_system_task(run_system, name="smsc_async fetch", context=contextvars.copy_context())
        else:
            from asyncio import get_running_loop  # noqa: PLC0415  # already imported, since its loop runs

            entry.task = get_running_loop().create_task(run(), name="smsc_async fetch")
            entry.task.add_done_callback(finished)

    async def aclose(self) -> None:
        """Cancel the tasks of the running event loop, and return when they have ended; forget the others."""
        self.is_closed = True
        self._forget_lost()
        loop = running_loop()
        mine = self._tasks.get(loop, set())
        self._tasks = {loop: mine} if mine else {}
        connecting = {each for each in mine if each.flight is not None and each.flight.is_connecting}
        for each in mine - connecting:
            each.scope.cancel()
        with self._closing.new() as waiter, anyio.CancelScope(shield=True):
            await _wait_for(waiter, mine, connecting)
            for each in list(mine):
                each.scope.cancel()
            await _wait_for(waiter, mine, mine)

    def _forget_lost(self) -> None:
        if self._pid != os.getpid():
            self._tasks, self._pid = {}, os.getpid()
        # list() is one step: other threads may add their loops meanwhile.
        for loop in list(self._tasks):
            if is_closed_loop(loop):
                self._tasks.pop(loop, None)


async def _wait_for(waiter: Waiter, running: set[_Task], tasks: set[_Task]) -> None:
    until = now() + _PATIENCE
    while running & tasks and (left := until - now()) > 0:
        await waiter.wait(left)
