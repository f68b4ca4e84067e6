"""Tables: what is cut, what is folded, what may reach a terminal."""

from __future__ import annotations

import io
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from smsc_async.cli.console import output
from smsc_async.cli.formats import Output, Shape, write_rows
from smsc_async.cli.table import Column, Table, show
from smsc_async.cli.tables import row_table, zone_table
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
    assert all(letter in letters for row in rows for cell in row for letter in cell if letter.isprintable())


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


@pytest.mark.parametrize(
    "table_of",
    [zone_table, lambda zones, out: row_table(Tariffs(zones, ()).to_rows(), out)],
)
def test_a_table_of_20_000_rows_costs_at_most_three_times_its_csv(table_of, capfd: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    price = Decimal("12.50")
    zones = tuple(Zone(str(number), f"Зона {number}, \u2028", price, price, price) for number in range(20_000))

    def seconds(work) -> float:  # type: ignore[no-untyped-def]
        begun = time.process_time()
        work()
        return time.process_time() - begun

    as_csv = min(seconds(lambda: write_rows(Tariffs(zones, ()).to_rows(), Shape(output=Output.CSV))) for _ in range(3))
    as_table = min(seconds(lambda: show(output(), table_of(zones, output()))) for _ in range(3))
    assert as_table <= 3 * as_csv, (as_table, as_csv)
    assert len(capfd.readouterr().out) > 1_000_000
