"""What a client tells of its calls, to whom, and what it costs nobody who does not listen."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from smsc_async import Account, CallEnded, Client, RequestEnded, TransportError
from smsc_async.telemetry.events import Telemetry
from tests.faults.scripted import ALEX, Scripted, client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio


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


async def test_a_call_tells_how_it_ended() -> None:
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
    # Whoever of the two is told first is the loop's to choose.
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
        Telemetry(end, tracing=False).cached("alex")


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


def test_the_logger_has_no_handler_of_its_own() -> None:
    assert logging.getLogger("smsc_async").handlers == []


async def test_a_call_is_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    async with client_of(in_turn([good(), refusal(1)]), tracing=True) as client:
        await client.tariffs()
        with pytest.raises(Exception, match="error 1"):
            await client.tariffs()
    fetched, failed = exporter.get_finished_spans()
    assert fetched.name == "smsc_async.tariffs"
    assert dict(fetched.attributes or {}) == {
        "smsc.login": "alex",
        "smsc.outcome": "fetched",
        "smsc.attempts": 1,
        "smsc.waited": 0.0,
    }
    assert (failed.attributes or {})["error.type"] == "ParameterError"
    assert failed.status.status_code is trace.StatusCode.ERROR


def test_tracing_without_its_extra_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ImportError, match=r'pip install "smsc-async\[otel\]"'):
        Client(ALEX, tracing=True)


async def test_a_client_of_many_accounts_tells_of_each() -> None:
    events: list[CallEnded | RequestEnded] = []
    async with client_of(Scripted(lambda _: good()), None, on_event=events.append) as client:
        async for _ in client.tariffs_for(Account(f"login-{n}", "123") for n in range(5)):
            pass
    assert len([each for each in events if isinstance(each, CallEnded)]) == 5
