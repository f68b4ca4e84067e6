"""``status``: the accounts, and the files that commands share. Sends nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from smsc_async.cli.accounts import account_row, account_table
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.console import output, show
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.profiles import Profile
from smsc_async.cli.selection import to_plain, with_columns
from smsc_async.cli.session import new_history, store_path
from smsc_async.cli.tables import pair_table
from smsc_async.records import Row

__all__ = ["STATUS_COLUMNS", "write_status"]

STATUS_COLUMNS = ("account", "login", "base_url", "password_from", "problem")


def write_status(profiles: Sequence[Profile], history: Path | None, shape: Shape) -> None:
    """Write the state of accounts and files.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns([account_row(profile) for profile in profiles], shape.columns)
    files = {"store": _file(store_path), "history": _file(lambda: new_history(history).path)}
    if shape.output is Output.JSON:
        write_json(to_plain({"accounts": rows, **{name: _counted(file) for name, file in files.items()}}))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    else:
        _print(rows, files, output())


def _print(rows: Sequence[Row], files: Mapping[str, Row], out: Console) -> None:
    if rows:
        show(out, account_table(rows, out))
    else:
        out.print("no accounts: smsc-async accounts add main --login LOGIN --password-from prompt")
    out.print()
    show(out, pair_table({name: _sentence(file) for name, file in files.items()}, out))


def _file(path_of: Callable[[], Path]) -> Row:
    """Return where a file is and how many bytes it has; without them if it does not exist."""
    try:
        path = path_of()
    except CliError as error:
        return {"path": None, "bytes": None, "problem": str(error)}
    size: Decimal | None = None
    with contextlib.suppress(OSError):
        size = Decimal(path.stat().st_size)
    return {"path": str(path), "bytes": size, "problem": None}


def _sentence(file: Row) -> str:
    size = "does not exist yet" if file["bytes"] is None else f"{file['bytes']} bytes"
    return str(file["problem"] or f"{file['path']} ({size})")


def _counted(file: Row) -> dict[str, object]:
    # A count is a number in JSON; only money is text.
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in file.items()}
