"""``report``: a page of lists, those that are fetched now and those that were saved or recorded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import anyio
import attrs
import typer

from smsc_async.analysis.snapshots import Snapshot
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes
from smsc_async.cli.diff import is_there, no_file, read_file
from smsc_async.cli.durations import parse_instant
from smsc_async.cli.files import check_output, expanded, replace_file, with_companions
from smsc_async.cli.formats import Output, write_text
from smsc_async.cli.profiles import ENVIRONMENT, Profile, config_file, filed_under, find_profile, is_account
from smsc_async.cli.session import fetch_each, new_history, new_store
from smsc_async.display import escape_for_display as displayed
from smsc_async.records import Service
from smsc_async.report import render_report

if TYPE_CHECKING:
    from smsc_async.history import History

_Source: TypeAlias = tuple[str, Path | Profile]
"""Whose list, and where it comes from: a file that contains it, or the account from which it is fetched."""


@o.command("report", "report", "report main reserve -o prices.html", "report main main=monday.json --since 2026-10-28")
def report(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ACCOUNT|[ACCOUNT=]FILE", show_default=False, autocompletion=o.complete_account_or_file),
    ] = None,
    *,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE")] = "report.html",
    title: Annotated[str, typer.Option()] = "Tariffs",
    service: Annotated[Service, typer.Option()] = Service.API,
    history: o.HistoryFile = None,
    since: Annotated[str | None, typer.Option(metavar="INSTANT")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y")] = False,
    fresh: o.Fresh = False,
    access: o.Access,
) -> None:
    """Write a page to search, sort, compare, chart and print: one HTML file that needs no network.

    Options:
        accounts: Accounts to fetch, and saved lists of earlier times; without any, the account of the environment,
            or the file's default.
        output: Where to, or - for standard output.
        title: What the page is called.
        service: Which price the comparison and the charts show first.
        since: Compare with the list of then, such as 2026-10-28, and chart from then on.
        yes: Replace an existing page without a question.
    """
    instant = None if since is None else parse_instant(since)
    lists = new_history(history, is_needed=False)
    sources = [_source(each, access) for each in accounts or ()] or [_fetched(None, access)]
    _check_place(output, _inputs_of(sources, lists), may_replace=yes)
    snapshots, code = _gather(sources, lists, instant, fresh=fresh, deadline=access.deadline)
    if snapshots:
        page = render_report(snapshots, title=title, service=service, since=instant, generated_at=datetime.now(UTC))
        _write_page(page, output, snapshots)
    raise typer.Exit(code)


def _source(text: str, access: o.Access) -> _Source:
    path = Path(text)
    if is_there(path):
        return path.stem, path
    account, _, file = text.partition("=")
    if is_account(text):
        return _fetched(text, access)
    if account and file:
        path = Path(file)
        if is_there(path):
            return account, path
    elif not text or (not path.suffix and len(path.parts) == 1):
        return _fetched(text, access)
    raise no_file(path)


def _fetched(name: str | None, access: o.Access) -> _Source:
    profile = find_profile(name, source=access.password_from)
    return profile.name, profile


def _gather(
    sources: Sequence[_Source], history: History, since: datetime | None, *, fresh: bool, deadline: float
) -> tuple[list[Snapshot], ExitCode]:
    """Return the lists, by account in the given order, and the exit code of the first that failed."""
    # Files come first: one that is no list costs no request. A list has no date of its own: that of the file is when
    # it was saved.
    snapshots = [
        Snapshot(account, datetime.fromtimestamp(place.stat().st_mtime, UTC), read_file(place))
        for account, place in sources
        if isinstance(place, Path)
    ]
    profiles = {account: place for account, place in sources if isinstance(place, Profile)}
    code = ExitCode.OK
    if profiles:
        lists, code = fetch_each(list(profiles.values()), fresh=fresh, deadline=deadline)
        # Not of the accounts that failed: nothing shows that their credentials are right.
        snapshots += anyio.run(_earlier_lists, [profiles[name] for name in lists], history, since)
        for name, tariffs in lists.items():
            assert tariffs.fetched_at is not None  # a client sets it
            snapshots.append(Snapshot(name, tariffs.fetched_at, tariffs))
    order = [account for account, _ in sources]
    snapshots.sort(key=lambda snapshot: order.index(snapshot.account))
    login = filed_under(profiles[ENVIRONMENT]) if ENVIRONMENT in profiles else ENVIRONMENT
    if login in order:
        return snapshots, code
    # A reader of the page does not know whose environment that was.
    return [attrs.evolve(each, account=login) if each.account == ENVIRONMENT else each for each in snapshots], code


async def _earlier_lists(profiles: Sequence[Profile], history: History, since: datetime | None) -> list[Snapshot]:
    """Return the lists that a watch has recorded, each that differs from the one before; first the one in force."""
    snapshots: list[Snapshot] = []
    for profile in profiles:
        name = filed_under(profile)
        in_force = None if since is None else await history.at(name, since)
        if in_force is not None:
            snapshots.append(attrs.evolve(in_force, account=profile.name))
        periods = await history.periods(name, since=since)
        snapshots += [Snapshot(profile.name, period.since, period.tariffs) for period in periods]
    return snapshots


def _check_place(output: str, inputs: Iterable[Path], *, may_replace: bool) -> None:
    """Refuse a place where a page cannot be written, before anything is fetched for it."""
    if output == "-":
        return
    path = Path(output)
    if not output or output in set(Output):
        raise CliError(f"a report is a page: name a file such as report.html, not -o {output!r}")
    place = path.resolve()
    if not place.parent.is_dir():
        raise _unwritten(output, f"there is no folder {place.parent}")
    if place.is_dir():
        raise _unwritten(output, "it is a folder")
    check_output(path, inputs)
    if place.is_file() and not (
        may_replace or (_is_interactive() and typer.confirm(f"replace {displayed(output)}?", err=True))
    ):
        raise _unwritten(output, "it exists already; --yes replaces it")


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _inputs_of(sources: Sequence[_Source], history: History) -> list[Path]:
    """Return the files that a report reads."""
    files = [place for _, place in sources if isinstance(place, Path)]
    for kind, _, path in (place.source.partition(":") for _, place in sources if isinstance(place, Profile)):
        files += [expanded(path)] if kind == "file" else []
    with contextlib.suppress(CliError):  # without a home folder there is no store to protect
        files += with_companions(Path(new_store().name))
    return [*files, *with_companions(history.path), *filter(None, [config_file()])]


def _write_page(page: str, path: str, snapshots: Sequence[Snapshot]) -> None:
    """Write a page to a file, or to standard output for ``-``, and note what is on it."""
    if path == "-":
        write_text(page)
        return
    try:
        replace_file(Path(path), page.encode())
    except OSError as error:
        raise _unwritten(path, error.strerror) from None
    accounts = len({snapshot.account for snapshot in snapshots})
    notes().print(f"{path}: accounts: {accounts}, lists: {len(snapshots)}", soft_wrap=True)


def _unwritten(path: str, reason: str | None) -> CliError:
    return CliError(f"cannot write {path}: {reason}", ExitCode.FILES)
