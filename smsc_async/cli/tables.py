"""Tariffs as tables for people: 80 columns are enough, and more go to the names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smsc_async.cli.screen import dash
from smsc_async.records import OperatorTariff, Service, Tariffs, Zone

__all__ = ["new_table", "operator_table", "totals", "zone_table"]

_PRICES = tuple(service.value for service in Service)
_OPERATORS_A_LINE = 5


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


def zone_table(zones: Iterable[Zone], console: Console, *, title: str | None = None) -> Table:
    """Return the zones with their prices."""
    table = new_table(console, title=title)
    table.add_column("zone", justify="right", no_wrap=True)
    # Twenty letters tell most names apart; a narrow terminal folds them rather than the prices.
    table.add_column("name", overflow="fold", min_width=20)
    for name in _PRICES:
        table.add_column(name, justify="right", no_wrap=True)
    missing = dash(console)
    for zone in zones:
        prices = (_price(getattr(zone, name), missing) for name in _PRICES)
        table.add_row(zone.zone, zone.name, *prices)
    return table


def operator_table(codes: Sequence[OperatorTariff], console: Console) -> Table:
    """Return the individual tariffs of operators, several to a line."""
    missing = dash(console)
    table = Table.grid(padding=(0, 3), pad_edge=False)
    for _ in range(_OPERATORS_A_LINE):
        table.add_column(justify="right", no_wrap=True)
    cells = [Text.assemble((code.mccmnc, "dim"), " ", _price(code.cost, missing).rjust(5)) for code in codes]
    for start in range(0, len(cells), _OPERATORS_A_LINE):
        table.add_row(*cells[start : start + _OPERATORS_A_LINE])
    return table


def totals(tariffs: Tariffs, console: Console) -> str:
    """Return the list in one line."""
    mail = _price(tariffs.mail, dash(console))
    return f"{len(tariffs.zones)} zones, {len(tariffs.codes)} individual tariffs of operators, e-mail {mail}"


def _price(price: Decimal | None, missing: str) -> str:
    return missing if price is None else f"{price:f}"
