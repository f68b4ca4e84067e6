"""How a command ends in trouble: a sentence on standard error and an exit code, never a traceback unasked."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.errors import SmscError

__all__ = ["Commands", "report", "write_out"]


class Commands(TyperGroup):
    """Turns trouble into a sentence and an exit code; misuse and ``typer.Exit`` are typer's own."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                write_out()
        except (SmscError, CliError, OSError, KeyboardInterrupt) as error:
            code = report(error, debug=bool(ctx.params.get("debug")))
        raise typer.Exit(code)


def report(error: BaseException, *, debug: bool) -> ExitCode:
    """Tell what happened, and return what the process ends with."""
    code = exit_code(error)
    if code is ExitCode.BROKEN_PIPE:
        _detach_stdout()  # whoever read has seen enough, as with `| head`
    elif debug:
        traceback.print_exception(error)
    elif code is ExitCode.INTERRUPTED:
        typer.echo("interrupted", err=True)
    elif code is ExitCode.FAULT:
        typer.echo(f"smsc-async: this should not have happened: {type(error).__name__}: {error}", err=True)
        typer.echo("run smsc-async --debug … for where it did", err=True)
    else:
        typer.echo(f"smsc-async: {_sentence(error)}", err=True)
    return code


def write_out() -> None:
    """Write what is left in the buffer: what fails at the end of the process is Python's to tell, and has its own code."""
    try:
        sys.stdout.flush()
    except OSError:
        _detach_stdout()
        raise


def _detach_stdout() -> None:
    """Let go of standard output: what is left in its buffer has nowhere to go at the end either."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor is needed, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        # Without the number that Python puts in front.
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)
