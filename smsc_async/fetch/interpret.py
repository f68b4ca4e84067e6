"""What an answer means: a list, or the error that it is. It is an error that is returned, never one that is raised."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final
from weakref import WeakValueDictionary

import anyio.to_thread

from smsc_async.decoder import decode
from smsc_async.errors import ApiError, SmscError, TransportError
from smsc_async.protocol import Reply, declared_charset
from smsc_async.records import Tariffs

__all__ = ["interpret_reply", "interpret_reply_off_loop", "without_traceback"]

# The loop is not to stand still for 10 ms: reading takes 35 to 60 ns a byte, by format (CPython 3.11), so this is half
# of that on the machine where it was measured. A worker thread costs a tenth of a millisecond, and lets the loop go on.
_LONG_BYTES: Final = 128 * 1024

# Prices change a few times a year (spec/README.md, row 12), and are asked for all the time: an answer that is the same
# to the byte as one whose list is still kept somewhere is not read again. Its records are shared, since nobody can
# change them; so a fleet whose accounts have the same list holds it once. Nothing is kept here for its own sake.
_known: Final[WeakValueDictionary[tuple[str, bytes], Tariffs]] = WeakValueDictionary()


async def interpret_reply_off_loop(reply: Reply) -> Tariffs | SmscError:
    """Return the list of an answer, or the error that it is; a long answer is read off the loop."""
    if len(reply.body) < _LONG_BYTES:
        return interpret_reply(reply)
    return await anyio.to_thread.run_sync(interpret_reply, reply, abandon_on_cancel=True)


def interpret_reply(reply: Reply) -> Tariffs | SmscError:
    """Return the list of an answer, or the error that it is."""
    if 300 <= reply.status < 400:
        return TransportError(
            f"redirected with status {reply.status}: not followed, since the password would go along; "
            "set base_url to where the service is now",
            retryable=False,
            status=reply.status,
        )
    read = _read(reply)
    if isinstance(read, ApiError) or 200 <= reply.status < 300:
        return read
    return TransportError(
        f"answered with HTTP status {reply.status} and no tariff list",
        retryable=reply.status == 429 or reply.status >= 500,
        retry_after=reply.retry_after,
        status=reply.status,
    )


def without_traceback(error: SmscError) -> SmscError:
    """Return the error without the frames that it came through: they show what was sent."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _read(reply: Reply) -> Tariffs | SmscError:
    key = (reply.content_type, blake2b(reply.body, digest_size=32).digest())
    same = _known.get(key)
    if same is None:
        try:
            same = decode(reply.body, charset=declared_charset(reply.content_type))
        except SmscError as error:
            return without_traceback(error)
    tariffs = _known[key] = Tariffs(same.zones, same.codes, same.mail, same.extra, fetched_at=datetime.now(UTC))
    return tariffs
