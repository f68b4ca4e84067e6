"""Passwords and API keys of accounts, from their sources.

Invariant: an entry of the keyring is used for its own host only.
"""

from __future__ import annotations

import codecs
import contextlib
import getpass
import os
import sys
import warnings
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from smsc_async.accounts import Account, Secret
from smsc_async.cli.cli_error import CliError, ExitCode, checked, sentence_of
from smsc_async.cli.files import decoded_text, expanded
from smsc_async.cli.profiles import Profile
from smsc_async.environment import read_credential_file, without_line_break

_KEYRING_SERVICE: Final = "smsc-async"
_LONGEST: Final = 4096


def account_of(profile: Profile) -> Account:
    """Return the account, its password or API key read from the source.

    Raises:
        CliError: There is none, or it cannot be one.
    """
    kind, _, name = profile.source.partition(":")
    if kind == "env":
        text = os.environ.get(name, "")
        if not text:
            raise CliError(f"{name} is not set: it is to hold the {profile.what} of {profile.name!r}")
    elif kind == "file":
        text = checked(ExitCode.FILES, read_credential_file, expanded(name), profile.what)
    elif kind == "prompt":
        return _account(profile, _prompted(profile))
    elif kind == "stdin":
        text = _from_stdin()
    else:
        text = _from_keyring(profile)
    return _account(profile, Secret(text.removeprefix("\ufeff")))


def _prompted(profile: Profile) -> Secret:
    with warnings.catch_warnings():
        # Without a terminal it would be read from standard input and shown.
        warnings.simplefilter("error", getpass.GetPassWarning)
        with contextlib.suppress(getpass.GetPassWarning):
            try:
                return Secret(getpass.getpass(f"{profile.what} of {profile.login or profile.name}: ", sys.stderr))
            except EOFError:
                return Secret("")
    raise CliError(f"there is no terminal to ask for the {profile.what}: name another source with --password-from")


def source_problem(profile: Profile) -> str | None:
    """Return why there is no password where the source says, or ``None``. Shows no prompt, and reads no keyring."""
    try:
        if is_read_silently(profile):
            account_of(profile)
    except (CliError, OSError) as error:
        return sentence_of(error)
    return None


def is_read_silently(profile: Profile) -> bool:
    """Return whether reading the password shows no prompt, and takes nothing from a pipe or a terminal."""
    kind, _, name = profile.source.partition(":")
    return kind == "env" or (kind == "file" and (not (path := expanded(name)).exists() or path.is_file()))


def store_in_keyring(profile: Profile) -> bool:
    """Ask for a password and put it into the keyring, unless it has one for this account.

    Raises:
        CliError: There is no terminal or no keyring.
    """
    if _keyring("get_password", _KEYRING_SERVICE, _keyring_user(profile)) is not None:
        return False
    secret = _account(profile, _prompted(profile)).secret
    _keyring("set_password", _KEYRING_SERVICE, _keyring_user(profile), secret.reveal())
    return True


def _account(profile: Profile, secret: Secret) -> Account:
    try:
        if profile.uses_api_key:
            return Account.with_api_key(secret, name=profile.login or None)
        return Account(profile.login, secret)
    except ValueError as error:
        message = str(error)
    # Not in the handler: the frames of the first error may hold the password.
    raise CliError(f"account {profile.name!r}, {profile.what} from {profile.source}: {message}")


def _from_stdin() -> str:
    line = sys.stdin.buffer.readline(_LONGEST)
    if line.startswith(codecs.BOM_UTF16_LE):
        line += sys.stdin.buffer.read(1)  # the second half of the line break
    return without_line_break(decoded_text(line, "standard input"))


def _from_keyring(profile: Profile) -> str:
    user = _keyring_user(profile)
    secret = _keyring("get_password", _KEYRING_SERVICE, user)
    if secret is None:
        raise CliError(f"the keyring has no {profile.what}: keyring set {_KEYRING_SERVICE} {user}")
    return str(secret)


def _keyring_user(profile: Profile) -> str:
    """Return the user name of an entry: another host, or a key in place of a password, has an entry of its own."""
    kind = "key:" if profile.uses_api_key else ""
    return f"{urlsplit(profile.base_url).netloc.lower()}/{kind}{profile.login or profile.name}"


def _keyring(function: str, *arguments: str) -> Any:
    try:
        keyring = import_module("keyring")  # an extra
    except ModuleNotFoundError:
        raise CliError('the system keyring needs an extra: pip install "smsc-async[keyring]"') from None
    try:
        return getattr(keyring, function)(*arguments)
    except Exception as error:  # noqa: BLE001  # none is there, it is locked, its owner refused: each backend has its own
        reason = f"{type(error).__name__}: {error}"
    raise CliError(f"the keyring does not answer ({reason}): see `keyring diagnose`, or take another source")
