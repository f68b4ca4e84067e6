"""Where the quota and the last answers live.

``protocol`` says what a store is; ``memory`` is the one for a single process, ``sqlite`` for the processes of a machine,
``redis`` for many machines.
"""

from smsc_async.stores.memory import MemoryStore
from smsc_async.stores.protocol import Lead, Store
from smsc_async.stores.redis import RedisStore
from smsc_async.stores.sqlite import SQLiteStore

__all__ = ["Lead", "MemoryStore", "RedisStore", "SQLiteStore", "Store", "default_store"]

_DEFAULT = MemoryStore()


def default_store() -> MemoryStore:
    """Return the one store of the process that every client without a store of its own uses."""
    return _DEFAULT
