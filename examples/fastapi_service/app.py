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
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from smsc_async import Account, Client, OpenTelemetryMetrics, RedisStore, SmscError, SQLiteStore, Tariffs

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


class MetricsServer(ThreadingHTTPServer):
    """Serves the metrics of one worker to Prometheus, on a port of its own: each worker has its own counters."""

    allow_reuse_port = False  # or workers would share a port, and Prometheus would read a worker by chance


class MetricsHandler(BaseHTTPRequestHandler):
    """Answers with the metrics, and writes no line for each request, because the log is JSON."""

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer every path."""
        body = generate_latest()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server uses
        """Write nothing."""


def open_server() -> MetricsServer:
    """Return a server on the first free port from METRICS_PORT on: four workers use 9464 to 9467."""
    host, first = os.environ.get("METRICS_HOST", "127.0.0.1"), int(os.environ.get("METRICS_PORT", "9464"))
    for port in range(first, first + 64):
        try:
            return MetricsServer((host, port), MetricsHandler)
        except OSError:  # of another worker
            continue
    raise RuntimeError(f"no free port for metrics from {first} on")


@contextmanager
def served_metrics() -> Generator[OpenTelemetryMetrics]:
    """Yield the receiver of a client's events, whose metrics are served meanwhile."""
    provider = MeterProvider([PrometheusMetricReader()])
    with open_server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        log.info("metrics on port %d", server.server_port)
        try:
            yield OpenTelemetryMetrics(provider)
        finally:
            server.shutdown()
            thread.join()
            provider.shutdown()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open a client for the life of this worker, and fetch the list before the first visitor comes."""
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = open_store()
    try:
        # The deadline is the longest time that a visitor waits.
        with served_metrics() as metrics:
            async with Client(
                Account.from_env(), base_url=base_url, store=store, max_age=300, deadline=10, on_event=metrics
            ) as client:
                app.state.client = client
                try:
                    await client.tariffs()
                except (
                    SmscError
                ) as error:  # the worker starts all the same, and /ready answers 503 until there is a list
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
