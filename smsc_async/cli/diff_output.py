"""``diff``: what changed between two lists, as a table, as data, and as the document that a watch hands over."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rich.console import Console

from smsc_async.analysis.diff import Change, ChangeKind
from smsc_async.cli.console import notes, output, show
from smsc_async.cli.formats import Output, Shape, json_line, write_json, write_rows
from smsc_async.cli.selection import to_plain, with_columns
from smsc_async.cli.table import NAME_WIDTH, Column, Table
from smsc_async.cli.tables import network_label, row_table
from smsc_async.display import escape_for_display
from smsc_async.history.watch import Update
from smsc_async.networks import label_of
from smsc_async.records import Row

__all__ = ["CHANGE_COLUMNS", "change_lines", "change_table", "changes_document", "counted", "write_changes"]

CHANGE_COLUMNS: Final = (
    "change",
    "line",
    "id",
    "name",
    "old_name",
    "price",
    "old",
    "new",
    "difference",
    "percent",
)
"""What a change has as a row, known before there is one."""

_COLOURS: Final = {ChangeKind.DEARER: "red", ChangeKind.CHEAPER: "green"}
_NUMBERS: Final = ("old", "new", "difference", "percent")


def write_changes(changes: Sequence[Change], shape: Shape) -> None:
    """Write what changed.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns([_change_row(change) for change in changes], shape.columns)
    if shape.output is Output.JSON:
        write_json(to_plain({"changes": rows}))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif rows:
        out = output()
        show(out, row_table(rows, out) if shape.columns else change_table(changes, out))
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
    return json_line(to_plain(document))


def change_lines(changes: Sequence[Change]) -> list[str]:
    """Return each change as a line of text for people."""
    lines: list[str] = []
    for change in changes:
        line = label_of(change.id) if change.line == "operator" else f"{change.id} {change.name}".strip() or "e-mail"
        before = f" ({change.old_name})" if change.old_name else ""
        price = change.price.replace("mail", "").replace("cost", "")
        values = "" if change.old is change.new is None else f": {_shown(change.old)} → {_shown(change.new)}"
        percent = "" if change.percent is None else f" ({change.percent:+} %)"
        lines.append(
            escape_for_display(" ".join(f"{change.kind.value} {line}{before} {price}".split()) + values + percent)
        )
    return lines


def _shown(price: Decimal | None) -> str:
    return "no price" if price is None else f"{price:f}"


def change_table(changes: Sequence[Change], out: Console) -> Table:
    """Return the changes as a table."""
    prices = (Column(name, is_right=True) for name in ("old", "new", "by", "%"))
    table = Table([Column("change"), Column("id"), Column("name", fold_at=NAME_WIDTH), Column("price"), *prices])
    for change in changes:
        row = _change_row(change)
        # The codes of operators are longer than the numbers of zones: no column has to say which it is.
        name = change.name or network_label(change.id, out).removeprefix(change.id).strip()
        table.rows.append(
            (
                (change.kind.value, _COLOURS.get(change.kind, "")),
                change.id,
                f"{change.old_name} -> {change.name}" if change.old_name else name,
                change.price,
                *("" if row[each] is None else f"{row[each]}" for each in _NUMBERS),
            )
        )
    return table


def _change_row(change: Change) -> Row:
    return {
        "change": change.kind.value,
        "line": change.line,
        "id": change.id,
        "name": change.name,
        "old_name": change.old_name or None,
        "price": change.price or None,
        "old": change.old,
        "new": change.new,
        "difference": change.difference,
        "percent": change.percent,
    }
