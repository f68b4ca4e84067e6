# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

from typing import assert_type

from smsc_async import (
    AddressBlocked,
    ApiError,
    AuthenticationError,
    Client,
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


async def handlers(client: Client) -> None:
    try:
        await client.tariffs()
    except (AuthenticationError, ParameterError, AddressBlocked, TooManyRequests) as error:
        assert_type(error.code, int)
        assert_type(error.description, str)
    except ApiError as error:
        assert_type(error.retryable, bool)
        assert_type(error.retry_after, float | None)
        assert_type(error.may_have_counted, bool)
    except QuotaExhausted as error:
        assert_type(error.retry_after, float)
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


def tree() -> None:
    """Every class can be caught as its base class."""
    refusals: list[type[ApiError]] = [ParameterError, AuthenticationError, AddressBlocked, TooManyRequests]
    others: list[type[SmscError]] = [ApiError, DecodeError, TransportError, QuotaExhausted, StoreError, *refusals]
    decoding: type[DecodeError] = IncompleteReply
    transport: type[TransportError] = TlsError
    local: type[ApiError] = StoreError  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(others, decoding, transport, local)
