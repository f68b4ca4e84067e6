"""A thread that does the blocking work of a store, one job after the other, for any number of event loops.

Invariants:

- A job waits as long as ``PATIENCE`` for each lock of another process. If it waits in vain, the jobs behind it that have waited
  for their turn as long fail too, so the errors of many jobs come after twice ``PATIENCE``.
- A pause of this process and a slow disk make no job fail.
- The thread is a daemon and ends by itself if it has nothing to do: it never keeps a process from ending.
- A job whose caller was cancelled is undone after it was done.
- No fork happens during a job, nor while a resource of the jobs is open.
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
from typing import Final, TypeVar

from smsc_async.errors import StoreError
from smsc_async.limiter.waiter import new_waiter

T = TypeVar("T")

# Seconds for which a job waits for a lock of another process, and for its turn if the job before it failed.
PATIENCE: Final = 0.45
_IDLE_SECONDS: Final = 5.0


class Worker:
    """Runs jobs in a thread of their own.

    Args:
        release: Closes the resources of the jobs; called in the thread when it ends.
        name: The name of the thread.
    """

    def __init__(self, release: Callable[[], None], name: str) -> None:
        self._release = release
        self._name = name
        self.after_fork()
        _all.add(self)

    def before_fork(self) -> None:
        """Wait for the current job, close the resources, and let no other job begin until ``after_fork_in_parent``."""
        self._working.acquire()
        self._release()

    def after_fork_in_parent(self) -> None:
        """Let jobs begin again, in the parent process."""
        self._working.release()

    def after_fork(self) -> None:
        """Start from nothing in a child process, in which the thread does not run."""
        self._lock = threading.Lock()
        self._working = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._serving = False
        self._failed = False  # the last job

    async def run(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Return what ``work`` returns.

        If the caller is cancelled, the work is done all the same and then undone by ``undo``, if any.

        Raises:
            Exception: The exception of ``work``.
            StoreError: The job waited too long for its turn, and the one before it failed.
            RuntimeError: No thread can be started now.
        """
        due, waiter = time.monotonic() + PATIENCE, new_waiter()
        results: list[tuple[T] | Exception] = []

        def do_work() -> None:
            try:
                is_late = self._failed and time.monotonic() > due
                results.append(StoreError("the store was busy for too long: try again") if is_late else (work(),))
            except Exception as error:  # noqa: BLE001  # the caller raises it
                results.append(error)
            self._failed = isinstance(results[0], Exception)
            waiter.notify()

        def undo_work() -> None:
            for result in results:
                # No caller is left for an error; a permit ends with its lease.
                with contextlib.suppress(Exception):
                    if undo is not None and isinstance(result, tuple):
                        undo(*result)

        self._put(do_work)
        try:
            while not results:
                await waiter.wait(math.inf)
        except BaseException:
            self._put(undo_work)  # a job that comes after the work
            raise
        (result,) = results
        if isinstance(result, Exception):
            raise result
        return result[0]

    def close(self) -> None:
        """End the thread after all jobs, and return when it has ended."""
        with self._lock:
            thread = self._thread
            if self._serving:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _put(self, call: Callable[[], None]) -> None:
        with self._lock:
            if not self._serving:
                thread = threading.Thread(target=self._serve, args=(self._thread,), name=self._name, daemon=True)
                thread.start()  # may fail, and then nothing has changed
                self._thread, self._serving = thread, True
            self._queue.put(call)

    def _serve(self, former: threading.Thread | None) -> None:
        if former is not None:
            former.join()  # the former thread closes what this one is about to open
        while (call := self._next()) is not None:
            with self._working:
                call()
        with self._working:
            self._release()

    def _next(self) -> Callable[[], None] | None:
        call = None
        with contextlib.suppress(Empty):
            call = self._queue.get(timeout=_IDLE_SECONDS)
        if call is None:
            with self._lock:
                # A job that was added since the timeout is still done here.
                call = None if self._queue.empty() else self._queue.get()
                self._serving = call is not None
        return call


_all: Final[weakref.WeakSet[Worker]] = weakref.WeakSet()
# Held during a fork, together with the workers that pause for it.
_forking = threading.Lock()
_paused: Final[list[Worker]] = []


def _before_fork() -> None:
    _forking.acquire()
    for worker in list(_all):
        _paused.append(worker)
        worker.before_fork()


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().after_fork_in_parent()
    _forking.release()


def _after_fork() -> None:
    global _forking  # noqa: PLW0603
    _forking = threading.Lock()
    _paused.clear()
    for worker in list(_all):
        worker.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
