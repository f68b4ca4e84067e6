"""``compare``: several lists side by side; and lists by what they are called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
from rich.console import Console

from smsc_async.analysis.compare import Compared, ComparedOperator, Comparison
from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.cli.console import dash, notes, output, show
from smsc_async.cli.durations import instant_or_none
from smsc_async.cli.files import read_bounded
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.history import list_at
from smsc_async.cli.profiles import ENVIRONMENT, Profile, find_profile
from smsc_async.cli.selection import (
    Plain,
    check_names,
    match_operators,
    one_operator,
    one_zone,
    to_plain,
    with_columns,
)
from smsc_async.cli.session import fetch, fetch_all
from smsc_async.cli.table import NAME_WIDTH, Cell, Column, Table
from smsc_async.cli.tables import money, network_label
from smsc_async.cli.tariffs_output import print_age
from smsc_async.decoder import decode
from smsc_async.errors import DecodeError, SmscError
from smsc_async.fetch.bulk import Outcome
from smsc_async.history import History
from smsc_async.networks import fold
from smsc_async.records import MESSAGES, Row, Service, Tariffs

__all__ = [
    "NOW",
    "check_operators",
    "comparison_columns",
    "fetch_for_comparison",
    "is_there",
    "no_file",
    "read_file",
    "read_lists",
    "read_mix",
    "write_comparison",
]

NOW = "now"
"""The list of the account of the environment, or of the file's default, as it is now."""


def read_mix(names: Sequence[str]) -> dict[str, int]:
    """Return a mix of traffic that was given as ``ZONE=COUNT`` or ``ZONE/OPERATOR=COUNT``.

    Raises:
        CliError: One of them is not that.
    """
    mix: dict[str, int] = {}
    for each in names:
        key, _, count = each.rpartition("=")
        if not key or not (count.isascii() and count.isdigit()):
            raise CliError(
                f"--mix {each}: must be ZONE=COUNT or ZONE/OPERATOR=COUNT, such as 1=1000 or 1/25001=1000",
                ExitCode.USAGE,
            )
        zone, slash, operator = key.rpartition("/")
        check_names(zones=[zone if slash else key])
        # What is no operator may be the end of a zone's name, and is looked for in the list.
        check_names(operators=[operator] if slash and not operator.strip() else [])
        mix[key] = mix.get(key, 0) + int(count)
    return mix


def read_lists(
    names: Sequence[str], *, source: str | None, deadline: float, history: Callable[[], History]
) -> tuple[Tariffs, ...]:
    """Return lists by what they were called.

    A file, ``-`` for standard input, ``now``, the name of an account, or that with an instant, for a list that was kept.
    What is fetched comes last: a name that is mistyped costs no request.

    Raises:
        CliError: One of them is none of these, or both are standard input.
        SmscError: A file is not a list, or a list did not come.
        OSError: A file cannot be read.
    """
    if names.count("-") > 1:
        raise CliError("only one side can be standard input", ExitCode.USAGE)
    lists = [_without_request(each, source, history) for each in names]
    return tuple(each if isinstance(each, Tariffs) else _fetched(*each, deadline=deadline) for each in lists)


def _without_request(name: str, source: str | None, history: Callable[[], History]) -> Tariffs | tuple[str, Profile]:
    """A list that is here, or the account whose list has to be fetched and what it was called."""
    if name == "-":
        return _decoded(read_bounded(sys.stdin.buffer, "standard input"), "standard input")
    path = Path(name)
    if is_there(path):
        return read_file(path)
    account, _, tail = name.rpartition("@")
    instant = instant_or_none(tail) if account else None
    if instant is not None:
        return list_at(history(), account, instant)
    also = f", nor is {tail!r} an instant such as 2026-11-01" if account else ""
    if name not in {NOW, ENVIRONMENT} and (path.suffix or len(path.parts) > 1):
        raise CliError(f"{no_file(path)}{also}", ExitCode.FILES)
    return name, _profile(name, source, also)


def _fetched(name: str, profile: Profile, *, deadline: float) -> Tariffs:
    tariffs = fetch(profile, fresh=True, deadline=deadline)
    print_age(name, tariffs)
    return tariffs


def _profile(name: str, source: str | None, also: str) -> Profile:
    if name in {NOW, ENVIRONMENT, ""}:
        return find_profile(None if name == NOW else name, source=source)
    try:
        return find_profile(name, source=source)
    except CliError as error:
        there = f"{name} is a folder" if Path(name).is_dir() else f"nor is there a file {name}"
        message, code = f"{error}; {there}{also}", error.code
    raise CliError(message, code)


def is_there(path: Path) -> bool:
    """Return whether there is something to read: a file, a pipe or a device."""
    return path.exists() and not path.is_dir()


def no_file(path: Path) -> CliError:
    """Return what to say of a path where there is nothing to read."""
    return CliError(f"{path} is a folder: name a file" if path.is_dir() else f"there is no file {path}", ExitCode.FILES)


def read_file(path: Path) -> Tariffs:
    """Return the list that a file holds.

    Raises:
        CliError: It is not a list.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return _decoded(read_bounded(file, str(path)), str(path))


def _decoded(body: bytes, where: str) -> Tariffs:
    try:
        return decode(body)
    except SmscError as error:
        # The advice of an answer in no format is about the URL that it came from.
        is_odd = isinstance(error, DecodeError) and error.format is None
        reason = "it is in none of the formats of the service" if is_odd else str(error)
    raise CliError(f"{where} is not a tariff list: {reason}", ExitCode.DECODE)


def fetch_for_comparison(
    names: Sequence[str], *, source: str | None, fresh: bool, deadline: float
) -> tuple[dict[str, Tariffs], ExitCode]:
    """Return the lists that came, and the exit code of the first account whose list did not; each failure is told.

    Raises:
        CliError: There is no such account.
    """
    profiles = [find_profile(name, source=source) for name in dict.fromkeys(names)]
    return _split_outcomes(fetch_all(profiles, fresh=fresh, deadline=deadline))


def _split_outcomes(outcomes: Mapping[str, Outcome]) -> tuple[dict[str, Tariffs], ExitCode]:
    lists: dict[str, Tariffs] = {}
    code = ExitCode.OK
    for name, outcome in outcomes.items():
        if outcome.tariffs is not None:
            lists[name] = outcome.tariffs
            continue
        assert outcome.error is not None
        code = code or exit_code(outcome.error)
        notes().print(f"{name}: {outcome.error}", soft_wrap=True)
    return lists, code


def check_operators(operators: Sequence[str], service: Service) -> None:
    """Find out whether operators have prices for a service at all, before anything is fetched.

    Raises:
        CliError: They have none.
    """
    if operators and service not in MESSAGES:
        raise CliError(
            f"--operator: an individual tariff is the price of an SMS; {service.value} is priced by zone",
            ExitCode.USAGE,
        )


def write_comparison(
    comparison: Comparison, mix: Mapping[str, int], shape: Shape, *, operators: Sequence[str] = ()
) -> None:
    """Write lists side by side, and what a mix of traffic costs in each.

    Args:
        comparison: The lists.
        mix: The traffic to sum up; empty for no sum.
        shape: How it is to be written.
        operators: Codes of operators, or what they begin with, to show these alone; none for all lines.

    Raises:
        CliError: A zone of the mix or an operator is in no list, or there is no such column.
    """
    mix = _resolved(comparison, mix)
    total = _total(comparison, mix)
    if operators:
        codes = match_operators((row.mccmnc for row in comparison.codes), operators, "any of the lists")
        shown = tuple(row for row in comparison.codes if row.mccmnc in codes)
        comparison = attrs.evolve(comparison, rows=(), codes=shown)
    rows = with_columns(_rows(comparison, total), shape.columns)
    if shape.output is Output.JSON:
        write_json(_document(comparison, mix, total))
    elif shape.output is Output.TABLE:
        _print_comparison(comparison, total, output())
    else:
        write_rows(rows, shape)


_Compared: TypeAlias = Compared | ComparedOperator


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


def _total(comparison: Comparison, mix: Mapping[str, int]) -> Compared | None:
    """What the mix costs, as a line without a zone."""
    return Compared("", "sum of the mix", comparison.totals(mix)) if mix else None


def comparison_columns(names: Iterable[str]) -> list[str]:
    """Return the columns of a comparison of the accounts with these names."""
    return ["zone", "name", *_price_columns(names), "cheapest", "mccmnc"]


def _price_columns(names: Iterable[str]) -> list[str]:
    taken = {"zone", "name", "cheapest", "mccmnc"}
    return [f"account_{each}" if each in taken else each for each in names]


def _rows(comparison: Comparison, total: Compared | None) -> list[Row]:
    columns = _price_columns(comparison.names)

    def row(line: _Compared, *, zone: str = "", name: str = "", mccmnc: str = "") -> Row:
        prices = dict(zip(columns, line.prices, strict=True))
        cheapest = " ".join(_cheapest(comparison, line))
        return {"zone": zone, "name": name, **prices, "cheapest": cheapest, "mccmnc": mccmnc}

    return [
        *(row(line, zone=line.zone, name=line.name) for line in comparison.rows),
        *(row(line, mccmnc=line.mccmnc) for line in comparison.codes),
        *([] if total is None else [row(total, name=total.name)]),
    ]


def _cheapest(comparison: Comparison, line: _Compared) -> list[str]:
    named = zip(comparison.names, line.prices, strict=True)
    return [name for name, price in named if price is not None and price == line.cheapest]


def _document(comparison: Comparison, mix: Mapping[str, int], total: Compared | None) -> Plain:
    def priced(line: _Compared) -> dict[str, object]:
        named = dict(zip(comparison.names, line.prices, strict=True))
        return {"prices": named, "cheapest": list(_cheapest(comparison, line))}

    zones: list[object] = [{"zone": line.zone, "name": line.name, **priced(line)} for line in comparison.rows]
    document: dict[str, object] = {"service": comparison.service.value, "zones": zones}
    if total is not None:
        document["mix"] = {"counts": dict(mix), **priced(total)}
    document["codes"] = [{"mccmnc": line.mccmnc, **priced(line)} for line in comparison.codes]
    return to_plain(document)


def _print_comparison(comparison: Comparison, total: Compared | None, out: Console) -> None:
    groups: list[list[tuple[str, str, _Compared]]] = [
        [(line.zone, line.name, line) for line in comparison.rows],
        [("", network_label(line.mccmnc, out), line) for line in comparison.codes],
        [] if total is None else [("", total.name, total)],
    ]
    title = f"{comparison.service.value}: * is the cheapest of a row"
    # The name of an account may be folded, a price may not.
    accounts = (Column(name, is_right=True, fold_at=NAME_WIDTH) for name in comparison.names)
    table = Table([Column("zone", is_right=True), Column("name", fold_at=NAME_WIDTH), *accounts], title=title)
    for group in filter(None, groups):
        if table.rows:
            table.rows.append(())
        table.rows.extend((zone, name, *_marked(comparison, line, dash(out))) for zone, name, line in group)
    show(out, table)
    if any(None in line.prices for line in comparison.codes):
        err = notes()
        err.print(f"operators with {dash(err)} are charged by zone; the service does not tell by which one")


def _marked(comparison: Comparison, line: _Compared, missing: str) -> list[Cell]:
    cheapest = set(_cheapest(comparison, line))
    # If all are the same, none is the cheapest.
    marks = cheapest if len(cheapest) < len(comparison.names) else set[str]()
    return [
        (f"{money(price, missing)}*", "bold green") if name in marks else f"{money(price, missing)} "
        for name, price in zip(comparison.names, line.prices, strict=True)
    ]
