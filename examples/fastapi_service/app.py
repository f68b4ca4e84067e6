"""Prices as a web service: one client for each worker, one quota and one kept list for all of them.

SMSC_LOGIN=alex SMSC_PASSWORD=123 uvicorn examples.fastapi_service.app:app --workers 4

All workers use the file that ``TARIFFS_DB`` names (``tariffs.db`` where it is not set), so that four workers that start
together send one request, not four.
"""

import logging
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from smsc_async import Account, Client, SmscError, SQLiteStore

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open a client for the life of this worker, and have the list ready before the first visitor comes."""
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = SQLiteStore(os.environ.get("TARIFFS_DB", "tariffs.db"))
    try:
        async with Client(Account.from_env(), base_url=base_url, store=store, max_age=300, deadline=10) as client:
            app.state.client = client
            try:
                await client.tariffs()
            except SmscError as error:  # prices may come later: that is no reason not to start
                log.warning("no tariff list yet: %s", error)
            yield
    finally:
        await store.aclose()


app = FastAPI(lifespan=lifespan)


def the_client(request: Request) -> Client:
    """Return the client of this worker."""
    client: Client = request.app.state.client
    return client


TheClient = Annotated[Client, Depends(the_client)]


@app.exception_handler(SmscError)
async def unavailable(_request: Request, error: Exception) -> JSONResponse:
    """Tell the visitor when to come again where the library knows; what went wrong is for the log only."""
    assert isinstance(error, SmscError)
    log.warning("no tariff list: %s", error)
    headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
    status = 503 if error.retryable else 502
    return JSONResponse({"detail": "the tariff list cannot be had at the moment"}, status, headers)


@app.get("/prices/{zone}")
async def price(zone: str, client: TheClient, *, fresh: bool = False) -> dict[str, str | None]:
    """Return the price of one SMS; ``?fresh=true`` asks the service again, as far as its quota goes."""
    tariffs = await client.tariffs(max_age=0 if fresh else None)
    try:
        line = tariffs.zone(zone)
    except KeyError:
        raise HTTPException(404, f"there is no zone {zone}") from None
    # As text: a JSON number would be read as a float, and lose the digits that were sent.
    return {"zone": line.zone, "name": line.name, "price": None if line.api is None else str(line.api)}
