"""``compare``: several lists side by side; and lists by what they are called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smsc_async.cli.durations import instant_or_none
from smsc_async.cli.listing import tell_age
from smsc_async.cli.profiles import ENVIRONMENT, Profile, find_profile
from smsc_async.cli.remembering import kept_list
from smsc_async.cli.screen import dash, notes, output, show
from smsc_async.cli.selection import Plain, chosen, plain
from smsc_async.cli.session import fetch, fetch_all
from smsc_async.cli.tables import money, new_table
from smsc_async.cli.trouble import ExitCode, Trouble, exit_code
from smsc_async.cli.writing import Output, Shape, write_json, write_rows
from smsc_async.comparison import Comparison
from smsc_async.decoder import decode
from smsc_async.errors import DecodeError, SmscError
from smsc_async.fleet import Outcome
from smsc_async.history import History
from smsc_async.records import Row, Tariffs

__all__ = ["NOW", "fetch_for_comparison", "read_file", "read_list", "read_mix", "write_comparison"]

NOW = "now"
"""The list of the account of the environment, or of the file's default, as it is now."""


def read_mix(told: Sequence[str]) -> dict[str, int]:
    """Return a mix of traffic that was told as ``ZONE=COUNT``.

    Raises:
        Trouble: One of them is not that.
    """
    mix: dict[str, int] = {}
    for each in told:
        zone, _, count = each.rpartition("=")
        if not zone or not (count.isascii() and count.isdigit()):
            raise Trouble(f"--mix {each}: must be ZONE=COUNT, such as 1=1000", ExitCode.USAGE)
        mix[zone] = mix.get(zone, 0) + int(count)
    return mix


def read_list(told: str, *, source: str | None, deadline: float, history: History) -> Tariffs:
    """Return a list by what it was called.

    A file, ``-`` for standard input, ``now``, the name of an account, or that with an instant, for a list that was kept.

    Raises:
        Trouble: It is none of them.
        SmscError: The file is not a list, or the list did not come.
        OSError: The file cannot be read.
    """
    if told == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input")
    path = Path(told)
    if path.is_file():
        return read_file(path)
    account, _, tail = told.rpartition("@")
    instant = instant_or_none(tail) if account else None
    if instant is not None:
        return kept_list(history, account, instant)
    if told not in {NOW, ENVIRONMENT} and (path.suffix or len(path.parts) > 1):
        raise Trouble(f"there is no file {told}", ExitCode.FILES)
    tariffs = fetch(_profile(told, source), fresh=True, deadline=deadline)
    tell_age(told, tariffs)
    return tariffs


def _profile(told: str, source: str | None) -> Profile:
    if told in {NOW, ENVIRONMENT}:
        return find_profile(None if told == NOW else told, source=source)
    try:
        return find_profile(told, source=source)
    except Trouble as error:
        message, code = f"{error}; nor is there a file {told}", error.code
    raise Trouble(message, code)


def read_file(path: Path) -> Tariffs:
    """Return the list that a file holds.

    Raises:
        Trouble: It is not a list.
        OSError: It cannot be read.
    """
    return _decoded(path.read_bytes(), str(path))


def _decoded(body: bytes, where: str) -> Tariffs:
    try:
        return decode(body)
    except SmscError as error:
        # The advice of an answer in no format is about the URL that it came from.
        is_odd = isinstance(error, DecodeError) and error.format is None
        reason = "it is in none of the formats of the service" if is_odd else str(error)
    raise Trouble(f"{where} is not a tariff list: {reason}", ExitCode.DECODE)


def fetch_for_comparison(
    names: Sequence[str], *, source: str | None, fresh: bool, deadline: float
) -> tuple[dict[str, Tariffs], ExitCode]:
    """Return the lists that came, and the exit code of the first account whose list did not; each failure is told.

    Raises:
        Trouble: There is no such account.
    """
    profiles = [find_profile(name, source=source) for name in dict.fromkeys(names)]
    return _sorted_out(fetch_all(profiles, fresh=fresh, deadline=deadline))


def _sorted_out(outcomes: Mapping[str, Outcome]) -> tuple[dict[str, Tariffs], ExitCode]:
    lists: dict[str, Tariffs] = {}
    code = ExitCode.FINE
    for name, outcome in outcomes.items():
        if outcome.tariffs is not None:
            lists[name] = outcome.tariffs
            continue
        assert outcome.error is not None
        code = code or exit_code(outcome.error)
        notes().print(f"{name}: {outcome.error}", soft_wrap=True)
    return lists, code


def write_comparison(comparison: Comparison, mix: Mapping[str, int], shape: Shape) -> None:
    """Write lists side by side, and what a mix of traffic costs in each.

    Raises:
        Trouble: A zone of the mix is in no list, or there is no such column.
    """
    totals = _totals(comparison, mix)
    rows = chosen([_compared_row(comparison, row.zone, row.name, row.prices) for row in comparison.rows], shape.columns)
    if shape.output is Output.JSON:
        write_json(_document(comparison, mix, totals))
    elif shape.output is Output.TABLE:
        _print_comparison(comparison, totals, output())
    else:
        write_rows([*rows, *chosen(_total_rows(comparison, totals), shape.columns)], shape)


def _totals(comparison: Comparison, mix: Mapping[str, int]) -> tuple[Decimal | None, ...]:
    try:
        return comparison.totals(mix) if mix else ()
    except KeyError as error:
        reason = str(error.args[0])
    raise Trouble(f"--mix: {reason}", ExitCode.NO_PRICE)


def _total_rows(comparison: Comparison, totals: tuple[Decimal | None, ...]) -> list[Row]:
    return [_compared_row(comparison, "", "sum of the mix", totals)] if totals else []


def _compared_row(comparison: Comparison, zone: str, name: str, prices: Sequence[Decimal | None]) -> Row:
    taken = {"zone", "name", "cheapest"}
    columns = [f"account_{each}" if each in taken else each for each in comparison.names]
    cheapest = " ".join(_cheapest(comparison, prices))
    return {"zone": zone, "name": name, **dict(zip(columns, prices, strict=True)), "cheapest": cheapest}


def _cheapest(comparison: Comparison, prices: Sequence[Decimal | None]) -> list[str]:
    lowest = min((price for price in prices if price is not None), default=None)
    return [name for name, price in zip(comparison.names, prices, strict=True) if price is not None and price == lowest]


def _document(comparison: Comparison, mix: Mapping[str, int], totals: tuple[Decimal | None, ...]) -> Plain:
    def priced(prices: Sequence[Decimal | None]) -> dict[str, object]:
        named = dict(zip(comparison.names, prices, strict=True))
        return {"prices": named, "cheapest": list(_cheapest(comparison, prices))}

    zones: list[object] = [{"zone": row.zone, "name": row.name, **priced(row.prices)} for row in comparison.rows]
    document: dict[str, object] = {"service": comparison.service.value, "zones": zones}
    if totals:
        document["mix"] = {"counts": dict(mix), **priced(totals)}
    return plain(document)


def _print_comparison(comparison: Comparison, totals: tuple[Decimal | None, ...], out: Console) -> None:
    table = new_table(out, title=f"{comparison.service.value}: * is the cheapest of a row")
    table.add_column("zone", justify="right", no_wrap=True)
    table.add_column("name", overflow="fold", min_width=20)
    lines = [*(row.prices for row in comparison.rows), *([totals] if totals else [])]
    marked = [_marked(comparison, prices, dash(out)) for prices in lines]
    for name, column in zip(comparison.names, zip(*marked, strict=True), strict=True):
        # The name may be folded, a price may not.
        table.add_column(name, justify="right", overflow="fold", min_width=max(cell.cell_len for cell in column))
    for row, cells in zip(comparison.rows, marked, strict=False):
        table.add_row(row.zone, row.name, *cells)
    if totals:
        table.add_section()
        table.add_row("", "sum of the mix", *marked[-1])
    show(out, table)


def _marked(comparison: Comparison, prices: Sequence[Decimal | None], missing: str) -> list[Text]:
    cheapest = set(_cheapest(comparison, prices))
    # Where all are the same, none is the cheapest.
    marks = cheapest if len(cheapest) < len(comparison.names) else set[str]()
    return [
        Text(f"{money(price, missing)}*", "bold green") if name in marks else Text(f"{money(price, missing)} ")
        for name, price in zip(comparison.names, prices, strict=True)
    ]
