"""The key file of a history, and the digests of credentials that are made with it.

Invariant: without the key file nobody can test a guessed password against a history; so the key is never in the database,
and no one but its owner can read the file.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final

from smsc_async.accounts import Account
from smsc_async.errors import StoreError

__all__ = ["credential_digest", "read_or_make_key"]

_BYTES: Final = 32
_LABEL: Final = b"smsc_async history: credentials"


def read_or_make_key(path: Path, *, make: bool) -> bytes | None:
    """Return the key; ``None`` if there is none and ``make`` is false.

    Only the writer of the database makes a key, inside its transaction: two processes never make two keys.

    Raises:
        StoreError: The file is not a key, or others can read it.
        OSError: The file cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return _make_key(path) if make else None
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor, so that the checked file is the one that is read
        status, key = os.fstat(descriptor), file.read(_BYTES + 1)
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError("others can use this key file: run chmod 600 on it", str(path))
    if len(key) != _BYTES:
        raise StoreError("not a key file: restore it from a copy, or delete it (the watch starts anew then)", str(path))
    return key


def _make_key(path: Path) -> bytes:
    key = secrets.token_bytes(_BYTES)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # mkstemp gives a descriptor
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)  # whole or not at all: a reader never sees half a key
    finally:
        Path(name).unlink(missing_ok=True)
    return key


def credential_digest(key: bytes, account: Account) -> bytes:
    """Return the name of credentials in a history: the same for the same kind, login and secret."""
    digest = hmac.new(hmac.digest(key, _LABEL, "sha256"), digestmod="sha256")
    for part in (b"key" if account.uses_api_key else b"psw", account.login.encode()):
        digest.update(_prefixed(part))
    digest.update(_prefixed(account.secret.reveal().encode()))
    return digest.digest()[:16]


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
