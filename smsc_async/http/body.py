"""The body of a reply: complete and bounded, or an error.

Invariants: a body is never read past ``REPLY_BYTES``, nor after the end of the exchange; at most one layer of gzip is
unpacked, up to the same bound.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import cast

import httpx

from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.limiter.clock import now
from smsc_async.protocol import REPLY_BYTES


async def read_body(response: httpx.Response, until: float) -> bytes | DecodeError:
    """Return the bytes of a body, as they are on the wire, or why they cannot be a tariff list.

    A transport of a test may have read the reply; then httpx has unpacked it.

    Args:
        response: The response, whose body is not read yet.
        until: When the exchange ends, by the limiter's clock.

    Raises:
        httpx.ReadTimeout: The body did not end in time.
    """
    if response.is_stream_consumed:
        # As ``httpx.MockTransport`` does.
        return response.content if len(response.content) <= REPLY_BYTES else _too_long()
    body = bytearray()  # no list of chunks: a million of them takes forty times their bytes
    # Not response.aiter_raw(): it would leave the generator of the stream to the garbage collector.
    stream = cast("httpx.AsyncByteStream", response.stream)
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(stream))) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > REPLY_BYTES or now() > until:
                await _close_inside(response, chunks)
                break
        else:
            return bytes(body)
    if len(body) > REPLY_BYTES:
        return _too_long()
    raise httpx.ReadTimeout("the reply did not end in time")


async def _close_inside(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    # The generators inside notice the close when they are resumed. Otherwise the garbage collector would end them later,
    # which is a warning on trio. A stream that goes on after its close is left after a mebibyte.
    await response.aclose()
    size = 0
    with suppress(Exception):
        while size < 2**20:
            size += len(await anext(chunks)) + 1


def _too_long() -> DecodeError:
    return DecodeError(f"longer than {REPLY_BYTES} bytes: no tariff list is")


def unpacked(body: bytes, encoding: str) -> bytes | DecodeError:
    """Return a body without its compression, or why that is not possible.

    Args:
        body: The bytes on the wire.
        encoding: The content encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        # At most a word is quoted: a header that was damaged on its way may contain a part of the secret.
        kind = repr(encoding) if re.fullmatch("[a-z0-9-]{1,12}", encoding) else "something else"
        return DecodeError(f"compressed as {kind}, which the request did not allow: only gzip is understood")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(body, REPLY_BYTES + 1)
    except zlib.error as error:
        fault = str(error)
    else:
        if len(text) > REPLY_BYTES:
            return DecodeError(f"longer than {REPLY_BYTES} bytes when decompressed: no tariff list is")
        if not unpacker.eof:
            return IncompleteReply("compressed with gzip, and cut before its end")
        return DecodeError("compressed with gzip, with other bytes behind it") if unpacker.unused_data else text
    return DecodeError(f"declared as gzip, and cannot be decompressed ({fault})")
