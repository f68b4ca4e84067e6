"""The stores of the quota, the last lists and the lockouts.

``base`` is the interface; ``memory`` is the store of a single process, ``sqlite`` of the processes of one machine, ``redis``
of many machines.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from smsc_async.stores.base import FetchLease, Store
from smsc_async.stores.memory import MemoryStore

if TYPE_CHECKING:
    from smsc_async.stores.redis.store import RedisStore
    from smsc_async.stores.sqlite.store import SQLiteStore
else:
    # Imported at their first use: they cost a third of the package's import, and most programs use neither.
    _MODULES: Final = {"RedisStore": "redis.store", "SQLiteStore": "sqlite.store"}

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value


__all__ = ["FetchLease", "MemoryStore", "RedisStore", "SQLiteStore", "Store", "default_store"]

_DEFAULT = MemoryStore()


def default_store() -> MemoryStore:
    """Return the store of this process, which every client without a store of its own uses."""
    return _DEFAULT
