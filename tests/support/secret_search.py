"""The search for a password in texts, errors and logs: ``found_in`` tries every spelling."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import logging
import pickle
import traceback
from collections.abc import Generator, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import attrs


def spellings(secret: str) -> set[bytes]:
    """Return the secret in every escaping and encoding in which it could appear."""
    escaped = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    escaped |= {json.dumps(secret)[1:-1], ascii(secret)[1:-1], repr(secret)[1:-1]}
    raw = {each.encode(charset, "replace") for each in escaped for charset in ("utf-8", "windows-1251", "utf-16-le")}
    packed = {base64.b64encode(secret.encode()).rstrip(b"="), secret.encode().hex().encode()}
    # Half a secret counts as well: a text that is cut to a length shows one half.
    halves = {half for each in raw for half in (each[: len(each) // 2], each[len(each) // 2 :])}
    return {each for each in raw | packed | halves if each.strip(b"?")}


def found_in(text: str | bytes, secret: str) -> bool:
    """Return whether a text contains the secret or half of it, in any spelling."""
    hay = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return any(each in hay for each in spellings(secret))


def shown_by(error: BaseException) -> Iterator[str]:
    """Return everything that an error shows: text, data, pickle, and the traceback with the locals of every frame."""
    yield repr(error)
    yield str(error)
    yield repr(getattr(error, "__dict__", {}))
    yield "\n".join(getattr(error, "__notes__", []))
    with contextlib.suppress(TypeError, pickle.PicklingError, AttributeError):
        yield pickle.dumps(error).decode("latin-1")
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from shown_by(other)


@attrs.define
class Everything(logging.Handler):
    """A handler that stores every record of every logger, with its arguments and its exception."""

    lines: list[str] = attrs.field(factory=list[str])

    def __attrs_post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.lines.append(repr(record.__dict__))
        if record.exc_info is not None and record.exc_info[1] is not None:
            self.lines += shown_by(record.exc_info[1])

    __hash__ = logging.Handler.__hash__


@contextlib.contextmanager
def all_logs() -> Generator[list[str]]:
    """Yield a list of everything that all loggers write at DEBUG while the block runs."""
    root, handler = logging.getLogger(), Everything()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


# Long, with characters that every escaping writes differently.
SECRET: Final = "pä<ss>&wörd \"й\\+%/'quoted 4711"
