"""The end of a command: a sentence on standard error and an exit code, never a traceback by itself.

Invariants: standard streams that are closed are normal. Data that cannot be written has a code of its own; notes that
cannot be written change nothing.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from smsc_async.cli.cli_error import ExitCode, exit_code, sentence_of
from smsc_async.cli.console import BestEffort, notes


def report(error: BaseException, *, debug: bool) -> ExitCode:
    """Say what happened, and return the exit code of the process."""
    code = exit_code(error)
    if isinstance(error, OSError):
        with contextlib.suppress(OSError):
            write_out()
    if code is ExitCode.BROKEN_PIPE:
        lines = []  # the reader has seen enough, as with `| head`
    elif debug:
        lines = "".join(traceback.format_exception(error)).splitlines()
    elif code is ExitCode.INTERRUPTED:
        lines = ["interrupted"]
    elif code is ExitCode.FAULT:
        lines = [
            f"smsc-async: this should not have happened: {type(error).__name__}: {error}",
            "run smsc-async --debug … to see where",
        ]
    else:
        lines = [f"smsc-async: {sentence_of(error)}"]
    for line in lines:
        notes().print(line, soft_wrap=True)
    return code


def end_once(handler: Callable[[int, FrameType | None], Any]) -> None:
    """Pass the first SIGINT or SIGTERM to a handler, and ignore those that follow; in the main thread, which alone gets signals.

    Ctrl-C twice, or the two SIGTERMs of timeout(1), would interrupt the end: the worker threads of the event loop would
    never stop, and the process would hang.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        handler(number, frame)

    if threading.current_thread() is threading.main_thread():
        for each in numbers:
            signal.signal(each, end)


def write_out() -> None:
    """Write what is left in the buffer: an error at the end of the process would be Python's, with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        detach_stdout()
        raise


def open_streams() -> None:
    """Open the standard streams that were closed when the process started, and let no text be unfit for the others."""
    # A file that is opened later must not get the number of a standard stream, into which others write.
    opened = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
    for descriptor in set(opened) - {0, 1, 2}:
        os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  # for the rest of the process
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_Closed(), "utf-8", write_through=True)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # likewise
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a pipe whose encoding lacks a letter shows a question mark, and the command goes on.
            stream.reconfigure(errors="replace")
    # typer writes there, too.
    sys.stderr = BestEffort(sys.stderr)


class _Closed(io.RawIOBase):
    """A closed standard output: a write would lose data, so it is an error."""

    name = "<stdout>"

    def writable(self) -> bool:
        return True

    def write(self, _: Any) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def detach_stdout() -> None:
    """Detach standard output: what is left in its buffer cannot be written at the end of the process either."""
    with open(os.devnull, "wb") as nowhere, contextlib.suppress(OSError):  # noqa: PTH123  # a descriptor is needed, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
