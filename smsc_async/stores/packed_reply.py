"""The form of a list in a shared store: the bytes of the reply, compressed. Each process decodes them itself."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime

import anyio.to_thread
import attrs

from smsc_async.decoder import decode
from smsc_async.errors import SmscError
from smsc_async.protocol import REPLY_BYTES, Reply, declared_charset
from smsc_async.records import Tariffs

__all__ = ["packed", "unpacked", "unpacked_off_loop"]

# A tenth of the size for a tenth of a millisecond; higher levels gain little.
_LEVEL = 1
# Longer ones are decoded in a thread. A packed list has a third to a tenth of its size; see ``fetch/interpret.py``.
_LONG_BYTES = 16 * 1024


def packed(reply: Reply) -> bytes:
    """Return the bytes to store: the Content-Type and the unchanged body."""
    head = json.dumps(reply.content_type).encode() + b"\n"
    return zlib.compress(head + reply.body, _LEVEL)


def unpacked(shared: bytes, wall: float) -> Tariffs | None:
    """Return the list of stored bytes, or ``None`` if they are damaged or of another origin.

    Args:
        shared: A return value of ``packed``.
        wall: The instant of the fetch, in seconds since the epoch.
    """
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(shared, REPLY_BYTES + 1_024)
        if not unpacker.eof:
            return None
        head, _, body = text.partition(b"\n")
        content_type: object = json.loads(head)
        tariffs = decode(body, charset=declared_charset(str(content_type)))
        return attrs.evolve(tariffs, fetched_at=datetime.fromtimestamp(wall, UTC))
    except (zlib.error, ValueError, OverflowError, OSError, RecursionError, SmscError):
        return None


async def unpacked_off_loop(shared: bytes, wall: float) -> Tariffs | None:
    """Return ``unpacked(shared, wall)``, from a thread if the decoding would block the event loop for long."""
    if len(shared) < _LONG_BYTES:
        return unpacked(shared, wall)
    return await anyio.to_thread.run_sync(unpacked, shared, wall, abandon_on_cancel=True)
