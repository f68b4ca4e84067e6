"""Cases of a test with several parameters that together have each value, or each pair of values.

Most faults need one value, or two values together. A matrix of three or more parameters repeats each pair many times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations


def pairwise(cases: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the numbers of the cases to run: each pair of values of all cases is in one of them. Values compare by identity."""
    return _covering(cases, 2)


def each_value(cases: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the numbers of the cases to run if the parameters are independent: each value of all cases is in one of them."""
    return _covering(cases, 1)


def _covering(cases: Sequence[Mapping[str, object]], size: int) -> list[int]:
    groups = [set(combinations([(name, id(case[name])) for name in sorted(case)], size)) for case in cases]
    missing = set[tuple[tuple[str, int], ...]]().union(*groups)
    chosen: list[int] = []
    while missing:
        chosen.append(max(range(len(groups)), key=lambda number: len(groups[number] & missing)))
        missing -= groups[chosen[-1]]
    return sorted(chosen)
