# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

from typing import assert_type

from smsc_async import (
    AddressBlocked,
    AddressPaused,
    ApiError,
    AuthenticationError,
    CircuitOpen,
    Client,
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


async def handlers(client: Client) -> None:
    try:
        await client.tariffs()
    except (QuotaExhausted, TrialsExhausted, CircuitOpen, AddressPaused) as error:
        assert_type(error.retry_after or 0.0, float)
    except NotSent as error:
        assert_type(error.retryable, bool)
    except (AuthenticationError, ParameterError, AddressBlocked, TooManyRequests) as error:
        assert_type(error.code, int)
        assert_type(error.description, str)
    except ApiError as error:
        assert_type(error.retryable, bool)
        assert_type(error.retry_after, float | None)
        assert_type(error.may_have_counted, bool)
    except IncompleteReply as error:
        assert_type(error.position, str)
    except DecodeError as error:
        assert_type(error.format, str | None)
        assert_type(error.excerpt, str)
    except (DeadlineExceeded, TlsError):
        pass
    except TransportError as error:
        assert_type(error.status, int | None)
    except StoreError as error:
        assert_type(error.store, str)
    except SmscError as error:
        assert_type(error.retry_after, float | None)
        error.code  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def tree() -> None:
    """Every class can be caught as each of its base classes, and as no other."""
    refusals: list[type[ApiError]] = [ParameterError, AuthenticationError, AddressBlocked, TooManyRequests]
    local: list[type[NotSent]] = [QuotaExhausted, StoreNotReady, CredentialsRefused, TrialsExhausted, AddressPaused]
    others: list[type[SmscError]] = [ApiError, DecodeError, TransportError, NotSent, CircuitOpen, StoreError]
    decoding: type[DecodeError] = IncompleteReply
    transport: type[TransportError] = TlsError
    store: type[StoreError] = StoreNotReady
    credentials: type[AuthenticationError] = CredentialsRefused
    address: type[AddressBlocked] = AddressPaused
    print(refusals, local, others, decoding, transport, store, credentials, address)

    wrong: type[ApiError] = StoreError  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    late: type[TransportError] = DeadlineExceeded  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    unsent: type[NotSent] = TransportError  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong, late, unsent)
