"""Events, log records and spans of a client."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from smsc_async import (
    Account,
    AuthenticationError,
    CallEnded,
    Client,
    RequestEnded,
    SQLiteStore,
    TransportError,
)
from smsc_async.telemetry.events import Telemetry
from smsc_async.testing import Fault, SmscServer
from tests.faults.scripted import ALEX, URL, Scripted, client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio


def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Return the exporter of all spans from now on."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def test_each_call_is_an_event_and_so_is_each_request() -> None:
    events: list[CallEnded | RequestEnded] = []
    scripted = in_turn([status(503)])
    async with client_of(scripted, confirmed=True, max_age=60.0, on_event=events.append) as client:
        await client.tariffs()
        await client.tariffs()
    first, second, fetched, kept = events
    assert isinstance(first, RequestEnded)
    assert (first.login, first.attempt, first.sent, first.status) == ("alex", 0, True, 503)
    assert isinstance(second, RequestEnded)
    assert (second.attempt, second.error) == (1, None)
    assert isinstance(fetched, CallEnded)
    assert (fetched.outcome, fetched.attempts, fetched.error) == ("fetched", 2, None)
    assert fetched.seconds >= 0.2
    assert isinstance(kept, CallEnded)
    assert (kept.outcome, kept.attempts, kept.seconds) == ("cached", 0, 0.0)


async def test_an_event_of_a_call_says_how_it_ended() -> None:
    events: list[CallEnded | RequestEnded] = []
    scripted = in_turn([good(), status(404), refusal(1)])
    async with client_of(scripted, on_event=events.append) as client:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(client.tariffs)
        await client.tariffs(stale_ok=True)
        with pytest.raises(Exception, match="error 1"):
            await client.tariffs()
        with anyio.move_on_after(1):
            await client.tariffs()
    calls = [each for each in events if isinstance(each, CallEnded)]
    # The event loop chooses the order of the two.
    assert sorted(each.outcome for each in calls[:2]) == ["fetched", "shared"]
    assert [each.outcome for each in calls[2:]] == ["stale", "failed", "cancelled"]
    assert isinstance(calls[2].error, TransportError)


@pytest.mark.parametrize("error", [ZeroDivisionError(), pytest.fail.Exception("not what was expected")])
async def test_a_hook_that_fails_is_logged_and_fails_no_call(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def fail(_: object) -> None:
        raise error

    async with client_of(in_turn([]), on_event=fail) as client:
        assert (await client.tariffs()).zones
    assert "on_event failed" in caplog.text


def test_a_hook_that_ends_the_program_ends_it() -> None:
    def end(_: object) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Telemetry(end, tracing=False, url=URL).cached("alex")


async def test_there_is_one_log_record_for_each_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "smsc_async")
    async with client_of(in_turn([good(), refusal(1)]), max_age=60.0) as client:
        await client.tariffs()
        await client.tariffs()
        with pytest.raises(Exception, match="error 1"):
            await client.tariffs(max_age=0)
    told = [(each.levelname, each.getMessage().split(" (")[0]) for each in caplog.records if each.name == "smsc_async"]
    assert [level for level, _ in told] == ["INFO", "DEBUG", "INFO"]
    assert told[0][1].startswith("tariffs of alex: fetched in 0.100 s")
    assert told[1][1].startswith("tariffs of alex: cached")
    fields = [
        {name: value for name, value in vars(each).items() if "." in name}
        for each in caplog.records
        if each.name == "smsc_async"
    ]
    fetched = {"smsc.login": "alex", "smsc.outcome": "fetched", "smsc.attempts": 1, "smsc.waited": 0.0}
    assert fields[0] == {**fetched, "smsc.refresh": False, "smsc.seconds": pytest.approx(0.1)}
    assert fields[2]["error.type"] == "ParameterError"


def test_the_logger_has_no_handler_of_its_own() -> None:
    assert logging.getLogger("smsc_async").handlers == []


async def test_a_call_is_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = spans(monkeypatch)
    async with client_of(in_turn([good(), refusal(1)]), tracing=True) as client:
        await client.tariffs()
        with pytest.raises(Exception, match="error 1"):
            await client.tariffs()
    fetched, failed = exporter.get_finished_spans()
    assert (fetched.name, fetched.kind) == ("smsc_async.tariffs", trace.SpanKind.CLIENT)
    assert dict(fetched.attributes or {}) == {
        "smsc.login": "alex",
        "smsc.outcome": "fetched",
        "smsc.attempts": 1,
        "smsc.waited": 0.0,
        "smsc.refresh": False,
        "server.address": "smsc.example",
        "server.port": 443,
    }
    assert (failed.attributes or {})["error.type"] == "ParameterError"
    assert failed.status.status_code is trace.StatusCode.ERROR


@pytest.mark.parametrize(
    ("url", "port"), [("http://127.0.0.1/sys/", 80), ("http://127.0.0.1:8025/sys/", 8025), ("https://a.example/", 443)]
)
async def test_a_span_names_the_server(monkeypatch: pytest.MonkeyPatch, url: str, port: int) -> None:
    exporter = spans(monkeypatch)
    with Telemetry(None, tracing=True, url=url).call("alex"):
        pass
    assert (exporter.get_finished_spans()[0].attributes or {})["server.port"] == port


async def test_the_span_is_current_for_log_records_events_and_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = spans(monkeypatch)
    seen: list[int] = []

    def note(*_: object) -> httpx.Response:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return good()

    monkeypatch.setattr(logging.getLogger("smsc_async"), "filters", [note])
    logging.getLogger("smsc_async").setLevel(logging.INFO)
    async with client_of(Scripted(note), tracing=True, on_event=note) as client:
        await client.tariffs()
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    # The request, its event, the log record, and the event of the call.
    assert seen == [span.context.span_id] * 4


async def test_a_refresh_is_an_event_a_log_record_a_span_and_a_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "smsc_async")
    exporter = spans(monkeypatch)
    events: list[CallEnded | RequestEnded] = []
    scripted = in_turn([good(), good(), status(503)])
    async with client_of(
        scripted, max_age=3600, refresh_after=20, retries=0, on_event=events.append, tracing=True
    ) as client:
        for _ in range(3):
            await client.tariffs()
            await anyio.sleep(41)
        stats = client.statistics()
    assert (stats.calls, stats.hits, stats.shared, stats.requests, stats.refreshes) == (3, 2, 0, 3, 2)
    calls = [(type(each).__name__, each.outcome, each.refresh) for each in events]
    assert calls == [
        ("RequestEnded", "fetched", False),
        ("CallEnded", "fetched", False),
        ("CallEnded", "cached", False),
        ("RequestEnded", "fetched", True),
        ("CallEnded", "fetched", True),
        ("CallEnded", "cached", False),
        ("RequestEnded", "failed", True),
        ("CallEnded", "failed", True),
    ]
    assert isinstance(events[-1].error, TransportError)
    names = [(each.attributes or {})["smsc.refresh"] for each in exporter.get_finished_spans()]
    assert names == [False, False, True, False, True]
    assert [each.getMessage().split(":")[0] for each in caplog.records if each.name == "smsc_async"] == [
        "tariffs of alex",
        "refresh of alex",
        "refresh of alex",
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_list_of_another_process_is_cached_or_shared(smsc_server: SmscServer, tmp_path: Path) -> None:
    events: list[CallEnded | RequestEnded] = []
    new_client = partial(Client, smsc_server.account, base_url=smsc_server.base_url, quota=smsc_server.quota)
    async with (
        SQLiteStore(tmp_path / "store.db") as one,
        SQLiteStore(tmp_path / "store.db") as two,
        new_client(store=one) as first,
        new_client(store=two, on_event=events.append) as second,
    ):
        await first.tariffs()
        await anyio.sleep(1.0)  # more than the time from the look into the store to the end of the call
        await second.tariffs()
        assert (second.statistics().hits, second.statistics().shared) == (1, 0)
        smsc_server.fail(Fault.stalled(0.5), times=1)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(first.tariffs, max_age=0))
            while len(smsc_server.log) < 2:  # noqa: ASYNC110  # the server is in another thread
                await anyio.sleep(0.01)
            await second.tariffs(max_age=0)
        assert (second.statistics().hits, second.statistics().shared) == (1, 1)
    assert [each.outcome for each in events] == ["cached", "shared"]
    assert len(smsc_server.log) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_refresh_that_finds_the_list_of_another_process_counts_as_no_call(
    smsc_server: SmscServer, tmp_path: Path
) -> None:
    refreshed = anyio.Event()

    def note(event: CallEnded | RequestEnded) -> None:
        if event.refresh:
            refreshed.set()

    new_client = partial(Client, smsc_server.account, base_url=smsc_server.base_url, quota=smsc_server.quota)
    async with (
        SQLiteStore(tmp_path / "store.db") as one,
        SQLiteStore(tmp_path / "store.db") as two,
        new_client(store=one) as first,
        new_client(store=two, refresh_after=10, on_event=note) as second,
    ):
        await first.tariffs()
        key = (f"{smsc_server.base_url}get.php", smsc_server.account.fingerprint)
        two._cache.put(key, await second.tariffs(), 30.0)  # pyright: ignore[reportPrivateUsage]  # 30 s later
        await second.tariffs()
        with anyio.fail_after(60):
            await refreshed.wait()
        done = second.statistics()
        assert (done.calls, done.hits + done.shared, done.refreshes, done.requests) == (2, 2, 1, 0)


async def test_an_event_of_a_request_says_how_it_ended() -> None:
    events: list[CallEnded | RequestEnded] = []
    async with client_of(in_turn([refusal(2)]), on_event=events.append) as client:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await client.tariffs()
    async with client_of(Scripted(lambda _: ZeroDivisionError()), on_event=events.append) as client:
        with pytest.raises(ZeroDivisionError):
            await client.tariffs()
    requests = [each for each in events if isinstance(each, RequestEnded)]
    assert [each.outcome for each in requests] == ["failed", "not_sent", "cancelled"]
    assert [each.sent for each in requests] == [True, False, True]


def test_tracing_without_its_extra_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ImportError, match=r'pip install "smsc-async\[otel\]"'):
        Client(ALEX, tracing=True)


async def test_each_account_of_many_is_an_event() -> None:
    events: list[CallEnded | RequestEnded] = []
    async with client_of(Scripted(lambda _: good()), None, on_event=events.append) as client:
        async for _ in client.tariffs_for(Account(f"login-{n}", "123") for n in range(5)):
            pass
    assert len([each for each in events if isinstance(each, CallEnded)]) == 5
