"""``tariffs``: the list of an account, whole or in part."""

from __future__ import annotations

from rich.console import Console

from smsc_async.cli import options as o
from smsc_async.cli.formats import write
from smsc_async.cli.profiles import find_profile
from smsc_async.cli.selection import Selection, check_list_columns, check_names, select
from smsc_async.cli.session import fetch
from smsc_async.cli.tables import operator_table, show, totals, zone_table


@o.command("tariffs", "tariffs", "tariffs main --zone latvia --operator mts", "tariffs -o csv --bom > prices.csv")
def tariffs(
    account: o.AccountName = None,
    *,
    lines: o.Lines,
    fresh: o.Fresh = False,
    data: o.Data,
    access: o.Access,
) -> None:
    """Show the tariff list of an account, whole or in part."""
    shape = data.shape()
    check_names(zones=lines.zone or (), operators=lines.operator or ())
    check_list_columns(shape.columns, lines.service or ())
    whole = fetch(find_profile(account, source=access.password_from), fresh=fresh, deadline=access.deadline)
    selection = select(whole, zones=lines.zone or (), operators=lines.operator or (), services=lines.service or ())
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
