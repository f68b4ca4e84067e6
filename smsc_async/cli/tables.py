"""Tables for people, in 80 columns if they can be: names are folded, prices never are. Tariffs and rows of data as such tables.

Not rich's tables: those of 20,000 rows take ten times as long as the same rows as CSV.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, zip_longest
from typing import Final, TypeAlias

import attrs
from rich.cells import cell_len, chop_cells
from rich.console import Console

from smsc_async.analysis.networks import label_of
from smsc_async.cli.console import dash
from smsc_async.display import escape_for_display as displayed
from smsc_async.records import OperatorTariff, Service, Tariffs, Zone

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text and its style."""

NAME_WIDTH: Final = 20
"""Twenty letters distinguish most names; a narrow terminal folds them rather than the prices."""

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "bold red": "1;31", "bold green": "1;32"}


@attrs.frozen
class Column:
    """A column of a table.

    Attributes:
        name: What stands above it.
        is_right: Whether its cells are at its right edge.
        fold_at: The least width to which a narrow terminal may fold it; 0 if it is never folded.
    """

    name: str = ""
    is_right: bool = attrs.field(default=False, kw_only=True)
    fold_at: int = attrs.field(default=0, kw_only=True)


@attrs.define
class Table:
    """Rows of text under the names of their columns.

    Attributes:
        columns: The columns; a table whose columns have no names has no head.
        rows: The rows, each with a cell for each column; an empty row is an empty line.
        title: A line above.
        gap: Spaces between columns.
    """

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = attrs.field(factory=list[Sequence[Cell]])
    title: str = ""
    gap: int = 2


def show(console: Console, table: Table) -> None:
    """Write a table, line by line. If the terminal is too narrow for its prices, its lines go on beyond the edge."""
    console.file.writelines(f"{line}\n" for line in table_lines(console, table))


def table_lines(console: Console, table: Table) -> Iterator[str]:
    """Return the lines of a table for a console."""
    # Without a colour system there are no styles at all: bold is an escape code too.
    is_plain = console.color_system is None

    def shown(cell: Cell) -> tuple[str, str]:
        text, style = (cell, "") if isinstance(cell, str) else cell
        return displayed(text), "" if is_plain else style

    rows = [list(map(shown, row)) for row in table.rows]
    head = [shown((column.name, "bold")) for column in table.columns]
    widths = _widths(table, [head, *rows], console.width)
    if table.title:
        yield _styled(table.title, "" if is_plain else "bold")
    if any(column.name for column in table.columns):
        yield from _row_lines(head, table, widths)
        rule = "-" if console.options.ascii_only else "─"
        yield rule * (sum(widths) + table.gap * (len(widths) - 1))
    for row in rows:
        yield from _row_lines(row, table, widths)


def text_width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def _styled(text: str, style: str) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if text and style else text


def _widths(table: Table, rows: Iterable[Sequence[tuple[str, str]]], available: int) -> list[int]:
    widths = [0] * len(table.columns)
    for row in rows:
        for place, (text, _) in enumerate(row):
            widths[place] = max(widths[place], text_width(text))
    excess = sum(widths) + table.gap * (len(widths) - 1) - available
    for place in sorted(range(len(widths)), key=widths.__getitem__, reverse=True):
        if table.columns[place].fold_at:
            cut = max(0, min(excess, widths[place] - table.columns[place].fold_at))
            widths[place] -= cut
            excess -= cut
    return widths


def _row_lines(row: Sequence[tuple[str, str]], table: Table, widths: Sequence[int]) -> Iterator[str]:
    styles = [style for _, style in row]
    folded = [_folded(text, width) for (text, _), width in zip(row, widths, strict=False)]
    for texts in zip_longest(*folded, fillvalue="") if row else [()]:
        yield (" " * table.gap).join(map(_padded, texts, widths, table.columns, styles)).rstrip()


def _padded(text: str, width: int, column: Column, style: str) -> str:
    spaces = " " * (width - text_width(text))
    return f"{spaces}{_styled(text, style)}" if column.is_right else f"{_styled(text, style)}{spaces}"


def _folded(text: str, width: int) -> list[str]:
    """Return a text in lines of at most so many cells, between words if it can be; nothing of it is left out."""
    if text_width(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        both = f"{line} {word}" if line else word
        if text_width(both) <= width:
            line = both
            continue
        if line:
            lines.append(line)
        *full, line = [piece for piece in chop_cells(word, width) if piece] or [""]
        lines += full
    return [*lines, line] if line else lines


Record: TypeAlias = Mapping[str, str | Decimal | int | None]
"""A row of data by the names of its columns; a number that is no price is an ``int``."""

_OPERATORS_A_LINE: Final = 4


def zone_table(
    zones: Iterable[Zone], console: Console, *, services: Sequence[Service] = tuple(Service), title: str = ""
) -> Table:
    """Return the zones with their prices for these services."""
    prices = (Column(each.value, is_right=True) for each in services)
    missing = dash(console)
    table = Table([Column("zone", is_right=True), Column("name", fold_at=NAME_WIDTH), *prices], title=title)
    table.rows.extend(
        (zone.zone, zone.name, *(money(getattr(zone, each.value), missing) for each in services)) for zone in zones
    )
    return table


def operator_table(codes: Sequence[OperatorTariff], console: Console) -> Table:
    """Return the individual tariffs of operators, several to a line."""
    missing, gap = dash(console), 3
    cells = [(network_label(code.mccmnc, console), money(code.cost, missing)) for code in codes]
    name, price = (max((text_width(cell[place]) for cell in cells), default=0) for place in (0, 1))
    fitting = (console.width + gap) // (name + price + 2 * gap)
    pairs = min(max(fitting, 1), _OPERATORS_A_LINE)
    rows: list[Sequence[Cell]] = [
        tuple(chain.from_iterable(cells[start : start + pairs])) for start in range(0, len(cells), pairs)
    ]
    return Table([Column(), Column(is_right=True)] * pairs, rows, gap=gap)


def network_label(mccmnc: str, console: Console) -> str:
    """Return the code of an operator with the name and the country of its network."""
    label = label_of(mccmnc)
    return label.replace("·", "-") if console.options.ascii_only else label


def totals(tariffs: Tariffs, console: Console) -> str:
    """Return the list in one line."""
    mail = money(tariffs.mail, dash(console))
    return f"{len(tariffs.zones)} zones, {len(tariffs.codes)} individual tariffs of operators, e-mail {mail}"


def row_table(rows: Sequence[Record], console: Console) -> Table:
    """Return rows that have the same columns as a table: texts to the left, numbers to the right."""
    missing = dash(console)
    texts = {name for row in rows for name, value in row.items() if isinstance(value, str)}
    columns = [
        Column(name, is_right=name not in texts, fold_at=max(NAME_WIDTH, len(name)) if name in texts else 0)
        for name in (rows[0] if rows else ())
    ]
    return Table(columns, [tuple(_cell(value, missing) for value in row.values()) for row in rows])


def pair_table(row: Record, console: Console) -> Table:
    """Return one row as a table with a line for each member that it has."""
    pairs: list[Sequence[Cell]] = [
        ((name, "dim"), _cell(value, dash(console))) for name, value in row.items() if value is not None
    ]
    return Table([Column(), Column(fold_at=NAME_WIDTH)], pairs)


def money(price: Decimal | None, missing: str) -> str:
    """Return a price with the digits it has, or what stands for a price that is missing."""
    return missing if price is None else f"{price:f}"


def _cell(value: str | Decimal | int | None, missing: str) -> str:
    return money(value, missing) if isinstance(value, Decimal | None) else str(value)
