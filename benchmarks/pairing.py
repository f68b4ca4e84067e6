"""Measuring several things side by side: in turns, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

import attrs


@attrs.frozen
class Line:
    """A line of the table.

    Attributes:
        what: What was done.
        ours: What it took us, for reading.
        peer: Beside whom.
        theirs: What it took them, for reading.
        ratio: Ours by theirs, or ``None`` where there is no peer or it is not installed.
        aim: What the ratio, or ours, should be.
    """

    what: str
    ours: str
    peer: str = ""
    theirs: str = ""
    ratio: float | None = None
    aim: str = ""


class Seconds:
    """What each contender took in each round."""

    def __init__(self, of: Mapping[str, list[float]]) -> None:
        self._of = of

    def median(self, name: str) -> float:
        return statistics.median(self._of[name])

    def ratio(self, ours: str, theirs: str) -> float:
        """The median of the ratios, each of one round."""
        return statistics.median(a / b for a, b in zip(self._of[ours], self._of[theirs], strict=True))

    def line(self, what: str, ours: str, theirs: str, *, each: int = 1, aim: str = "") -> Line:
        """The line for two contenders who did a thing ``each`` times."""
        a, b = (duration(self.median(name) / each) for name in (ours, theirs))
        return Line(what, a, theirs, b, self.ratio(ours, theirs), aim)


def in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Seconds:
    """Have each contender measure itself once a round; begin each round with another."""
    names = list(contenders)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            gc.freeze()  # what else was imported here is no part of anybody's cost
            taken[name].append(contenders[name]())
    gc.unfreeze()
    return Seconds(taken)


def timed(call: Callable[[], object], times: int) -> Callable[[], float]:
    """A contender that calls something that many times."""

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
