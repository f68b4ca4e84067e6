"""The options that several commands have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import typer

from smsc_async.cli.cli_error import CliError
from smsc_async.cli.formats import Output, Shape, check_columns
from smsc_async.records import Service

T = TypeVar("T")

DEADLINE: Final = 90.0


def examples(*commands: str) -> str:
    """Return the end of a command's help."""
    # The first line keeps click from wrapping the others.
    return "\n".join(["\b", "Examples:", *(f"  smsc-async {command}" for command in commands)])


def new_app(**settings: Any) -> typer.Typer:
    """Return the app to which a module adds its command, or the commands of its group."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, **settings)


def command(app: typer.Typer, *commands: str, name: str | None = None) -> Callable[[T], T]:
    """Add a command with examples to an app. Its docstring is its help, and the section ``Options`` is that of its own options."""

    def add(function: Any) -> Any:
        text, _, described = (inspect.getdoc(function) or "").partition("\n\nOptions:\n")
        hints = get_type_hints(function, include_extras=True)
        for match in re.finditer(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", described, re.MULTILINE):
            hints[match[1]].__metadata__[0].help = " ".join(match[2].split())
        function.__annotations__ = hints
        return app.command(name, help=text, epilog=examples(*commands))(function)

    return add


def complete_account(incomplete: str) -> list[str]:
    """Return the accounts of the configuration file that begin so."""
    from smsc_async.cli.profiles import account_names  # for completion alone

    return [name for name in account_names() if name.startswith(incomplete)]


def complete_account_or_file(incomplete: str) -> list[str]:
    """Return the accounts that begin so; with nothing to complete none, so that the shell offers files."""
    return complete_account(incomplete) if incomplete else []


def _complete_list(incomplete: str) -> list[str]:
    found = complete_account_or_file(incomplete)
    return [*found, "now"] if incomplete and "now".startswith(incomplete) else found


_A_LIST: Final = "A saved list, an account, ACCOUNT@INSTANT, now, or - for standard input."


NAMES: Final = "Accounts of the configuration file, or env."


def account(text: str) -> Any:
    """Return the argument for names of accounts, with this help."""
    return typer.Argument(metavar="ACCOUNT", help=text, show_default=False, autocompletion=complete_account)


AccountName = Annotated[
    str | None,
    account(
        "An account of the configuration file; without it that of the environment, the file's default, or its only one."
    ),
]
AccountNames = Annotated[list[str], account(NAMES)]
AllAccounts = Annotated[list[str] | None, account("Accounts; without any, all of them.")]
OldList = Annotated[str, typer.Argument(metavar="OLD", help=_A_LIST, autocompletion=_complete_list)]
NewList = Annotated[str, typer.Argument(metavar="NEW", help=_A_LIST, autocompletion=_complete_list)]
Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="ZONE", help="A zone: its number or a part of its name; repeat for more."),
]
Services = Annotated[list[Service] | None, typer.Option("--service", help="Prices; repeat for more.")]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="OPERATOR",
        help="An operator: its code or the beginning of it, its network's name, or a country (MTS, KZ); repeat for more.",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Send a request even if a list is less than a minute old.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="The shape of the data.")]
Columns = Annotated[str | None, typer.Option(help="Columns to write, with commas between them.", metavar="NAME,…")]
Bom = Annotated[
    bool,
    typer.Option(
        "--bom",
        help="Begin CSV and TSV with the mark by which Excel knows UTF-8. Excel changes 03001 and 1-2 when it opens CSV: import it instead (Data, From Text/CSV), columns as text.",
    ),
]
DecimalComma = Annotated[
    bool,
    typer.Option(
        "--decimal-comma", help="Write prices in CSV and TSV with a comma, and semicolons between the columns of CSV."
    ),
]
PasswordFrom = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Where the password is: prompt, stdin, keyring, env:NAME or file:PATH.",
        show_default=False,
    ),
]
Deadline = Annotated[
    float, typer.Option(metavar="SECONDS", help="Seconds that it may take, waiting for the quota included.")
]
Since = Annotated[str | None, typer.Option(metavar="INSTANT", help="From then on, such as 2026-11-01.")]
HistoryFile = Annotated[
    Path | None,
    typer.Option(
        "--history",
        envvar="SMSC_HISTORY",
        metavar="FILE",
        help="The history of lists; by default a file in your folder for the state of programs.",
        show_default=False,
    ),
]


def shape(
    output: Output,
    columns: str | None,
    there: Sequence[str] | None = None,
    *,
    bom: bool = False,
    decimal_comma: bool = False,
) -> Shape:
    """Return how data is to be written.

    Args:
        output: The option.
        columns: The option.
        there: The columns that the data has, or ``None`` if they are not known yet.
        bom: The option.
        decimal_comma: The option.

    Raises:
        CliError: The options do not go together, or there is no such column.
    """
    if (bom or decimal_comma) and output not in {Output.CSV, Output.TSV}:
        raise CliError("--bom and --decimal-comma are for -o csv and -o tsv")
    names = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
    check_columns(names, names if there is None else there)
    return Shape(output=output, columns=names, bom=bom, decimal_comma=decimal_comma)
