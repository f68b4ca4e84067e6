"""Paired measurements: the contenders run in turns, so that other work of the machine slows all of them alike."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs


@attrs.frozen
class Line:
    """A line of the table.

    Attributes:
        what: The work.
        ours: The time of this library, as text.
        peer: The name of the peer.
        theirs: The time of the peer, as text.
        ratio: Ours by theirs, or ``None`` if there is no peer or it is not installed.
        aim: The goal for the ratio, or for ours. It is printed, and is not on the page.
    """

    what: str
    ours: str
    peer: str = ""
    theirs: str = ""
    ratio: float | None = None
    aim: str = ""


class Seconds:
    """The seconds of each contender in each round."""

    def __init__(self, of: Mapping[str, list[float]]) -> None:
        self._of = of

    def median(self, name: str) -> float:
        return statistics.median(self._of[name])

    def ratio(self, ours: str, theirs: str) -> float:
        """The median of the ratios, each of one round."""
        return statistics.median(a / b for a, b in zip(self._of[ours], self._of[theirs], strict=True))

    def line(self, what: str, ours: str, theirs: str, *, each: int = 1, aim: str = "") -> Line:
        """The line for two contenders that did the work ``each`` times."""
        a, b = (duration(self.median(name) / each) for name in (ours, theirs))
        return Line(what, a, theirs, b, self.ratio(ours, theirs), aim)


def in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Seconds:
    """Let each contender measure itself once in each round; each round begins with another one."""
    names = list(contenders)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            gc.freeze()  # the other imports of this process are not part of the cost
            taken[name].append(contenders[name]())
    gc.unfreeze()
    return Seconds(taken)


def in_loop(work: Callable[[], Coroutine[Any, Any, float]]) -> Callable[[], float]:
    """Return a contender that measures itself in an event loop of its own."""
    return lambda: asyncio.run(work())


def timed(call: Callable[[], object], times: int) -> Callable[[], float]:
    """Return a contender that calls ``call`` that many times."""

    def run() -> float:
        repeat = range(times)
        began = time.perf_counter()
        for _ in repeat:
            call()
        return time.perf_counter() - began

    return run


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def missing(what: str, ours: str, peer: str) -> Line:
    """The line for a peer that is not installed."""
    return Line(what, ours, peer, "not installed")
