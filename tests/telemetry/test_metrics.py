"""Metrics with the SDK of OpenTelemetry, read in the format of Prometheus; and a span with its HTTP child."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from smsc_async import (
    AddressPaused,
    CallEnded,
    CircuitOpen,
    Client,
    CredentialsRefused,
    OpenTelemetryMetrics,
    SmscError,
    StoreError,
    StoreNotReady,
    TrialsExhausted,
)
from smsc_async.telemetry.metrics import OpenTelemetryMetrics as Defined
from smsc_async.testing import SmscServer
from tests.faults.scripted import client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


@pytest.fixture
def provider() -> Iterator[MeterProvider]:
    provider = MeterProvider([PrometheusMetricReader()])
    yield provider
    provider.shutdown()


def scraped() -> dict[str, float]:
    """Return what Prometheus reads: a label without a value is none."""
    read: dict[str, float] = {}
    for family in text_string_to_metric_families(generate_latest(REGISTRY).decode()):
        for sample in family.samples:
            if sample.name.startswith("smsc_client_"):
                labels = ",".join(
                    f'{name}="{value.lower() if name == "smsc_refresh" else value}"'
                    for name, value in sorted(sample.labels.items())
                    if value and not name.startswith("otel_scope")
                )
                read[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return read


async def test_prometheus_reads_calls_waits_and_requests(provider: MeterProvider) -> None:
    scripted = in_turn([good(), status(503), good(), refusal(2)])
    async with client_of(scripted, max_age=60.0, retries=0, on_event=OpenTelemetryMetrics(provider)) as client:
        await client.tariffs()
        await client.tariffs()
        await client.tariffs(max_age=0, stale_ok=True)
        await client.tariffs(max_age=0)
        with pytest.raises(SmscError, match="error 2"):
            await client.tariffs(max_age=0)
        with pytest.raises(CredentialsRefused):
            await client.tariffs(max_age=0)
    read = scraped()
    calls, waits = "smsc_client_call_duration_seconds", "smsc_client_wait_duration_seconds"
    labels = 'smsc_outcome="fetched",smsc_refresh="false"'
    assert read[f"{calls}_count{{{labels}}}"] == 2
    assert read[f"{calls}_sum{{{labels}}}"] == pytest.approx(0.2)
    assert read[f'{calls}_bucket{{le="0.25",{labels}}}'] == 2
    assert read[f'{calls}_bucket{{le="0.025",{labels}}}'] == 0
    assert read[f'{calls}_count{{smsc_outcome="cached",smsc_refresh="false"}}'] == 1
    assert read[f'{calls}_count{{error_type="TransportError",smsc_outcome="stale",smsc_refresh="false"}}'] == 1
    assert read[f'{calls}_count{{error_type="AuthenticationError",smsc_outcome="failed",smsc_refresh="false"}}'] == 1
    assert {name: value for name, value in read.items() if name.startswith("smsc_client_requests_total")} == {
        f"smsc_client_requests_total{{{labels}}}": 2,
        'smsc_client_requests_total{error_type="TransportError",http_response_status_code="503",smsc_outcome="failed",'
        'smsc_refresh="false"}': 1,
        'smsc_client_requests_total{error_type="AuthenticationError",smsc_outcome="failed",smsc_refresh="false"}': 1,
        'smsc_client_requests_total{error_type="CredentialsRefused",smsc_outcome="not_sent",smsc_refresh="false"}': 1,
    }
    # The fourth request waited for its token, and the refused one was not sent.
    assert read[f"{waits}_count"] == 4
    assert 55 < read[f"{waits}_sum"] < 62
    assert read["smsc_client_cache_hits_total"] == 1
    assert read['smsc_client_lockouts_total{smsc_lockout_cause="credentials"}'] == 1


async def test_a_refresh_is_marked(provider: MeterProvider) -> None:
    async with client_of(
        in_turn([]), max_age=3600, refresh_after=20, on_event=OpenTelemetryMetrics(provider)
    ) as client:
        for _ in range(2):
            await client.tariffs()
            await anyio.sleep(21)
    read = scraped()
    for name in ("smsc_client_call_duration_seconds_count", "smsc_client_requests_total"):
        assert read[f'{name}{{smsc_outcome="fetched",smsc_refresh="true"}}'] == 1


@pytest.mark.parametrize(
    ("error", "sample"),
    [
        (CredentialsRefused(), 'lockouts_total{smsc_lockout_cause="credentials"}'),
        (TrialsExhausted(1.0), 'lockouts_total{smsc_lockout_cause="trials"}'),
        (AddressPaused(), 'lockouts_total{smsc_lockout_cause="address"}'),
        (CircuitOpen(1.0), 'lockouts_total{smsc_lockout_cause="outage"}'),
        (StoreNotReady("restarted"), 'lockouts_total{smsc_lockout_cause="store"}'),
        (StoreError("the disk is full"), "store_errors_total"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, SmscError) else "",
)
def test_lockouts_and_store_errors_are_counted_by_cause(provider: MeterProvider, error: SmscError, sample: str) -> None:
    OpenTelemetryMetrics(provider)(CallEnded("alex", "failed", 1.0, error=error))
    counted = {name for name in scraped() if "lockouts" in name or "store_errors" in name}
    assert counted == {f"smsc_client_{sample}"}


async def test_no_metric_has_a_login(provider: MeterProvider) -> None:
    async with client_of(in_turn([refusal(1)]), on_event=OpenTelemetryMetrics(provider)) as client:
        with pytest.raises(SmscError):
            await client.tariffs()
        await client.tariffs()
    assert "alex" not in generate_latest(REGISTRY).decode()


def test_without_a_provider_the_global_one_is_used() -> None:
    OpenTelemetryMetrics()(CallEnded("alex", "cached", 0.0))
    assert OpenTelemetryMetrics is Defined


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(ImportError, match=r'OpenTelemetryMetrics needs .*pip install "smsc-async\[otel\]"'):
        OpenTelemetryMetrics()


@asynccontextmanager
async def traced(
    monkeypatch: pytest.MonkeyPatch, server: SmscServer
) -> AsyncGenerator[tuple[Client, InMemorySpanExporter]]:
    tracers, exporter = TracerProvider(), InMemorySpanExporter()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=tracers)
    try:
        async with Client(server.account, base_url=server.base_url, quota=server.quota, tracing=True) as client:
            yield client, exporter
    finally:
        instrumentor.uninstrument()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_http_request_is_a_child_of_the_call(
    monkeypatch: pytest.MonkeyPatch, smsc_server: SmscServer
) -> None:
    async with traced(monkeypatch, smsc_server) as (client, exporter):
        with trace.get_tracer("app").start_as_current_span("visitor"):
            await client.tariffs(smsc_server.add_account("boris", "a-long-password"))
    http, call, visitor = exporter.get_finished_spans()
    assert (http.name, call.name, visitor.name) == ("POST", "smsc_async.tariffs", "visitor")
    assert http.parent is not None
    assert call.parent is not None
    assert (http.parent, call.parent) == (call.context, visitor.context)
    assert (http.kind, call.kind) == (trace.SpanKind.CLIENT, trace.SpanKind.CLIENT)
    for span in (http, call):
        assert "a-long-password" not in span.to_json()
