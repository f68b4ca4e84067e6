"""The clock of the limiter and the stores.

Every instant in the library is a reading of this clock, so instants of different event loops, threads and processes of
one machine can be compared. The clock counts the time that the machine sleeps: a token must be free again, and a lockout
must be over, after a night in which the machine was suspended. ``time.monotonic()`` stops during sleep on Linux and macOS.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

system_now: Callable[[], float] = time.monotonic  # Windows
"""Returns seconds since the boot, the time of sleep included."""
if sys.platform == "linux":
    system_now = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
elif sys.platform == "darwin":  # pragma: no cover  # macOS
    # Python's time.monotonic() is mach_absolute_time() here, which stops during sleep; this POSIX clock does not.
    system_now = partial(time.clock_gettime, time.CLOCK_MONOTONIC)

_read: Callable[[], float] = system_now


def now() -> float:
    """Return seconds on the clock of the library, which is never the wall clock."""
    return _read()


def use_clock(read: Callable[[], float]) -> None:
    """Replace the clock of the whole process: for tests in virtual time, which must supply the time of their event loop.

    Args:
        read: Returns seconds; is called in any thread, with or without an event loop.
    """
    global _read  # noqa: PLW0603  # one clock for each process is the point
    _read = read
