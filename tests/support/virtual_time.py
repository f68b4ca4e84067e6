"""Event loops that don't sleep: when every task waits for the clock, the clock jumps to the next timer.

In a module that needs virtual time on asyncio and trio (each test gets a new clock):

    @pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
    def anyio_backend(request: pytest.FixtureRequest) -> Backend:
        make: Callable[[], Backend] = request.param
        return make()

In a Hypothesis test, which needs a loop for every example: ``run_virtual("trio", async_function, *arguments)``.

Invariants: time never goes back, and it stands still while a task waits for a worker thread
(``anyio.to_thread.run_sync`` called by that name, ``asyncio.to_thread``, ``loop.run_in_executor``), so that a slow
thread never looks like a missed deadline. The clock does not know other threads and other processes: a test that talks to them
needs real time. So does a worker thread that calls back into the loop and sleeps there.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from typing import Final, Literal, TypeAlias, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import trio
from trio.testing import MockClock

from smsc_async.limiter.clock import system_now, use_clock

Backend: TypeAlias = tuple[str, dict[str, object]]
BackendName: TypeAlias = Literal["asyncio", "trio"]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BACKEND_NAMES: Final[tuple[BackendName, ...]] = ("asyncio", "trio")

# Not zero, and not the value of a real clock: code that mixes two clocks, or uses 0.0 for "never", then fails a test.
START_SECONDS: Final = 1_000.0
# Seconds between two looks at a worker thread.
_POLL_SECONDS: Final = 0.0005


class _Awaited(threading.local):
    """The number of worker threads that the loop of this thread waits for."""

    threads = 0


_awaited = _Awaited()
_real_run_sync = anyio.to_thread.run_sync


async def _counted_run_sync(
    func: Callable[[*Ts], T],
    *args: *Ts,
    abandon_on_cancel: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> T:
    # Counted here, not in the thread: the clock must not jump between the end of the thread and the loop's callback either.
    _awaited.threads += 1
    try:
        return await _real_run_sync(func, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
    finally:
        _awaited.threads -= 1


anyio.to_thread.run_sync = _counted_run_sync  # type: ignore[assignment]  # less `cancellable`, which is deprecated


@contextlib.contextmanager
def standing_still() -> Generator[None]:
    """Let virtual time stand still while the block waits for a real socket."""
    _awaited.threads += 1
    try:
        yield
    finally:
        _awaited.threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that advances its clock instead of waiting for a timer."""

    now = START_SECONDS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(_POLL_SECONDS if _awaited.threads else 0)
        if not ready and not _awaited.threads:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose ``time()`` starts at ``START_SECONDS`` and jumps from timer to timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        _awaited.threads += 1
        future.add_done_callback(_one_thread_less)
        return future

    async def shutdown_default_executor(self, _timeout: float | None = None) -> None:
        # Without the time limit that asyncio has since Python 3.12: the clock would jump to its end at once.
        await super().shutdown_default_executor()


def _one_thread_less(_future: asyncio.Future[T]) -> None:
    _awaited.threads -= 1


def virtual_now() -> float:
    """Return the time of the virtual event loop of this thread, or the system's if there is none."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return loop.time() if isinstance(loop, VirtualTimeLoop) else system_now()
    try:
        clock = trio.lowlevel.current_clock()
    except RuntimeError:
        return system_now()
    return clock.current_time() if isinstance(clock, MockClock) else system_now()


# The library has one clock for all event loops; in virtual time it must be the one by which the loop sleeps.
use_clock(virtual_now)


def virtual_clock() -> MockClock:
    """Return a trio clock that starts at ``START_SECONDS`` and jumps; good for one run."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(START_SECONDS)
    jump = clock._autojump  # pyright: ignore[reportPrivateUsage]  # the only place that can delay a jump

    def jump_unless_a_thread_works() -> None:
        if _awaited.threads:
            time.sleep(_POLL_SECONDS)
        else:
            jump()

    # On the instance, since MockClock is final.
    clock._autojump = jump_unless_a_thread_works  # type: ignore[method-assign] # pyright: ignore[reportPrivateUsage]
    return clock


def virtual_asyncio() -> Backend:
    """Return the anyio backend for asyncio in virtual time."""
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def virtual_trio() -> Backend:
    """Return the anyio backend for one run on trio in virtual time: its clock must not be used twice."""
    return "trio", {"clock": virtual_clock()}


VIRTUAL: Final[tuple[Callable[[], Backend], ...]] = (virtual_asyncio, virtual_trio)
VIRTUAL_IDS: Final = ("virtual-asyncio", "virtual-trio")


def run_virtual(backend: BackendName, func: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Run ``func(*args)`` in a new event loop with virtual time, and return its result."""
    name, options = virtual_asyncio() if backend == "asyncio" else virtual_trio()
    return anyio.run(func, *args, backend=name, backend_options=options)
