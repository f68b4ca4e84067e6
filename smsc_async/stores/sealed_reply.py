"""The form of a list in a shared store: the compressed bytes of the reply under a seal. Each process decodes them itself.

The seal is an HMAC under a key of the account's own secret and the pepper (``keys.py``), over the key of the list, the
instant of the fetch and the bytes. So a list that is damaged, moved to another key, or written without the pepper counts
as absent.
"""

from __future__ import annotations

import hmac
import json
import struct
import zlib
from datetime import UTC, datetime
from typing import Final, NamedTuple

from smsc_async.errors import SmscError
from smsc_async.http.threads import run_in_own_thread
from smsc_async.protocol import REPLY_BYTES, Reply
from smsc_async.records import Tariffs
from smsc_async.stores.keys import ListKey
from smsc_async.stores.reply_cache import decode_reply

SEALED_BYTES: Final = REPLY_BYTES + 64 * 1024
"""The most bytes of a sealed list: incompressible bytes grow by less than a thousandth. Longer values are not read."""

_SEAL_BYTES: Final = 32
_WALL: Final = struct.Struct(">d")
# A tenth of the size for a tenth of a millisecond; higher levels gain little.
_LEVEL: Final = 1
# Longer ones are decoded in a thread. A packed list has a third to a tenth of its size; see ``fetch/interpret.py``.
_LONG_BYTES: Final = 16 * 1024


class Unsealed(NamedTuple):
    """A list whose seal is right.

    Attributes:
        packed: The return value of ``packed``.
        wall: The instant of the fetch, in seconds since the epoch.
    """

    packed: bytes
    wall: float


def packed(reply: Reply) -> bytes:
    """Return the Content-Type and the unchanged body, compressed."""
    head = json.dumps(reply.content_type).encode() + b"\n"
    return zlib.compress(head + reply.body, _LEVEL)


def sealed(reply: Reply, key: ListKey, wall: float) -> bytes:
    """Return the bytes to store for a reply that was fetched at an instant, in seconds since the epoch."""
    content = _WALL.pack(wall) + packed(reply)
    return _seal(content, key) + content


def unsealed(stored: bytes, key: ListKey) -> Unsealed | None:
    """Return what is sealed in stored bytes, or ``None`` if the seal is wrong."""
    seal, content = stored[:_SEAL_BYTES], stored[_SEAL_BYTES:]
    if len(content) < _WALL.size or not hmac.compare_digest(seal, _seal(content, key)):
        return None
    return Unsealed(content[_WALL.size :], *_WALL.unpack_from(content))


def _seal(content: bytes, key: ListKey) -> bytes:
    return hmac.digest(key.seal_key, key.name.encode() + b"\n" + content, "sha256")


def unpacked(packed_reply: bytes, wall: float) -> Tariffs | None:
    """Return the list of packed bytes, or ``None`` if another version has written them.

    Args:
        packed_reply: A return value of ``packed``.
        wall: The instant of the fetch, in seconds since the epoch.
    """
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed_reply, REPLY_BYTES + 1_024)
        if not unpacker.eof:
            return None
        head, _, body = text.partition(b"\n")
        content_type: object = json.loads(head)
        return decode_reply(Reply(200, str(content_type), None, body), datetime.fromtimestamp(wall, UTC))
    except (zlib.error, ValueError, OverflowError, OSError, RecursionError, SmscError):
        return None


async def unpacked_off_loop(packed_reply: bytes, wall: float) -> Tariffs | None:
    """Return ``unpacked(packed_reply, wall)``, from a thread if the decoding would block the event loop for long."""
    if len(packed_reply) < _LONG_BYTES:
        return unpacked(packed_reply, wall)
    return await run_in_own_thread(unpacked, packed_reply, wall)
