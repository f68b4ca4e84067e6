"""Tariff lists from the SMSC HTTP API, fetched within the provider's limits and decoded to the last digit."""

# ruff: noqa: I001  # one import for each module; "as" re-exports a name

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smsc_async.accounts import Account as Account, Secret as Secret
    from smsc_async.analysis.compare import (
        Compared as Compared,
        ComparedOperator as ComparedOperator,
        Comparison as Comparison,
        compare as compare,
    )
    from smsc_async.analysis.diff import Change as Change, ChangeKind as ChangeKind, diff as diff
    from smsc_async.analysis.snapshots import Period as Period, PricePoint as PricePoint, Snapshot as Snapshot
    from smsc_async.client import Client as Client
    from smsc_async.decoder import decode as decode
    from smsc_async.errors import (
        AddressBlocked as AddressBlocked,
        AddressPaused as AddressPaused,
        ApiError as ApiError,
        AuthenticationError as AuthenticationError,
        CircuitOpen as CircuitOpen,
        CredentialsRefused as CredentialsRefused,
        DeadlineExceeded as DeadlineExceeded,
        DecodeError as DecodeError,
        IncompleteReply as IncompleteReply,
        NotSent as NotSent,
        ParameterError as ParameterError,
        QuotaExhausted as QuotaExhausted,
        SmscError as SmscError,
        StoreError as StoreError,
        StoreNotReady as StoreNotReady,
        TlsError as TlsError,
        TooManyRequests as TooManyRequests,
        TransportError as TransportError,
        TrialsExhausted as TrialsExhausted,
    )
    from smsc_async.fetch.bulk import Outcome as Outcome
    from smsc_async.history import History as History
    from smsc_async.history.watch import Update as Update
    from smsc_async.http.limited_transport import LimitedTransport as LimitedTransport
    from smsc_async.limiter.quota import Quota as Quota
    from smsc_async.records import (
        Extra as Extra,
        Format as Format,
        OperatorTariff as OperatorTariff,
        Price as Price,
        Service as Service,
        Tariffs as Tariffs,
        Zone as Zone,
    )
    from smsc_async.report import render_report as render_report
    from smsc_async.stores.memory import MemoryStore as MemoryStore
    from smsc_async.stores.redis.store import RedisStore as RedisStore
    from smsc_async.stores.sqlite.store import SQLiteStore as SQLiteStore
    from smsc_async.telemetry.events import CallEnded as CallEnded, RequestEnded as RequestEnded
    from smsc_async.telemetry.metrics import OpenTelemetryMetrics as OpenTelemetryMetrics
    from smsc_async.telemetry.statistics import Lockout as Lockout, QuotaState as QuotaState, Statistics as Statistics

    __all__: list[str]
else:
    # Imported at the first use of a name: a program that only decodes, or only names an error, does not pay for the HTTP library.
    _NAMES: Final = {
        "accounts": ["Account", "Secret"],
        "analysis.compare": ["Compared", "ComparedOperator", "Comparison", "compare"],
        "analysis.diff": ["Change", "ChangeKind", "diff"],
        "analysis.snapshots": ["Period", "PricePoint", "Snapshot"],
        "client": ["Client"],
        "decoder": ["decode"],
        "errors": [
            "AddressBlocked",
            "AddressPaused",
            "ApiError",
            "AuthenticationError",
            "CircuitOpen",
            "CredentialsRefused",
            "DeadlineExceeded",
            "DecodeError",
            "IncompleteReply",
            "NotSent",
            "ParameterError",
            "QuotaExhausted",
            "SmscError",
            "StoreError",
            "StoreNotReady",
            "TlsError",
            "TooManyRequests",
            "TransportError",
            "TrialsExhausted",
        ],
        "fetch.bulk": ["Outcome"],
        "history": ["History"],
        "history.watch": ["Update"],
        "http.limited_transport": ["LimitedTransport"],
        "limiter.quota": ["Quota"],
        "records": ["Extra", "Format", "OperatorTariff", "Price", "Service", "Tariffs", "Zone"],
        "report": ["render_report"],
        "stores.memory": ["MemoryStore"],
        "stores.redis.store": ["RedisStore"],
        "stores.sqlite.store": ["SQLiteStore"],
        "telemetry.events": ["CallEnded", "RequestEnded"],
        "telemetry.metrics": ["OpenTelemetryMetrics"],
        "telemetry.statistics": ["Lockout", "QuotaState", "Statistics"],
    }
    _MODULES: Final = {name: module for module, names in _NAMES.items() for name in names}
    __all__ = sorted(_MODULES)  # noqa: PLE0605  # a list

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
