"""The credentials of a request: a login with a password, or an API key.

Invariant: a credential leaves a ``Secret`` by ``reveal()`` and by nothing else; not by repr, str, format, vars, pickle,
copy or ``attrs.asdict``, and no digest of it that outlives the process.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NoReturn

import attrs

from smsc_async.environment import credential_source, hidden, read_credential_file
from smsc_async.protocol import key_label

# One for the life of the process: a fingerprint that leaks reveals nothing without this key.
_PROCESS_KEY: Final = os.urandom(32)


class Secret:
    """A text that only ``reveal()`` shows.

    Example:
        >>> from smsc_async import Secret
        >>> secret = Secret("123")
        >>> secret, f"{secret}", secret.reveal()
        (Secret('…'), '…', '123')
    """

    __slots__ = ("_reveal",)
    _reveal: Callable[[], str]

    def __init__(self, value: str) -> None:
        # In a closure: an attribute would be shown by anything that walks the slots of an object, debuggers included.
        object.__setattr__(self, "_reveal", lambda: value)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._reveal()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed; make a new one")

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (each.reveal().encode(errors="surrogatepass") for each in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((_PROCESS_KEY, self.reveal()))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is not pickled, so that no password lands in a queue, cache or file; "
            "send the login and read the password where it is used, as with Account.from_env()"
        )


def account_without_secret(login: str, *, uses_api_key: bool) -> Account:
    """Return an account that shows its login, and that no request can use."""
    account = Account.__new__(Account)
    account.__attrs_init__(login, Secret(""), uses_api_key=uses_api_key)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    return account


def _wrapped(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _credential(variable: str, what: str, env: Callable[[], Mapping[str, str]]) -> Secret:
    kind, _, name = credential_source(variable, env()).partition(":")
    return Secret(read_credential_file(Path(name), what) if kind == "file" else env().get(variable, ""))


def _problem(value: object, what: str) -> Exception | None:
    if not isinstance(value, str):
        return TypeError(f"the {what} must be a str, not {type(value).__name__}")
    if not value.strip():
        return ValueError(f"the {what} is empty: pass the one of your SMSC account")
    if any("\ud800" <= character <= "\udfff" for character in value):
        return ValueError(f"the {what} is not text that can be sent: read it as UTF-8 and pass it again")
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} or character == "\ufeff" for character in value):
        return ValueError(f"the {what} has a line break, a control character or a byte order mark, which no {what} has")
    return None


def _check(value: str | Secret, what: str) -> None:
    # ``_problem`` returns the error and does not raise it, so that no frame of the traceback has a local with the value.
    problem = _problem(value.reveal() if isinstance(value, Secret) else value, what)
    if problem is not None:
        raise problem


@attrs.frozen(repr=False, init=False)
class Account:
    """The credentials of a list: a login with its password, or an API key.

    Frozen and hashable; shows its login, never its credential. Not picklable, for the same reason.

    Attributes:
        login: The login, under which the service counts requests; for an API key the ``name`` that came with it.
        secret: The password or the API key. (A password may be given as its MD5, which the service accepts from old
            accounts.)
        uses_api_key: Whether ``secret`` is an API key.

    Raises:
        ValueError: The login or the password is empty, has a line break, a control character or a byte order mark, or
            is not text that can be sent.
        TypeError: One of them is not a ``str``.

    Example:
        >>> from smsc_async import Account
        >>> Account("alex", "123")
        Account('alex')
    """

    login: str
    secret: Secret = attrs.field(alias="password")
    uses_api_key: bool = attrs.field(default=False, kw_only=True)

    def __init__(self, login: str, password: str | Secret, *, uses_api_key: bool = False) -> None:
        # Wrapped before anything can be raised: error reporters show the locals of every frame.
        secret = _wrapped(password)
        del password
        _check(login, "login")
        _check(secret, "API key" if uses_api_key else "password")
        self.__attrs_init__(login, secret, uses_api_key=uses_api_key)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    @classmethod
    def with_api_key(cls, key: str | Secret, *, name: str | None = None) -> Account:
        """Return the account of an API key.

        Args:
            key: The API key.
            name: The login behind the key. Give it if the same login is also used with its password, so that the
                two share one quota, as they do at the service. Without it the key has a quota of its own, and a ``login``
                such as ``key-3f2a``: 16 bits of a digest, which are too few to test a guess, and may be those of another
                key.

        Raises:
            ValueError: The key or the name is empty, has a line break, a control character or a byte order mark, or is
                not text that can be sent.
            TypeError: One of them is not a ``str``.

        Example:
            >>> from smsc_async import Account
            >>> Account.with_api_key("k-4711", name="alex")
            Account('alex', api key)
        """
        secret = _wrapped(key)
        del key
        _check(secret, "API key")
        return cls(_shown(key_label(secret.reveal())) if name is None else name, secret, uses_api_key=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Account:
        """Return the account that the environment names.

        Reads ``SMSC_API_KEY`` (with ``SMSC_LOGIN`` as its name if set), else ``SMSC_LOGIN`` and ``SMSC_PASSWORD``. The key
        or the password may be in the file that ``SMSC_API_KEY_FILE`` or ``SMSC_PASSWORD_FILE`` names: yours alone, or below
        ``/run/secrets``; its last line break does not count.

        Args:
            environ: The variables, or ``None`` for those of the process.

        Raises:
            OSError: A file cannot be read.
            ValueError: Others may use a file, a variable is set beside its file, or one is missing or empty, has a line
                break, a control character or a byte order mark, or is not text that can be sent.

        Example:
            >>> from smsc_async import Account
            >>> Account.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD": "123"})
            Account('alex')
        """
        env = hidden(os.environ if environ is None else environ)
        del environ  # before anything can be raised
        login = env().get("SMSC_LOGIN", "")
        if credential_source("SMSC_API_KEY", env()):
            return cls.with_api_key(_credential("SMSC_API_KEY", "API key", env), name=login or None)
        password = _credential("SMSC_PASSWORD", "password", env)
        missing = [name for name, value in (("SMSC_LOGIN", login), ("SMSC_PASSWORD", password)) if not value]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} not set: set SMSC_LOGIN and SMSC_PASSWORD, or SMSC_API_KEY, in the environment "
                "(or SMSC_PASSWORD_FILE, SMSC_API_KEY_FILE)"
            )
        return cls(login, password)

    @property
    def quota_login(self) -> str:
        """The login; for an API key without a name, the label of the key in the name of its quota. Never show it."""
        if self.uses_api_key and self.login == _shown(label := key_label(self.secret.reveal())):
            return label
        return self.login

    @cached_property
    def fingerprint(self) -> bytes:
        """A digest of the credentials that means nothing outside this process; equal for equal accounts."""
        if not self.secret:
            raise RuntimeError("this account was pickled without its credential: make a new Account to send requests")
        kind = b"key" if self.uses_api_key else b"psw"
        parts = (kind, self.login.encode(), self.secret.reveal().encode())
        prefixed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.blake2b(prefixed, key=_PROCESS_KEY, digest_size=16).digest()

    def __repr__(self) -> str:
        # Error reporters also show an account whose making has failed.
        return f"Account({getattr(self, 'login', '')!r}{', api key' if getattr(self, 'uses_api_key', False) else ''})"


def _shown(label: str) -> str:
    """Return the part of a key's label that may be shown."""
    return label[: len("key-") + 4]
