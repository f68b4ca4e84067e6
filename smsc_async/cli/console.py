"""The two consoles of a command: data on standard output, all else on standard error.

Invariants: a stream that is no terminal gets 80 columns and no cursor codes, whatever terminal the other stream has. Text
from outside is escaped before it is printed. Notes that cannot be written are dropped: they must not end the work that
they report on, nor change its exit code.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from smsc_async.display import escape_for_display as displayed

_PIPED_WIDTH = 80
# A width from the environment beyond these has no use, and costs memory for each line.
_NARROWEST, _WIDEST = 20, 1000


def output() -> Console:
    """Return the console for data. Data that cannot be written is an ``OSError``."""
    return _console(sys.stdout)


def notes() -> Console:
    """Return the console for everything that is not data: progress, advice, errors."""
    return _console(cast("TextIO", BestEffort(sys.stderr)))


def dash(console: Console) -> str:
    """Return what stands for a price that the account does not have."""
    return "-" if console.options.ascii_only else "–"  # noqa: RUF001  # the sign that is meant


@contextmanager
def progress(console: Console, title: str, total: int) -> Generator[Callable[[], None]]:
    """Show how far something is while the block runs: a bar that goes away on a terminal, else a line at the start.

    Gives what is to be called after each of ``total`` steps.
    """
    # FORCE_COLOR makes rich say "terminal" of a pipe, too: it may be coloured, but has no cursor to move.
    if not console.file.isatty() or console.is_dumb_terminal:
        console.print(f"{title} …")
        yield lambda: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(displayed(title), total=total)
        yield lambda: bar.advance(task)


class BestEffort(io.TextIOBase):
    """A stream that drops what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the stream has it."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Say whether the stream is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write, if it can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(displayed(each) if isinstance(each, str) else each for each in objects), **options)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704  # what is being handled: rich would end the process, with the code of differences


def _console(stream: TextIO) -> Console:
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:9]):
        width: int | None = max(_NARROWEST, min(int(columns[:9]), _WIDEST))
    else:
        # rich measures whichever of the three standard streams is a terminal; here only the one that is written to counts.
        width = None if stream.isatty() else _PIPED_WIDTH
    # With NO_COLOR rich leaves bold and dim in; a reader who asks for no colour gets plain text.
    return _Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
