"""The suspension of one task until another task or thread notifies it.

The events of anyio belong to one event loop, and all loops of a process share a store: hence the two small native waiters
here. The one for asyncio is a bare future with a timer, which also costs a third of a cancel scope around an event.

Invariants: a notification that comes before the wait ends the next wait; everything except ``notify`` and ``is_lost`` runs
in the event loop of the waiting task.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import asyncio

    import trio


class Waiter(Protocol):
    """The suspension of one task."""

    async def wait(self, seconds: float) -> None:
        """Return after ``seconds`` (``inf``: no limit) or on a notification; at once if the notification came before."""
        ...

    def notify(self) -> bool:
        """End the wait, from any thread; return ``False`` if the task's event loop is closed."""
        ...

    def is_lost(self) -> bool:
        """Whether the task's event loop is closed; callable in any event loop."""
        ...


class _AsyncioWaiter:
    __slots__ = ("_future", "_loop", "_notified", "_running_loop")

    def __init__(self) -> None:
        # asyncio takes a tenth of the time in which the package is imported, and a program that runs its loop has imported it.
        from asyncio import get_running_loop  # noqa: PLC0415

        self._running_loop = get_running_loop
        self._loop = get_running_loop()
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

    def notify(self) -> bool:
        try:
            if self._running_loop() is self._loop:
                self._end_wait()
                return True
        except RuntimeError:  # no event loop in this thread
            pass
        try:
            self._loop.call_soon_threadsafe(self._end_wait)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def is_lost(self) -> bool:
        return self._loop.is_closed()

    def _end_wait(self) -> None:
        self._notified = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _TrioWaiter:
    __slots__ = ("_event", "_thread", "_token", "_trio")

    def __init__(self) -> None:
        import trio  # noqa: PLC0415  # only for programs that use it

        self._trio = trio
        self._token: trio.lowlevel.TrioToken = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._event = trio.Event()

    async def wait(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds):
            await self._event.wait()
        self._event = self._trio.Event()

    def notify(self) -> bool:
        try:
            if threading.get_ident() == self._thread:
                self._end_wait()
            else:
                self._token.run_sync_soon(self._end_wait)
        except RuntimeError:  # the run is over
            return False
        return True

    def is_lost(self) -> bool:
        return is_other_closed_loop(self._token)

    def _end_wait(self) -> None:
        self._event.set()  # read here, since wait() replaces the event


def new_waiter() -> Waiter:
    """Return a waiter for the current task.

    Raises:
        RuntimeError: No event loop of asyncio or trio is running in this thread.
    """
    return _TrioWaiter() if in_trio() else _AsyncioWaiter()


def in_trio() -> bool:
    """Whether the caller runs in trio; if not, the event loop is asyncio's."""
    # No import: importing trio would take longer than everything else that a waiter costs.
    # httpcore imports any trio that is installed, also one before 0.23, which lacks the function.
    in_trio_task: Any = getattr(getattr(sys.modules.get("trio"), "lowlevel", None), "in_trio_task", None)
    return in_trio_task is not None and bool(in_trio_task())


def running_loop() -> Hashable:
    """Return an object that identifies the running event loop, of asyncio or trio.

    Raises:
        RuntimeError: No event loop is running in this thread.
    """
    if in_trio():
        from trio.lowlevel import current_trio_token  # noqa: PLC0415  # only for programs that use it

        return current_trio_token()
    from asyncio import get_running_loop  # noqa: PLC0415  # already imported, if there is a loop

    return get_running_loop()


def is_other_closed_loop(loop: Hashable) -> bool:
    """Whether an event loop is closed; the caller runs in an event loop, which is not closed."""
    return loop != running_loop() and is_closed_loop(loop)


def is_closed_loop(loop: Hashable) -> bool:
    """Whether an event loop is closed; callable in any thread."""
    from asyncio import AbstractEventLoop  # noqa: PLC0415  # as above

    if isinstance(loop, AbstractEventLoop):
        return loop.is_closed()
    from trio import RunFinishedError, lowlevel  # noqa: PLC0415  # already imported: the loop is its token

    assert isinstance(loop, lowlevel.TrioToken)
    try:
        loop.run_sync_soon(bool)
    except RunFinishedError:
        return True
    return False


def call_in_loop(loop: Hashable, call: Callable[[], object]) -> None:
    """Call ``call`` in an event loop, from any thread; at once if that loop runs here, never if it is closed."""
    try:
        is_here = loop == running_loop()
    except RuntimeError:  # no loop runs here: the garbage collector ends a task of a loop that is over
        is_here = False
    if is_here:
        call()
        return
    from asyncio import AbstractEventLoop  # noqa: PLC0415  # as above

    with suppress(RuntimeError):  # the loop is closed
        if isinstance(loop, AbstractEventLoop):
            loop.call_soon_threadsafe(call)
        else:
            cast("trio.lowlevel.TrioToken", loop).run_sync_soon(call)
