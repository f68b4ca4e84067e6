"""What a reply means: a list, or an error. The error is returned, never raised."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import attrs

from smsc_async.display import escape_for_display
from smsc_async.errors import ApiError, SmscError, transport_error
from smsc_async.http.frames import clear_frames
from smsc_async.http.redaction import Redactor
from smsc_async.http.threads import run_in_own_thread
from smsc_async.protocol import Reply, declared_charset
from smsc_async.records import Tariffs
from smsc_async.stores.reply_cache import LONG_BODY, decode_reply

# What an error quotes of a page that came with an HTTP error: characters of its text, looked for in so many bytes.
_WORDS: Final = 80
_HEAD_BYTES: Final = 4096
_MARKUP: Final = re.compile(
    r"<(head|script|style)\b.*?(</\1[^>]*>|\Z)|<!--.*?(-->|\Z)|<[^>]*(>|\Z)", re.DOTALL | re.IGNORECASE
)


async def interpret_redacted(reply: Reply, redactor: Redactor) -> Tariffs | SmscError:
    """Return what a reply means, with the secret removed from an error."""
    try:
        if len(reply.body) < LONG_BODY:
            return _interpret_redacted(reply, redactor)
        return await run_in_own_thread(_interpret_redacted, reply, redactor)
    except BaseException as error:
        # The reply may quote the secret, and so may a local of a frame inside, or an error that was not redacted yet.
        clear_frames(error)
        error.__cause__ = error.__context__ = None
        raise


def _interpret_redacted(reply: Reply, redactor: Redactor) -> Tariffs | SmscError:
    outcome = interpret_reply(reply)
    if isinstance(outcome, Tariffs):
        return outcome
    # Redact before decoding: an error's excerpt is truncated, and half a secret no longer matches.
    again = interpret_reply(attrs.evolve(reply, body=redactor.body(reply.body)))
    # If redaction has changed the error, its excerpt contains the secret.
    if isinstance(again, SmscError) and _is_same(again, outcome):
        return redactor.error(again, omits_quotes=redactor.is_hidden_in(reply.body))
    return redactor.error(outcome, omits_quotes=True)


def interpret_reply(reply: Reply) -> Tariffs | SmscError:
    """Return the list in a reply, or the error that the reply means."""
    if 300 <= reply.status < 400:
        return transport_error(
            "redirect",
            f"redirected with status {reply.status}: not followed, because the password would go to the other host; "
            "set base_url to the new address of the service",
            status=reply.status,
        )
    outcome = _decoded(reply)
    if isinstance(outcome, ApiError) or 200 <= reply.status < 300:
        return outcome
    return transport_error(
        "overloaded" if reply.status == 429 or reply.status >= 500 else "status",
        f"answered with HTTP status {reply.status} and no tariff list",
        retry_after=reply.retry_after,
        status=reply.status,
        excerpt=_first_words(reply),
    )


def _first_words(reply: Reply) -> str:
    """Return the beginning of a page as a reader sees it, on one line."""
    import html  # noqa: PLC0415  # as in ``http/redaction.py``

    head = reply.body[:_HEAD_BYTES]
    try:
        text = head.decode(declared_charset(reply.content_type) or "utf-8", "replace")
    except (LookupError, ValueError):  # no charset of text
        text = head.decode("utf-8", "replace")
    words = " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
    return escape_for_display(words if len(words) <= _WORDS else f"{words[:_WORDS]}…")


def without_traceback(error: SmscError) -> SmscError:
    """Return the error without the frames that it passed: their locals may show the request."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _decoded(reply: Reply) -> Tariffs | SmscError:
    try:
        return decode_reply(reply, datetime.now(UTC))
    except SmscError as error:
        return without_traceback(error)


def _is_same(one: SmscError, other: SmscError) -> bool:
    return type(one) is type(other) and getattr(one, "code", None) == getattr(other, "code", None)
