"""How long something took, less the time in which the machine did not let this process run.

A promise in seconds ("ends by its deadline") is judged by it: what the code waits for counts in full, a machine that is
busy with other things, or asleep, does not. Beside the code under test a thread sleeps a few milliseconds over and over; a
sleep that takes many times as long was a stall. Work of our own that blocks an event loop is still counted: the thread goes
on beside it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["Stopwatch", "stopwatch"]

_TICK: Final = 0.005
# What one sleep counts for at most: more than the interpreter takes to change threads twice.
_LONGEST: Final = 3 * _TICK


class Stopwatch:
    """What a thread beside the block has seen.

    Attributes:
        seconds: How long the block took, without stalls; 0 until it ends.
        stalled: How long the stalls in it were.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.stalled = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="stopwatch")
        self._began = self._at = 0.0
        self._ended = math.inf

    def start(self) -> None:
        self._began = self._at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._ended = time.monotonic()
        self._over.set()
        self._thread.join()
        self.seconds = self._ended - self._began - self.stalled

    def _tick(self) -> None:
        is_closed_loop = False
        while not is_closed_loop:
            is_closed_loop = self._over.wait(_TICK)
            now = min(time.monotonic(), self._ended)
            self.stalled += max(0.0, now - self._at - _LONGEST)
            self._at = now


@contextmanager
def stopwatch() -> Generator[Stopwatch]:
    """Give a watch that runs while the block does.

    A test may ask its ``stalled`` meanwhile, for what it has to wait longer.
    """
    watch = Stopwatch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
