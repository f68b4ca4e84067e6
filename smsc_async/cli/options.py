"""The options that several commands have, alone or in groups, and how a command gets its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import attrs
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


apps: Final[dict[str, typer.Typer]] = {}
"""The commands whose modules are imported, and the groups of commands, by their names."""


def command(name: str, *commands: str) -> Callable[[T], T]:
    """Add a command with examples: its name is one word, or that of its group and its own.

    Its docstring is its help, and the section ``Options`` of the docstring is the help of its options. A parameter whose
    type is a group of options, such as ``Data``, gets what was given for the options of the group.
    """

    def add(function: Any) -> Any:
        text, _, described = (inspect.getdoc(function) or "").partition("\n\nOptions:\n")
        hints = _described_hints(function, described)
        groups = {each: hint for each, hint in hints.items() if attrs.has(hint)}

        @wraps(function)
        def run(**given: Any) -> None:
            for each, group in groups.items():
                given[each] = group(**{field.name: given.pop(field.name) for field in attrs.fields(group)})
            function(**given)

        parameters = (
            _options_of(groups[each.name]) if each.name in groups else [each.replace(annotation=hints[each.name])]
            for each in inspect.signature(function).parameters.values()
        )
        run.__signature__ = inspect.Signature(list(chain.from_iterable(parameters)))  # type: ignore[attr-defined]
        group, _, own = name.partition(" ")
        # Without arguments a group shows its help; a command that is no group ignores this.
        app = apps.setdefault(group, typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True))
        app.command(own or group, help=text, epilog=examples(*commands))(run)
        return function

    return add


def _options_of(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = _described_hints(group, inspect.getdoc(group) or "")
    for field in attrs.fields(group):
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )


def _described_hints(annotated: Any, text: str) -> dict[str, Any]:
    """Return the types of parameters or attributes, with what a section of a docstring says about them as their help."""
    hints = get_type_hints(annotated, include_extras=True)
    for match in re.finditer(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", text, re.MULTILINE):
        hints[match[1]].__metadata__[0].help = " ".join(match[2].split())
    return hints


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


@attrs.frozen
class Access:
    """How an account is accessed."""

    password_from: PasswordFrom = None
    deadline: Deadline = DEADLINE


@attrs.frozen
class Lines:
    """Which part of a list.

    Attributes:
        zone: A zone: its number or a part of its name; repeat for more.
        service: Prices; repeat for more.
    """

    zone: Annotated[list[str] | None, typer.Option(metavar="ZONE")] = None
    operator: Operators = None
    service: Annotated[list[Service] | None, typer.Option()] = None


@attrs.frozen
class Rows:
    """How rows of data are written.

    Attributes:
        columns: Columns to write, with commas between them.
    """

    output: OutputOption = Output.TABLE
    columns: Annotated[str | None, typer.Option(metavar="NAME,…")] = None

    def shape(self, there: Sequence[str] | None = None) -> Shape:
        """Return how data is to be written.

        Args:
            there: The columns that the data has, or ``None`` if they are not known yet.

        Raises:
            CliError: The options do not go together, or there is no such column.
        """
        names = tuple(name.strip() for name in (self.columns or "").split(",") if name.strip())
        check_columns(names, names if there is None else there)
        return Shape(output=self.output, columns=names)


@attrs.frozen
class Data(Rows):
    """How rows of data with prices are written.

    Attributes:
        columns: Columns to write, with commas between them.
        bom: Begin CSV and TSV with the mark by which Excel knows UTF-8. Excel changes 03001 and 1-2 when it opens CSV:
            import it instead (Data, From Text/CSV), columns as text.
        decimal_comma: Write prices in CSV and TSV with a comma, and semicolons between the columns of CSV.
    """

    bom: Annotated[bool, typer.Option("--bom")] = False
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma")] = False

    def shape(self, there: Sequence[str] | None = None) -> Shape:
        """Return how data is to be written, as ``Rows`` does."""
        if (self.bom or self.decimal_comma) and self.output not in {Output.CSV, Output.TSV}:
            raise CliError("--bom and --decimal-comma are for -o csv and -o tsv")
        return attrs.evolve(super().shape(there), bom=self.bom, decimal_comma=self.decimal_comma)
