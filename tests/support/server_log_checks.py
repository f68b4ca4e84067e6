"""Checks of the quota that use only the server's log, and nothing of how a client counts.

Each function takes the exchanges of one login in any order. An exchange is a pair of instants of the server's clock, in seconds:
the arrival of the request, and the end of the exchange (``None`` if it is in progress).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import TypeAlias

Exchange: TypeAlias = tuple[float, float | None]


def windows_broken(exchanges: Iterable[Exchange], *, requests: int = 3, per: float = 60.0) -> list[tuple[float, ...]]:
    """Return every run of ``requests + 1`` arrivals that fits into a window of ``per`` seconds; empty if none does.

    The window slides and is half open: an arrival exactly ``per`` seconds after another is in the next window.
    """
    arrivals = sorted(arrived for arrived, _ in exchanges)
    runs = (tuple(arrivals[i : i + requests + 1]) for i in range(len(arrivals) - requests))
    return [run for run in runs if run[-1] - run[0] < per]


def peak_in_progress(exchanges: Iterable[Exchange]) -> int:
    """Return the largest number of exchanges that were in progress at the same time.

    An exchange that ends at the instant at which another begins does not overlap it. An exchange without duration overlaps the
    exchanges in progress at its instant, but no other exchange without duration.
    """
    log = sorted((arrived, arrived == over, math.inf if over is None else over) for arrived, over in exchanges)
    peak = 0
    in_progress: list[float] = []
    for arrived, takes_no_time, over in log:
        if over < arrived:
            raise ValueError(f"an exchange that arrived at {arrived} cannot be over at {over}")
        while in_progress and in_progress[0] <= arrived:
            heapq.heappop(in_progress)
        peak = max(peak, len(in_progress) + 1)
        if not takes_no_time:
            heapq.heappush(in_progress, over)
    return peak
