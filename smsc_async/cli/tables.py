"""Tariffs as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Final, TypeAlias

from rich.console import Console

from smsc_async.analysis.networks import label_of
from smsc_async.cli.console import dash
from smsc_async.cli.table import NAME_WIDTH, Cell, Column, Table, text_width
from smsc_async.records import OperatorTariff, Service, Tariffs, Zone

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
