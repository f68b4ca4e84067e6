"""``price``: what messages to one destination cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

import typer
from rich.console import Console

from smsc_async.analysis.exact import EXACT
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.formats import write
from smsc_async.cli.parts import parts_of
from smsc_async.cli.profiles import find_profile
from smsc_async.cli.selection import check_names, one_operator, one_zone
from smsc_async.cli.session import fetch
from smsc_async.cli.tables import Record, network_label, pair_table, show
from smsc_async.records import Service, Tariffs, Zone

PRICE_COLUMNS: Final = ("price", "source", "id", "name", "service", "parts", "count", "total")
"""The columns of a price, known before there is one."""

# The source of a price that is not a zone's.
_OPERATOR: Final = "individual tariff of operator"


@o.command(
    "price",
    "price --zone latvia",
    'price --operator "mts ru" --count 1000',
    'price --zone 1 --operator 25001 --text "Hello!"',
)
def price(
    account: o.AccountName = None,
    *,
    zone: Annotated[str | None, typer.Option(metavar="ZONE")] = None,
    operator: Annotated[str | None, typer.Option(metavar="OPERATOR")] = None,
    service: Annotated[Service, typer.Option()] = Service.API,
    text: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    parts: Annotated[int | None, typer.Option(min=1, metavar="N", show_default="1")] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N")] = 1,
    fresh: o.Fresh = False,
    data: o.Data,
    access: o.Access,
) -> None:
    """Show what messages to one destination cost, times parts and count.

    Options:
        zone: A zone: its number, or a part of its name that no other zone has.
        operator: An operator: its code, or its network's name and country (mts ru); its individual tariff comes
            before the zone's price.
        service: What is sent.
        text: A text, to count its parts.
        parts: Parts of one message, if there is no --text; each is charged.
        count: How many messages.
    """
    if zone is None and operator is None:
        raise CliError("price of what? Name a --zone, an --operator or both")
    if text is not None and parts is not None:
        raise CliError("how many parts? Name --text or --parts, not both")
    each = (parts or 1) if text is None else parts_of(text).parts
    shape = data.shape(PRICE_COLUMNS)
    check_names(zones=[] if zone is None else [zone], operators=[] if operator is None else [operator])
    whole = fetch(find_profile(account, source=access.password_from), fresh=fresh, deadline=access.deadline)
    row = _row(whole, zone=zone, operator=operator, service=service, parts=each, count=count)
    write([row], shape, document=lambda rows: rows[0], table=_print)


def _row(
    tariffs: Tariffs, *, zone: str | None, operator: str | None, service: Service, parts: int, count: int
) -> Record:
    """Return what messages cost, and which line of the list says so."""
    key = None if zone is None else one_zone(tariffs.zones, zone)
    codes = (code.mccmnc for code in tariffs.codes)
    code = None if operator is None else one_operator(codes, operator, has_zone=key is not None)
    price = tariffs.price(key, operator=code, service=service)
    if price is None:
        names = [*([] if key is None else [f"zone {key}"]), *([] if code is None else [f"operator {code}"])]
        raise CliError(f"the account has no {service.value} price for {' or '.join(names)}", ExitCode.NO_PRICE)
    line = price.source
    source = ("zone", line.zone, line.name) if isinstance(line, Zone) else (_OPERATOR, line.mccmnc, None)
    total = EXACT.multiply(price.cost, Decimal(parts * count))
    return dict(zip(PRICE_COLUMNS, (price.cost, *source, service.value, parts, count, total), strict=True))


def _print(out: Console, rows: list[Record]) -> None:
    row = rows[0]
    if row["source"] == _OPERATOR:
        row = {**row, "id": network_label(str(row["id"]), out)}
    show(out, pair_table(row, out))
