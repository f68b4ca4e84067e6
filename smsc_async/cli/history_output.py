"""What a history has, written down: the periods of its lists, and one price over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

from rich.console import Console

from smsc_async.analysis.diff import diff
from smsc_async.analysis.snapshots import Period, PricePoint
from smsc_async.cli.chart import sparkline
from smsc_async.cli.console import dash, output, show
from smsc_async.cli.durations import shown
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.pricing import EXACT
from smsc_async.cli.selection import to_plain, with_columns
from smsc_async.cli.table import NAME_WIDTH, Column, Table
from smsc_async.cli.tables import money, row_table
from smsc_async.records import Row

__all__ = ["PERIOD_COLUMNS", "POINT_COLUMNS", "write_periods", "write_prices"]

PERIOD_COLUMNS: Final = ("account", "since", "until", "lists", "zones", "operators", "changes")
POINT_COLUMNS: Final = ("since", "until", "price", "difference")
"""What the rows have, known before there is one."""

# As wide as a page.
_WIDTH = 80


def write_periods(periods: Sequence[Period], shape: Shape) -> None:
    """Write when which list was in force, and how many changes it brought.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns(_period_rows(periods), shape.columns)
    if shape.output is Output.JSON:
        write_json(to_plain({"periods": [{name: _counted(value) for name, value in row.items()} for row in rows]}))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif rows:
        out = output()
        show(out, row_table(rows, out) if shape.columns else _period_table(periods, rows, out))


def write_prices(points: Sequence[PricePoint], title: str, shape: Shape) -> None:
    """Write a price over time, for a reader with a line of letters that are as high as the price.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns(_price_rows(points), shape.columns)
    if shape.output is Output.JSON:
        write_json(to_plain({"prices": rows}))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif rows and shape.columns:
        out = output()
        show(out, row_table(rows, out))
    elif rows:
        out = output()
        out.print(title, style="bold")
        out.print()
        show(out, _price_table(points, rows, out))
        out.print()
        out.print(sparkline(points, min(out.width, _WIDTH), ascii_only=out.options.ascii_only))


def _period_rows(periods: Sequence[Period]) -> list[Row]:
    before: dict[str, Period] = {}
    rows: list[Row] = []
    for period in periods:
        former = before.get(period.account)
        changes = None if former is None else Decimal(len(diff(former.tariffs, period.tariffs)))
        before[period.account] = period
        rows.append(
            {
                "account": period.account,
                "since": _iso(period.since),
                "until": _iso(period.until),
                "lists": Decimal(period.count),
                "zones": Decimal(len(period.tariffs.zones)),
                "operators": Decimal(len(period.tariffs.codes)),
                "changes": changes,
            }
        )
    return rows


def _period_table(periods: Sequence[Period], rows: Sequence[Row], out: Console) -> Table:
    table = Table(
        [
            Column(name, is_right=name not in {"account", "since", "until"}, fold_at=NAME_WIDTH * (name == "account"))
            for name in rows[0]
        ]
    )
    for period, row in zip(periods, rows, strict=True):
        numbers = (_number(row[name], dash(out)) for name in ("lists", "zones", "operators", "changes"))
        table.rows.append((period.account, shown(period.since), shown(period.until), *numbers))
    return table


def _price_rows(points: Sequence[PricePoint]) -> list[Row]:
    by = (None, *(_difference(before.price, after.price) for before, after in pairwise(points)))
    return [
        {"since": _iso(point.since), "until": _iso(point.until), "price": point.price, "difference": by[place]}
        for place, point in enumerate(points)
    ]


def _price_table(points: Sequence[PricePoint], rows: Sequence[Row], out: Console) -> Table:
    table = Table([Column("since"), Column("until"), Column("price", is_right=True), Column("by", is_right=True)])
    for point, row in zip(points, rows, strict=True):
        by = row["difference"]
        price = money(point.price, dash(out))
        table.rows.append((shown(point.since), shown(point.until), price, "" if by is None else f"{by:+f}"))
    return table


def _difference(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    return None if before is None or after is None else EXACT.subtract(after, before)


def _number(value: str | Decimal | None, missing: str) -> str:
    return missing if value is None else f"{value}"


def _counted(value: str | Decimal | None) -> object:
    # A count is a number in JSON; only money is text.
    return int(value) if isinstance(value, Decimal) else value


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
