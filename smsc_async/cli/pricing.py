"""``price`` and ``parts``: what messages to one destination cost, and how many parts a text takes."""

from __future__ import annotations

import unicodedata
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Final

from rich.console import Console

from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import output, show
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.parts import Parts, parts_of
from smsc_async.cli.selection import one_operator, one_zone, to_plain, with_columns
from smsc_async.cli.tables import network_label, pair_table, row_table
from smsc_async.records import Price, Row, Service, Tariffs, Zone

__all__ = ["EXACT", "OPERATOR", "PRICE_COLUMNS", "price_row", "write_parts", "write_row"]

PRICE_COLUMNS: Final = ("price", "source", "id", "name", "service", "parts", "count", "total")
"""What ``price_row`` has, known before there is one."""
OPERATOR: Final = "individual tariff of operator"
"""The source of a price that is not a zone's."""
EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""For totals and differences: they have all of their digits, whatever the decimal context of the caller is."""


def price_row(
    tariffs: Tariffs, *, zone: str | None, operator: str | None, service: Service, parts: int, count: int
) -> Row:
    """Return what messages cost, and which line of the list says so.

    Args:
        tariffs: The list.
        zone: A zone, or ``None``; see ``one_zone()``.
        operator: An operator, or ``None``, whose individual tariff comes before the price of the zone; see ``one_operator()``.
        service: What is sent.
        parts: The parts of one message, each of which is charged.
        count: How many messages.

    Raises:
        CliError: No such zone, several of them, or no price.
        TypeError: Neither a zone nor an operator is given.
    """
    key = None if zone is None else one_zone(tariffs.zones, zone)
    codes = (code.mccmnc for code in tariffs.codes)
    code = None if operator is None else one_operator(codes, operator, has_zone=key is not None)
    price = tariffs.price(key, operator=code, service=service)
    if price is None:
        names = [*([] if key is None else [f"zone {key}"]), *([] if code is None else [f"operator {code}"])]
        raise CliError(f"the account has no {service.value} price for {' or '.join(names)}", ExitCode.NO_PRICE)
    return {
        "price": price.cost,
        **_source(price),
        "service": service.value,
        "parts": Decimal(parts),
        "count": Decimal(count),
        "total": EXACT.multiply(price.cost, Decimal(parts * count)),
    }


def write_parts(text: str, shape: Shape) -> None:
    """Write how many parts a text takes.

    Raises:
        CliError: It is not text, or there is no such column.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CliError(f"letter {error.start + 1} is not text in UTF-8", ExitCode.USAGE) from None
    row = _parts_row(text, parts_of(text))
    if shape.output is Output.TABLE and row["outside"]:
        row["outside"] = _visible(str(row["outside"]))
    write_row(row, shape)


def _visible(letters: str) -> str:
    """Return letters so that each can be seen: one that leaves no mark by its code and name."""
    seen = "".join(letter for letter in letters if letter.isprintable() and not unicodedata.combining(letter))
    unseen = (
        f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip() for letter in letters if letter not in seen
    )
    return ", ".join([*filter(None, [seen]), *unseen])


def write_row(row: Row, shape: Shape) -> None:
    """Write one row: as a table with a line for each of its members.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns([row], shape.columns)
    if shape.output is Output.JSON:
        write_json(to_plain({name: _counted(name, value) for name, value in rows[0].items()}))
    elif shape.output is Output.TABLE:
        out = output()
        show(out, row_table(rows, out) if shape.columns else pair_table(_with_network(rows[0], out), out))
    else:
        write_rows(rows, shape)


def _with_network(row: Row, out: Console) -> Row:
    if row.get("source") != OPERATOR:
        return row
    return {**row, "id": network_label(str(row["id"]), out)}


_COUNTS = frozenset({"parts", "count", "units", "letters", "left"})


def _counted(name: str, value: str | Decimal | None) -> object:
    # A count is a number in JSON; only money is text.
    return int(value) if name in _COUNTS and isinstance(value, Decimal) else value


def _source(price: Price) -> Row:
    if isinstance(price.source, Zone):
        return {"source": "zone", "id": price.source.zone, "name": price.source.name}
    return {"source": OPERATOR, "id": price.source.mccmnc, "name": None}


def _parts_row(text: str, parts: Parts) -> Row:
    return {
        "parts": Decimal(parts.parts),
        "encoding": parts.encoding,
        "letters": Decimal(len(text)),
        "units": Decimal(parts.units),
        "left": Decimal(parts.left),
        "outside": parts.outside or None,
    }
