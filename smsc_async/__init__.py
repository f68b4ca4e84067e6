"""Tariff lists from the SMSC HTTP API, fetched within the provider's limits and decoded to the last digit."""

from smsc_async.accounts import Account, Secret
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
from smsc_async.records import Extra, Format, OperatorTariff, Price, Service, Tariffs, Zone

__all__ = [
    "Account",
    "AddressBlocked",
    "ApiError",
    "AuthenticationError",
    "BreakerOpen",
    "DeadlineExceeded",
    "DecodeError",
    "Extra",
    "Format",
    "IncompleteReply",
    "OperatorTariff",
    "ParameterError",
    "Price",
    "QuotaExhausted",
    "Secret",
    "Service",
    "SmscError",
    "StoreError",
    "Tariffs",
    "TlsError",
    "TooManyRequests",
    "TransportError",
    "Zone",
    "decode",
]
