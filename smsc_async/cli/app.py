"""The commands and their arguments. What a command needs is imported when it runs: ``--help`` has to be quick."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from smsc_async.cli.trouble import ExitCode, Trouble, exit_code
from smsc_async.errors import SmscError

__all__ = ["app", "run"]


class _Commands(TyperGroup):
    """Turns trouble into a sentence and an exit code; misuse and ``typer.Exit`` are typer's own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (SmscError, Trouble, OSError, KeyboardInterrupt) as error:
            code = _report(error, debug=bool(ctx.params.get("debug")))
        raise typer.Exit(code)


def _report(error: BaseException, *, debug: bool) -> ExitCode:
    code = exit_code(error)
    if code is ExitCode.BROKEN_PIPE:
        # Whoever read has seen enough, as with `| head`. What is left in the buffer has nowhere to go at the end either.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor is needed, not a path
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    elif debug:
        traceback.print_exception(error)
    elif code is ExitCode.INTERRUPTED:
        typer.echo("interrupted", err=True)
    elif code is ExitCode.FAULT:
        typer.echo(f"smsc-async: this should not have happened: {type(error).__name__}: {error}", err=True)
        typer.echo("run smsc-async --debug … for where it did", err=True)
    else:
        typer.echo(f"smsc-async: {error}", err=True)
    return code


app = typer.Typer(
    name="smsc-async",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show locals, credentials among them
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"smsc-async {version('smsc-async')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Tariff lists of the SMSC HTTP API, within the provider's limits."""


@app.command()
def demo() -> None:
    """See it work: a simulated service, four formats over a real socket, and the quota.

    Needs no account and no network. Takes about six seconds.
    """
    from smsc_async.cli.demo import run_demo

    run_demo()


def run() -> NoReturn:
    """Run the command that the arguments of the process name, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe whose encoding lacks a letter shows a question mark, and the command goes on.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # a text stream of the process has it
    try:
        sys.exit(app())
    except Exception as error:  # noqa: BLE001  # a fault of ours; whoever runs a command is not to read a traceback unasked
        sys.exit(_report(error, debug="--debug" in sys.argv))
