"""Prices as a web service: FastAPI with four workers, which share one quota and one cached list in a store.

Needs an account, or the simulator. From this folder:

smsc-async simulator --port 8025
export SMSC_BASE_URL=http://127.0.0.1:8025/sys/ SMSC_LOGIN=alex SMSC_PASSWORD=123
export SMSC_STORE=redis://127.0.0.1:6379/0 SMSC_PEPPER=$(openssl rand -hex 16)
uvicorn app:app --workers 4 --log-config logs.json

Without SMSC_STORE, the workers share the file ``tariffs.db``.
"""

import logging
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from smsc_async import Account, Client, RedisStore, SmscError, SQLiteStore, Tariffs

log = logging.getLogger(__name__)


def open_store() -> RedisStore | SQLiteStore:
    """Return the store that SMSC_STORE names: a Redis URL or a path."""
    place = os.environ.get("SMSC_STORE", "tariffs.db")
    if "://" not in place:
        return SQLiteStore(place)
    # A new or emptied Redis may have lost its counters, so it gives no permit at first, and /ready answers 503 meanwhile.
    # SMSC_COLD_START=grant skips that wait: for tests, and for the very first start.
    trust = os.environ.get("SMSC_COLD_START") == "grant"
    return RedisStore(place, pepper=os.environ["SMSC_PEPPER"], cold_start="grant" if trust else "wait")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open a client for the life of this worker, and fetch the list before the first visitor comes."""
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = open_store()
    try:
        # The deadline is the longest time that a visitor waits.
        async with Client(Account.from_env(), base_url=base_url, store=store, max_age=300, deadline=10) as client:
            app.state.client = client
            try:
                await client.tariffs()
            except SmscError as error:  # the worker starts all the same, and /ready answers 503 until there is a list
                log.warning("no tariff list yet: %s", error)
            yield
    finally:
        await store.aclose()


app = FastAPI(lifespan=lifespan)


def get_client(request: Request) -> Client:
    """Return the client of this worker."""
    client: Client = request.app.state.client
    return client


WorkerClient = Annotated[Client, Depends(get_client)]


@app.exception_handler(SmscError)
async def unavailable(_request: Request, error: Exception) -> JSONResponse:
    """Answer 503 with the time to wait, or 502 if waiting does not help; the details go to the log only."""
    assert isinstance(error, SmscError)
    log.warning("no tariff list: %s", error, extra={"error": type(error).__name__, "retry_after": error.retry_after})
    headers = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
    return JSONResponse({"detail": "the tariff list is not available"}, 503 if error.retryable else 502, headers)


@app.get("/live")
async def live() -> str:
    """Answer while the process works; a failure means: restart it."""
    return "ok"


@app.get("/ready")
async def ready(client: WorkerClient) -> str:
    """Answer once there is a list, whatever its age; a failure means: send no visitors yet."""
    await client.tariffs(stale_ok=True)
    return "ok"


@app.get("/tariffs")
async def tariffs(client: WorkerClient) -> Tariffs:
    """Return the complete list; prices are text, with the digits that the service sent."""
    return await client.tariffs(stale_ok=True)


@app.get("/prices/{zone}")
async def price(
    zone: str, client: WorkerClient, *, operator: str | None = None, fresh: bool = False
) -> dict[str, str | None]:
    """Return the price of one SMS; ``?fresh=true`` asks the service again, if the quota allows."""
    listed = await client.tariffs(max_age=0 if fresh else None)
    try:
        line = listed.price(zone, operator=operator)
    except KeyError:
        raise HTTPException(404, f"there is no zone {zone}") from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return {"zone": zone, "name": listed.zone(zone).name, "price": None if line is None else format(line.cost, "f")}
