"""A document handed to somebody else's service: one POST, not through the limiter, which is for the provider's alone.

Invariants: HTTPS, but for loopback; no redirect is followed; the URL, which is often a secret, shows in no error and no
log record of ours: host and port do.
"""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx

from smsc_async.errors import TransportError
from smsc_async.protocol import is_loopback

__all__ = ["POST_SECONDS", "checked_webhook", "post_document"]

POST_SECONDS: Final = 20.0
# Refusals that may be another answer soon.
_PASSING: Final = frozenset({408, 425, 429})


def checked_webhook(url: str) -> str:
    """Return a URL to which documents may be posted.

    Raises:
        ValueError: It is not an HTTPS URL; plain HTTP is for loopback alone.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        told = f", not {parts.scheme}:…" if parts.scheme else ""
        raise ValueError(f"a webhook is an https:// URL{told}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"a webhook must be https: the prices would cross the network to {parts.hostname} in clear")
    return url


async def post_document(url: str, document: bytes) -> None:
    """Post JSON once.

    Raises:
        TransportError: It was not taken; ``retryable`` where another try may help.
    """
    parts = urlsplit(url)
    server = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
    # For plain HTTP, where a context is wanted all the same: what it would verify, it refuses.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if parts.scheme == "https":
        tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)  # a tenth of a second of reading certificates
    status = None
    problem = f"no answer within {POST_SECONDS:.0f} s"
    with anyio.move_on_after(POST_SECONDS):
        try:
            status = await _posted(url, document, tls)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its words may quote the URL.
            problem = f"no answer ({type(error).__name__})"
    if status is None:
        raise TransportError(f"{server}: {problem}")
    if not 200 <= status < 300:
        raise TransportError(
            f"{server} answered {status}", retryable=status >= 500 or status in _PASSING, status=status
        )


async def _posted(url: str, document: bytes, tls: ssl.SSLContext) -> int:
    """Return the status. Without a client of httpx, which would log the URL, follow proxies and keep cookies."""
    headers = {"content-type": "application/json", "user-agent": "smsc-async"}
    request = httpx.Request("POST", url, content=document, headers=headers)
    async with httpx.AsyncHTTPTransport(verify=tls) as transport:
        response = await transport.handle_async_request(request)
        await response.aclose()
    return response.status_code
