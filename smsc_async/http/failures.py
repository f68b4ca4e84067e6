"""What an exception of an exchange means: a failure of the network, with a message of our own, or a bug of the user's."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx

from smsc_async.errors import SmscError, TlsError, TransportCause, TransportError, transport_error
from smsc_async.http.frames import chain
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.waiter import in_trio

# The words of httpx are often empty, and may quote the server, which may quote the form.
_REASONS: Final[dict[type[Exception], str]] = {
    httpx.PoolTimeout: "all connections of the transport are in use",
    httpx.TimeoutException: "timed out",
    TimeoutError: "timed out",
    httpx.LocalProtocolError: "the transport broke the rules of HTTP",
    httpx.ProtocolError: "not valid HTTP",
    httpx.UnsupportedProtocol: "the transport does not support this URL",
}
# These are caused on this side of the connection.
_LOCAL: Final = (httpx.PoolTimeout, httpx.LocalProtocolError, httpx.UnsupportedProtocol)
_LONGEST_REASON: Final = 200
# A handshake that just ends is a broken connection, not a wrong certificate.
_CUT_HANDSHAKES: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


_FILE_ERRORS: Final = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


def is_transport_failure(error: BaseException) -> bool:
    """Return whether an exception is a failure of the network, and not a bug, a cancellation or a signal."""
    # Everything else that a transport raises is a bug, and surfaces as it is: also an ``OSError`` of a file.
    ends_of_streams = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
    is_of_file = isinstance(error, _FILE_ERRORS) or (isinstance(error, OSError) and error.filename is not None)
    if isinstance(error, anyio.get_cancelled_exc_class()):
        return _is_of_other_task()
    return isinstance(error, (httpx.TransportError, OSError, EOFError, SmscError, *ends_of_streams)) and not is_of_file


def _is_of_other_task() -> bool:
    """Whether nobody has cancelled this task, so that its transport raised the cancellation of a task of its own."""
    from asyncio import current_task  # noqa: PLC0415  # only for such a transport

    task = None if in_trio() else current_task()  # nobody can raise a cancellation of trio
    return task is not None and not task.cancelling()


def transport_failure(error: BaseException, attempt: Attempt, endpoint: str, proxy: str | None) -> SmscError:
    """Return the error in which a failed exchange ends.

    The record of the attempt decides whether the request may have counted: the class of an exception does not say so.

    Args:
        error: What the transport raised.
        attempt: The record of the request.
        endpoint: The URL.
        proxy: Host and port of the proxy in use, or ``None``.
    """
    server = urlsplit(endpoint).netloc
    if isinstance(error, SmscError):
        if attempt.may_have_counted and not error.may_have_counted:
            # The first sending was allowed, and a second one was refused.
            return transport_error("no reply", f"{server} gave no reply that the transport accepted, and then: {error}")
        return error
    return _after_sending(error, attempt, server) if attempt.may_have_counted else _before_sending(error, server, proxy)


def _after_sending(error: BaseException, attempt: Attempt, server: str) -> TransportError:
    reason = _reason(error) or "the connection was cut"
    if isinstance(error, _LOCAL):
        return transport_error("no reply", f"no reply from {server}, because of the transport ({reason})")
    if attempt.head_seen_at is not None:
        return transport_error("reply cut", f"{server} cut its reply short ({reason})")
    return transport_error("no reply", f"{server} closed the connection without a reply ({reason})")


def _before_sending(error: BaseException, server: str, proxy: str | None) -> TransportError:
    cause = _tls_cause(error)
    if cause is not None:
        return TlsError(f"{server} could not prove its identity ({cause}): nothing was sent")
    if proxy is not None or isinstance(error, httpx.ProxyError):
        return _not_sent("proxy refused", f"{server} through the proxy {proxy or 'of the transport'}", error)
    return _not_sent("no connection", server, error)


def _not_sent(cause: TransportCause, peer: str, error: BaseException) -> TransportError:
    # The body was not read, so no text of the server can quote the form. A proxy can quote its own credentials.
    reason = _refusal(error) or _reason(error) or str(error)[:_LONGEST_REASON] or "the connection was cut"
    return transport_error(cause, f"no connection to {peer} ({reason}): nothing was sent")


def _refusal(error: BaseException) -> str:
    """Return the status with which a proxy refused the connection, or an empty string."""
    status = str(error)[:3] if isinstance(error, httpx.ProxyError) else ""
    if not status.isdecimal():
        return ""
    with suppress(ValueError):
        return f"{status} {HTTPStatus(int(status)).phrase}"
    return status


def _reason(error: BaseException) -> str:
    for each in chain(error):
        if isinstance(each, socket.gaierror):
            return "the host name cannot be resolved"
        if isinstance(each, _CUT_HANDSHAKES):
            return "the TLS handshake was cut"
        if isinstance(each, OSError) and each.errno and not isinstance(each, ssl.SSLError):
            return os.strerror(each.errno)
    other = "" if isinstance(error, Exception) else "a task of the transport was cancelled"
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), other)


def _tls_cause(error: BaseException) -> str | None:
    for each in chain(error):
        if isinstance(each, ssl.SSLError) and not isinstance(each, _CUT_HANDSHAKES):
            return getattr(each, "verify_message", "") or getattr(each, "reason", "") or "TLS error"
    return None
