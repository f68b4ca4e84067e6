"""A document for another service: one POST, not through the limiter, which is for the provider's alone.

Invariants: HTTPS, but for loopback; no redirect is followed, no proxy of the environment is used; the URL, which is often a
secret, is in no error, log record or span of ours: host and port are.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from smsc_async.protocol import is_loopback, retry_after

if TYPE_CHECKING:
    import httpx

POST_SECONDS: Final = 20.0
# Refusals that may be another answer soon.
_PASSING: Final = frozenset({408, 425, 429})


class Undelivered(NamedTuple):
    """Why a receiver did not take a change.

    Attributes:
        reason: What happened.
        is_final: Whether another attempt would be refused as well.
        retry_after: Seconds after which the receiver wants the next attempt, or ``None``.
    """

    reason: str
    is_final: bool = False
    retry_after: float | None = None


def checked_webhook(url: str) -> str:
    """Return a URL to which documents may be posted.

    Raises:
        ValueError: It is not an HTTPS URL; plain HTTP is for loopback alone.
    """
    import httpx

    try:
        httpx.URL(url)
        parts = urlsplit(url if urlsplit(url).port != 0 else "")
    except (ValueError, httpx.InvalidURL):
        parts = urlsplit("")
    if not parts.hostname or parts.scheme not in {"https", "http"}:
        raise ValueError("--webhook must be an https:// URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(f"--webhook must be https: the prices would cross the network to {parts.hostname} in clear")
    return url


async def post_document(url: str, document: bytes, event_id: str) -> Undelivered | None:
    """Post JSON once; return why it was not taken, or ``None``."""
    import httpx

    target = httpx.URL(url)
    server = f"{target.host}:{target.port}" if target.port else target.host
    try:
        with anyio.fail_after(POST_SECONDS):
            response = await _post(target, document, event_id)
    except TimeoutError:
        return Undelivered(f"{server}: no answer within {POST_SECONDS:.0f} s")
    except (httpx.HTTPError, OSError) as error:
        return Undelivered(f"{server}: no answer ({type(error).__name__})")  # its text may quote the URL
    if response.is_success:
        return None
    wanted = response.headers.get("retry-after")
    return Undelivered(
        f"{server} answered {response.status_code}",
        is_final_status(response.status_code),
        None if wanted is None else retry_after(wanted, time.time()),
    )


def is_final_status(status: int) -> bool:
    """Return whether a refusal is for good: every redirect and 4xx but the few that ask for another attempt."""
    return 300 <= status < 500 and status not in _PASSING


async def _post(target: httpx.URL, document: bytes, event_id: str) -> httpx.Response:
    """Return the response. Without a client of httpx, which would log the URL, follow proxies and keep cookies."""
    import ssl

    import httpx

    headers = {"content-type": "application/json", "user-agent": "smsc-async", "idempotency-key": event_id}
    request = httpx.Request("POST", target, content=document, headers=headers)
    if target.userinfo:
        request = next(httpx.BasicAuth(target.username, target.password).auth_flow(request))
    # For plain HTTP, which wants a context all the same: what it would verify, it refuses.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if target.scheme == "https":
        tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)  # a tenth of a second of reading certificates
    # Instrumentation of httpx would write the URL into a span.
    tracing = sys.modules.get("opentelemetry.instrumentation.utils")
    with tracing.suppress_http_instrumentation() if tracing else contextlib.nullcontext():
        async with httpx.AsyncHTTPTransport(verify=tls) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
    return response
