"""Whose list: accounts from the environment, or by name from the user's configuration file.

A password is never an argument, which other users of the machine could read, and never in the file: the file says where
it comes from.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, cast

import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.protocol import endpoint

__all__ = [
    "ENVIRONMENT",
    "Profile",
    "account_names",
    "account_of",
    "all_profiles",
    "config_file",
    "filed_under",
    "find_profile",
    "secret_variables",
]

ENVIRONMENT: Final = "env"
"""What the account of the environment is called, where a command names several."""

_KEYRING_SERVICE: Final = "smsc-async"
_TOP: Final = frozenset({"accounts", "default"})
_MEMBERS: Final = frozenset({"login", "base_url", "password_from", "api_key_from"})
_SOURCES: Final = "one of prompt, stdin, keyring, env:NAME"
_BASE_URL: Final = "https://smscentre.com/sys/"


@attrs.frozen
class Profile:
    """An account before its password is known.

    Attributes:
        name: What the commands call it.
        login: The login; empty for an API key whose login is not told.
        base_url: Where the service is.
        source: Where the password or key comes from: ``prompt``, ``stdin``, ``keyring`` or ``env:NAME``.
        uses_api_key: Whether it is an API key.
    """

    name: str
    login: str
    base_url: str
    source: str
    uses_api_key: bool = False


def config_file() -> Path:
    """Return where the profiles are: what ``SMSC_CONFIG`` says, else a file in the user's folder for configuration."""
    value = os.environ.get("SMSC_CONFIG")
    if value:
        return Path(value)
    from platformdirs import user_config_path  # noqa: PLC0415  # not needed by whoever has the environment set

    return user_config_path("smsc-async") / "config.toml"


def account_names() -> list[str]:
    """Return what ``find_profile`` takes, for completion; nothing where the file cannot be read or understood.

    Names that a shell would take apart are left out. No password is looked for.
    """
    try:
        value = list(_accounts(config_file()))
    except (CliError, OSError):
        value = []
    environment = [ENVIRONMENT] if _is_in_environment() else []
    return [name for name in [*value, *environment] if re.fullmatch(r"\w[\w.@+-]*", name)]


def find_profile(name: str | None, *, source: str | None = None) -> Profile:
    """Return the account of that name.

    Args:
        name: As in the file; ``None`` for the account of the environment, or where there is none the file's default.
        source: Where the password comes from, or ``None`` for what the environment or the file says.

    Raises:
        CliError: There is no such account, or the file is not understood.
    """
    if name == "":
        raise _misuse("the name of the account is empty")
    if name == ENVIRONMENT or (name is None and _is_in_environment()):
        profile = _from_environment()
    else:
        profile = _from_file(name, config_file())
    return profile if source is None else attrs.evolve(profile, source=source)


def all_profiles() -> list[Profile]:
    """Return the accounts of the configuration file, in its order.

    Raises:
        CliError: The file is not understood.
    """
    return [find_profile(name) for name in _accounts(config_file())]


def filed_under(profile: Profile) -> str:
    """Return the name under which an account's lists are kept over time: the environment may name another one tomorrow."""
    return profile.login if profile.name == ENVIRONMENT and profile.login else profile.name


def secret_variables(profiles: Sequence[Profile]) -> frozenset[str]:
    """Return the environment variables that hold passwords and keys: of these accounts, and of all in the file.

    Raises:
        CliError: The file is not understood.
    """
    tables = [_table(each) for each in _accounts(config_file()).values()]
    sources = [each.source for each in profiles]
    sources += [str(members.get(name, "")) for members in tables for name in ("password_from", "api_key_from")]
    named = {name for kind, _, name in (source.partition(":") for source in sources) if kind == "env"}
    return frozenset({"SMSC_PASSWORD", "SMSC_API_KEY", "SMSC_WEBHOOK", "SMSC_NOTIFY", *named})


def account_of(profile: Profile) -> Account:
    """Return the account, its password fetched from where it is.

    Raises:
        CliError: The password is not there.
    """
    secret = _read_secret(profile)
    if not secret:
        raise _misuse(f"the password of {profile.name!r} is empty (taken from {profile.source})")
    try:
        if profile.uses_api_key:
            return Account.with_api_key(secret, name=profile.login or None)
        return Account(profile.login, secret)
    except ValueError as error:
        refused = str(error)
    raise _misuse(f"account {profile.name!r}: {refused}")


def _is_in_environment() -> bool:
    return bool(os.environ.get("SMSC_LOGIN") or os.environ.get("SMSC_API_KEY"))


def _from_environment() -> Profile:
    login, base_url = os.environ.get("SMSC_LOGIN", ""), _base_url_of_environment()
    if os.environ.get("SMSC_API_KEY"):
        return Profile(ENVIRONMENT, login, base_url, "env:SMSC_API_KEY", uses_api_key=True)
    if not login:
        raise _misuse("there is no account in the environment: set SMSC_LOGIN and SMSC_PASSWORD, or SMSC_API_KEY")
    prompts = not os.environ.get("SMSC_PASSWORD") and sys.stdin.isatty()
    return Profile(ENVIRONMENT, login, base_url, "prompt" if prompts else "env:SMSC_PASSWORD")


def _from_file(name: str | None, path: Path) -> Profile:
    if os.environ.get("SMSC_CONFIG") and not path.exists():
        raise CliError(f"there is no file {path} (SMSC_CONFIG)", ExitCode.FILES)
    account = _read(path).get("default") if name is None else name
    if account is None:
        raise _misuse(
            "whose list? Set SMSC_LOGIN and SMSC_PASSWORD (or SMSC_API_KEY), or name an account "
            f"of {path} (see docs/commands.md)"
        )
    if not isinstance(account, str):
        raise _misuse(f"default in {path} must be the name of an account, in quotes")
    tables = _accounts(path)
    if account not in tables:
        where = f"{path}, whose default it is" if name is None else f"{path}"
        raise _misuse(f"no account {account!r} in {where}; there are: {', '.join(tables) or 'none'}")
    members = tables[account]
    if not isinstance(members, dict):
        raise _misuse(f"account {account!r} in {path} must be a table: [accounts.{account}]")
    return _profile(account, cast("Mapping[str, object]", members), path)


def _base_url_of_environment() -> str:
    return _checked(os.environ.get("SMSC_BASE_URL") or _BASE_URL, "SMSC_BASE_URL")


def _checked(base_url: str, what: str) -> str:
    """Return where the service is, or tell by its own name what says something else."""
    try:
        endpoint(base_url)
    except ValueError as error:
        refused = str(error)
    else:
        return base_url
    raise _misuse(refused.replace("base_url", what, 1))


def _accounts(path: Path) -> Mapping[str, object]:
    accounts = _read(path).get("accounts", {})
    if not isinstance(accounts, dict):
        raise _misuse(f"accounts in {path} must be tables, such as [accounts.main]")
    return cast("Mapping[str, object]", accounts)


def _table(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _read(path: Path) -> Mapping[str, object]:
    try:
        config = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = f"is not TOML: {error}"
    else:
        unknown = sorted(set(config) - _TOP)
        if not unknown:
            return config
        reason = f"has an unknown member {unknown[0]!r}; there are {', '.join(sorted(_TOP))}"
    raise _misuse(f"{path} {reason}")


def _profile(name: str, members: Mapping[str, object], path: Path) -> Profile:
    where = f"account {name!r} in {path}"
    unknown = sorted(set(members) - _MEMBERS)
    if {"password", "api_key", "psw"} & set(unknown):
        raise _misuse(f"{where} holds a password: take it out, and say with password_from where it is ({_SOURCES})")
    if unknown:
        raise _misuse(f"{where} has an unknown member {unknown[0]!r}; there are {', '.join(sorted(_MEMBERS))}")
    texts: dict[str, str] = {}
    for key, value in members.items():
        if not isinstance(value, str) or not value:
            raise _misuse(f"{where}: {key} must be a text in quotes that is not empty")
        texts[key] = value
    uses_api_key = "api_key_from" in texts
    if uses_api_key == ("password_from" in texts):
        has = "has both" if uses_api_key else "has neither"
        raise _misuse(f"{where} {has}, and needs either password_from or api_key_from ({_SOURCES})")
    if not uses_api_key and "login" not in texts:
        raise _misuse(f"{where} needs a login")
    source = texts.get("api_key_from") or texts["password_from"]
    base_url = _checked(texts["base_url"], f"{where}: base_url") if "base_url" in texts else _base_url_of_environment()
    return Profile(name, texts.get("login", ""), base_url, source, uses_api_key)


def _read_secret(profile: Profile) -> Secret:
    kind, _, name = profile.source.partition(":")
    what = "API key" if profile.uses_api_key else "password"
    if kind == "env" and name:
        if not os.environ.get(name):
            raise _misuse(f"{name} is not set: it is to hold the {what} of {profile.name!r}")
        return Secret(os.environ[name])
    if profile.source == "prompt":
        return _prompted(f"{what} of {profile.login or profile.name}: ")
    if profile.source == "stdin":
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    if profile.source == "keyring":
        return _from_keyring(profile)
    raise _misuse(f"the {what} of {profile.name!r} comes from {profile.source!r}: must be {_SOURCES}")


def _prompted(prompt: str) -> Secret:
    with warnings.catch_warnings():
        # Without a terminal it would be read from standard input and shown.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return Secret(getpass.getpass(prompt, sys.stderr))
        except EOFError:
            return Secret("")
        except getpass.GetPassWarning:
            pass
    raise _misuse(f"there is no terminal to ask for the password: say with --password-from where it is ({_SOURCES})")


def _from_keyring(profile: Profile) -> Secret:
    try:
        keyring = import_module("keyring")  # an extra
    except ModuleNotFoundError:
        keyring = None
    if keyring is None:
        raise _misuse('the system keyring needs an extra: pip install "smsc-async[keyring]"')
    user = profile.login or profile.name
    secret: str | None = None
    reason = ""
    try:
        secret = keyring.get_password(_KEYRING_SERVICE, user)
    except Exception as error:  # noqa: BLE001  # there is none, it is locked, its owner said no: each backend has its own
        reason = f"{type(error).__name__}: {error}"
    if reason:
        raise _misuse(f"the keyring does not answer ({reason}): see `keyring diagnose`, or take another source")
    if secret is None:
        raise _misuse(f"the keyring has no password: keyring set {_KEYRING_SERVICE} {user}")
    return Secret(secret)


def _misuse(message: str) -> CliError:
    return CliError(message, ExitCode.USAGE)
