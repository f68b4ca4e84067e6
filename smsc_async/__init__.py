"""Tariff lists from the SMSC HTTP API, fetched within the provider's limits and decoded to the last digit."""

from smsc_async.accounts import Account, Secret
from smsc_async.client import Client, Statistics
from smsc_async.decoder import decode
from smsc_async.errors import (
    AddressBlocked,
    ApiError,
    AuthenticationError,
    BreakerOpen,
    DeadlineExceeded,
    DecodeError,
    IncompleteReply,
    ParameterError,
    QuotaExhausted,
    SmscError,
    StoreError,
    TlsError,
    TooManyRequests,
    TransportError,
)
from smsc_async.fleet import Outcome
from smsc_async.limiter.quota import Quota
from smsc_async.records import Extra, Format, OperatorTariff, Price, Service, Tariffs, Zone
from smsc_async.stores import MemoryStore, RedisStore, SQLiteStore
from smsc_async.transport import LimitedTransport

__all__ = [
    "Account",
    "AddressBlocked",
    "ApiError",
    "AuthenticationError",
    "BreakerOpen",
    "Client",
    "DeadlineExceeded",
    "DecodeError",
    "Extra",
    "Format",
    "IncompleteReply",
    "LimitedTransport",
    "MemoryStore",
    "OperatorTariff",
    "Outcome",
    "ParameterError",
    "Price",
    "Quota",
    "QuotaExhausted",
    "RedisStore",
    "SQLiteStore",
    "Secret",
    "Service",
    "SmscError",
    "Statistics",
    "StoreError",
    "Tariffs",
    "TlsError",
    "TooManyRequests",
    "TransportError",
    "Zone",
    "decode",
]
