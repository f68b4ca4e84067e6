"""``history``: the lists that a watch has recorded, or one price over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import attrs
import typer
from rich.console import Console

from smsc_async.analysis.diff import diff
from smsc_async.analysis.exact import EXACT
from smsc_async.analysis.snapshots import Period, PricePoint, price_points
from smsc_async.cli import options as o
from smsc_async.cli.chart import check_chart, draw_prices, sparkline
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import dash, notes, show
from smsc_async.cli.durations import parse_duration, parse_instant, shown
from smsc_async.cli.files import checked_text
from smsc_async.cli.formats import Output, write
from smsc_async.cli.profiles import ENVIRONMENT, filed_under, find_profile
from smsc_async.cli.selection import check_names, one_operator, one_zone
from smsc_async.cli.session import new_history
from smsc_async.cli.table import Column, Table
from smsc_async.cli.tables import Record, money, row_table
from smsc_async.networks import label_of
from smsc_async.records import Service, Tariffs

if TYPE_CHECKING:
    from smsc_async.history import History

__all__ = ["app", "list_at", "name_in_history"]

_PERIOD_COLUMNS: Final = ("account", "since", "until", "lists", "zones", "operators", "changes")
_POINT_COLUMNS: Final = ("since", "until", "price", "difference")
# The sparkline is as wide as a page.
_WIDTH: Final = 80

app: typer.Typer = o.new_app()


@app.command(
    epilog=o.examples(
        "history main", "history main --zone latvia --since 2026-11-01", "history main --operator mts --chart mts.svg"
    )
)
def history(
    account: Annotated[
        str | None,
        typer.Argument(
            metavar="ACCOUNT",
            help="Whose lists; without it those of all accounts.",
            show_default=False,
            autocompletion=o.complete_account,
        ),
    ] = None,
    *,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="A zone whose price to show over time.")] = None,
    operator: Annotated[
        str | None, typer.Option(metavar="OPERATOR", help="An operator whose price to show over time.")
    ] = None,
    mail: Annotated[bool, typer.Option("--mail", help="Show the e-mail price over time.")] = False,
    service: Annotated[Service, typer.Option(help="Which price.")] = Service.API,
    since: o.Since = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT", help="Up to then; now is an instant, too.")] = None,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the price into a .png or .svg (the extra plot).")
    ] = None,
    prune: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Drop lists older than, say, 90d that changed nothing.")
    ] = None,
    history: o.HistoryFile = None,
    output: o.OutputOption = Output.TABLE,
    columns: o.Columns = None,
    bom: o.Bom = False,
    decimal_comma: o.DecimalComma = False,
) -> None:
    """Show the lists that were kept over time, or one price over time. Asks the service for nothing."""
    check_names(zones=[] if zone is None else [zone], operators=[] if operator is None else [operator])
    wanted = _Wanted(zone=zone, operator=operator, mail=mail, service=service)
    there = _POINT_COLUMNS if wanted.any else _PERIOD_COLUMNS
    shape = o.shape(output, columns, there, bom=bom, decimal_comma=decimal_comma)
    stored = new_history(history)
    if history is not None:
        _check_exists(stored)
    if prune is not None:
        _prune(stored, account, parse_duration(prune))
        return
    if chart is not None:
        if not wanted.any:
            raise CliError("a chart of which price? Name a --zone, an --operator, both, or --mail")
        check_chart(chart, stored.path)
    first, last = (None if text is None else parse_instant(text) for text in (since, until))
    periods = _read_periods(stored, account, since=first, until=last)
    if not wanted.any:
        write(
            _period_rows(periods),
            shape,
            document=lambda rows: {"periods": rows},
            table=lambda out, rows: _print_periods(rows, out),
        )
        return
    points, title = _prices_of(periods, wanted)
    write(
        _price_rows(points),
        shape,
        document=lambda rows: {"prices": rows},
        table=lambda out, _: _print_prices(points, title, out),
    )
    if chart is not None and points:
        draw_prices(points, chart, title=title)


@attrs.frozen(kw_only=True)
class _Wanted:
    """Which price is wanted over time.

    Attributes:
        zone: The number of a zone, or a part of its name.
        operator: The code of an operator.
        mail: Whether it is the e-mail price.
        service: What is sent.
    """

    zone: str | None
    operator: str | None
    mail: bool
    service: Service

    @property
    def any(self) -> bool:
        """Whether one is wanted at all."""
        return self.mail or self.zone is not None or self.operator is not None


def _check_exists(history: History) -> None:
    """Find out whether the file of a history is there, where one is to be read.

    Raises:
        CliError: It is not.
    """
    if not history.path.exists():
        raise CliError(
            f"there is no file {history.path}: smsc-async watch keeps lists there, and --history or SMSC_HISTORY names another",
            ExitCode.FILES,
        )


def _read_periods(
    history: History, account: str | None, *, since: datetime | None, until: datetime | None
) -> tuple[Period, ...]:
    """Return what the history has of an account, or of one after the other, oldest first.

    Raises:
        CliError: It has nothing of that account, or the time ends before it begins.
        StoreError: The history cannot be used.
    """
    if since is not None and until is not None and since > until:
        raise CliError(f"--since ({shown(since)} UTC) is later than --until ({shown(until)} UTC)")
    name = None if account is None else name_in_history(account)

    async def read() -> tuple[tuple[Period, ...], tuple[str, ...]]:
        return await history.periods(name, since=since, until=until), await history.accounts()

    periods, names = anyio.run(read)
    if name is not None and name not in names:
        raise CliError(f"nothing of {name!r} in {history.path}; there are: {', '.join(names) or 'none'}")
    if not names:
        notes().print(f"nothing in {history.path} yet: smsc-async watch keeps lists there", soft_wrap=True)
    elif not periods:
        _print_range(history, name, anyio.run(history.periods, name), _range(since, until))
    return tuple(sorted(periods, key=lambda period: period.account))  # which leaves each account's in their order


def _print_range(history: History, name: str | None, periods: Sequence[Period], when: str) -> None:
    """Tell from when lists are where none is from the time that was asked for."""
    whose = "nothing" if name is None else f"nothing of {name!r}"
    first, last = min(period.since for period in periods), max(period.until for period in periods)
    notes().print(
        f"{whose} {when} in {history.path}; lists are from {shown(first)} to {shown(last)} UTC", soft_wrap=True
    )


def _range(since: datetime | None, until: datetime | None) -> str:
    parts = ((word, instant) for word, instant in (("since", since), ("until", until)) if instant is not None)
    return " and ".join(f"{word} {shown(instant)} UTC" for word, instant in parts)


def list_at(history: History, account: str, instant: datetime) -> Tariffs:
    """Return the list of an account that was in force at an instant.

    Raises:
        CliError: There is no history, or it has none from so long ago.
        StoreError: The history cannot be used.
    """
    _check_exists(history)
    name = name_in_history(account)
    snapshot = anyio.run(history.at, name, instant)
    if snapshot is None:
        periods = anyio.run(history.periods, name)
        begun = f"its lists begin at {shown(periods[0].since)} UTC" if periods else "it has no lists"
        raise CliError(
            f"no list of {name!r} from {shown(instant)} UTC or before in {history.path}: {begun}", ExitCode.FILES
        )
    notes().print(f"{name}, kept at {snapshot.taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return snapshot.tariffs


def _prune(history: History, account: str | None, seconds: float) -> None:
    """Drop the repetitions that are older than so many seconds, and tell how many they were.

    Raises:
        StoreError: The history cannot be used.
    """

    async def drop() -> int:
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        return await history.prune(before, account=None if account is None else name_in_history(account))

    notes().print(f"{anyio.run(drop)} repetitions dropped; every change is still there")


def _prices_of(periods: Sequence[Period], wanted: _Wanted) -> tuple[tuple[PricePoint, ...], str]:
    """Return a price over time, and what it is the price of.

    Raises:
        CliError: The periods are of several accounts, or none of their lists has that price.
    """
    accounts = dict.fromkeys(period.account for period in periods)
    if len(accounts) > 1:
        raise CliError(f"whose price? Name one of {', '.join(accounts)}")
    if wanted.mail and (wanted.zone is not None or wanted.operator is not None):
        raise CliError("--mail is a price of its own: leave --zone and --operator out")
    # By the last list, since zones are renamed; one that has gone is found by its number.
    known = any(zone.zone == wanted.zone for period in periods for zone in period.tariffs.zones)
    zone = wanted.zone
    if zone is not None and periods and not known:
        zone = one_zone(periods[-1].tariffs.zones, zone)
    operator = wanted.operator
    if operator is not None and periods:
        codes = (code.mccmnc for period in periods for code in period.tariffs.codes)
        operator = one_operator(codes, operator, has_zone=zone is not None)
    points = price_points(periods, zone=zone, operator=operator, mail=wanted.mail, service=wanted.service)
    parts = ["e-mail"] if wanted.mail else [wanted.service.value]
    parts += [] if zone is None else [f"zone {zone}", *_names(periods, zone)]
    parts += [] if operator is None else [f"operator {label_of(operator)}"]
    title = ", ".join([*accounts, *parts])
    if periods and all(point.price is None for point in points):
        raise CliError(f"no such price in any of the lists: {title}", ExitCode.NO_PRICE)
    return points, title


def name_in_history(account: str) -> str:
    """Return the name under which the lists of an account are kept."""
    return filed_under(find_profile(account)) if account == ENVIRONMENT else checked_text(account, "account")


def _names(periods: Sequence[Period], zone: str) -> list[str]:
    """Return the last name that a zone had."""
    names = (each.name for period in reversed(periods) for each in period.tariffs.zones if each.zone == zone)
    return list(islice(filter(None, names), 1))


def _period_rows(periods: Sequence[Period]) -> list[Record]:
    before: dict[str, Period] = {}
    rows: list[Record] = []
    for period in periods:
        former = before.get(period.account)
        before[period.account] = period
        changes = None if former is None else len(diff(former.tariffs, period.tariffs))
        counts = (period.count, len(period.tariffs.zones), len(period.tariffs.codes), changes)
        values = (period.account, _iso(period.since), _iso(period.until), *counts)
        rows.append(dict(zip(_PERIOD_COLUMNS, values, strict=True)))
    return rows


def _print_periods(rows: Sequence[Record], out: Console) -> None:
    minutes = [{**row, **{name: str(row[name])[:16].replace("T", " ") for name in ("since", "until")}} for row in rows]
    show(out, row_table(minutes, out))


def _price_rows(points: Sequence[PricePoint]) -> list[Record]:
    return [
        {"since": _iso(point.since), "until": _iso(point.until), "price": point.price, "difference": by}
        for point, by in zip(points, _differences(points), strict=True)
    ]


def _print_prices(points: Sequence[PricePoint], title: str, out: Console) -> None:
    """Write a price over time, with a line of letters that are as high as the price."""
    table = Table([Column("since"), Column("until"), Column("price", is_right=True), Column("by", is_right=True)])
    for point, by in zip(points, _differences(points), strict=True):
        price = money(point.price, dash(out))
        table.rows.append((shown(point.since), shown(point.until), price, "" if by is None else f"{by:+f}"))
    out.print(title, style="bold")
    out.print()
    show(out, table)
    out.print()
    out.print(sparkline(points, min(out.width, _WIDTH), ascii_only=out.options.ascii_only))


def _differences(points: Sequence[PricePoint]) -> list[Decimal | None]:
    pairs = pairwise([None, *(point.price for point in points)])
    return [None if before is None or after is None else EXACT.subtract(after, before) for before, after in pairs]


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
