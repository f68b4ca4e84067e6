"""A secret struck out of what others say: servers and their software like to quote what they were sent."""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, quote_plus

from smsc_async.accounts import Secret
from smsc_async.errors import DecodeError, SmscError

__all__ = ["Redactor"]

# Those of ``decoder/text.py``, and the two that software falls back to; a secret of ASCII is the same in most.
_CHARSETS: Final = ("utf-8", "cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "latin-1", "utf-16-le")
_MARKED: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_BOUNDED: Final = 64 * 1024  # DecodeError.body
_SAID: Final = ("message", "description", "excerpt", "reason", "position")
_QUOTED: Final = ("description", "excerpt", "position")


class Redactor:
    """Strikes one secret out, in the spellings in which it comes back: as it is, and escaped for a URL, JSON or HTML.

    What it is built from is not kept: it makes the spellings anew each time, so that no frame or object shows them.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def text(self, said: str) -> str:
        """Return the text with the secret struck out."""
        return _pattern(self._secret).sub("…", said)

    def body(self, body: bytes) -> bytes:
        """Return the bytes with the secret struck out, in the charsets in which answers are read."""
        marked = next((charset for mark, charset in _MARKED.items() if body.startswith(mark)), None)
        charsets = _CHARSETS if marked is None else (marked,)
        return _bytes_pattern(self._secret, charsets).sub("...".encode(charsets[0]), body)

    def error(self, error: SmscError, *, may_be_cut: bool = False) -> SmscError:
        """Return the error with the secret struck out of what it says.

        Args:
            error: The error.
            may_be_cut: Whether what it quotes may end in the middle of the secret: then nothing is left of that.
        """
        struck: dict[str, str] = {}
        for name in _SAID:
            said: object = getattr(error, name, None)
            if isinstance(said, str):
                struck[said] = "" if may_be_cut and name in _QUOTED else self.text(said)
                setattr(error, name, struck[said])
        if isinstance(error, DecodeError):
            # The end of a bounded body may be a half of the secret.
            error.body = b"" if may_be_cut and len(error.body) >= _BOUNDED else self.body(error.body)
        # What it was made of, which an exception keeps beside its fields.
        error.args = tuple(struck.get(each, each) if isinstance(each, str) else each for each in error.args)
        return error


def _spellings(secret: Secret) -> tuple[str, ...]:
    value = secret.reveal()
    escaped = (json.dumps(value)[1:-1], ascii(value)[1:-1], html.escape(value))
    return tuple(
        sorted({value, quote(value), quote(value, safe=""), quote_plus(value), *escaped}, key=len, reverse=True)
    )


def _pattern(secret: Secret) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, _spellings(secret))), re.IGNORECASE)


def _bytes_pattern(secret: Secret, charsets: Sequence[str]) -> re.Pattern[bytes]:
    # What a charset does not have, software writes as a question mark or a number.
    spellings = {
        each.encode(charset, how)
        for each in _spellings(secret)
        for charset in charsets
        for how in ("replace", "xmlcharrefreplace", "ignore")
    }
    told = sorted((each for each in spellings if each.strip(b"?")), key=len, reverse=True)
    return re.compile(b"|".join(map(re.escape, told)) or b"(?!)", re.IGNORECASE)
