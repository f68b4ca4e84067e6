"""Cases of a test with several parameters that together have each pair of values.

Most faults need one value, or two values together. A matrix of three or more parameters repeats each pair many times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations


def pairwise(cases: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the numbers of the cases to run: each pair of values of all cases is in one of them. Values compare by identity."""
    pairs = [set(combinations([(name, id(case[name])) for name in sorted(case)], 2)) for case in cases]
    missing = set[tuple[tuple[str, int], ...]]().union(*pairs)
    chosen: list[int] = []
    while missing:
        chosen.append(max(range(len(pairs)), key=lambda number: len(pairs[number] & missing)))
        missing -= pairs[chosen[-1]]
    return sorted(chosen)
