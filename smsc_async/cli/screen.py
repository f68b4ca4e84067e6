"""Where the commands write: data to standard output, all else to standard error.

Invariant: what is no terminal gets no escape code and 80 columns, whatever terminal the other stream has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

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


def show(console: Console, what: RenderableType) -> None:
    """Print something, without the spaces that fill its lines up to their full width."""
    with console.capture() as captured:
        console.print(what)
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


def _console(stream: TextIO) -> Console:
    # rich measures whichever of the three standard streams is a terminal; here only the one that is written to counts.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    # With NO_COLOR rich leaves bold and dim in; a reader who asks for no colour gets plain text.
    return Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
