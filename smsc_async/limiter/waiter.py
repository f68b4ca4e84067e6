"""A place where one task sleeps until any thread wakes it.

anyio's events belong to one loop, and a store is shared by all loops of a process: hence the two small native sleeps
here. Asyncio's is a bare future with a timer, which also costs a third of a cancel scope around an event.

Invariants: a wake that comes before the sleep is kept; everything but ``wake`` runs in the loop of the sleeper.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import trio

__all__ = ["Waiter", "call_in_loop", "in_trio", "is_closed_loop", "is_other_closed_loop", "new_waiter", "running_loop"]


class Waiter(Protocol):
    """One task's place."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` (``inf``: never by itself), or as soon as woken; at once if woken before."""
        ...

    def wake(self) -> bool:
        """End the sleep, from any thread; ``False`` where nobody can be woken any more, since the loop is closed."""
        ...

    def is_lost(self) -> bool:
        """Whether nobody can be woken any more, to be asked from any event loop."""
        ...


class _AsyncioWaiter:
    __slots__ = ("_future", "_loop", "_woken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._woken = False

    async def sleep(self, seconds: float) -> None:
        if not self._woken:
            self._future = self._loop.create_future()
            timer = None if seconds == math.inf else self._loop.call_later(seconds, self._rouse)
            try:
                await self._future
            finally:
                self._future = None
                if timer is not None:
                    timer.cancel()
        self._woken = False

    def wake(self) -> bool:
        try:
            if asyncio.get_running_loop() is self._loop:
                self._rouse()
                return True
        except RuntimeError:  # no loop in this thread
            pass
        try:
            self._loop.call_soon_threadsafe(self._rouse)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def is_lost(self) -> bool:
        return self._loop.is_closed()

    def _rouse(self) -> None:
        self._woken = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _TrioWaiter:
    __slots__ = ("_event", "_thread", "_token", "_trio")

    def __init__(self) -> None:
        import trio  # noqa: PLC0415  # only for those who run it

        self._trio = trio
        self._token: trio.lowlevel.TrioToken = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._event = trio.Event()

    async def sleep(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds):
            await self._event.wait()
        self._event = self._trio.Event()

    def wake(self) -> bool:
        try:
            if threading.get_ident() == self._thread:
                self._rouse()
            else:
                self._token.run_sync_soon(self._rouse)
        except RuntimeError:  # the run is over
            return False
        return True

    def is_lost(self) -> bool:
        return is_other_closed_loop(self._token)

    def _rouse(self) -> None:
        self._event.set()  # whichever it is by then


def new_waiter() -> Waiter:
    """Return a place for the running task.

    Raises:
        RuntimeError: No event loop of asyncio or trio is running in this thread.
    """
    return _TrioWaiter() if in_trio() else _AsyncioWaiter()


def in_trio() -> bool:
    """Whether the caller is a task of trio's; where not, the loop is asyncio's."""
    # Not imported: that alone would take longer than all else that is done for a waiter.
    lowlevel: Any = getattr(sys.modules.get("trio"), "lowlevel", None)
    return lowlevel is not None and bool(lowlevel.in_trio_task())


def running_loop() -> Hashable:
    """Return what stands for the running event loop, of asyncio or trio.

    Raises:
        RuntimeError: None is running in this thread.
    """
    if in_trio():
        from trio.lowlevel import current_trio_token  # noqa: PLC0415  # only for those who run it

        return current_trio_token()
    return asyncio.get_running_loop()


def is_other_closed_loop(loop: Hashable) -> bool:
    """Whether a loop is over; to be asked in an event loop, which is not itself."""
    return loop != running_loop() and is_closed_loop(loop)


def is_closed_loop(loop: Hashable) -> bool:
    """Whether nothing will ever run again in that loop; to be asked from any thread."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_closed()
    from trio import RunFinishedError, lowlevel  # noqa: PLC0415  # it is loaded: the loop is its token

    assert isinstance(loop, lowlevel.TrioToken)
    try:
        loop.run_sync_soon(bool)
    except RunFinishedError:
        return True
    return False


def call_in_loop(loop: Hashable, call: Callable[[], object]) -> None:
    """Call ``call`` in an event loop, from any thread; at once if that loop runs here, never if it is closed."""
    if loop == running_loop():
        call()
        return
    with suppress(RuntimeError):  # the loop is closed
        if isinstance(loop, asyncio.AbstractEventLoop):
            loop.call_soon_threadsafe(call)
        else:
            cast("trio.lowlevel.TrioToken", loop).run_sync_soon(call)
