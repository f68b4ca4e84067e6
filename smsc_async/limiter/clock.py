"""The clock that the limiter counts by."""

from __future__ import annotations

import sys
import time
from asyncio import get_running_loop

__all__ = ["now"]


def now() -> float:
    """Return seconds on the monotonic clock by which the running event loop sleeps.

    Never the wall clock, which steps. On a real loop this is ``time.monotonic()`` whatever the loop, so that instants
    can be compared between loops and threads that share a store; a loop with a clock of its own (a test's) is followed.
    """
    try:
        return get_running_loop().time()
    except RuntimeError:
        pass
    if "trio" in sys.modules:
        from trio.lowlevel import current_clock  # noqa: PLC0415  # only for those who run it

        try:
            clock = current_clock()
        except RuntimeError:
            return time.monotonic()
        # trio's own clock starts at a random offset, so that nobody compares it between runs: we have to.
        if type(clock).__name__ != "SystemClock":
            return clock.current_time()
    return time.monotonic()
