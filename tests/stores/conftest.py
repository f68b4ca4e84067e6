"""The stores under test, each as its users make it, with a window that is short enough for real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from smsc_async import MemoryStore, SQLiteStore
from smsc_async.limiter.quota import Quota
from smsc_async.stores import Store

QUOTA = Quota(per=0.3, guard=0.02, linger=0.1)

Make: TypeAlias = Callable[[], Store]
"""Returns another store over the same file or server, as another process would have it."""


@pytest.fixture(params=["memory", "sqlite"])
async def make_store(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend_name: str) -> AsyncIterator[Make]:
    made: list[Store] = []

    def make() -> Store:
        if request.param == "memory":
            made[:] = made or [MemoryStore()]
            return made[0]
        made.append(SQLiteStore(tmp_path / "store.db", pepper="a long random text", lease=1.0))
        return made[-1]

    yield make
    for store in made:
        if isinstance(store, SQLiteStore):
            await store.aclose()


@pytest.fixture
def store(make_store: Make) -> Store:
    return make_store()
