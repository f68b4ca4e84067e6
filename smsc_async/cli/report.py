"""``report``: a page of lists, those that are fetched now and those that were saved or recorded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import attrs
import typer

from smsc_async.analysis.snapshots import Snapshot
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import displayed, notes
from smsc_async.cli.diff import is_there, no_file, read_file
from smsc_async.cli.durations import parse_instant
from smsc_async.cli.files import check_output, expanded, replace_file, with_companions
from smsc_async.cli.formats import Output, write_text
from smsc_async.cli.history import name_in_history
from smsc_async.cli.profiles import ENVIRONMENT, config_file, find_profile
from smsc_async.cli.session import fetch_each, new_history, new_store
from smsc_async.records import Service
from smsc_async.report import render_report

if TYPE_CHECKING:
    from smsc_async.history import History

__all__ = ["app"]

app: typer.Typer = o.new_app()


@app.command(
    epilog=o.examples(
        "report", "report main reserve -o prices.html", "report main main=monday.json --since 2026-10-28"
    ),
)
def report(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ACCOUNT|[ACCOUNT=]FILE",
            help="Accounts to fetch, and saved lists of earlier times; without any, the account of the environment, "
            "or the file's default.",
            show_default=False,
            autocompletion=o.complete_account_or_file,
        ),
    ] = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to, or - for standard output.")
    ] = "report.html",
    title: Annotated[str, typer.Option(help="What the page is called.")] = "Tariffs",
    service: Annotated[
        Service, typer.Option(help="Which price the comparison and the charts show first.")
    ] = Service.API,
    history: o.HistoryFile = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT", help="Compare with the list of then, such as 2026-10-28, and chart from then on."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace a page that is there without a question.")] = False,
    fresh: o.Fresh = False,
    password_from: o.PasswordFrom = None,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Write a page to search, sort, compare, chart and print: one HTML file that needs no network."""
    instant = None if since is None else parse_instant(since)
    lists = new_history(history, is_needed=False)
    _check_place(output, _inputs_of(accounts or (), lists, password_from), may_replace=yes)
    snapshots, code = _gather(
        accounts or (),
        history=lists,
        since=instant,
        password_from=password_from,
        fresh=fresh,
        deadline=deadline,
    )
    if snapshots:
        page = render_report(snapshots, title=title, service=service, since=instant, generated_at=datetime.now(UTC))
        _write_page(page, output, snapshots)
    raise typer.Exit(code)


@attrs.frozen
class _Source:
    """Where a list comes from.

    Attributes:
        account: Whose list it is.
        path: A file that holds it; ``None`` where it is fetched.
    """

    account: str
    path: Path | None = None


def _source(text: str) -> _Source:
    path = Path(text)
    if is_there(path):
        return _Source(path.stem, path)
    account, _, file = text.partition("=")
    if account and file:
        path = Path(file)
        if is_there(path):
            return _Source(account, path)
    elif not text or (not path.suffix and len(path.parts) == 1):
        return _Source(text)
    raise no_file(path)


def _read_files(sources: Sequence[_Source]) -> list[Snapshot]:
    """Return the lists that files hold.

    Raises:
        CliError: A file is not a list.
        OSError: A file cannot be read.
    """
    return [
        # A list has no date of its own: that of the file is when it was saved.
        Snapshot(source.account, datetime.fromtimestamp(source.path.stat().st_mtime, UTC), read_file(source.path))
        for source in sources
        if source.path is not None
    ]


def _earlier_lists(accounts: Iterable[str], history: History, since: datetime | None) -> list[Snapshot]:
    """Return the lists of these accounts that a watch has recorded: each that differs from the one before.

    Args:
        accounts: The accounts.
        history: Where the lists are; it need not be there.
        since: From when on: the list in force then comes first. ``None`` for all.

    Raises:
        StoreError: The history cannot be used.
    """

    async def read() -> list[Snapshot]:
        snapshots: list[Snapshot] = []
        for account in accounts:
            name = name_in_history(account)
            in_force = None if since is None else await history.at(name, since)
            if in_force is not None:
                snapshots.append(attrs.evolve(in_force, account=account))
            periods = await history.periods(name, since=since)
            snapshots += [Snapshot(account, period.since, period.tariffs) for period in periods]
        return snapshots

    return anyio.run(read)


def _gather(
    texts: Sequence[str],
    *,
    history: History,
    since: datetime | None,
    password_from: str | None,
    fresh: bool,
    deadline: float,
) -> tuple[list[Snapshot], ExitCode]:
    """Return the lists, by account in the given order, and the exit code of the first that failed.

    Args:
        texts: Accounts, and files as ``FILE`` or ``ACCOUNT=FILE``; without any, the account of a command without one.
        history: Where lists of the accounts are kept over time; it need not be there.
        since: From when on those are taken, or ``None`` for all.
        password_from: Where the passwords are, or ``None`` for what the configuration says.
        fresh: Whether to ask the service even where a list is less than a minute old.
        deadline: Seconds that the fetching may take.

    Raises:
        CliError: There is no such account or file, or a file is not a list.
        StoreError: The history cannot be used.
        OSError: A file cannot be read.
    """
    sources = [_source(each) for each in texts] or [_Source(find_profile(None, source=password_from).name)]
    # Before anything is fetched: a file that is no list costs no request.
    snapshots = _read_files(sources)
    names = [source.account for source in sources if source.path is None]
    code = ExitCode.OK
    if names:
        profiles = [find_profile(name, source=password_from) for name in dict.fromkeys(names)]
        lists, code = fetch_each(profiles, fresh=fresh, deadline=deadline)
        # Not of the accounts that failed: nothing shows that their credentials are right.
        snapshots += _earlier_lists(lists, history, since)
        for name, tariffs in lists.items():
            assert tariffs.fetched_at is not None  # a client sets it
            snapshots.append(Snapshot(name, tariffs.fetched_at, tariffs))
    order = [source.account for source in sources]
    ordered = sorted(snapshots, key=lambda snapshot: order.index(snapshot.account))
    login = name_in_history(ENVIRONMENT) if ENVIRONMENT in names else ENVIRONMENT
    if login in order:
        return ordered, code
    # Whoever is handed the page does not know whose environment that was.
    return [attrs.evolve(each, account=login) if each.account == ENVIRONMENT else each for each in ordered], code


def _check_place(output: str, inputs: Iterable[Path], *, may_replace: bool) -> None:
    """Find out whether a page can be written there, before anything is fetched for it.

    Args:
        output: The file, or ``-`` for standard output.
        inputs: Files that must not be overwritten.
        may_replace: Whether a file that is there may be replaced without a question.

    Raises:
        CliError: There is no such folder, it is one itself, it is one of the inputs, or it is not to be replaced.
    """
    if output == "-":
        return
    path = Path(output)
    if output in set(Output):
        raise CliError(f"a report is a page: name a file such as report.html, not -o {output}")
    place = path.resolve()
    if not place.parent.is_dir():
        raise _unwritten(output, f"there is no folder {place.parent}")
    if place.is_dir():
        raise _unwritten(output, "it is a folder")
    check_output(path, inputs)
    if place.is_file() and not may_replace and not _is_confirmed(output):
        raise _unwritten(output, "it is there already; --yes replaces it")


def _is_confirmed(path: str) -> bool:
    return _is_interactive() and typer.confirm(f"replace {displayed(path)}?", err=True)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _inputs_of(texts: Sequence[str], history: History, password_from: str | None) -> list[Path]:
    """Return the files that a report reads.

    Raises:
        CliError: There is no such account.
    """
    sources = [*map(_source, texts)]
    files = [source.path for source in sources if source.path is not None]
    names = [source.account for source in sources if source.path is None] if sources else [None]
    for kind, _, path in (find_profile(name, source=password_from).source.partition(":") for name in names):
        files += [expanded(path)] if kind == "file" else []
    with contextlib.suppress(CliError):  # without a home folder there is no store to protect
        files += with_companions(Path(new_store().name))
    return [*files, *with_companions(history.path), *filter(None, [config_file()])]


def _write_page(page: str, path: str, snapshots: Sequence[Snapshot]) -> None:
    """Write a page to a file, or to standard output for ``-``, and say what is on it.

    Raises:
        CliError: The file cannot be written.
    """
    if path == "-":
        write_text(page)
        return
    try:
        replace_file(Path(path), page.encode())
    except OSError as error:
        reason = error.strerror
    else:
        accounts = len({snapshot.account for snapshot in snapshots})
        notes().print(f"{path}: accounts: {accounts}, lists: {len(snapshots)}", soft_wrap=True)
        return
    raise _unwritten(path, reason)


def _unwritten(path: str, reason: str | None) -> CliError:
    return CliError(f"cannot write {path}: {reason}", ExitCode.FILES)
