"""Who asks: a login with a password, or an API key.

Invariant: a credential leaves a ``Secret`` by ``reveal()`` and by nothing else; not by repr, str, format, vars, pickle,
copy or ``attrs.asdict``, and no digest of it that outlives the process.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

import attrs

from smsc_async.protocol import key_label

__all__ = ["Account", "Secret"]

# One for the life of the process: a fingerprint that leaks tells nothing to whoever does not have this key as well.
_PROCESS_KEY: Final = secrets.token_bytes(32)


class Secret:
    """A text that shows itself only when it is asked by name.

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
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(("Secret", self.reveal()))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is not pickled, so that no password lands in a queue, cache or file; "
            "send the login and read the password where it is used, as with Account.from_env()"
        )


def _checked(value: str, what: str) -> str:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise TypeError(f"the {what} must be a str, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"the {what} is empty: pass the one of your SMSC account")
    return value


def _as_login(value: str) -> str:
    return _checked(value, "login")


def _as_secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(_checked(value, "password"))


@attrs.frozen(repr=False, cache_hash=True)
class Account:
    """Whose list to fetch: a login with its password, or an API key.

    Frozen and hashable; shows its login, never its credential. Not picklable, for the same reason.

    Attributes:
        login: The login, under which the service counts requests; for an API key the ``name`` that came with it.
        secret: The password or the API key. (A password may be given as its MD5, which the service accepts from old
            accounts.)
        uses_api_key: Whether ``secret`` is an API key.

    Raises:
        ValueError: The login or the password is empty.
        TypeError: One of them is not a ``str``.

    Example:
        >>> from smsc_async import Account
        >>> Account("alex", "123")
        Account('alex')
    """

    login: str = attrs.field(converter=_as_login)
    secret: Secret = attrs.field(converter=_as_secret, alias="password")
    uses_api_key: bool = attrs.field(default=False, kw_only=True)
    _fingerprint: bytes | None = attrs.field(default=None, init=False, eq=False)

    @classmethod
    def with_api_key(cls, key: str | Secret, *, name: str | None = None) -> Account:
        """Return the account that an API key stands for.

        Args:
            key: The API key.
            name: The login behind the key. Give it where the same login is also used with its password, so that the
                two share one quota, as they do at the service. Without it the key has a quota of its own, under a
                label made from a one-way digest of it.

        Raises:
            ValueError: The key or the name is empty.

        Example:
            >>> from smsc_async import Account
            >>> Account.with_api_key("k-4711", name="alex")
            Account('alex', api key)
        """
        secret = key if isinstance(key, Secret) else Secret(_checked(key, "API key"))
        return cls(key_label(secret.reveal()) if name is None else name, secret, uses_api_key=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Account:
        """Return the account that the environment names.

        Reads ``SMSC_API_KEY`` (with ``SMSC_LOGIN`` as its name where set), else ``SMSC_LOGIN`` and ``SMSC_PASSWORD``.

        Args:
            environ: The variables, or ``None`` for those of the process.

        Raises:
            ValueError: A variable is missing or empty.

        Example:
            >>> from smsc_async import Account
            >>> Account.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD": "123"})
            Account('alex')
        """
        env = os.environ if environ is None else environ
        if env.get("SMSC_API_KEY"):
            return cls.with_api_key(env["SMSC_API_KEY"], name=env.get("SMSC_LOGIN") or None)
        missing = [name for name in ("SMSC_LOGIN", "SMSC_PASSWORD") if not env.get(name)]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} not set: set SMSC_LOGIN and SMSC_PASSWORD, or SMSC_API_KEY, in the environment"
            )
        return cls(env["SMSC_LOGIN"], env["SMSC_PASSWORD"])

    @property
    def fingerprint(self) -> bytes:
        """A digest of the credentials that means nothing outside this process; equal for equal accounts."""
        if self._fingerprint is None:
            kind = b"key" if self.uses_api_key else b"psw"
            parts = (kind, self.login.encode(), self.secret.reveal().encode())
            told = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
            object.__setattr__(self, "_fingerprint", hashlib.blake2b(told, key=_PROCESS_KEY, digest_size=16).digest())
        assert self._fingerprint is not None
        return self._fingerprint

    def __repr__(self) -> str:
        return f"Account({self.login!r}{', api key' if self.uses_api_key else ''})"
