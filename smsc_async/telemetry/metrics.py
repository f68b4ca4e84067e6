"""Metrics of OpenTelemetry, recorded from the events of a client.

Invariant: no attribute contains a login, so the number of time series does not grow with the number of accounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from smsc_async import errors
from smsc_async.telemetry.events import CallEnded, RequestEnded, otel_module

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

# Seconds, up to the longest deadline and wait that are usual; the boundaries of OpenTelemetry are meant for milliseconds.
_BOUNDARIES: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0)
_LOCKOUTS: Final[dict[type[errors.SmscError], str]] = {
    errors.CredentialsRefused: "credentials",
    errors.TrialsExhausted: "trials",
    errors.AddressPaused: "address",
    errors.CircuitOpen: "outage",
    errors.StoreNotReady: "store",
}


class OpenTelemetryMetrics:
    """Records the events of clients as metrics of OpenTelemetry: the value of ``on_event``, for any number of clients.

    Needs the extra ``otel``, and the SDK of OpenTelemetry to export the metrics; ``docs/metrics.md`` lists them. No metric
    has a login as an attribute.

    Args:
        meter_provider: The ``MeterProvider`` that exports the metrics, or ``None`` for the global one, which may be set
            later.

    Raises:
        ImportError: The extra ``otel`` is not installed.

    Example:
        >>> from smsc_async import Account, Client, OpenTelemetryMetrics
        >>> client = Client(Account("alex", "123"), on_event=OpenTelemetryMetrics())
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        metrics = otel_module("metrics", "OpenTelemetryMetrics")
        meter = metrics.get_meter("smsc_async", meter_provider=meter_provider)

        def histogram(name: str, description: str) -> Any:
            return meter.create_histogram(
                f"smsc.client.{name}", "s", description, explicit_bucket_boundaries_advisory=_BOUNDARIES
            )

        def counter(name: str, unit: str, description: str) -> Any:
            return meter.create_counter(f"smsc.client.{name}", unit, description)

        self._calls = histogram("call.duration", "Duration of calls and refreshes")
        self._waits = histogram("wait.duration", "Time that requests waited for a permit")
        self._requests = counter("requests", "{request}", "Requests, and those that were refused locally")
        self._lockouts = counter("lockouts", "{call}", "Calls that a lockout refused")
        self._cache_hits = counter("cache.hits", "{call}", "Calls that the cache answered")
        self._store_errors = counter("store.errors", "{call}", "Calls in which the store failed")

    def __call__(self, event: CallEnded | RequestEnded) -> None:
        """Record an event."""
        attributes: dict[str, str | int] = {"smsc.outcome": event.outcome, "smsc.refresh": event.refresh}
        if event.error is not None:
            attributes["error.type"] = type(event.error).__name__
        if isinstance(event, RequestEnded):
            if event.status is not None:
                attributes["http.response.status_code"] = event.status
            self._requests.add(1, attributes)
            if event.sent or event.waited:
                self._waits.record(event.waited)
            return
        self._calls.record(event.seconds, attributes)
        if event.outcome == "cached":
            self._cache_hits.add(1)
        for kind, cause in _LOCKOUTS.items():
            if isinstance(event.error, kind):
                self._lockouts.add(1, {"smsc.lockout.cause": cause})
        if isinstance(event.error, errors.StoreError) and not isinstance(event.error, errors.StoreNotReady):
            self._store_errors.add(1)
