"""Tables: what is cut, what is folded, what may reach a terminal."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from smsc_async.analysis.diff import diff
from smsc_async.cli.console import output
from smsc_async.cli.diff import write_changes
from smsc_async.cli.formats import Output, Shape, write_rows
from smsc_async.cli.tables import Column, Table, row_table, show, zone_table
from smsc_async.records import Tariffs, Zone


def lines_of(table: Table, width: int = 80, *, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(Console(file=stream, width=width, color_system=None), table)
    stream.seek(0)
    return stream.read().split("\n")[:-1]


def test_texts_stand_at_the_left_and_numbers_at_the_right() -> None:
    table = Table([Column("name"), Column("price", is_right=True)], [("a", "1.00"), (), ("bcdef", "10.00")])
    assert lines_of(table) == ["name   price", "────────────", "a       1.00", "", "bcdef  10.00"]
    assert lines_of(table, encoding="ascii")[1] == "------------"


def test_a_title_stands_above_and_a_table_without_names_has_no_head() -> None:
    assert lines_of(Table([Column(), Column()], [("a", "b")], title="Title", gap=1)) == ["Title", "a b"]


def test_what_does_not_fit_is_folded_between_words_or_letters_but_never_cut() -> None:
    table = Table([Column(fold_at=4), Column()], [("one two", "1.00"), ("abcdefghij", "2.00"), ("中文名字", "3.00")])
    assert lines_of(table, width=10) == ["one   1.00", "two", "abcd  2.00", "efgh", "ij", "中文  3.00", "名字"]
    assert lines_of(Table([Column()], [("1234567890",)]), width=5) == ["1234567890"]
    assert lines_of(Table([Column(fold_at=1)], [("中文",)]), width=1) == ["中", "文"]


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=1), st.integers(1, 60))
def test_every_visible_letter_is_shown_and_nothing_moves_the_cursor(rows: list[tuple[str, str]], width: int) -> None:
    shown = lines_of(Table([Column(fold_at=3), Column()], list(rows)), width)
    assert all(line.isprintable() for line in shown)
    letters = "".join(shown)
    visible = {letter for row in rows for cell in row for letter in cell if letter.isprintable() and letter != " "}
    assert visible <= set(letters)


@pytest.mark.parametrize(
    "name", ["a\u2028b", "a\u2029b", "a\nb", "a\x85b", "a\x1b[31mb", "a\x9b31mb", "a\u202eb", "a\ufeffb"]
)
def test_a_name_neither_ends_a_line_nor_turns_it_nor_colours_it(name: str) -> None:
    (line,) = lines_of(Table([Column(), Column()], [(name, "1.00")]))
    assert line.isprintable()
    assert line.endswith("  1.00")
    assert line.startswith("a\\")


def test_columns_are_aligned_by_cells() -> None:
    first, second = lines_of(Table([Column(), Column()], [("中文", "1"), ("e\u0301abc", "2")]))
    assert cell_len(first) == cell_len(second)


def seconds(work: Callable[[], None]) -> float:
    def once() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    # Coverage traces Python, and not the csv module, which is C.
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        return min(once() for _ in range(3))
    finally:
        sys.settrace(trace)


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_table_of_20_000_rows_costs_at_most_three_times_its_csv(
    is_whole: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    price = Decimal("12.50")
    zones = tuple(Zone(str(number), f"Зона {number}, \u2028", price, price, price) for number in range(20_000))
    tariffs = Tariffs(zones, ())

    def as_table() -> None:
        out = output()
        show(out, zone_table(zones, out) if is_whole else row_table(tariffs.to_rows(), out))

    assert seconds(as_table) <= 3 * seconds(lambda: write_rows(tariffs.to_rows(), Shape(output=Output.CSV)))
    assert len(capfd.readouterr().out) > 1_000_000


def test_changes_cost_at_most_three_times_their_csv(capfd: pytest.CaptureFixture[str]) -> None:
    price = Decimal("12.50")
    before, after = (
        Tariffs(tuple(Zone(str(number), f"Zone {number}", price * by) for number in range(20_000)), ()) for by in (1, 2)
    )
    changes = tuple(diff(before, after))
    in_table = seconds(lambda: write_changes(changes, Shape()))
    assert in_table <= 3 * seconds(lambda: write_changes(changes, Shape(output=Output.CSV)))
    assert len(capfd.readouterr().out) > 1_000_000
