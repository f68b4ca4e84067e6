"""Tariffs as tables for people: 80 columns are enough, and more go to the names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from smsc_async.cli.console import dash
from smsc_async.records import OperatorTariff, Row, Service, Tariffs, Zone

__all__ = ["money", "new_table", "operator_table", "pair_table", "row_table", "totals", "zone_table"]

_OPERATORS_A_LINE = 5
_BETWEEN_OPERATORS = 3
_NAME_WIDTH = 20
"""Twenty letters tell most names apart; a narrow terminal folds them rather than the prices."""


def new_table(console: Console, *, title: str | None = None) -> Table:
    """Return an empty table in the style of this program."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.ASCII2 if console.options.ascii_only else box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def zone_table(
    zones: Iterable[Zone], console: Console, *, services: Sequence[Service] = tuple(Service), title: str | None = None
) -> Table:
    """Return the zones with their prices for these services."""
    table = new_table(console, title=title)
    table.add_column("zone", justify="right", no_wrap=True)
    table.add_column("name", overflow="fold", min_width=_NAME_WIDTH)
    for name in services:
        table.add_column(name.value, justify="right", no_wrap=True)
    missing = dash(console)
    for zone in zones:
        prices = (money(getattr(zone, name.value), missing) for name in services)
        table.add_row(zone.zone, zone.name, *prices)
    return table


def operator_table(codes: Sequence[OperatorTariff], console: Console) -> Table:
    """Return the individual tariffs of operators, several to a line."""
    missing = dash(console)
    table = Table.grid(padding=(0, _BETWEEN_OPERATORS), pad_edge=False)
    cells = [Text.assemble((code.mccmnc, "dim"), " ", money(code.cost, missing).rjust(5)) for code in codes]
    widest = max((cell.cell_len for cell in cells), default=0)
    fitting = (console.width + _BETWEEN_OPERATORS) // (widest + _BETWEEN_OPERATORS)
    a_line = min(max(fitting, 1), _OPERATORS_A_LINE)
    for _ in range(a_line):
        table.add_column(justify="right", no_wrap=True)
    for start in range(0, len(cells), a_line):
        table.add_row(*cells[start : start + a_line])
    return table


def totals(tariffs: Tariffs, console: Console) -> str:
    """Return the list in one line."""
    mail = money(tariffs.mail, dash(console))
    return f"{len(tariffs.zones)} zones, {len(tariffs.codes)} individual tariffs of operators, e-mail {mail}"


def row_table(rows: Sequence[Row], console: Console) -> Table:
    """Return rows that have the same columns as a table: texts to the left, prices to the right."""
    table, missing = new_table(console), dash(console)
    for name in rows[0] if rows else ():
        is_price = any(isinstance(row[name], Decimal) for row in rows)
        widest = max(cell_len(_cell(row[name], missing)) for row in rows)
        table.add_column(
            name,
            justify="right" if is_price else "left",
            no_wrap=is_price,
            overflow="fold",
            min_width=min(max(widest, cell_len(name)), _NAME_WIDTH),
        )
    for row in rows:
        table.add_row(*(_cell(value, missing) for value in row.values()))
    return table


def pair_table(row: Row, console: Console) -> Table:
    """Return one row as a table with a line for each member that it has."""
    table = Table.grid("name", Column("value", overflow="fold"), padding=(0, 2), pad_edge=False)
    for name, value in row.items():
        if value is not None:
            table.add_row(Text(name, "dim"), _cell(value, dash(console)))
    return table


def money(price: Decimal | None, missing: str) -> str:
    """Return a price with the digits it has, or what stands for a price that is missing."""
    return missing if price is None else f"{price:f}"


def _cell(value: str | Decimal | None, missing: str) -> str:
    return value if isinstance(value, str) else money(value, missing)
