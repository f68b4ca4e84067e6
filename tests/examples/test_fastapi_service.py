"""The web service as its Dockerfile starts it, with four workers and a real Redis, and in the test's own process."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, SmscServer
from tests.stores.redis_server import RedisServer

FOLDER = Path(__file__).parent.parent.parent / "examples" / "fastapi_service"
WORKERS = 4


@pytest.fixture(autouse=True)
def environment(smsc_server: SmscServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in smsc_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SMSC_STORE", str(tmp_path / "tariffs.db"))
    monkeypatch.setenv("METRICS_PORT", str(free_ports()))


def free_ports() -> int:
    """Return the first of some ports that are free, as far as one can know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return min(port, 60_000)


@pytest.fixture(params=["sqlite", "redis"])
def shared_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "sqlite":
        yield
        return
    with RedisServer() as server:
        monkeypatch.setenv("SMSC_STORE", server.url)
        monkeypatch.setenv("SMSC_PEPPER", "a long random text")
        monkeypatch.setenv("SMSC_COLD_START", "grant")
        yield


@contextmanager
def container(folder: Path, log: Path) -> Generator[str]:
    """Copy and run what the Dockerfile copies and runs, and give the address once all workers are up."""
    dockerfile = (FOLDER / "Dockerfile").read_text("utf-8")
    for name in re.findall(r"^COPY (.+) \./$", dockerfile, re.MULTILINE)[0].split():
        shutil.copy(FOLDER / name, folder)
    command: list[str] = json.loads(re.findall(r"^CMD (.+)$", dockerfile, re.MULTILINE)[0])
    command = [{"0.0.0.0": "127.0.0.1", "8000": "0"}.get(word, word) for word in command]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, stderr=file, stdout=file, env=os.environ
        )
        try:
            until = time.monotonic() + 120
            while log.read_text().count("Application startup complete") < WORKERS:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.02)
            address = re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text())
            assert address
            yield address[1]
        finally:
            process.terminate()
            process.wait(60)


def counted(name: str, label: str, scrapes: list[str]) -> float:
    """Return the sum of a metric over all workers."""
    samples = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", "\n".join(scrapes), re.MULTILINE)
    return sum(float(value) for labels, value in samples if label in labels)


@asynccontextmanager
async def visitor() -> AsyncGenerator[httpx.AsyncClient]:
    from examples.fastapi_service.app import app  # half a second: left to the process that runs these tests

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as visitor,
    ):
        yield visitor


@pytest.mark.smsc_rules(per=60.0)
@pytest.mark.usefixtures("shared_store")
def test_four_workers_that_start_together_send_one_request_and_share_one_quota(
    smsc_server: SmscServer, tmp_path: Path
) -> None:
    folder, log = tmp_path / "srv", tmp_path / "log"
    folder.mkdir()
    # A connection for each request, so that the kernel spreads them over the workers.
    headers = {"connection": "close"}
    with (
        container(folder, log) as url,
        httpx.Client(base_url=url, headers=headers, timeout=60, verify=False, trust_env=False) as visitor,
    ):
        assert [arrival.code for arrival in smsc_server.log] == [0]
        assert {visitor.get("/prices/32").json()["price"] for _ in range(12)} == {"4.10"}
        assert {visitor.get(path).status_code for path in ("/ready", "/live") for _ in range(6)} == {200}
        assert visitor.get("/tariffs").json() == sample_tariffs().to_dict()
        assert len(smsc_server.log) == 1
        answers = [visitor.get("/prices/32?fresh=true") for _ in range(8)]
        ports = re.findall(r"metrics on port (\d+)", log.read_text())
        assert len(set(ports)) == WORKERS
        scrapes = [visitor.get(f"http://127.0.0.1:{port}/metrics").text for port in ports]
    assert [answer.status_code for answer in answers] == [200] * 2 + [503] * 6
    assert all(0 < int(answer.headers["retry-after"]) <= 61 for answer in answers[2:])
    assert len(smsc_server.log) == 3
    assert smsc_server.violations() == []
    assert counted("smsc_client_requests_total", 'smsc_outcome="fetched"', scrapes) == 3
    assert counted("smsc_client_call_duration_seconds_count", 'error_type="QuotaExhausted"', scrapes) == 6
    records = [json.loads(line) for line in log.read_text().splitlines()]
    refusals = [record for record in records if record.get("error") == "QuotaExhausted"]
    assert len(refusals) == 6
    assert all(0 < record["retry_after"] <= 61 for record in refusals)
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)


@pytest.mark.asyncio
async def test_a_price_is_text_and_a_missing_zone_is_404(smsc_server: SmscServer) -> None:
    async with visitor() as service:
        assert (await service.get("/prices/32")).json() == {"zone": "32", "name": "Latvia", "price": "4.10"}
        assert (await service.get("/prices/32?operator=24701")).json()["price"] == "3.85"
        assert (await service.get("/prices/32?operator=29999")).json()["price"] == "4.10"
        assert (await service.get("/prices/32?operator=MTS")).status_code == 422
        assert (await service.get("/prices/9999")).status_code == 404
    assert len(smsc_server.log) == 1


@pytest.mark.asyncio
async def test_the_list_has_exact_digits_and_a_schema() -> None:
    async with visitor() as service:
        assert (await service.get("/tariffs")).json()["zones"][0]["mms"] == "9.50"
        schemas = (await service.get("/openapi.json")).json()["components"]["schemas"]
        assert list(schemas["Zone"]["properties"]) == ["zone", "name", "api", "mass", "mms", "hlr", "call"]


@pytest.mark.asyncio
async def test_it_starts_without_a_list_and_is_not_ready_until_there_is_one(smsc_server: SmscServer) -> None:
    smsc_server.fail(Fault.refusal(3))
    async with visitor() as service:
        assert (await service.get("/live")).status_code == 200
        answer = await service.get("/ready")
        assert (answer.status_code, answer.json()) == (502, {"detail": "the tariff list is not available"})
        smsc_server.heal()
        assert (await service.get("/ready")).status_code == 200
        smsc_server.fail(Fault.http_status(503))  # from here on the cached list is enough
        assert (await service.get("/ready")).status_code == 200
        assert (await service.get("/tariffs")).status_code == 200


def test_a_log_record_is_one_line_of_json_with_its_exception() -> None:
    from examples.fastapi_service.json_logs import JsonFormatter

    try:
        raise ZeroDivisionError  # noqa: TRY301  # to have a traceback
    except ZeroDivisionError:
        record = logging.getLogger("a").makeRecord(
            "a", 40, "", 1, "%s\n", ("b",), sys.exc_info(), extra={"c": Path("d")}
        )
    members = json.loads(JsonFormatter().format(record))
    assert (members["level"], members["message"], members["c"]) == ("ERROR", "b\n", "d")
    assert "ZeroDivisionError" in members["exception"]


@pytest.mark.asyncio
async def test_a_worker_without_a_port_for_its_metrics_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.fastapi_service import app

    def taken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(app, "MetricsServer", taken)
    with pytest.raises(RuntimeError, match="no free port for metrics"):
        async with visitor():
            pass
