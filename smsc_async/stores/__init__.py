"""Where the quota and the last answers live.

``protocol`` says what a store is; ``memory`` is the one for a single process, ``sqlite`` for the processes of a machine,
``redis`` for many machines.
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
    # Imported when asked for: they cost a third of the package's import, and most programs use neither.
    _HOMES: Final = {"RedisStore": "redis.store", "SQLiteStore": "sqlite.store"}

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value


__all__ = ["FetchLease", "MemoryStore", "RedisStore", "SQLiteStore", "Store", "default_store"]

_DEFAULT = MemoryStore()


def default_store() -> MemoryStore:
    """Return the one store of the process that every client without a store of its own uses."""
    return _DEFAULT
