"""The tasks with a real worker, which forks its processes, and a Redis server as the broker."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from smsc_async import AuthenticationError
from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, SmscServer
from tests.stores.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse-battery"  # no number in a log looks like it


@pytest.fixture(scope="module")
def broker_url() -> Generator[str]:
    with RedisServer() as server:
        yield f"redis+socket://{server.socket}"


@pytest.fixture
def tasks(smsc_server: SmscServer, broker_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    smsc_server.add_account("alex", PASSWORD)
    added = {
        "SMSC_PASSWORD": PASSWORD,
        "SMSC_STORE": str(tmp_path / "tariffs.db"),
        "CELERY_BROKER_URL": broker_url,
        "CELERY_RESULT_BACKEND": broker_url,
    }
    for name, value in {**smsc_server.env, **added}.items():
        monkeypatch.setenv(name, value)
    from examples.celery_tasks import tasks

    tasks.app.control.purge()  # what a worker of another test has put back
    return tasks


@contextmanager
def worker(log: Path) -> Generator[None]:
    """Run a worker with two processes."""
    command = [sys.executable, "-m", "celery", "-A", "examples.celery_tasks.tasks", "worker"]
    options = ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    with log.open("w") as file, subprocess.Popen([*command, *options], cwd=ROOT, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def test_the_processes_of_a_worker_share_one_list_and_one_quota(
    smsc_server: SmscServer, tasks: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with worker(log):
        prices = [tasks.price.delay("32") for _ in range(8)]
        assert {each.get(timeout=120) for each in prices} == {"4.10"}
        assert tasks.price.delay("32", operator="24701").get(timeout=60) == "3.85"
        assert len(smsc_server.log) == 1
        assert tasks.refresh.delay().get(timeout=60) == len(sample_tariffs().zones)
        assert len(smsc_server.log) == 2
    assert smsc_server.violations() == []
    assert "succeeded" in log.read_text()
    assert PASSWORD not in log.read_text()


def test_a_wrong_password_is_not_repeated(smsc_server: SmscServer, tasks: Any, tmp_path: Path) -> None:
    smsc_server.fail(Fault.refusal(2))
    with worker(tmp_path / "log"):
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                tasks.price.delay("32").get(timeout=120)
    assert len(smsc_server.log) == 1


def test_a_task_is_repeated_when_the_service_is_back(smsc_server: SmscServer, tasks: Any, tmp_path: Path) -> None:
    smsc_server.fail(Fault.http_status(503, retry_after=3600))
    with worker(tmp_path / "log"):
        pending = tasks.price.delay("32")
        until = time.monotonic() + 120
        while pending.state != "RETRY":
            assert time.monotonic() < until, pending.state
            time.sleep(0.05)
    assert len(smsc_server.log) == 1
