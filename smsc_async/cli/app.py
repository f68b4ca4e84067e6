"""All commands: the module with the name of a command is imported when the command runs, or shows its help."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.exit import open_streams, report, write_out
from smsc_async.errors import SmscError

COMMANDS: Final = {
    "demo": "See it work: a simulated service, and the quota.",
    "tariffs": "Show the tariff list of an account, whole or in part.",
    "price": "Show what messages to one destination cost.",
    "parts": "Count the SMS parts that a text takes, and show its alphabet.",
    "compare": "Show accounts side by side, with the cheapest marked.",
    "diff": "Show what changed between two lists.",
    "report": "Write a page to search, sort, compare, chart and print.",
    "watch": "Report what changes in the lists of accounts, until Ctrl-C.",
    "history": "Show the lists that a watch recorded, or a price over time.",
    "simulator": "Run a simulated service to point clients at, until Ctrl-C.",
    "status": "Show accounts, what is left of their quotas, and files.",
    "accounts": "Add, list, check and remove accounts of the configuration file.",
}
"""The commands, with a line for the list of them."""


class Commands(TyperGroup):
    """Turns an error into a sentence and an exit code; misuse and ``typer.Exit`` are typer's own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = dict.fromkeys(COMMANDS)  # typer suggests one of these names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # typer's signature
        """Import a command."""
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # likewise
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(COMMANDS.items())

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments; this writes the help."""
        try:
            return super().make_context(*args, **kwargs)
        except (OSError, KeyboardInterrupt) as error:
            code = report(error, debug=False)
        raise typer.Exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                write_out()
        except (SmscError, CliError, OSError, KeyboardInterrupt, typer.Abort) as error:
            code = report(error, debug=bool(ctx.params.get("debug")))
        raise typer.Exit(code)


@cache
def _command(name: str) -> Any:
    import_module(f"smsc_async.cli.{name}")
    command = typer.main.get_command(o.apps[name])
    command.help = command.help or COMMANDS[name]  # a group has no docstring
    return command


app: typer.Typer = typer.Typer(
    name="smsc-async",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: flags are shown as flags, and there is nothing for NO_COLOR to leave out
    pretty_exceptions_enable=False,  # they show locals, credentials among them
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=o.examples(
        "accounts add main --login alex --password-from keyring", "tariffs --zone latvia", 'price --operator "mts ru"'
    ),
)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"smsc-async {version('smsc-async')}")
        raise typer.Exit


@app.callback()
def _global_options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Tariff lists of the SMSC HTTP API, within the provider's limits."""


def run() -> NoReturn:
    """Run the command that the arguments of the process name, and end the process with its exit code."""
    open_streams()
    try:
        sys.exit(app())
    except Exception as error:  # noqa: BLE001  # a fault of ours: a user gets a traceback with --debug only
        sys.exit(report(error, debug="--debug" in sys.argv))
