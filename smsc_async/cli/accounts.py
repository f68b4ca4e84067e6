"""``accounts``: the accounts of the configuration file.

The file belongs to the user: what a command does not change stays as it is, comments and order included, and a change that
does not give exactly the accounts that it should is not written.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Final, cast

import typer
from rich.console import Console

from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode, exit_code, sentence_of
from smsc_async.cli.console import notes, output
from smsc_async.cli.files import decoded_text, expanded, replace_file
from smsc_async.cli.formats import write
from smsc_async.cli.passwords import source_problem, store_in_keyring
from smsc_async.cli.profiles import (
    ENVIRONMENT,
    Profile,
    all_profiles,
    config_file,
    find_profile,
    parsed_config,
    profile_of,
    read_config,
)
from smsc_async.cli.session import fetch_all
from smsc_async.cli.tables import Record, Table, row_table, show
from smsc_async.records import Tariffs

ACCOUNT_COLUMNS: Final = ("account", "login", "base_url", "password_from", "problem")
"""The columns of an account, known before there is one."""
NO_ACCOUNTS: Final = "no accounts: smsc-async accounts add main --login LOGIN --password-from prompt"


@o.command(
    "accounts add",
    "accounts add main --login alex --password-from keyring",
    "accounts add main --login alex --password-from file:secret.txt",
    "accounts add bykey --api-key-from env:SMSC_KEY",
)
def add_account(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    login: Annotated[str | None, typer.Option(metavar="LOGIN")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL")] = None,
    password_from: o.PasswordFrom = None,
    api_key_from: Annotated[str | None, typer.Option(metavar="SOURCE")] = None,
) -> None:
    """Add an account. The file says where its password is, and never holds it; a keyring without it asks for it now.

    Options:
        name: The name that the commands are to know it by.
        login: The login at the service.
        base_url: Where the service is; by default https://smscentre.com/sys/.
        api_key_from: Where the API key is, in place of a password.
    """
    path = _config_path()
    if not name.strip() or not name.isprintable() or name == ENVIRONMENT:
        raise CliError(f"no account can be called {name!r}")
    sources = {"password_from": _absolute(password_from), "api_key_from": _absolute(api_key_from)}
    options = {"login": login, **sources, "base_url": base_url}
    members = {key: value for key, value in options.items() if value is not None}
    profile = profile_of(name, members, f"account {name!r}")
    text, accounts = _read(path)
    if name in accounts:
        raise CliError(f"there is an account {name!r} in {path}: remove it first")
    # A printable text is the same string in JSON and in TOML.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in members.items()]
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
    table = "\n".join([f"[accounts.{key}]", *lines, ""])
    # Before the account is added: without a keyring there would be one that no command can use.
    if profile.source == "keyring" and store_in_keyring(profile):
        notes().print(f"the {profile.what} is in the keyring")
    _write(path, text, f"{text.rstrip()}\n\n{table}".lstrip(), {**accounts, name: members})
    problem = source_problem(profile)
    notes().print(f"{name}: added to {path}{f'; {problem}' if problem else ''}", soft_wrap=True)
    notes().print(f"try it: smsc-async accounts check {quote(name)}")


@o.command("accounts list", "accounts list", "accounts list -o json")
def list_accounts(*, data: o.Rows) -> None:
    """Show all accounts, and where their passwords are. Sends nothing."""
    shape = data.shape(ACCOUNT_COLUMNS)
    rows = [account_row(profile) for profile in all_profiles()]
    write(
        rows,
        shape,
        document=lambda rows: {"accounts": rows},
        table=lambda out, rows: show(out, account_table(rows, out)),
    )
    if not rows:
        notes().print(NO_ACCOUNTS)


@o.command("accounts check", "accounts check", "accounts check main", "accounts check main --again")
def check_accounts(
    names: o.AllAccounts = None,
    *,
    again: Annotated[bool, typer.Option("--again")] = False,
    deadline: o.Deadline = o.DEADLINE,
) -> None:
    """Show whether the service accepts the password of each account.

    Fetches the list of each account, which is a request.

    Options:
        again: Send a password again that the service has refused, because you have corrected the account at the
            service, such as its list of allowed addresses.
    """
    profiles = [find_profile(name) for name in dict.fromkeys(names or ())] or all_profiles()
    if not profiles:
        raise CliError(NO_ACCOUNTS)
    code = ExitCode.OK
    for name, outcome in fetch_all(profiles, fresh=True, deadline=deadline, again=again).items():
        if isinstance(outcome, Tariffs):
            result = f"the service accepts it: {len(outcome.zones)} zones, {len(outcome.codes)} operators"
        else:
            code, result = code or exit_code(outcome), sentence_of(outcome)
        output().print(f"{name}: {result}", soft_wrap=True)
    raise typer.Exit(code)


@o.command("accounts remove", "accounts remove main")
def remove_account(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=o.complete_account)],
) -> None:
    """Remove an account from the file. Its lists in the history and its password stay where they are.

    Options:
        name: The account.
    """
    path = _config_path()
    text, accounts = _read(path)
    if name not in accounts:
        raise CliError(f"no account {name!r} in {path}; there are: {', '.join(accounts) or 'none'}")
    source = str(cast("dict[str, object]", accounts[name]).get("password_from", ""))
    parts = re.split(r"^(?=[ \t]*\[)", text, flags=re.MULTILINE)
    rest = [part for part in parts if not _is_table_of(name, part)]
    if parsed_config(text.encode(), path).default == name:
        rest[0] = re.sub(r"^[ \t]*default[ \t]*=.*\n?", "", rest[0], flags=re.MULTILINE)
    _write(path, text, "".join(rest), {each: members for each, members in accounts.items() if each != name})
    also = "; its password is still in the keyring" if source == "keyring" else ""
    notes().print(f"{name}: removed from {path}{also}", soft_wrap=True)


def account_row(profile: Profile) -> Record:
    """Return an account as a row: where its password is, and why it is not there; never its value."""
    values = (profile.name, profile.login or None, profile.base_url, profile.source, source_problem(profile))
    return dict(zip(ACCOUNT_COLUMNS, values, strict=True))


def account_table(rows: Sequence[Record], out: Console) -> Table:
    """Return accounts as a table, without the columns in which nothing stands."""
    used = {name for row in rows for name, value in row.items() if value is not None}
    return row_table([{name: value for name, value in row.items() if name in used} for row in rows], out)


def _absolute(source: str | None) -> str | None:
    kind, _, path = (source or "").partition(":")
    return f"file:{expanded(path).absolute()}" if kind == "file" and path else source  # commands run in any folder


def _config_path() -> Path:
    path = config_file()
    if path is None:
        raise CliError("there is no home folder: set SMSC_CONFIG to the path of a file", ExitCode.FILES)
    return path


def _read(path: Path) -> tuple[str, Mapping[str, object]]:
    if not path.exists():
        return "", {}  # also if SMSC_CONFIG names it: it is about to be made
    accounts = read_config(path).accounts
    return decoded_text(path.read_bytes(), str(path)), accounts


def _write(path: Path, before: str, text: str, accounts: Mapping[str, object]) -> None:
    if _accounts_in(text) != accounts:
        raise CliError(f"{path} is not written in tables such as [accounts.main]: change it by hand")
    if _read(path)[0] != before:
        raise CliError(f"{path} was changed meanwhile: run the command again", ExitCode.FILES)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, text.encode())


def _is_table_of(name: str, part: str) -> bool:
    return part.lstrip().startswith("[") and list(_accounts_in(part) or ()) == [name]


def _accounts_in(text: str) -> Mapping[str, object] | None:
    """Return the accounts of a text that may be a whole configuration file, or ``None`` if it is none."""
    with contextlib.suppress(CliError):
        return parsed_config(text.encode(), Path()).accounts
    return None
