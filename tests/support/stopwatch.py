"""A stopwatch that subtracts the time in which the machine did not let this process run.

Use it for promises in seconds ("ends by its deadline"): the waits of the code count in full, the pauses of a busy or suspended
machine do not. A thread beside the code under test sleeps for a few milliseconds, again and again. A sleep that takes many
times as long was a stall. Code that blocks an event loop still counts, because the thread continues beside it.
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
# The longest sleep that is no stall: more than the interpreter needs to switch threads twice.
_LONGEST: Final = 3 * _TICK


class Stopwatch:
    """The measurements of a thread beside the block.

    Attributes:
        seconds: The duration of the block in seconds, without stalls; 0 until it ends.
        stalled: The duration of its stalls in seconds.
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
    """Yield a stopwatch that runs while the block does.

    A test may read ``stalled`` inside of the block, to wait that much longer.
    """
    watch = Stopwatch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
