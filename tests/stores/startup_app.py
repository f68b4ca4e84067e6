"""A web application whose start-up fetches the list, as users write it: run by uvicorn with several workers."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from smsc_async import Account, Client
from tests.stores.worker_process import open_store


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    store = open_store(os.environ["TEST_STORE"])
    async with Client(Account("alex", "123"), base_url=os.environ["TEST_BASE_URL"], store=store) as client:
        app.state.tariffs = await client.tariffs()
        os.write(1, b"worker has its list\n")
        yield
    await store.aclose()


app = Starlette(lifespan=lifespan)
