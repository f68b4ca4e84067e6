"""Ways to run a command: in this process, where coverage sees it, and as a user does, in a process of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from smsc_async.cli.app import app

# Otherwise the runner reads the signatures of all commands anew for each that it runs: 50 ms.
typer.testing._get_command = functools.cache(get_command)  # type: ignore[attr-defined]  # pyright: ignore[reportPrivateUsage]

__all__ = ["Ran", "Terminal", "environment", "invoke", "piped", "spawn"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ran:
    """What came of a command."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def invoke(*arguments: str, env: dict[str, str] | None = None, stdin: str | bytes | None = None) -> Ran:
    result = CliRunner().invoke(app, list(arguments), env=dict(env or {}), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@contextlib.contextmanager
def piped(path: Path, pipe: Path) -> Generator[Path]:
    """A pipe that holds what a file holds, once."""
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(path.read_bytes(),), daemon=True)
    writing.start()
    yield pipe
    writing.join(60)


def environment(**variables: str) -> dict[str, str]:
    """What a plain shell has, and no account or colour of whoever runs the tests."""
    taken = ("SMSC_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "COV_", "PYTEST_", "PYTHONUNBUFFERED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    return {**inherited, "PYTHONUTF8": "1", **variables}


def spawn(*arguments: str, **variables: str) -> Ran:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "smsc_async", *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
