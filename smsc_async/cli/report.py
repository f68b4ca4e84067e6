"""``report``: a page of lists, those that are fetched now and those that were kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import attrs

from smsc_async.analysis.snapshots import Snapshot
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.compare import fetch_for_comparison, is_there, no_file, read_file
from smsc_async.cli.console import notes
from smsc_async.cli.formats import write_text
from smsc_async.cli.history import name_in_history
from smsc_async.cli.profiles import ENVIRONMENT, find_profile
from smsc_async.history import History

__all__ = ["Source", "check_place", "gather", "kept_snapshots", "write_page"]


@attrs.frozen
class Source:
    """Where a list comes from.

    Attributes:
        account: Whose list it is.
        path: A file that holds it; ``None`` where it is fetched.
    """

    account: str
    path: Path | None = None


def _source(told: str) -> Source:
    path = Path(told)
    if is_there(path):
        return Source(path.stem, path)
    account, _, file = told.partition("=")
    if account and file:
        path = Path(file)
        if is_there(path):
            return Source(account, path)
    elif not told or (not path.suffix and len(path.parts) == 1):
        return Source(told)
    raise no_file(path)


def kept_snapshots(sources: Sequence[Source], history: History, since: datetime | None) -> list[Snapshot]:
    """Return the lists of earlier times: the one place that knows where they are kept.

    Those of a file are all taken, of the accounts each list of the history that was another one than the list before.

    Raises:
        CliError: A file is not a list.
        StoreError: The history cannot be used.
        OSError: A file cannot be read.
    """
    saved = [
        # A list has no date of its own: that of the file is when it was saved.
        Snapshot(
            source.account,
            datetime.fromtimestamp(source.path.stat().st_mtime, UTC),
            read_file(source.path),
        )
        for source in sources
        if source.path is not None
    ]
    accounts = dict.fromkeys(source.account for source in sources if source.path is None)
    if not accounts or not history.path.exists():
        return saved

    async def read() -> list[Snapshot]:
        return [
            Snapshot(account, period.since, period.tariffs)
            for account in accounts
            for period in await history.periods(name_in_history(account), since=since)
        ]

    return saved + anyio.run(read)


def gather(
    told: Sequence[str],
    *,
    history: History,
    since: datetime | None,
    password_from: str | None,
    fresh: bool,
    deadline: float,
) -> tuple[list[Snapshot], ExitCode]:
    """Return the lists, by account in the order in which they were told, and the exit code of the first that failed.

    Args:
        told: Accounts, and files as ``FILE`` or ``ACCOUNT=FILE``; without any, the account of a command without one.
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
    sources = [_source(each) for each in told] or [Source(find_profile(None, source=password_from).name)]
    # Before anything is fetched: a file that is no list costs no request.
    snapshots = kept_snapshots(sources, history, since)
    names = [source.account for source in sources if source.path is None]
    code = ExitCode.OK
    if names:
        lists, code = fetch_for_comparison(names, source=password_from, fresh=fresh, deadline=deadline)
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


def check_place(path: str) -> None:
    """Find out whether a page can be written there, before anything is fetched for it.

    Raises:
        CliError: There is no such folder, or it is one itself.
    """
    place = Path(path).resolve()
    if path != "-" and not place.parent.is_dir():
        raise _unwritten(path, f"there is no folder {place.parent}")
    if path != "-" and place.is_dir():
        raise _unwritten(path, "it is a folder")


def write_page(page: str, path: str, snapshots: Sequence[Snapshot]) -> None:
    """Write a page to a file, or to standard output for ``-``, and tell what is on it.

    Raises:
        CliError: The file cannot be written.
    """
    if path == "-":
        write_text(page)
        return
    try:
        _replace(Path(path).resolve(), page.encode())
    except OSError as error:
        reason = error.strerror
    else:
        accounts = len({snapshot.account for snapshot in snapshots})
        notes().print(f"{path}: accounts: {accounts}, lists: {len(snapshots)}", soft_wrap=True)
        return
    raise _unwritten(path, reason)


def _unwritten(path: str, reason: str | None) -> CliError:
    return CliError(f"cannot write {path}: {reason}", ExitCode.FILES)


def _replace(path: Path, body: bytes) -> None:
    """Write a file as a whole: who reads it meanwhile sees the page before."""
    if path.exists() and not path.is_file():
        path.write_bytes(body)  # a pipe or a device, which has to stay one
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(body)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
