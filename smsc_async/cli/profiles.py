"""Accounts by name: from the environment, or from the user's configuration file.

A password is never an argument, which other users of the machine could read, and never in the file: the file says where
it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Final, cast

import attrs
import platformdirs

from smsc_async import environment
from smsc_async.analysis.networks import suggest
from smsc_async.cli.cli_error import CliError, ExitCode, checked
from smsc_async.cli.files import checked_text, decoded_text, expanded, read_bounded, user_folder
from smsc_async.environment import BASE_URL
from smsc_async.protocol import endpoint

ENVIRONMENT: Final = "env"
"""The name of the account of the environment, for commands that take several."""

_MEMBERS: Final = frozenset({"login", "base_url", "password_from", "api_key_from"})
_SOURCES: Final = "one of prompt, stdin, keyring, env:NAME, file:PATH"


@attrs.frozen
class Profile:
    """An account before its password is known.

    Attributes:
        name: Its name in the commands.
        login: The login; empty for an API key of an unknown login.
        base_url: Where the service is.
        source: Where the password or key is: ``prompt``, ``stdin``, ``keyring``, ``env:NAME`` or ``file:PATH``.
        uses_api_key: Whether it is an API key.
    """

    name: str
    login: str
    base_url: str
    source: str
    uses_api_key: bool = False

    @property
    def what(self) -> str:
        """The word for its credential."""
        return "API key" if self.uses_api_key else "password"


@attrs.frozen
class Config:
    """What a configuration file says.

    Attributes:
        accounts: The tables of the accounts, by their names; the tables are not checked yet.
        default: The name of the account that a command takes if none is named; not checked either.
    """

    accounts: Mapping[str, object] = attrs.field(factory=dict[str, object])
    default: object = None


def config_file() -> Path | None:
    """Return where the profiles are: the file that ``SMSC_CONFIG`` names, else a file in the user's configuration folder.

    ``None`` if there is no home folder.

    Raises:
        CliError: The variable needs a home folder, and there is none.
    """
    if os.environ.get("SMSC_CONFIG"):
        return expanded(os.environ["SMSC_CONFIG"])
    folder = user_folder(platformdirs.user_config_path)
    return None if folder is None else folder / "config.toml"


def account_names() -> list[str]:
    """Return the names that ``find_profile()`` knows, for completion; none if the file cannot be read or understood.

    Names that a shell would take apart are left out. No password is read.
    """
    names = [ENVIRONMENT] if _is_in_environment() else []
    with contextlib.suppress(CliError, OSError):
        names = [*read_config(config_file()).accounts, *names]
    return [name for name in names if re.fullmatch(r"\w[\w.@+-]*", name)]


def is_account(name: str) -> bool:
    """Return whether the configuration file has an account of exactly this name.

    Raises:
        CliError: The file is not understood.
    """
    return name in read_config(config_file()).accounts


def find_profile(name: str | None, *, source: str | None = None) -> Profile:
    """Return the account of that name.

    Args:
        name: As in the file; ``None`` for the account of the environment, else the file's default, else its only account.
        source: Where the password is, or ``None`` for what the environment or the file says.

    Raises:
        CliError: There is no such account, or the file is not understood.
    """
    if name == "":
        raise CliError("the name of the account is empty")
    if name == ENVIRONMENT or (name is None and _is_in_environment()):
        profile = _from_environment()
    else:
        profile = _from_file(name, config_file())
    return profile if source is None else attrs.evolve(profile, source=checked_source(source, "--password-from"))


def all_profiles() -> list[Profile]:
    """Return the account of the environment, if there is one, and all accounts of the configuration file.

    Raises:
        CliError: The file is not understood.
    """
    path = config_file()
    tables = read_config(path).accounts.items()
    environment = [_from_environment()] if _is_in_environment() else []
    return environment + [profile_of(name, members, f"account {name!r} in {path}") for name, members in tables]


def filed_under(profile: Profile) -> str:
    """Return the name of an account's lists in a history: the environment may name another account tomorrow."""
    return profile.login if profile.name == ENVIRONMENT and profile.login else profile.name


def secret_variables(profiles: Sequence[Profile]) -> frozenset[str]:
    """Return the environment variables that hold passwords and keys: of these accounts, and of all in the file.

    Raises:
        CliError: The file is not understood.
    """
    tables = read_config(config_file()).accounts.values()
    known = [cast("Mapping[str, object]", members) for members in tables if isinstance(members, dict)]
    sources = [each.source for each in profiles]
    sources += [str(members.get(name, "")) for members in known for name in ("password_from", "api_key_from")]
    named = {name for kind, _, name in (source.partition(":") for source in sources) if kind == "env"}
    hidden = {"SMSC_PASSWORD", "SMSC_API_KEY", "SMSC_NOTIFY", "SMSC_WEBHOOK", "SMSC_PEPPER", "SMSC_STORE"}
    return frozenset(hidden | named)


def checked_source(source: str, where: str) -> str:
    """Return a source of a password.

    Raises:
        CliError: It is none.
    """
    kind, _, name = source.partition(":")
    if source in {"prompt", "stdin", "keyring"} or (kind in {"env", "file"} and name):
        with contextlib.suppress(UnicodeEncodeError):
            os.fsencode(source)
            return checked_text(source, where)
        raise CliError(f"{where} is {source!r}: the encoding of the locale has no such letters: set PYTHONUTF8=1")
    raise CliError(f"{where} is {source!r}: must be {_SOURCES}")


def read_config(path: Path | None) -> Config:
    """Return what the configuration file says; nothing if there is none.

    Raises:
        CliError: It is not understood, others may change it, or it was named and does not exist.
    """
    try:
        if path is None:
            return Config()
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            # It names the hosts to which passwords are sent.
            if stat.S_ISREG(found.st_mode) and _is_of_others(found):
                raise CliError(f"others may change {path}: chmod go-w {path}, and own it", ExitCode.FILES)
            return parsed_config(read_bounded(file, str(path)), path)
    except FileNotFoundError:
        if not os.environ.get("SMSC_CONFIG"):
            return Config()
    raise CliError(f"there is no file {path} (SMSC_CONFIG)", ExitCode.FILES)


def _is_of_others(found: os.stat_result) -> bool:
    return os.name != "nt" and (
        bool(found.st_mode & stat.S_IWOTH) or (os.geteuid() != 0 and found.st_uid not in {0, os.geteuid()})
    )


def parsed_config(body: bytes, path: Path) -> Config:
    """Return what a configuration file says; editors may save it in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        CliError: It is not understood.
    """
    try:
        config = tomllib.loads(decoded_text(body, str(path)))
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{path} is not TOML: {error}") from None
    unknown = sorted(config.keys() - {"accounts", "default"})
    if unknown:
        raise CliError(f"{path} has an unknown member {unknown[0]!r}; there are accounts, default")
    if not isinstance(config.get("accounts", {}), dict):
        raise CliError(f"accounts in {path} must be tables, such as [accounts.main]")
    return Config(**config)


def profile_of(name: str, members: object, where: str) -> Profile:
    """Return the account of this name and these members of the configuration file.

    Raises:
        CliError: They are not understood; ``where`` names them.
    """
    if not isinstance(members, dict):
        raise CliError(f"{where} must be a table: [accounts.{name}]")
    texts = _texts(cast("Mapping[str, object]", members), where)
    uses_api_key = "api_key_from" in texts
    if uses_api_key == ("password_from" in texts):
        has = "has both" if uses_api_key else "has neither"
        raise CliError(f"{where} {has}, and needs either password_from or api_key_from ({_SOURCES})")
    if not uses_api_key and "login" not in texts:
        raise CliError(f"{where} needs a login")
    member = "api_key_from" if uses_api_key else "password_from"
    source = checked_source(texts[member], f"{where}: {member}")
    # Not SMSC_BASE_URL: the password of this account is not for the host of another one.
    base_url = texts.get("base_url", BASE_URL)
    checked(ExitCode.USAGE, endpoint, base_url, f"{where}: base_url")
    return Profile(name, texts.get("login", ""), base_url, source, uses_api_key)


def _texts(members: Mapping[str, object], where: str) -> dict[str, str]:
    unknown = sorted(set(members) - _MEMBERS)
    if {"password", "api_key", "psw"} & set(unknown):
        raise CliError(f"{where} holds a password: take it out, and say with password_from where it is ({_SOURCES})")
    if unknown:
        raise CliError(f"{where} has an unknown member {unknown[0]!r}; there are {', '.join(sorted(_MEMBERS))}")
    for key, value in members.items():
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise CliError(f"{where}: {key} must be a text in quotes that is not empty, without control characters")
    return cast("dict[str, str]", members)


def _is_in_environment() -> bool:
    return any(map(os.environ.get, ("SMSC_LOGIN", "SMSC_API_KEY", "SMSC_API_KEY_FILE")))


def _from_environment() -> Profile:
    login = os.environ.get("SMSC_LOGIN", "")
    base_url = os.environ.get("SMSC_BASE_URL") or BASE_URL
    checked(ExitCode.USAGE, endpoint, base_url, "SMSC_BASE_URL")
    if not login.isprintable():
        raise CliError("SMSC_LOGIN has a line break or a control character in it: no login has")
    if source := _environment_source("SMSC_API_KEY"):
        return Profile(ENVIRONMENT, login, base_url, source, uses_api_key=True)
    if not login:
        raise CliError("there is no account in the environment: set SMSC_LOGIN and SMSC_PASSWORD, or SMSC_API_KEY")
    source = _environment_source("SMSC_PASSWORD") or ("prompt" if sys.stdin.isatty() else "env:SMSC_PASSWORD")
    return Profile(ENVIRONMENT, login, base_url, source)


def _environment_source(variable: str) -> str:
    return checked(ExitCode.USAGE, environment.credential_source, variable, os.environ)


def _from_file(name: str | None, path: Path | None) -> Profile:
    config = read_config(path)
    tables = config.accounts
    chosen = _default(config, path) if name is None else name
    if chosen in tables:
        return profile_of(chosen, tables[chosen], f"account {chosen!r} in {path}")
    if not tables:
        where = path or "a configuration file: there is no home folder for it, and SMSC_CONFIG is not set"
        raise CliError(
            f"no account {chosen!r}, since there are none in {where}: smsc-async accounts add {quote(chosen)} …"
        )
    where = f"{path}, whose default it is" if name is None else f"{path}"
    raise CliError(f"no account {chosen!r} in {where}; there are: {', '.join(tables)}{suggest(chosen, tables)}")


def _default(config: Config, path: Path | None) -> str:
    if isinstance(config.default, str):
        return config.default
    if config.default is not None:
        raise CliError(f"default in {path} must be the name of an account, in quotes")
    if len(config.accounts) == 1:
        return next(iter(config.accounts))
    if config.accounts:
        raise CliError(
            f'which account? Name one of {", ".join(config.accounts)}, or put default = "…" at the top of {path}'
        )
    raise CliError(
        "no account is set up: smsc-async accounts add main --login LOGIN --password-from prompt, "
        "or set SMSC_LOGIN and SMSC_PASSWORD (or SMSC_API_KEY)"
    )
