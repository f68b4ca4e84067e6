"""The judge of the quota: it knows only what the server saw, and nothing of how a client counts.

Each function takes the exchanges of one login, in any order: pairs of when the request arrived and when the exchange was
over (``None`` while it is not), in seconds of the server's clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import TypeAlias

Exchange: TypeAlias = tuple[float, float | None]


def windows_broken(exchanges: Iterable[Exchange], *, requests: int = 3, per: float = 60.0) -> list[tuple[float, ...]]:
    """Return every run of ``requests + 1`` arrivals that fits into a window of ``per`` seconds; empty when none does.

    The window slides and is half open: an arrival exactly ``per`` seconds after another is in the next one.
    """
    arrivals = sorted(arrived for arrived, _ in exchanges)
    runs = (tuple(arrivals[i : i + requests + 1]) for i in range(len(arrivals) - requests))
    return [run for run in runs if run[-1] - run[0] < per]


def peak_in_progress(exchanges: Iterable[Exchange]) -> int:
    """Return how many exchanges were in progress at once, at most.

    An exchange that ends at the instant at which another begins makes room for it. One that takes no time at all meets
    those in progress at its instant, and no other such.
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
