"""``tariffs``: the list of an account, whole or in part."""

from __future__ import annotations

import typer
from rich.console import Console

from smsc_async.cli import options as o
from smsc_async.cli.formats import Output, write
from smsc_async.cli.profiles import find_profile
from smsc_async.cli.selection import Selection, check_list_columns, check_names, select
from smsc_async.cli.session import fetch
from smsc_async.cli.tables import operator_table, show, totals, zone_table

app: typer.Typer = o.new_app()


@o.command(app, "tariffs", "tariffs main --zone latvia --operator mts", "tariffs -o csv --bom > prices.csv")
def tariffs(
    account: o.AccountName = None,
    *,
    zone: o.Zones = None,
    operator: o.Operators = None,
    service: o.Services = None,
    fresh: o.Fresh = False,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show the tariff list of an account, whole or in part."""
    shape = o.shape(output, columns, bom=bom, decimal_comma=decimal_comma)
    check_names(zones=zone or (), operators=operator or ())
    check_list_columns(shape.columns, service or ())
    whole = fetch(find_profile(account, source=password_from), fresh=fresh, deadline=deadline)
    selection = select(whole, zones=zone or (), operators=operator or (), services=service or ())
    write(
        selection.rows(),
        shape,
        document=lambda _: selection.document(shape.columns),
        table=lambda out, _: _print(selection, out),
    )


def _print(selection: Selection, out: Console) -> None:
    part = selection.tariffs
    if part.zones:
        show(out, zone_table(part.zones, out, services=selection.services))
        out.print()
    if part.codes:
        out.print("individual tariffs of operators:")
        out.print()
        show(out, operator_table(part.codes, out))
        out.print()
    counts = f"zones: {len(part.zones)}, individual tariffs: {len(part.codes)}"
    out.print(totals(part, out) if selection.is_whole else counts)
