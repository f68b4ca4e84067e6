"""One exchange: one connection, one POST, one bounded reply.

The exchange opens an ``httpx.AsyncClient``, sends the form with ``Connection: close``, reads the whole body, and closes. A
connection that stays open could carry a stray answer to the next account, and at three requests a minute there is nothing
to reuse.

Invariants: an exchange ends after ``LONGEST_EXCHANGE`` at the latest; every exception that leaves ``send`` has the locals
of its frames cleared, because a frame of a transport may hold the form.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import anyio
import httpx

from smsc_async.errors import DecodeError, SmscError
from smsc_async.http.body import read_body, unpacked
from smsc_async.http.connector import Connector, parsed_url
from smsc_async.http.failures import is_transport_failure, transport_failure
from smsc_async.http.form import FormStream
from smsc_async.http.frames import clear_frames
from smsc_async.http.log_filter import quiet_logs
from smsc_async.http.threads import own_name_lookups
from smsc_async.limiter.attempt import LONGEST_EXCHANGE, Attempt
from smsc_async.limiter.clock import now
from smsc_async.protocol import FORM, Reply, retry_after


async def send(form: FormStream, attempt: Attempt, connector: Connector, endpoint: str) -> Reply | SmscError:
    """Make one exchange, and return the reply or the error in which the exchange ended.

    Args:
        form: The body of the request.
        attempt: The record of the request: this function writes when the head was seen, and whether the reply is complete.
        connector: Opens the connection.
        endpoint: The URL.

    Raises:
        Exception: A bug in a user's transport, unchanged. So are cancellation and ``KeyboardInterrupt``.
    """
    error: BaseException
    try:
        with anyio.move_on_after(LONGEST_EXCHANGE), quiet_logs(), own_name_lookups():
            return await _exchange(form, attempt, connector, endpoint)
        raise httpx.ReadTimeout("the reply did not end in time")  # noqa: TRY301  # one place handles all failures
    except BaseException as raised:  # noqa: BLE001  # a frame of a transport may hold the form, whatever was raised
        error = raised
    clear_frames(error)
    if not is_transport_failure(error):
        raise error
    return transport_failure(error, attempt, endpoint, connector.proxy_name(endpoint))


async def _exchange(form: FormStream, attempt: Attempt, connector: Connector, endpoint: str) -> Reply | SmscError:
    async with await connector.open(endpoint) as client:
        request = httpx.Request(
            "POST",
            parsed_url(endpoint),
            headers={
                "host": urlsplit(endpoint).netloc,
                "accept": "*/*",
                "accept-encoding": "identity",  # httpx's own decompression has no bound
                "connection": "close",
                "content-length": str(len(form.encode())),
                "content-type": FORM,
                "user-agent": "smsc-async",
            },
            stream=form,
            extensions={"timeout": form.timeouts},
        )
        response = await client.send(request, stream=True)
        attempt.head_seen_at = now()
        try:
            packed = await read_body(response, form.until)
        finally:
            await response.aclose()
            # httpx's stream refers to its response: without the cycle the exchange is freed at once.
            response.stream = httpx.ByteStream(b"")
        attempt.is_complete = isinstance(packed, bytes)
    return _reply(response, packed)


def _reply(response: httpx.Response, packed: bytes | DecodeError) -> Reply | SmscError:
    headers = response.headers
    # httpx has unpacked a reply that a transport of a test has read.
    encoding = "" if response.is_stream_consumed else headers.get("content-encoding", "")
    body = unpacked(packed, encoding) if isinstance(packed, bytes) else packed
    if isinstance(body, SmscError):
        return body
    wait = retry_after(headers.get("retry-after", ""), time.time())
    return Reply(response.status_code, headers.get("content-type", ""), wait, body)
