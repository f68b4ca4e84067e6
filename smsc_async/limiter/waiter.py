"""The suspension of one task until another task or thread notifies it.

The events of anyio belong to one event loop, and all loops of a process share a store: hence the two small native waiters
here. The one for asyncio is a bare future with a timer: the garbage collector may close the coroutine of a task whose loop
is closed, and asyncio's cancel scopes of anyio cannot be left there.

Invariants: a notification that comes before the wait ends the next wait; everything except ``notify`` and ``is_lost`` runs
in the event loop of the waiting task.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio

if TYPE_CHECKING:
    import asyncio

    import trio


class Waiter(Protocol):
    """The suspension of one task."""

    _loop: Any

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    async def wait(self, seconds: float) -> None:
        """Return after ``seconds`` (``inf``: no limit) or on a notification; at once if the notification came before."""
        ...

    def _end_wait(self) -> None: ...

    def notify(self) -> bool:
        """End the wait, from any thread; return ``False`` if the task's event loop is closed."""
        return call_in_loop(self._loop, self._end_wait)

    def is_lost(self) -> bool:
        """Whether the task's event loop is closed; callable in any thread."""
        return is_closed_loop(self._loop)


class _AsyncioWaiter(Waiter):
    _loop: asyncio.AbstractEventLoop

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._future: asyncio.Future[None] | None = None
        self._notified = False

    async def wait(self, seconds: float) -> None:
        if not self._notified:
            self._future = self._loop.create_future()
            timer = None if seconds == math.inf else self._loop.call_later(seconds, self._end_wait)
            try:
                await self._future
            finally:
                self._future = None
                if timer is not None:
                    timer.cancel()
        self._notified = False

    def _end_wait(self) -> None:
        self._notified = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _TrioWaiter(Waiter):
    def __init__(self, loop: trio.lowlevel.TrioToken) -> None:
        super().__init__(loop)
        self._event = anyio.Event()

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()

    def _end_wait(self) -> None:
        self._event.set()  # read here, since wait() replaces the event


def new_waiter() -> Waiter:
    """Return a waiter for the current task.

    Raises:
        RuntimeError: No event loop of asyncio or trio is running in this thread.
    """
    loop: Any = running_loop()
    return _AsyncioWaiter(loop) if hasattr(loop, "create_future") else _TrioWaiter(loop)


class Waiters:
    """The tasks that wait for the same event, in any threads and event loops."""

    def __init__(self) -> None:
        self._waiters: set[Waiter] = set()

    @contextmanager
    def new(self) -> Generator[Waiter]:
        """Return a waiter for the current task, which every notification reaches until the block ends."""
        waiter = new_waiter()
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def notify(self) -> None:
        """End the waits of all tasks, from any thread."""
        # list() is one step: other threads may begin and end their waits meanwhile.
        for waiter in list(self._waiters):
            waiter.notify()


def in_trio() -> bool:
    """Whether the caller runs in trio; if not, the event loop is asyncio's."""
    # No import: importing trio would take longer than everything else that a waiter costs.
    # httpcore imports any trio that is installed, also one before 0.23, which lacks the function.
    in_trio_task: Any = getattr(getattr(sys.modules.get("trio"), "lowlevel", None), "in_trio_task", None)
    return in_trio_task is not None and bool(in_trio_task())


def running_loop() -> Hashable:
    """Return an object that identifies the running event loop: the loop of asyncio, or the token of trio.

    Raises:
        RuntimeError: No event loop is running in this thread.
    """
    if in_trio():
        from trio.lowlevel import current_trio_token  # noqa: PLC0415  # only for programs that use it

        return current_trio_token()
    from asyncio import get_running_loop  # noqa: PLC0415  # already imported, if there is a loop

    return get_running_loop()


def is_closed_loop(loop: Hashable) -> bool:
    """Whether an event loop is closed; callable in any thread."""
    is_closed: Callable[[], bool] | None = getattr(loop, "is_closed", None)
    # Nothing but a call shows whether a run of trio is over.
    return is_closed() if is_closed is not None else not call_in_loop(loop, bool)


def call_in_loop(loop: Any, call: Callable[[], object]) -> bool:
    """Call ``call`` in an event loop, from any thread; at once if that loop runs here. Return ``False`` if it is closed."""
    is_here = False
    with suppress(RuntimeError):  # no loop runs here: the garbage collector ends a task of a loop that is over
        is_here = loop == running_loop()
    try:
        if is_here:
            call()
        else:
            post = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
            post(call)
    except RuntimeError:  # the loop is closed
        return False
    return True
