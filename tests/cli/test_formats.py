"""Data as other programs read it: spreadsheets with any delimiter, terminals, JSON readers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.records import Row

SHAPES = [Shape(output=Output.CSV), Shape(output=Output.CSV, decimal_comma=True), Shape(output=Output.TSV)]
HOSTILE = [
    "x;=cmd|' /C calc'!A0", "x;@SUM(1)", "x,=1+1", "x\t=1", "x| -1+1", 'x;"=1"', "x; '+1", "=1", " =1", "\u00a0@x",
    "\u3000\uff1d1", 'a"b,c";=1', ";;=1", "x,;=1", "\r=1", "\n+1", '"=1"', "a\u2028=1",
]  # fmt: skip


def written(work: Callable[[], None]) -> str:
    body = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream := io.TextIOWrapper(body, encoding="utf-8", newline=""))
        work()
    stream.detach()  # which would close it
    return body.getvalue().decode()


def is_formula(cell: str) -> bool:
    return cell.strip(" \t\r\n\u00a0\u3000").startswith(tuple("=+@-＝＋＠－"))  # noqa: RUF001  # the signs that are meant


def check(rows: list[Row]) -> None:
    for shape in SHAPES:
        text = written(lambda shape=shape: write_rows(rows, shape))  # type: ignore[misc]
        assert all(line.replace("\t", "").isprintable() for line in text.split("\n"))
        for delimiter in ",;\t|":
            for line in csv.reader(io.StringIO(text), delimiter=delimiter):
                assert not any(map(is_formula, line)), (delimiter, line)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_delimiter_makes_a_formula_of_a_name(name: str) -> None:
    check([{"zone": "1", "name": name, "other": "a, b"}, {"zone": "a;b", "name": f"{name} {name}", "other": name}])
    check([{name: "a"}])


@given(st.lists(st.text(st.sampled_from("ax;,\t|'\" =+-@＝\u00a0\u202e\r\n\x9b"), max_size=12), min_size=2, max_size=2))  # noqa: RUF001  # a sign that is meant
def test_no_text_becomes_a_formula_and_nothing_acts_on_a_terminal(names: list[str]) -> None:
    check([{"first": names[0], "second": names[1]}])


def test_prices_stay_numbers() -> None:
    rows: list[Row] = [{"price": Decimal("-0.10"), "none": None}]
    assert written(lambda: write_rows(rows, SHAPES[0])) == "price,none\n-0.10,\n"
    assert written(lambda: write_rows(rows, SHAPES[1])) == "price;none\n-0,10;\n"


@given(st.text())
def test_json_has_every_name_as_it_is_and_none_that_acts_on_a_terminal(name: str) -> None:
    text = written(lambda: write_json({"name": name}))
    assert json.loads(text) == {"name": name}
    assert text.replace("\n", "").isprintable()


def test_large_outputs_come_in_pieces() -> None:
    pieces: list[int] = []

    class Counting(io.BytesIO):
        def write(self, piece: Any) -> int:
            pieces.append(len(bytes(piece)))
            return pieces[-1]

    names = [f"Latvia {number}" for number in range(50_000)]

    def as_csv() -> None:
        write_rows([{"name": name} for name in names], SHAPES[0])

    def as_json() -> None:
        write_json({"names": [*names]})

    for work in (as_csv, as_json):
        pieces.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", io.TextIOWrapper(Counting(), encoding="utf-8"))
            work()
        assert len(pieces) > 5
        assert max(pieces) < 200_000
