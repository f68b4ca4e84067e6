"""The web service under uvicorn with four workers, and in the test's own process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from smsc_async.testing import Fault, SmscServer

ROOT = Path(__file__).parent.parent.parent
WORKERS = 4


@pytest.fixture(autouse=True)
def environment(smsc_server: SmscServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in smsc_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TARIFFS_DB", str(tmp_path / "tariffs.db"))


@contextmanager
def uvicorn(log: Path) -> Generator[str]:
    """Run the service as its page says, and give its address once all workers are up."""
    command = [sys.executable, "-m", "uvicorn", "examples.fastapi_service.app:app", "--workers", str(WORKERS)]
    with log.open("w") as file:
        running = subprocess.Popen([*command, "--port", "0"], cwd=ROOT, stderr=file, stdout=file, env=os.environ)
        try:
            until = time.monotonic() + 120
            while log.read_text().count("Application startup complete") < WORKERS:
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.02)
            found = re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text())
            assert found
            yield found[1]
        finally:
            running.terminate()
            running.wait(60)


@asynccontextmanager
async def visitor() -> AsyncGenerator[httpx.AsyncClient]:
    from examples.fastapi_service.app import app  # half a second: left to the process that runs these tests

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as visitor,
    ):
        yield visitor


@pytest.mark.smsc_rules(per=60.0)
def test_four_workers_that_start_together_send_one_request_and_keep_one_quota(
    smsc_server: SmscServer, tmp_path: Path
) -> None:
    # A connection for each request, so that the kernel spreads them over the workers.
    headers = {"connection": "close"}
    with (
        uvicorn(tmp_path / "log") as url,
        httpx.Client(base_url=url, headers=headers, timeout=60, verify=False) as visitor,
    ):
        assert [arrival.code for arrival in smsc_server.log] == [0]
        assert {visitor.get("/prices/32").json()["price"] for _ in range(12)} == {"4.10"}
        assert len(smsc_server.log) == 1
        answers = [visitor.get("/prices/32?fresh=true") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 2 + [503] * 6
    assert all(0 < int(answer.headers["retry-after"]) <= 61 for answer in answers[2:])
    assert len(smsc_server.log) == 3
    assert smsc_server.violations() == []


@pytest.mark.asyncio
async def test_a_price_is_text_and_a_missing_zone_is_404(smsc_server: SmscServer) -> None:
    async with visitor() as service:
        assert (await service.get("/prices/32")).json() == {"zone": "32", "name": "Latvia", "price": "4.10"}
        assert (await service.get("/prices/9999")).status_code == 404
    assert len(smsc_server.log) == 1


@pytest.mark.asyncio
async def test_it_starts_without_a_list_and_says_so_until_there_is_one(smsc_server: SmscServer) -> None:
    smsc_server.fail(Fault.refusal(3))
    async with visitor() as service:
        answer = await service.get("/prices/32")
        assert (answer.status_code, answer.json()) == (502, {"detail": "the tariff list cannot be had at the moment"})
        smsc_server.heal()
        assert (await service.get("/prices/32")).status_code == 200
