"""A program with several processes learns that a ``MemoryStore`` is not shared."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import httpx
import pytest

from smsc_async import Client, LimitedTransport, MemoryStore, Quota, RedisStore, SQLiteStore
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.stores import worker_warning
from smsc_async.stores.worker_warning import worker_count


@pytest.fixture(autouse=True)
def nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_warning, "_warned", set[str]())
    monkeypatch.setattr("smsc_async.stores._DEFAULT", MemoryStore())  # other tests call what the system calls in a fork
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)


@pytest.mark.parametrize(
    ("environment", "command", "count"),
    [
        ({}, [], 1),
        ({}, [""], 1),
        ({"WEB_CONCURRENCY": "4"}, ["app.py"], 4),
        ({"WEB_CONCURRENCY": "1"}, ["app.py"], 1),
        ({"WEB_CONCURRENCY": ""}, ["app.py"], 1),
        ({"WEB_CONCURRENCY": "auto"}, ["app.py"], 1),
        ({"GUNICORN_CMD_ARGS": "--bind=:80 --workers=3"}, ["/usr/bin/gunicorn", "app"], 3),
        ({"GUNICORN_CMD_ARGS": "--bind=:80", "WEB_CONCURRENCY": "2"}, ["/usr/bin/gunicorn", "app"], 2),
        ({"WEB_CONCURRENCY": "4"}, ["/usr/bin/gunicorn", "app", "-w", "1"], 1),
        ({}, ["/usr/bin/gunicorn", "app", "-w4"], 4),
        ({}, ["/usr/bin/uvicorn", "app:app", "--workers", "8"], 8),
        ({}, ["/lib/site-packages/uvicorn/__main__.py", "app:app", "--workers", "2"], 2),
        ({}, ["C:\\fastapi.exe" if sys.platform == "win32" else "fastapi", "run", "--workers", "2"], 2),
        ({}, ["my_tool.py", "-w", "100", "--workers", "5"], 1),
        ({}, ["/usr/bin/uvicorn", "app:app", "--host", "w-w3", "--workers-dir", "5"], 1),
    ],
)
def test_the_workers_are_counted_from_the_settings_of_web_servers(
    environment: dict[str, str], command: list[str], count: int
) -> None:
    assert worker_count(environment, command) == count


@pytest.mark.parametrize("store", [None, MemoryStore()], ids=["default", "memory"])
def test_a_client_of_one_of_several_workers_warns_once(
    store: MemoryStore | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.warns(RuntimeWarning, match=r"one of 4 workers.*SQLiteStore") as caught:
        Client(store=store)
    assert caught[0].filename == __file__
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        Client(store=store)
    assert again == []


def test_a_client_with_a_shared_store_does_not_warn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    Client(store=SQLiteStore(tmp_path / "store.db"))
    Client(store=RedisStore("redis://127.0.0.1:1", pepper="a long random text"))


def test_a_single_process_does_not_warn() -> None:
    Client()
    Client(store=MemoryStore())


def test_the_warning_names_the_fork() -> None:
    store = MemoryStore()
    store.was_forked_in_use = True
    with pytest.warns(RuntimeWarning, match="forked from one that had used the store"):
        Client(store=store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("is_used", [True, False], ids=["used", "unused"])
def test_a_client_over_a_store_that_was_used_before_the_fork_warns(*, is_used: bool) -> None:
    store = MemoryStore()
    if is_used:
        permit = store.try_acquire(Permit("alex", Quota(), token=True))
        assert permit is not None
        store.try_release(permit, Completion.COMPLETE)
    child = os.fork()
    if not child:
        status = 99
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                Client(store=store)
                Client(store=store)
            status = sum("forked" in str(each.message) for each in caught)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == int(is_used)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client(store=store)


def test_a_limited_transport_over_a_store_that_is_not_shared_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.warns(RuntimeWarning, match=r"one of 4 workers.*SQLiteStore") as caught:
        LimitedTransport(httpx.AsyncHTTPTransport())
    assert caught[0].filename == __file__
