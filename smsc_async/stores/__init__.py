"""The stores of the quota, the last lists and the lockouts.

``base`` is the interface; ``memory`` is the store of a single process, ``sqlite`` of the processes of one machine, ``redis``
of many machines.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from smsc_async.accounts import Secret
from smsc_async.limiter.attempt import FetchLease
from smsc_async.stores.base import Store
from smsc_async.stores.memory import MemoryStore

if TYPE_CHECKING:
    from smsc_async.stores.shared import SharedStore

__all__ = ["FetchLease", "MemoryStore", "Store", "default_store", "store_at"]

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
    is_url = "://" in place.reveal()
    if is_url and not place.reveal().startswith(_REDIS):
        raise ValueError(
            "SMSC_STORE must be a path, or a URL that begins with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    if len(pepper.reveal()) < _SHORTEST_PEPPER and (is_url or pepper):
        raise ValueError(f"SMSC_PEPPER must have {_SHORTEST_PEPPER} characters or more, the same for all processes")
    # Imported at their first use: they cost a third of the package's import, and most programs use neither.
    if is_url:
        from smsc_async.stores.redis.store import RedisStore  # noqa: PLC0415

        return RedisStore(place.reveal(), pepper=pepper)
    from smsc_async.stores.sqlite.store import SQLiteSnapshot, SQLiteStore  # noqa: PLC0415

    return (SQLiteSnapshot if only_looks else SQLiteStore)(
        os.path.expanduser(place.reveal()),  # noqa: PTH111  # as it is if there is no home folder
        pepper=pepper or None,
    )
