"""Tariff lists from the SMSC HTTP API, fetched within the provider's limits and decoded to the last digit."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smsc_async.accounts import Account, Secret
    from smsc_async.analysis.compare import Compared, ComparedOperator, Comparison, compare
    from smsc_async.analysis.diff import Change, ChangeKind, diff
    from smsc_async.analysis.snapshots import Period, PricePoint, Snapshot
    from smsc_async.client import Client
    from smsc_async.decoder import decode
    from smsc_async.errors import (
        AddressBlocked,
        AddressPaused,
        ApiError,
        AuthenticationError,
        CircuitOpen,
        CredentialsRefused,
        DeadlineExceeded,
        DecodeError,
        IncompleteReply,
        NotSent,
        ParameterError,
        QuotaExhausted,
        SmscError,
        StoreError,
        StoreNotReady,
        TlsError,
        TooManyRequests,
        TransportError,
        TrialsExhausted,
    )
    from smsc_async.fetch.bulk import Outcome
    from smsc_async.history import History
    from smsc_async.history.watch import Update
    from smsc_async.http.limited_transport import LimitedTransport
    from smsc_async.limiter.quota import Quota
    from smsc_async.records import Extra, Format, OperatorTariff, Price, Service, Tariffs, Zone
    from smsc_async.report import render_report
    from smsc_async.stores import MemoryStore, RedisStore, SQLiteStore
    from smsc_async.telemetry.events import CallEnded, RequestEnded
    from smsc_async.telemetry.metrics import OpenTelemetryMetrics
    from smsc_async.telemetry.statistics import Lockout, QuotaState, Statistics
else:
    # Imported when asked for: a worker that only decodes, or only names an error, does not pay for the HTTP library.
    _HOMES: Final = {
        "Account": "accounts",
        "AddressBlocked": "errors",
        "AddressPaused": "errors",
        "CircuitOpen": "errors",
        "CredentialsRefused": "errors",
        "NotSent": "errors",
        "StoreNotReady": "errors",
        "TrialsExhausted": "errors",
        "ApiError": "errors",
        "AuthenticationError": "errors",
        "CallEnded": "telemetry.events",
        "Change": "analysis.diff",
        "ChangeKind": "analysis.diff",
        "Client": "client",
        "Compared": "analysis.compare",
        "ComparedOperator": "analysis.compare",
        "Comparison": "analysis.compare",
        "DeadlineExceeded": "errors",
        "DecodeError": "errors",
        "Extra": "records",
        "Format": "records",
        "History": "history",
        "IncompleteReply": "errors",
        "LimitedTransport": "http.limited_transport",
        "MemoryStore": "stores",
        "Lockout": "telemetry.statistics",
        "OpenTelemetryMetrics": "telemetry.metrics",
        "OperatorTariff": "records",
        "Outcome": "fetch.bulk",
        "ParameterError": "errors",
        "Period": "analysis.snapshots",
        "Price": "records",
        "PricePoint": "analysis.snapshots",
        "Quota": "limiter.quota",
        "QuotaExhausted": "errors",
        "QuotaState": "telemetry.statistics",
        "RedisStore": "stores",
        "RequestEnded": "telemetry.events",
        "SQLiteStore": "stores",
        "Secret": "accounts",
        "Service": "records",
        "SmscError": "errors",
        "Snapshot": "analysis.snapshots",
        "Statistics": "telemetry.statistics",
        "StoreError": "errors",
        "Tariffs": "records",
        "TlsError": "errors",
        "TooManyRequests": "errors",
        "TransportError": "errors",
        "Update": "history.watch",
        "Zone": "records",
        "compare": "analysis.compare",
        "decode": "decoder",
        "diff": "analysis.diff",
        "render_report": "report",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})


__all__ = [
    "Account",
    "AddressBlocked",
    "AddressPaused",
    "ApiError",
    "AuthenticationError",
    "CallEnded",
    "Change",
    "ChangeKind",
    "CircuitOpen",
    "Client",
    "Compared",
    "ComparedOperator",
    "Comparison",
    "CredentialsRefused",
    "DeadlineExceeded",
    "DecodeError",
    "Extra",
    "Format",
    "History",
    "IncompleteReply",
    "LimitedTransport",
    "Lockout",
    "MemoryStore",
    "NotSent",
    "OpenTelemetryMetrics",
    "OperatorTariff",
    "Outcome",
    "ParameterError",
    "Period",
    "Price",
    "PricePoint",
    "Quota",
    "QuotaExhausted",
    "QuotaState",
    "RedisStore",
    "RequestEnded",
    "SQLiteStore",
    "Secret",
    "Service",
    "SmscError",
    "Snapshot",
    "Statistics",
    "StoreError",
    "StoreNotReady",
    "Tariffs",
    "TlsError",
    "TooManyRequests",
    "TransportError",
    "TrialsExhausted",
    "Update",
    "Zone",
    "compare",
    "decode",
    "diff",
    "render_report",
]
