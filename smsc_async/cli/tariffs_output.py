"""``tariffs``: the list of an account, whole or in part."""

from __future__ import annotations

from rich.console import Console

from smsc_async.cli.console import notes, output, show
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.selection import Selection, with_columns
from smsc_async.cli.tables import operator_table, row_table, totals, zone_table
from smsc_async.records import Tariffs

__all__ = ["print_age", "write_selection"]


def write_selection(selection: Selection, shape: Shape) -> None:
    """Write a part of a list in the shape that was asked for.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns(selection.rows(), shape.columns)
    if shape.output is Output.JSON:
        write_json(selection.document(shape.columns))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif shape.columns:
        out = output()
        show(out, row_table(rows, out))
    else:
        _print(selection, output())


def print_age(name: str, tariffs: Tariffs) -> None:
    """Tell whose list it is, and from when."""
    came = "" if tariffs.fetched_at is None else f", fetched at {tariffs.fetched_at:%Y-%m-%d %H:%M:%S} UTC"
    notes().print(f"{name}{came}")


def _print(selection: Selection, out: Console) -> None:
    tariffs = selection.tariffs
    if tariffs.zones:
        show(out, zone_table(tariffs.zones, out, services=selection.services))
        out.print()
    if tariffs.codes:
        out.print("individual tariffs of operators:")
        out.print()
        show(out, operator_table(tariffs.codes, out))
        out.print()
    counts = f"zones: {len(tariffs.zones)}, individual tariffs: {len(tariffs.codes)}"
    out.print(totals(tariffs, out) if selection.is_whole else counts)
