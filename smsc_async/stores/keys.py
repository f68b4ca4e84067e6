"""The keys of a shared store, which others may read (P8): digests for its names, and seals for its lists.

Everything is an HMAC under a key that is derived from the pepper, a secret that is not in the store. Without the pepper
nobody can guess a login or a password from the store, nor forge a list in it.
"""

from __future__ import annotations

import hmac
from typing import Final, TypeAlias

import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.protocol import quota_key, service_of

Pepper: TypeAlias = str | bytes | Secret

_LEAST_CHARACTERS: Final = 16
_DIGEST_BYTES: Final = 16
_ADVICE: Final = (
    "pass a long random text, the same for all processes that share the store; "
    'this makes one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
)


@attrs.frozen(eq=False, repr=False)
class ListKey:
    """The key of an account's list in the store.

    Attributes:
        name: Digests of the credentials, of the endpoint and of the login, which decides the node of a cluster; with colons.
        seal_key: The key of the list's seal.
    """

    name: str
    seal_key: bytes = attrs.field(repr=False)


def wrapped_pepper(pepper: Pepper | None) -> Secret:
    """Return a pepper as a ``Secret``, which no ``repr`` shows, before anything can be raised.

    Error reporters show the locals of every frame: the caller deletes its own one, and then calls ``checked_pepper``.
    """
    if isinstance(pepper, bytes):
        pepper = Secret(pepper.decode("utf-8", "surrogateescape"))
    return pepper if isinstance(pepper, Secret) else Secret(pepper or "")


def checked_pepper(secret: Secret) -> Secret:
    """Return a pepper that is long enough.

    Raises:
        ValueError: The pepper is missing or too short.
        TypeError: It is no text.
    """
    if not isinstance(secret.reveal(), str):  # pyright: ignore[reportUnnecessaryIsInstance]  # of callers without a type checker
        raise TypeError("pepper must be a str, bytes or a Secret")
    if len(secret.reveal()) < _LEAST_CHARACTERS:
        raise ValueError(f"the pepper is missing or has less than {_LEAST_CHARACTERS} characters: {_ADVICE}")
    return secret


class Keys:
    """The digests and seal keys under one pepper.

    Attributes:
        pepper_name: A digest of the pepper, which tells two peppers apart.
    """

    def __init__(self, pepper: Secret) -> None:
        key = pepper.reveal().encode("utf-8", "surrogateescape")
        labels = (b"smsc_async digests", b"smsc_async seals", b"smsc_async pepper")
        digest_key, seal_key, name = (hmac.digest(key, label, "sha256") for label in labels)
        # Error reporters show the attributes of objects, but these do not contain their keys as Python objects.
        self._digests, self._seals = (hmac.new(each, digestmod="sha256") for each in (digest_key, seal_key))
        self.pepper_name: str = name.hex()

    def login(self, login: str) -> str:
        """Return the digest of a login."""
        return self._digest("login", login)

    def credentials(self, account: Account) -> str:
        """Return the digest of an account: of its login and its credentials."""
        return self._digest("credentials", *_credentials(account))

    def list_key(self, endpoint: str, account: Account) -> ListKey:
        """Return the key of the account's list from an endpoint."""
        login = self.login(quota_key(service_of(endpoint), account.quota_login))
        name = f"{self.credentials(account)}:{self._digest('endpoint', endpoint)[:8]}:{login[:8]}"
        return ListKey(name, _mac(self._seals, (endpoint, *_credentials(account))))

    def _digest(self, *parts: str) -> str:
        return _mac(self._digests, parts)[:_DIGEST_BYTES].hex()


def _credentials(account: Account) -> tuple[str, str, str]:
    return "key" if account.uses_api_key else "password", account.login, account.secret.reveal()


def _mac(empty: hmac.HMAC, parts: tuple[str, ...]) -> bytes:
    # A copy takes half the time of hmac.digest(), which prepares the key each time.
    filled = empty.copy()
    # Length-prefixed: two different lists of parts never make the same message.
    for part in map(str.encode, parts):
        filled.update(len(part).to_bytes(8, "big") + part)
    return filled.digest()
