"""``compare``: several lists side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, TypeAlias

import attrs
import typer
from rich.console import Console

from smsc_async.analysis.compare import Compared, ComparedOperator, Comparison, marks_of
from smsc_async.analysis.compare import compare as comparison_of
from smsc_async.analysis.networks import fold
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.console import dash, notes
from smsc_async.cli.formats import Shape, write
from smsc_async.cli.profiles import find_profile
from smsc_async.cli.selection import check_names, match_operators, one_operator, one_zone
from smsc_async.cli.session import fetch_each
from smsc_async.cli.tables import NAME_WIDTH, Cell, Column, Table, money, network_label, show
from smsc_async.records import MESSAGES, Service

_Compared: TypeAlias = Compared | ComparedOperator
_Line: TypeAlias = tuple[str, str, str, _Compared]


@o.command(
    "compare",
    "compare main reserve",
    "compare main reserve --mix 1/25001=1000 --mix latvia=200",
    "compare main reserve --operator KZ -o csv",
)
def compare(
    accounts: o.AccountNames,
    *,
    service: Annotated[Service, typer.Option()] = Service.API,
    mix: Annotated[list[str] | None, typer.Option(metavar="ZONE[/OPERATOR]=COUNT")] = None,
    operator: o.Operators = None,
    fresh: o.Fresh = False,
    data: o.Data,
    access: o.Access,
) -> None:
    """Show accounts side by side, zones and individual tariffs of operators, with the cheapest of each row marked.

    Options:
        service: Which price.
        mix: Traffic to sum up, of a zone or of one operator in it; repeat for more.
    """
    traffic = _read_mix(mix or ())
    if operator and service not in MESSAGES:
        raise CliError(f"--operator: an individual tariff is the price of an SMS; {service.value} is priced by zone")
    check_names(operators=operator or ())
    shape = data.shape(_columns(dict.fromkeys(accounts)))
    profiles = [find_profile(name, source=access.password_from) for name in dict.fromkeys(accounts)]
    lists, code = fetch_each(profiles, fresh=fresh, deadline=access.deadline)
    if lists:
        _write(comparison_of(lists, service=service), traffic, shape, operators=operator or ())
    raise typer.Exit(code)


def _read_mix(names: Sequence[str]) -> dict[str, int]:
    """Return a mix of traffic that was given as ``ZONE=COUNT`` or ``ZONE/OPERATOR=COUNT``."""
    mix: dict[str, int] = {}
    for each in names:
        key, _, count = each.rpartition("=")
        if not key or not (count.isascii() and count.isdigit()):
            raise CliError(f"--mix {each}: must be ZONE=COUNT or ZONE/OPERATOR=COUNT, such as 1=1000 or 1/25001=1000")
        zone, slash, operator = key.rpartition("/")
        # What is no operator may be the end of a zone's name, and is looked for in the list.
        check_names(zones=[zone if slash else key], operators=[operator] if slash and not operator.strip() else [])
        mix[key] = mix.get(key, 0) + int(count)
    return mix


def _write(comparison: Comparison, mix: Mapping[str, int], shape: Shape, *, operators: Sequence[str]) -> None:
    """Write lists side by side, or the lines of these operators alone, and what a mix of traffic costs in each."""
    mix = _resolved(comparison, mix)
    total = Compared("", "sum of the mix", comparison.totals(mix)) if mix else None
    if operators:
        codes = match_operators((row.mccmnc for row in comparison.codes), operators, "any of the lists")
        shown = tuple(row for row in comparison.codes if row.mccmnc in codes)
        comparison = attrs.evolve(comparison, rows=(), codes=shown)
    # The zones, the operators and the sum, each line with a zone and a name, or a code.
    groups: list[list[_Line]] = [
        [(line.zone, line.name, "", line) for line in comparison.rows],
        [("", "", line.mccmnc, line) for line in comparison.codes],
        [] if total is None else [("", total.name, "", total)],
    ]
    columns = _columns(comparison.names)
    rows = [
        dict(zip(columns, (zone, name, *line.prices, " ".join(_cheapest(comparison, line)), mccmnc), strict=True))
        for zone, name, mccmnc, line in chain.from_iterable(groups)
    ]
    write(
        rows,
        shape,
        document=lambda _: _document(comparison, mix, total),
        table=lambda out, _: _print(comparison, groups, out),
    )


def _resolved(comparison: Comparison, mix: Mapping[str, int]) -> dict[str, int]:
    """Return the mix with the numbers of zones and the codes of operators in place of their names."""
    resolved: dict[str, int] = {}
    for name, count in mix.items():
        zone, operator = _zone_and_operator(comparison, name)
        try:
            key = one_zone(comparison.rows, zone)
        except CliError as error:
            advice = "; an operator is named with its zone, such as 1/25001" if zone.isdigit() else ""
            raise CliError(f"--mix: {error}{advice}", error.code) from None
        if operator:
            check_names(operators=[operator])
            code = one_operator((row.mccmnc for row in comparison.codes), operator, has_zone=True)
            key = key if code is None else f"{key}/{code}"
        resolved[key] = resolved.get(key, 0) + count
    return resolved


def _zone_and_operator(comparison: Comparison, name: str) -> tuple[str, str]:
    zone, _, operator = name.rpartition("/")
    # The name of a zone may have a slash of its own.
    is_zone = any(fold(name) in fold(row.name) or name == row.zone for row in comparison.rows)
    return (name, "") if is_zone or not zone else (zone, operator)


def _columns(accounts: Iterable[str]) -> list[str]:
    taken = {"zone", "name", "cheapest", "mccmnc"}
    prices = (f"account_{each}" if each in taken else each for each in accounts)
    return ["zone", "name", *prices, "cheapest", "mccmnc"]


def _cheapest(comparison: Comparison, line: _Compared) -> list[str]:
    named, cheapest = zip(comparison.names, line.prices, strict=True), line.cheapest
    return [name for name, price in named if price is not None and price == cheapest]


def _document(comparison: Comparison, mix: Mapping[str, int], total: Compared | None) -> dict[str, object]:
    def priced(line: _Compared) -> dict[str, object]:
        named = dict(zip(comparison.names, line.prices, strict=True))
        return {"prices": named, "cheapest": _cheapest(comparison, line)}

    zones: list[object] = [{"zone": line.zone, "name": line.name, **priced(line)} for line in comparison.rows]
    document: dict[str, object] = {"service": comparison.service.value, "zones": zones}
    if total is not None:
        document["mix"] = {"counts": dict(mix), **priced(total)}
    document["codes"] = [{"mccmnc": line.mccmnc, **priced(line)} for line in comparison.codes]
    return document


def _print(comparison: Comparison, groups: Iterable[Iterable[_Line]], out: Console) -> None:
    title = f"{comparison.service.value}: * is the cheapest of a row"
    # The name of an account may be folded, a price may not.
    accounts = (Column(name, is_right=True, fold_at=NAME_WIDTH) for name in comparison.names)
    table = Table([Column("zone", is_right=True), Column("name", fold_at=NAME_WIDTH), *accounts], title=title)
    for group in filter(None, groups):
        if table.rows:
            table.rows.append(())
        table.rows.extend(
            (zone, name or network_label(mccmnc, out), *_marked(line, dash(out))) for zone, name, mccmnc, line in group
        )
    show(out, table)
    if any(None in line.prices for line in comparison.codes):
        err = notes()
        err.print(f"operators with {dash(err)} are charged by zone; the service does not name it")


def _marked(line: _Compared, missing: str) -> list[Cell]:
    shown = ((money(price, missing), is_best) for price, is_best in zip(line.prices, marks_of(line), strict=True))
    return [(f"{price}*", "bold green") if is_best else f"{price} " for price, is_best in shown]
