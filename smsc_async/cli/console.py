"""Where the commands write: data to standard output, all else to standard error.

Invariant: what is no terminal gets no escape code and 80 columns, whatever terminal the other stream has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

__all__ = ["dash", "notes", "output", "progress", "show"]

_PIPED_WIDTH = 80


def output() -> Console:
    """Return the console for data."""
    return _console(sys.stdout)


def notes() -> Console:
    """Return the console for everything that is not data: progress, advice, errors."""
    return _console(sys.stderr)


def dash(console: Console) -> str:
    """Return what stands for a price that the account does not have."""
    return "-" if console.options.ascii_only else "–"  # noqa: RUF001  # the sign that is meant


def show(console: Console, table: Table) -> None:
    """Print a table, without the spaces that fill its lines up to their full width.

    Where the terminal is too narrow its lines go on beyond it: rich would cut prices and leave columns out.
    """
    needed = _needed_width(table)
    if needed > console.width:
        table.width = needed
    with console.capture() as captured:
        console.print(table, crop=False)
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


@contextmanager
def progress(console: Console, title: str, total: int) -> Generator[Callable[[], None]]:
    """Show how far something is while the block runs: a bar that goes away on a terminal, else a line at the start.

    Gives what is to be called after each of ``total`` steps.
    """
    if not console.is_terminal:
        console.print(f"{title} …")
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def _needed_width(table: Table) -> int:
    _, right, _, left = table.padding
    between = (max(left, right) if table.collapse_padding else left + right) + (1 if table.box else 0)
    edges = left + right if table.pad_edge else 0
    return sum(_needed_by(column) for column in table.columns) + between * (len(table.columns) - 1) + edges


def _needed_by(column: Column) -> int:
    if not column.no_wrap:
        return column.min_width or 1
    return max(cell_len(str(cell)) for cell in (column.header, *column.cells))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704  # what is being handled: rich would end the process, with the code of differences


def _console(stream: TextIO) -> Console:
    # rich measures whichever of the three standard streams is a terminal; here only the one that is written to counts.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    # With NO_COLOR rich leaves bold and dim in; a reader who asks for no colour gets plain text.
    return _Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
