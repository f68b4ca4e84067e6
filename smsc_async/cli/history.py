"""``history``: what of it is wanted. ``history_output.py`` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import anyio
import attrs

from smsc_async.analysis.snapshots import Period, PricePoint, price_points
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes
from smsc_async.cli.durations import shown
from smsc_async.cli.files import checked_text
from smsc_async.cli.profiles import ENVIRONMENT, filed_under, find_profile
from smsc_async.cli.selection import one_operator, one_zone
from smsc_async.history import History
from smsc_async.networks import label_of
from smsc_async.records import Service, Tariffs

__all__ = [
    "Wanted",
    "check_exists",
    "check_price_wanted",
    "list_at",
    "name_in_history",
    "prices_of",
    "prune",
    "read_periods",
]


@attrs.frozen(kw_only=True)
class Wanted:
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


def check_price_wanted(wanted: Wanted) -> None:
    """Find out whether a price is wanted at all, which alone can be drawn.

    Raises:
        CliError: None is.
    """
    if not wanted.any:
        raise CliError("a chart of which price? Name a --zone, an --operator, both, or --mail", ExitCode.USAGE)


def check_exists(history: History) -> None:
    """Find out whether the file of a history is there, where one is to be read.

    Raises:
        CliError: It is not.
    """
    if not history.path.exists():
        raise CliError(
            f"there is no file {history.path}: smsc-async watch keeps lists there, and --history or SMSC_HISTORY names another",
            ExitCode.FILES,
        )


def read_periods(
    history: History, account: str | None, *, since: datetime | None, until: datetime | None
) -> tuple[Period, ...]:
    """Return what the history has of an account, or of one after the other, oldest first.

    Raises:
        CliError: It has nothing of that account, or the time ends before it begins.
        StoreError: The history cannot be used.
    """
    if since is not None and until is not None and since > until:
        raise CliError(f"--since ({shown(since)} UTC) is later than --until ({shown(until)} UTC)", ExitCode.USAGE)
    name = None if account is None else name_in_history(account)

    async def read() -> tuple[tuple[Period, ...], tuple[str, ...]]:
        return await history.periods(name, since=since, until=until), await history.accounts()

    periods, names = anyio.run(read)
    if name is not None and name not in names:
        raise CliError(
            f"nothing of {name!r} in {history.path}; there are: {', '.join(names) or 'none'}", ExitCode.USAGE
        )
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
    check_exists(history)
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


def prune(history: History, account: str | None, seconds: float) -> None:
    """Drop the repetitions that are older than so many seconds, and tell how many they were.

    Raises:
        StoreError: The history cannot be used.
    """

    async def drop() -> int:
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        return await history.prune(before, account=None if account is None else name_in_history(account))

    notes().print(f"{anyio.run(drop)} repetitions dropped; every change is still there")


def prices_of(periods: Sequence[Period], wanted: Wanted) -> tuple[tuple[PricePoint, ...], str]:
    """Return a price over time, and what it is the price of.

    Raises:
        CliError: The periods are of several accounts, or none of their lists has that price.
    """
    accounts = dict.fromkeys(period.account for period in periods)
    if len(accounts) > 1:
        raise CliError(f"whose price? Name one of {', '.join(accounts)}", ExitCode.USAGE)
    if wanted.mail and (wanted.zone is not None or wanted.operator is not None):
        raise CliError("--mail is a price of its own: leave --zone and --operator out", ExitCode.USAGE)
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
