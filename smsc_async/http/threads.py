"""Blocking work in threads that the library owns.

The application's pool may be full of threads that wait for calls of this library (P2), so the library never borrows one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import anyio.lowlevel
import anyio.to_thread

__all__ = ["run_in_own_thread"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Decoding holds the interpreter lock, so more threads gain nothing.
_THREADS: Final = 2
# A name in quotes, because anyio imports half of itself for the class.
_limiter: Final = anyio.lowlevel.RunVar["anyio.CapacityLimiter"]("smsc_async threads")


async def run_in_own_thread(func: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return ``func(*args)``, computed in a thread that counts towards no limit of the application."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(func, *args, abandon_on_cancel=True, limiter=limiter)
