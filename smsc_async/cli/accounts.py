"""``accounts``: the accounts of the configuration file.

The file belongs to the user: what a command does not change stays as it is, comments and order included, and a change that
does not give exactly the accounts that it should is not written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rich.console import Console

from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.cli.console import notes, output, show
from smsc_async.cli.files import decoded_text, expanded, replace_file
from smsc_async.cli.formats import Output, Shape, write_json, write_rows
from smsc_async.cli.passwords import source_problem, store_in_keyring
from smsc_async.cli.profiles import (
    BASE_URL,
    ENVIRONMENT,
    Profile,
    all_profiles,
    checked_source,
    checked_url,
    config_file,
    parsed_config,
    read_config,
)
from smsc_async.cli.selection import to_plain, with_columns
from smsc_async.cli.session import fetch_all
from smsc_async.cli.table import Table
from smsc_async.cli.tables import row_table
from smsc_async.records import Row

__all__ = [
    "ACCOUNT_COLUMNS",
    "account_row",
    "account_table",
    "add_account",
    "check_accounts",
    "remove_account",
    "write_accounts",
]

ACCOUNT_COLUMNS = ("account", "login", "base_url", "password_from", "problem")
"""What an account has as a row, known before there is one."""


def add_account(
    name: str, *, login: str | None, base_url: str | None, password_from: str | None, api_key_from: str | None
) -> None:
    """Add an account to the configuration file, and for a keyring without its password, ask for it.

    Raises:
        CliError: There is such an account, an argument is none, or the password is not where it should be.
        OSError: The file cannot be written.
    """
    path = _config_path()
    profile = _new_profile(name, login, base_url, password_from, api_key_from)
    text, accounts = _read(path)
    if name in accounts:
        raise CliError(f"there is an account {name!r} in {path}: remove it first", ExitCode.USAGE)
    members = {"login": login, "api_key_from" if profile.uses_api_key else "password_from": profile.source}
    if base_url is not None:
        members["base_url"] = base_url
    lines = [f"{key} = {_quoted(value)}" for key, value in members.items() if value is not None]
    table = "\n".join([f"[accounts.{name if re.fullmatch(r'[A-Za-z0-9_-]+', name) else _quoted(name)}]", *lines, ""])
    _write(path, f"{text.rstrip()}\n\n{table}".lstrip(), {**accounts, name: {k: v for k, v in members.items() if v}})
    problem = source_problem(profile)
    if profile.source == "keyring" and store_in_keyring(profile):
        notes().print(f"the {profile.what} is in the keyring")
    notes().print(f"{name}: added to {path}{f'; {problem}' if problem else ''}", soft_wrap=True)
    notes().print(f"try it: smsc-async accounts check {name}")


def remove_account(name: str) -> None:
    """Remove an account from the configuration file, and the default if it names this account.

    Raises:
        CliError: There is none, or the file is written so that it has to be changed by hand.
        OSError: The file cannot be written.
    """
    path = _config_path()
    text, accounts = _read(path)
    if name not in accounts:
        raise CliError(f"no account {name!r} in {path}; there are: {', '.join(accounts) or 'none'}", ExitCode.USAGE)
    source = str(cast("dict[str, object]", accounts[name]).get("password_from", ""))
    parts = re.split(r"^(?=[ \t]*\[)", text, flags=re.MULTILINE)
    rest = [part for part in parts if not _is_table_of(name, part)]
    if parsed_config(text.encode(), path).get("default") == name:
        rest[0] = re.sub(r"^[ \t]*default[ \t]*=.*\n?", "", rest[0], flags=re.MULTILINE)
    _write(path, "".join(rest), {each: members for each, members in accounts.items() if each != name})
    also = "; its password is still in the keyring" if source == "keyring" else ""
    notes().print(f"{name}: removed from {path}{also}", soft_wrap=True)


def check_accounts(names: Sequence[str], *, deadline: float) -> ExitCode:
    """Fetch the list of each account, and say what came of it; with no names, of all accounts.

    Returns:
        The exit code of the first account that failed.

    Raises:
        CliError: There is no such account, or a password is not there.
    """
    profiles = all_profiles()
    unknown = [name for name in names if name not in {profile.name for profile in profiles}]
    if unknown or not profiles:
        there = ", ".join(profile.name for profile in profiles) or "none"
        raise CliError(f"no account {(unknown or [''])[0]!r}; there are: {there}", ExitCode.USAGE)
    code = ExitCode.OK
    chosen = [profile for profile in profiles if not names or profile.name in names]
    for name, outcome in fetch_all(chosen, fresh=True, deadline=deadline).items():
        if outcome.error is not None:
            code = code or exit_code(outcome.error)
            output().print(f"{name}: {outcome.error}", soft_wrap=True)
        else:
            assert outcome.tariffs is not None
            counts = f"{len(outcome.tariffs.zones)} zones, {len(outcome.tariffs.codes)} operators"
            output().print(f"{name}: the service accepts it: {counts}", soft_wrap=True)
    return code


def account_row(profile: Profile) -> Row:
    """Return an account as a row: where its password is, and why it is not there; never its value."""
    return {
        "account": profile.name,
        "login": profile.login or None,
        "base_url": profile.base_url,
        "password_from": profile.source,
        "problem": source_problem(profile),
    }


def account_table(rows: Sequence[Row], out: Console) -> Table:
    """Return accounts as a table, without the columns in which nothing stands."""
    used = {name for row in rows for name, value in row.items() if value is not None}
    return row_table([{name: value for name, value in row.items() if name in used} for row in rows], out)


def write_accounts(shape: Shape) -> None:
    """Write all accounts. Asks the service for nothing.

    Raises:
        CliError: The file is not understood, or there is no such column.
    """
    rows = with_columns([account_row(profile) for profile in all_profiles()], shape.columns)
    if shape.output is Output.JSON:
        write_json(to_plain({"accounts": rows}))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif rows:
        out = output()
        show(out, account_table(rows, out))
    if not rows:
        notes().print("no accounts: smsc-async accounts add main --login LOGIN --password-from prompt")


def _new_profile(
    name: str, login: str | None, base_url: str | None, password_from: str | None, api_key_from: str | None
) -> Profile:
    if not name.strip() or not name.isprintable() or name == ENVIRONMENT:
        raise CliError(f"no account can be called {name!r}", ExitCode.USAGE)
    if (password_from is None) == (api_key_from is None):
        raise CliError("where is the password? Name --password-from or --api-key-from", ExitCode.USAGE)
    if login is None and api_key_from is None:
        raise CliError("an account with a password needs its --login", ExitCode.USAGE)
    if login is not None and (not login.strip() or not login.isprintable()):
        raise CliError("--login: must be a text without control characters", ExitCode.USAGE)
    option = "--password-from" if password_from else "--api-key-from"
    kind, _, path = (source := checked_source(password_from or api_key_from or "", option)).partition(":")
    if kind == "file":
        source = f"file:{expanded(path).absolute()}"  # the commands run in any folder
    url = BASE_URL if base_url is None else checked_url(base_url, "--base-url")
    return Profile(name, login or "", url, source, api_key_from is not None)


def _config_path() -> Path:
    path = config_file()
    if path is None:
        raise CliError("there is no home folder: set SMSC_CONFIG to the path of a file", ExitCode.FILES)
    return path


def _read(path: Path) -> tuple[str, dict[str, object]]:
    if not path.exists():
        return "", {}  # also if SMSC_CONFIG names it: it is about to be made
    accounts = cast("dict[str, object]", read_config(path).get("accounts", {}))
    return decoded_text(path.read_bytes(), str(path)), accounts


def _write(path: Path, text: str, accounts: dict[str, object]) -> None:
    body = text.encode()
    try:
        is_right = parsed_config(body, path).get("accounts", {}) == accounts
    except CliError:
        is_right = False
    if not is_right:
        raise CliError(f"{path} is not written in tables such as [accounts.main]: change it by hand", ExitCode.USAGE)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, body)


def _is_table_of(name: str, part: str) -> bool:
    try:
        accounts = parsed_config(part.encode(), Path()).get("accounts", {})
    except CliError:
        return False
    return part.lstrip().startswith("[") and list(cast("dict[str, object]", accounts)) == [name]


def _quoted(text: str) -> str:
    """Return a printable text as a string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
