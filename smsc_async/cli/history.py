"""``history``: the lists that a watch has recorded, or one price over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import typer
from rich.console import Console

from smsc_async.analysis.diff import diff
from smsc_async.analysis.exact import EXACT
from smsc_async.analysis.networks import label_of
from smsc_async.analysis.snapshots import Period, PricePoint, price_points
from smsc_async.cli import options as o
from smsc_async.cli.chart import check_chart, draw_prices, sparkline
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import dash, notes
from smsc_async.cli.durations import parse_duration, parse_instant, shown
from smsc_async.cli.files import checked_text
from smsc_async.cli.formats import write
from smsc_async.cli.profiles import ENVIRONMENT, filed_under, find_profile
from smsc_async.cli.selection import check_names, one_operator, one_zone
from smsc_async.cli.session import new_history
from smsc_async.cli.tables import Column, Record, Table, money, row_table, show
from smsc_async.records import Service, Tariffs

if TYPE_CHECKING:
    from smsc_async.history import History

_PERIOD_COLUMNS: Final = ("account", "since", "until", "lists", "zones", "operators", "changes")
_POINT_COLUMNS: Final = ("since", "until", "price", "difference")
# The sparkline is as wide as a page.
_WIDTH: Final = 80


@o.command(
    "history",
    "history main",
    "history main --zone latvia --since 2026-11-01",
    "history main --operator mts --chart mts.svg",
)
def history(
    account: Annotated[str | None, o.account("Whose lists; without it those of all accounts.")] = None,
    *,
    zone: Annotated[str | None, typer.Option(metavar="ZONE")] = None,
    operator: Annotated[str | None, typer.Option(metavar="OPERATOR")] = None,
    mail: Annotated[bool, typer.Option("--mail")] = False,
    service: Annotated[Service, typer.Option()] = Service.API,
    since: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    prune: Annotated[str | None, typer.Option(metavar="DURATION")] = None,
    history: o.HistoryFile = None,
    data: o.Data,
) -> None:
    """Show the lists that a watch has recorded, or one price over time. Sends nothing.

    Options:
        zone: A zone whose price to show over time.
        operator: An operator whose price to show over time.
        mail: Show the e-mail price over time.
        service: Which price.
        since: From then on, such as 2026-11-01.
        until: Up to then; now is an instant, too.
        chart: Draw the price into a .png or .svg (the extra plot).
        prune: Drop lists older than, say, 90d that changed nothing.
    """
    check_names(zones=[] if zone is None else [zone], operators=[] if operator is None else [operator])
    is_price = mail or zone is not None or operator is not None
    shape = data.shape(_POINT_COLUMNS if is_price else _PERIOD_COLUMNS)
    if mail and (zone is not None or operator is not None):
        raise CliError("--mail is a price of its own: leave --zone and --operator out")
    stored = new_history(history)
    if history is not None:
        _check_exists(stored)
    name = None if account is None else _name_in_history(account)
    if prune is not None:
        if is_price or (since, until, chart) != (None, None, None):
            raise CliError("--prune works on whole lists: leave the options of a price, a time and a chart out")
        before = datetime.now(UTC) - timedelta(seconds=parse_duration(prune))
        dropped = anyio.run(partial(stored.prune, before, account=name))
        notes().print(f"{dropped} repetitions dropped; every change is still there")
        return
    if chart is not None:
        if not is_price:
            raise CliError("a chart of which price? Name a --zone, an --operator, both, or --mail")
        check_chart(chart, stored.path)
    first, last = (None if text is None else parse_instant(text) for text in (since, until))
    periods = _read_periods(stored, name, since=first, until=last)
    if not is_price:
        write(_period_rows(periods), shape, document=lambda rows: {"periods": rows}, table=_print_periods)
        return
    points, title = _prices_of(periods, zone, operator, service, mail=mail)
    write(
        _price_rows(points),
        shape,
        document=lambda rows: {"prices": rows},
        table=lambda out, _: _print_prices(points, title, out),
    )
    if chart is not None and points:
        draw_prices(points, chart, title=title)


def _check_exists(history: History) -> None:
    if not history.path.exists():
        raise CliError(
            f"there is no file {history.path}: smsc-async watch records lists there, and --history or SMSC_HISTORY names another",
            ExitCode.FILES,
        )


def _read_periods(
    history: History, name: str | None, *, since: datetime | None, until: datetime | None
) -> tuple[Period, ...]:
    """Return what the history has of an account, or of one after the other, oldest first."""
    if since is not None and until is not None and since > until:
        raise CliError(f"--since ({shown(since)} UTC) is later than --until ({shown(until)} UTC)")

    async def read() -> tuple[tuple[Period, ...], tuple[str, ...], tuple[Period, ...]]:
        found = await history.periods(name, since=since, until=until)
        return found, await history.accounts(), found or await history.periods(name)

    periods, names, every = anyio.run(read)
    if name is not None and name not in names:
        raise CliError(f"nothing of {name!r} in {history.path}; there are: {', '.join(names) or 'none'}")
    if not names:
        notes().print(f"nothing in {history.path} yet: smsc-async watch records lists there", soft_wrap=True)
    elif not periods:
        whose = "nothing" if name is None else f"nothing of {name!r}"
        first, last = shown(min(each.since for each in every)), shown(max(each.until for each in every))
        notes().print(f"{whose} in that time in {history.path}; lists are from {first} to {last} UTC", soft_wrap=True)
    return tuple(sorted(periods, key=lambda period: period.account))  # which leaves each account's in their order


def list_at(history: History, account: str, instant: datetime) -> Tariffs:
    """Return the list of an account that was in force at an instant.

    Raises:
        CliError: There is no history, or it has none from so long ago.
        StoreError: The history cannot be used.
    """
    _check_exists(history)
    name = _name_in_history(account)
    snapshot = anyio.run(history.at, name, instant)
    if snapshot is None:
        periods = anyio.run(history.periods, name)
        begun = f"its lists begin at {shown(periods[0].since)} UTC" if periods else "it has no lists"
        raise CliError(
            f"no list of {name!r} from {shown(instant)} UTC or before in {history.path}: {begun}", ExitCode.FILES
        )
    notes().print(f"{name}, recorded at {snapshot.taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    return snapshot.tariffs


def _prices_of(
    periods: Sequence[Period], zone: str | None, operator: str | None, service: Service, *, mail: bool
) -> tuple[tuple[PricePoint, ...], str]:
    """Return a price over time, and what it is the price of."""
    accounts = dict.fromkeys(period.account for period in periods)
    if len(accounts) > 1:
        raise CliError(f"whose price? Name one of {', '.join(accounts)}")
    # By the last list, since zones are renamed; one that has gone is found by its number.
    known = any(each.zone == zone for period in periods for each in period.tariffs.zones)
    if zone is not None and periods and not known:
        zone = one_zone(periods[-1].tariffs.zones, zone)
    if operator is not None and periods:
        codes = (code.mccmnc for period in periods for code in period.tariffs.codes)
        operator = one_operator(codes, operator, has_zone=zone is not None)
    points = price_points(periods, zone=zone, operator=operator, mail=mail, service=service)
    parts = ["e-mail"] if mail else [service.value]
    parts += [] if zone is None else [f"zone {zone}", *_names(periods, zone)]
    parts += [] if operator is None else [f"operator {label_of(operator)}"]
    title = ", ".join([*accounts, *parts])
    if periods and all(point.price is None for point in points):
        raise CliError(f"no such price in any of the lists: {title}", ExitCode.NO_PRICE)
    return points, title


def _name_in_history(account: str) -> str:
    """Return the name under which the lists of an account are recorded."""
    return filed_under(find_profile(account)) if account == ENVIRONMENT else checked_text(account, "account")


def _names(periods: Sequence[Period], zone: str) -> list[str]:
    """Return the last name that a zone had."""
    names = (each.name for period in reversed(periods) for each in period.tariffs.zones if each.zone == zone)
    return list(islice(filter(None, names), 1))


def _period_rows(periods: Sequence[Period]) -> list[Record]:
    rows: list[Record] = []
    for old, new in zip([None, *periods], periods, strict=False):
        changes = None if old is None or old.account != new.account else len(diff(old.tariffs, new.tariffs))
        counts = (new.count, len(new.tariffs.zones), len(new.tariffs.codes), changes)
        values = (new.account, _iso(new.since), _iso(new.until), *counts)
        rows.append(dict(zip(_PERIOD_COLUMNS, values, strict=True)))
    return rows


def _print_periods(out: Console, rows: Sequence[Record]) -> None:
    times = {"since": "since (UTC)", "until": "until (UTC)"}
    minutes = [
        {
            times.get(name, name): str(value)[:16].replace("T", " ") if name in times else value
            for name, value in row.items()
        }
        for row in rows
    ]
    show(out, row_table(minutes, out))


def _price_rows(points: Sequence[PricePoint]) -> list[Record]:
    pairs = zip(points, _differences(points), strict=True)
    rows = [(_iso(point.since), _iso(point.until), point.price, by) for point, by in pairs]
    return [dict(zip(_POINT_COLUMNS, row, strict=True)) for row in rows]


def _print_prices(points: Sequence[PricePoint], title: str, out: Console) -> None:
    """Write a price over time, with a line of letters that are as high as the price."""
    table = Table(
        [Column("since (UTC)"), Column("until (UTC)"), Column("price", is_right=True), Column("by", is_right=True)]
    )
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
