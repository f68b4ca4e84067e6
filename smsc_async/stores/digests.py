"""What logins and accounts are called in a store that others can read: digests that give nothing away (P8).

Under a pepper, a secret of the user's that is not in the store, a digest is an HMAC and costs microseconds. Without one
it is scrypt under the store's salt, since logins and passwords are short enough to be guessed; that costs a core some
50 ms for each account and process, once, and 16 MiB while it lasts.
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

__all__ = ["Digests", "Pepper"]

Pepper: TypeAlias = str | bytes | Secret

_BYTES: Final = 16
# OWASP's floor for scrypt is 2**17; here the login or password of a stranger's leak is tried under one salt for a
# private price list, and every worker pays for it at its start. With a pepper the question does not arise.
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
# About 13 MB when full. Only without a pepper does it matter whether one is found here.
_KEPT: Final = 65_536
_AT_ONCE: Final = 2  # 16 MiB each

_limiter: Final = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("smsc_async scrypt")


def _keyed(pepper: Pepper | None) -> Callable[[bytes], bytes] | None:
    if pepper is None:
        return None
    text = pepper.reveal() if isinstance(pepper, Secret) else pepper
    key = text.encode() if isinstance(text, str) else text
    return lambda told: hmac.digest(key, told, "sha256")[:_BYTES] if key else b""


class Digests:
    """Names logins and accounts, and remembers the names; good for any thread and event loop.

    Attributes:
        pepper_name: A digest that is the same for the same pepper, and empty where there is none.

    Args:
        pepper: The user's secret, or ``None`` for scrypt.

    Raises:
        ValueError: The pepper is empty.
    """

    def __init__(self, pepper: Pepper | None) -> None:
        self._keyed = _keyed(pepper)
        del pepper
        if self._keyed is not None and not self._keyed(b""):
            raise ValueError("the pepper is empty: pass a long random text, the same for all workers")
        # What a store knows the pepper by: whoever comes with another would have a quota of their own in it.
        self.pepper_name: str = "" if self._keyed is None else self._keyed(b"pepper").hex()
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, str] = OrderedDict()

    async def of_login(self, login: str, salt: bytes) -> str:
        """Return the name of a login."""
        return await self._named((salt, login), b"login", (login.encode(),), salt)

    async def of_account(self, account: Account, salt: bytes) -> str:
        """Return the name of an account: of its login and its credentials."""
        # Only the fingerprint is kept: a digest under a key that dies with the process.
        key = (salt, account.fingerprint)
        kept = self._find(key)
        if kept is not None:
            return kept
        kind = b"key" if account.uses_api_key else b"psw"
        told = (account.login.encode(), account.secret.reveal().encode())
        return await self._named(key, kind, told, salt)

    async def _named(self, key: Hashable, kind: bytes, parts: tuple[bytes, ...], salt: bytes) -> str:
        kept = self._find(key)
        if kept is not None:
            return kept
        told = b"".join(len(part).to_bytes(8, "big") + part for part in (kind, *parts))
        name = (await _slow(told, salt) if self._keyed is None else self._keyed(told)).hex()
        with self._lock:
            self._kept[key] = name
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return name

    def _find(self, key: Hashable) -> str | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def after_fork(self) -> None:
        """Go on in a child process, where no thread holds the lock."""
        self._lock = threading.Lock()


async def _slow(told: bytes, salt: bytes) -> bytes:
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)

    def compute() -> bytes:
        return hashlib.scrypt(told, salt=salt, dklen=_BYTES, **_SCRYPT)

    return await anyio.to_thread.run_sync(compute, limiter=limiter)
