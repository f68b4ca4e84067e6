"""A real terminal, of the system, with 24 lines of 80 columns: what a command shows there, and what a hand types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from threading import Timer
from typing import Final

__all__ = ["COLUMNS", "commands_on_terminal", "on_terminal", "shown"]

COLUMNS: Final = 80
_LINES: Final = 24

# Makes the terminal that of the process: without it Ctrl-C is a letter like others.
_OWN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
# One process for several commands: most of the time of a command is the start of Python.
_RUN = """
import json, sys
from smsc_async.cli.app import run
for arguments in json.loads(sys.argv.pop()):
    sys.argv[:] = ["smsc-async", *arguments]
    try:
        run()
    except SystemExit:
        sys.stdout.write("\\x1e")
        sys.stdout.flush()
"""
_CODES: Final = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|[\r\n\a]|[^\x1b\r\n\a]+")


def on_terminal(*argv: str, typed: Sequence[tuple[str, str]] = (), code: int | None = None) -> str:
    """Return what a program and the terminal's echo wrote to the terminal on which it ran.

    Args:
        argv: The program and its arguments; it has the environment of this process.
        typed: What a hand types, each after the text that it waits for.
        code: What the program has to end with, or ``None`` for anything.
    """
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-ISc", _OWN, *argv],
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    told = b""
    seen = 0
    waiting = list(typed)
    patience = Timer(120, process.kill)
    patience.start()
    try:
        with process:
            while came := _read(ours):
                told += came
                if waiting and (found := told.find(waiting[0][0].encode(), seen)) >= 0:
                    seen = found + len(waiting[0][0].encode())
                    os.write(ours, waiting.pop(0)[1].encode())
    finally:
        patience.cancel()
        os.close(ours)
    assert not waiting, f"{waiting} was not typed after {told!r}"
    assert code is None or process.returncode == code, f"{process.returncode} after {told!r}"
    return told.decode("utf-8")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # how Linux says that nobody has the other side any more


def commands_on_terminal(*commands: Sequence[str]) -> list[str]:
    """Return what each command wrote to the terminal."""
    return on_terminal(sys.executable, "-W", "error", "-c", _RUN, json.dumps(commands), code=0).split("\x1e")[:-1]


def shown(written: str) -> list[str]:
    """Return the lines that are to be seen in the end, on a terminal on which nothing scrolls away or is folded."""
    lines = [""]
    row = column = 0
    for found in _CODES.finditer(written):
        match found[0], found[2]:
            case "\a", _:
                pass
            case "\r", _:
                column = 0
            case "\n", _:
                row += 1
                lines += [""] * (row == len(lines))
            case _, "A":
                row -= int(found[1] or 1)
            case _, "K":
                lines[row] = "" if found[1] == "2" else lines[row][:column]
            case _, "m" | "h" | "l":
                pass
            case text, None:
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
                column += len(text)
            case code, _:
                raise AssertionError(f"no command is to write {code!r}")
    return [line.rstrip() for line in lines]
