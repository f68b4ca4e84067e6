"""A thread that does the blocking work of a store, one job after the other, for any number of event loops.

Invariants: a job ends within twice ``PATIENCE`` whatever the work waits for; the thread is a daemon and ends by itself
when there is nothing to do, so it never keeps a process from ending; a job whose caller is gone when it is done is
undone; no process is forked in the middle of a job, nor with what the jobs have opened.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from smsc_async.errors import StoreError
from smsc_async.limiter.waiter import new_waiter

__all__ = ["PATIENCE", "Worker"]

T = TypeVar("T")

# Seconds that a job may wait for its turn, and as many for a lock of another process.
PATIENCE: Final = 0.45
_IDLE_SECONDS: Final = 5.0


class _Job(Generic[T]):
    """Something to do in the thread."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._work = work
        self._undo = undo
        self._due = time.monotonic() + PATIENCE
        self._lock = threading.Lock()
        self._wanted = True
        self.waiter: Final = new_waiter()
        self.ended: tuple[T] | Exception | None = None

    def run(self) -> None:
        """Do it, in the thread."""
        ended: tuple[T] | Exception
        try:
            ended = (self._work(),) if time.monotonic() <= self._due else StoreError("it has been busy for too long")
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller has to see it
            ended = error
        with self._lock:
            self.ended = ended
            wanted = self._wanted
        if wanted:
            self.waiter.wake()
        else:
            self.take_back()

    def abandon(self) -> bool:
        """Have it undone, since nobody wants it any more; ``True`` where the thread is past seeing to that."""
        with self._lock:
            self._wanted = False
            return self.ended is not None

    def take_back(self) -> None:
        """Undo it, in the thread."""
        if self._undo is not None and isinstance(self.ended, tuple):
            # Nobody is left to be told of an error; what was taken has a lease.
            with contextlib.suppress(Exception):
                self._undo(*self.ended)


class Worker:
    """Runs jobs in a thread of their own.

    Args:
        release: Called in the thread when it ends: what the jobs opened is to be closed.
        name: Of the thread.
    """

    def __init__(self, release: Callable[[], None], name: str) -> None:
        self._release = release
        self._name = name
        self.after_fork()
        _all.add(self)

    def before_fork(self) -> None:
        """Wait for the job under way, close what is open, and let no other job begin until ``after_fork_here``."""
        self._at_work.acquire()
        self._release()

    def after_fork_here(self) -> None:
        """Go on in the parent process."""
        self._at_work.release()

    def after_fork(self) -> None:
        """Go on in a child process, where the thread is not."""
        self._lock = threading.Lock()
        self._at_work = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._serving = False

    async def run(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Return what ``work`` returns.

        It is done even where the caller is cancelled while it waits, and then undone by ``undo``, if any.

        Raises:
            Exception: What ``work`` raised.
            StoreError: Its turn has not come in time.
        """
        job = _Job(work, undo)
        self._put(job.run)
        try:
            while job.ended is None:
                await job.waiter.sleep(math.inf)
        except BaseException:
            if job.abandon():
                self._put(job.take_back)
            raise
        if isinstance(job.ended, Exception):
            raise job.ended
        return job.ended[0]

    def close(self) -> None:
        """End the thread once all jobs are done, and return when it has ended."""
        with self._lock:
            thread = self._thread
            if self._serving:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _put(self, call: Callable[[], None]) -> None:
        with self._lock:
            self._queue.put(call)
            if not self._serving:
                self._serving = True
                self._thread = threading.Thread(target=self._serve, args=(self._thread,), name=self._name, daemon=True)
                self._thread.start()

    def _serve(self, former: threading.Thread | None) -> None:
        if former is not None:
            former.join()  # it is releasing what this one is about to open
        while (call := self._next()) is not None:
            with self._at_work:
                call()
        with self._at_work:
            self._release()

    def _next(self) -> Callable[[], None] | None:
        call = None
        with contextlib.suppress(Empty):
            call = self._queue.get(timeout=_IDLE_SECONDS)
        if call is None:
            with self._lock:
                # What was put while this made up its mind is still done here.
                call = None if self._queue.empty() else self._queue.get()
                self._serving = call is not None
        return call


_all: Final[weakref.WeakSet[Worker]] = weakref.WeakSet()
# Held while a process is forked, with those who are at rest meanwhile.
_forking = threading.Lock()
_resting: Final[list[Worker]] = []


def _before_fork() -> None:
    _forking.acquire()
    for worker in list(_all):
        _resting.append(worker)
        worker.before_fork()


def _after_fork_here() -> None:
    while _resting:
        _resting.pop().after_fork_here()
    _forking.release()


def _after_fork() -> None:
    global _forking  # noqa: PLW0603
    _forking = threading.Lock()
    _resting.clear()
    for worker in list(_all):
        worker.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_here, after_in_child=_after_fork)
