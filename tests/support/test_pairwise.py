from __future__ import annotations

from itertools import product

import pytest

from tests.support.pairwise import each_value, pairwise

FORMATS = ("JSON", "XML", "plain")
LOOPS = ("asyncio", "trio")


@pytest.mark.parametrize("values", [(FORMATS, FORMATS, LOOPS, LOOPS), (range(20), FORMATS, LOOPS)])
def test_each_pair_of_values_is_in_a_case_and_few_cases_do(values: tuple[tuple[object, ...], ...]) -> None:
    cases = [dict(zip("abcd", each, strict=False)) for each in product(*values)]
    chosen = pairwise(cases)

    def pairs(numbers: list[int]) -> set[tuple[object, ...]]:
        names = sorted(cases[0])
        return {(a, cases[n][a], b, cases[n][b]) for n in numbers for a in names for b in names if a < b}

    assert pairs(chosen) == pairs(list(range(len(cases))))
    assert len(chosen) <= len(cases) / 2


def test_each_value_is_in_a_case_and_as_few_cases_as_possible_do() -> None:
    cases = [{"format": each, "text": text, "loop": loop} for each in FORMATS for text in range(9) for loop in LOOPS]
    chosen = [cases[number] for number in each_value(cases)]
    assert len(chosen) == 9
    assert {case["text"] for case in chosen} == set(range(9))
    assert {case["format"] for case in chosen} == set(FORMATS)
    assert {case["loop"] for case in chosen} == set(LOOPS)


def test_of_two_parameters_no_case_is_left_out() -> None:
    assert pairwise([{"format": each, "loop": loop} for each in FORMATS for loop in LOOPS]) == list(range(6))
