"""``diff``: what changed between two lists, as a table, as data, and as the document of a watch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console

from smsc_async.analysis.diff import Change, ChangeKind
from smsc_async.analysis.diff import diff as difference
from smsc_async.analysis.networks import label_of
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes
from smsc_async.cli.durations import instant_or_none
from smsc_async.cli.files import read_bounded
from smsc_async.cli.formats import Shape, json_line, write
from smsc_async.cli.history import list_at
from smsc_async.cli.profiles import ENVIRONMENT, Profile, find_profile, is_account
from smsc_async.cli.session import fetch, new_history
from smsc_async.cli.tables import NAME_WIDTH, Column, Record, Table, money, network_label, show
from smsc_async.decoder import decode
from smsc_async.display import escape_for_display
from smsc_async.errors import DecodeError, SmscError
from smsc_async.records import Tariffs

if TYPE_CHECKING:
    from smsc_async.history.watch import Update

_COLOURS: Final = {ChangeKind.DEARER: "red", ChangeKind.CHEAPER: "green"}
# The list of the account of the environment, or of the file's default, as it is now.
_NOW: Final = "now"


CHANGE_COLUMNS: Final = ("change", "line", "id", "name", "old_name", "price", "old", "new", "difference", "percent")
"""The columns of a change: its kind, and attributes of ``Change``."""


@o.command("diff", "diff yesterday.json now", "diff main@2026-11-01 main@now", "diff main reserve -o json")
def diff(
    old: o.OldList,
    new: o.NewList,
    *,
    history: o.HistoryFile = None,
    data: o.Data,
    access: o.Access,
) -> None:
    """Show what changed between two lists; ends with 1 if anything did.

    A saved list is what `tariffs -o json` wrote, or a reply of the service in any of its formats. ACCOUNT@INSTANT, such as
    main@2026-11-01, is the list that a watch has recorded and that was in force at that instant.
    """
    shape = data.shape(CHANGE_COLUMNS)
    before, after = _read_lists((old, new), access, history)
    changes = difference(before, after)
    write_changes(changes, shape)
    raise typer.Exit(ExitCode.DIFFERENT if changes else ExitCode.OK)


def _change_row(change: Change) -> Record:
    row: Record = {name: getattr(change, name) for name in CHANGE_COLUMNS[1:]}
    return {"change": change.kind.value, **row, "old_name": change.old_name or None, "price": change.price or None}


def write_changes(changes: Sequence[Change], shape: Shape) -> None:
    """Write what changed, and note how many changes there are."""
    write(
        [_change_row(change) for change in changes],
        shape,
        document=lambda rows: {"changes": rows},
        table=lambda out, _: show(out, change_table(changes, out)),
    )
    notes().print(counted(changes))


def counted(changes: Sequence[Change]) -> str:
    """Return how many changes there are, in words."""
    return f"{len(changes) or 'no'} change{'' if len(changes) == 1 else 's'}"


def changes_document(update: Update) -> bytes:
    """Return the changes of an update as a line of JSON, prices as text."""
    assert update.before is not None
    assert update.snapshot is not None
    document: dict[str, object] = {
        "event_id": update.event_id,
        "account": update.account,
        "before": update.before.taken_at.isoformat(),
        "taken_at": update.snapshot.taken_at.isoformat(),
        "changes": [_change_row(change) for change in update.changes],
    }
    return json_line(document)


def change_lines(changes: Sequence[Change]) -> list[str]:
    """Return each change as a line of text for people."""
    lines: list[str] = []
    for change in changes:
        line = label_of(change.id) if change.line == "operator" else f"{change.id} {change.name}".strip() or "e-mail"
        before = f" ({change.old_name})" if change.old_name else ""
        price = change.price.replace("mail", "").replace("cost", "")
        prices = " → ".join(money(each, "no price") for each in (change.old, change.new))
        values = "" if change.old is change.new is None else f": {prices}"
        percent = "" if change.percent is None else f" ({change.percent:+} %)"
        lines.append(
            escape_for_display(" ".join(f"{change.kind.value} {line}{before} {price}".split()) + values + percent)
        )
    return lines


def change_table(changes: Sequence[Change], out: Console) -> Table:
    """Return the changes as a table."""
    prices = (Column(name, is_right=True) for name in ("old", "new", "by", "%"))
    table = Table([Column("change"), Column("id"), Column("name", fold_at=NAME_WIDTH), Column("price"), *prices])
    for change in changes:
        numbers = (change.old, change.new, change.difference, change.percent)
        # The codes of operators are longer than the numbers of zones: no column has to say which it is.
        name = change.name or network_label(change.id, out).removeprefix(change.id).strip()
        table.rows.append(
            (
                (change.kind.value, _COLOURS.get(change.kind, "")),
                change.id,
                f"{change.old_name} -> {change.name}" if change.old_name else name,
                change.price,
                *("" if each is None else f"{each}" for each in numbers),
            )
        )
    return table


def _read_lists(names: Sequence[str], access: o.Access, history: Path | None) -> tuple[Tariffs, ...]:
    """Return lists by their names. Fetches come last: a name that is mistyped costs no request."""
    if names.count("-") > 1:
        raise CliError("only one side can be standard input")
    lists = [_list_or_profile(each, access.password_from, history) for each in names]
    return tuple(
        each if isinstance(each, Tariffs) else fetch(each, fresh=True, deadline=access.deadline) for each in lists
    )


def _list_or_profile(name: str, source: str | None, history: Path | None) -> Tariffs | Profile:
    """Return a list that needs no request, or the account whose list has to be fetched."""
    if name == "-":
        return _decoded(read_bounded(sys.stdin.buffer, "standard input"), "standard input")
    path = Path(name)
    if is_there(path):
        return read_file(path)
    account, _, tail = name.rpartition("@")
    instant = instant_or_none(tail) if account else None
    if instant is not None:
        return list_at(new_history(history), account, instant)
    also = f", nor is {tail!r} an instant such as 2026-11-01" if account else ""
    if name not in {_NOW, ENVIRONMENT} and (path.suffix or len(path.parts) > 1) and not is_account(name):
        raise CliError(f"{no_file(path)}{also}", ExitCode.FILES)
    try:
        return find_profile(None if name == _NOW else name, source=source)
    except CliError as error:
        if name in {_NOW, ENVIRONMENT, ""}:
            raise
        there = f"{name} is a folder" if path.is_dir() else f"nor is there a file {name}"
        raise CliError(f"{error}; {there}{also}", error.code) from None


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
