"""Digests that stand for logins and accounts in a shared store, which others may read (P8).

With a pepper, a secret of the user that is not in the store, a digest is an HMAC and takes microseconds. Without one it is
scrypt with the salt of the store, since logins and passwords are short enough to be guessed. scrypt takes some 50 ms of a
core for each account and process, once, and 16 MiB of memory meanwhile.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread

from smsc_async.accounts import Account, Secret

__all__ = ["Digests", "Pepper", "secret_of"]

Pepper: TypeAlias = str | bytes | Secret

_BYTES: Final = 16
# OWASP recommends 2**17 at least. Here a guessed password gives access to a price list only, and every worker pays the cost
# at its start. With a pepper nothing can be guessed.
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
# The number of digests in memory, about 13 MB. Without a pepper each miss costs an scrypt.
_CACHED: Final = 65_536
_CONCURRENT: Final = 2  # 16 MiB each

_limiter: Final = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("smsc_async scrypt")


def secret_of(pepper: Pepper | None) -> Secret | None:
    """Return a pepper as a ``Secret``, which no ``repr`` shows."""
    if pepper is None or isinstance(pepper, Secret):
        return pepper
    return Secret(pepper if isinstance(pepper, str) else pepper.decode("utf-8", "surrogateescape"))


def _keyed(pepper: Pepper | None) -> Callable[[bytes], bytes] | None:
    if pepper is None:
        return None
    text = pepper.reveal() if isinstance(pepper, Secret) else pepper
    key = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return lambda message: hmac.digest(key, message, "sha256")[:_BYTES] if key else b""


class Digests:
    """Digests of logins and accounts, with a cache; for any thread and event loop.

    Attributes:
        pepper_name: A digest of the pepper, which tells two peppers apart; empty without a pepper.

    Args:
        pepper: The user's secret, or ``None`` for scrypt.

    Raises:
        ValueError: The pepper is empty.
    """

    def __init__(self, pepper: Pepper | None) -> None:
        self._keyed = _keyed(pepper)
        del pepper
        if self._keyed is not None and not self._keyed(b""):
            raise ValueError("the pepper is empty: pass a long random text, the same for all processes")
        # Stored in the store: a process with another pepper would have a quota of its own there.
        self.pepper_name: str = "" if self._keyed is None else self._keyed(b"pepper").hex()
        self._lock = threading.Lock()
        self._cached: OrderedDict[Hashable, str] = OrderedDict()

    async def of_login(self, login: str, salt: bytes) -> str:
        """Return the digest of a login."""
        return await self._digest((salt, login), b"login", (login.encode(),), salt)

    async def of_account(self, account: Account, salt: bytes) -> str:
        """Return the digest of an account: of its login and its credentials."""
        # The key contains the fingerprint, a digest under a key that ends with the process, and not the secret.
        key = (salt, account.fingerprint)
        cached = self._find(key)
        if cached is not None:
            return cached
        kind = b"key" if account.uses_api_key else b"psw"
        parts = (account.login.encode(), account.secret.reveal().encode())
        return await self._digest(key, kind, parts, salt)

    async def _digest(self, key: Hashable, kind: bytes, parts: tuple[bytes, ...], salt: bytes) -> str:
        cached = self._find(key)
        if cached is not None:
            return cached
        # Length-prefixed: two different lists of parts never make the same message.
        message = b"".join(len(part).to_bytes(8, "big") + part for part in (kind, *parts))
        digest = (await _scrypt(message, salt) if self._keyed is None else self._keyed(message)).hex()
        with self._lock:
            self._cached[key] = digest
            if len(self._cached) > _CACHED:
                self._cached.popitem(last=False)
        return digest

    def _find(self, key: Hashable) -> str | None:
        with self._lock:
            cached = self._cached.get(key)
            if cached is not None:
                self._cached.move_to_end(key)
            return cached

    def after_fork(self) -> None:
        """Replace the lock in a forked child, in which no thread can release it."""
        self._lock = threading.Lock()


async def _scrypt(message: bytes, salt: bytes) -> bytes:
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_CONCURRENT)
        _limiter.set(limiter)

    def compute() -> bytes:
        return hashlib.scrypt(message, salt=salt, dklen=_BYTES, **_SCRYPT)

    return await anyio.to_thread.run_sync(compute, limiter=limiter)
