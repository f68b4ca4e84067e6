"""The stores of the quota, the last lists and the lockouts.

``base`` is the interface; ``memory`` is the store of a single process, ``sqlite`` of the processes of one machine, ``redis``
of many machines.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

from smsc_async.accounts import Secret
from smsc_async.limiter.attempt import FetchLease
from smsc_async.stores.base import Store
from smsc_async.stores.memory import MemoryStore

if TYPE_CHECKING:
    from smsc_async.stores.redis.store import RedisStore
    from smsc_async.stores.shared import SharedStore
    from smsc_async.stores.sqlite.store import SQLiteSnapshot, SQLiteStore
else:
    # Imported at their first use: they cost a third of the package's import, and most programs use neither.
    _SQLITE = ("SQLiteSnapshot", "SQLiteStore")
    _MODULES: Final = {"RedisStore": "redis.store", **dict.fromkeys(_SQLITE, "sqlite.store")}

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value


__all__ = [
    "FetchLease",
    "MemoryStore",
    "RedisStore",
    "SQLiteSnapshot",
    "SQLiteStore",
    "Store",
    "default_store",
    "store_at",
]

_REDIS: Final = ("redis://", "rediss://", "unix://", "redis+", "rediss+")
_SHORTEST_PEPPER: Final = 16
_DEFAULT = MemoryStore()


def default_store() -> MemoryStore:
    """Return the store of this process, which every client without a store of its own uses."""
    return _DEFAULT


def store_at(place: Secret, pepper: Secret, *, only_looks: bool = False) -> SharedStore:
    """Return the store that the environment names.

    Args:
        place: ``SMSC_STORE``: a path or a URL. A URL may contain a password.
        pepper: ``SMSC_PEPPER``, or an empty one.
        only_looks: Whether a file must stay as it is, and must not be created.

    Raises:
        ValueError: One of them cannot be so.
    """
    from smsc_async import stores  # noqa: PLC0415  # by the names that are imported at their first use

    is_url = "://" in place.reveal()
    if is_url and not place.reveal().startswith(_REDIS):
        raise ValueError(
            "SMSC_STORE must be a path, or a URL that begins with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    if len(pepper.reveal()) < _SHORTEST_PEPPER and (is_url or pepper):
        raise ValueError(f"SMSC_PEPPER must have {_SHORTEST_PEPPER} characters or more, the same for all processes")
    if is_url:
        return stores.RedisStore(place.reveal(), pepper=pepper)
    return (stores.SQLiteSnapshot if only_looks else stores.SQLiteStore)(
        os.path.expanduser(place.reveal()),  # noqa: PTH111  # as it is if there is no home folder
        pepper=pepper or None,
    )
