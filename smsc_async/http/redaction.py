"""Redaction: one secret is removed from what a server says, because servers and their software quote what they were sent.

Invariants:

- Only text from outside is changed. In a text of the library a gap would show that the password is a word of it.
- The secret is never the argument of a function with a cache, such as those of ``re``.
- A quotation in which the secret may be hidden, because it is short or encoded, is omitted as a whole.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import attrs

from smsc_async.accounts import Secret
from smsc_async.errors import DecodeError, SmscError

# Those of ``decoder/text.py``, and the two that software falls back to; a secret of ASCII is the same in most.
_CHARSETS: Final = ("utf-8", "cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "latin-1", "utf-16-le")
_MARKED: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_QUOTED: Final = ("description", "excerpt", "position")
# A shorter secret is a part of many words, and a gap in a word shows it.
_SHORT: Final = 4
# Software that escapes twice is common. A search is cheap, and unquote() takes a second for a mebibyte of percent signs.
_ESCAPED: Final = 3
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}|[&+]")
# The characters of base64 that depend on the bytes before the secret, by their number modulo 3.
_SHARED: Final = (0, 2, 3)


class Redactor:
    """Removes one secret, in the spellings in which it comes back: as it is, and escaped for a URL, JSON or HTML.

    No spelling is stored, so that no frame or object shows one.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def text(self, text: str) -> str:
        """Return the text without the secret."""
        return _without(text, _spellings(self._secret), "…")

    def body(self, body: bytes) -> bytes:
        """Return the bytes without the secret, in the charsets in which replies are read."""
        marked = next((charset for mark, charset in _MARKED.items() if body.startswith(mark)), None)
        charsets = _CHARSETS if marked is None else (marked,)
        # What a charset does not have, software writes as a question mark or a number.
        spellings = {
            each.encode(charset, how)
            for each in _spellings(self._secret)
            for charset in charsets
            for how in ("replace", "xmlcharrefreplace", "ignore")
        }
        # One character for each byte.
        wanted = (each.decode("latin-1") for each in spellings if each.strip(b"?"))
        return _without(body.decode("latin-1"), wanted, "...".encode(charsets[0]).decode("latin-1")).encode("latin-1")

    def is_hidden_in(self, body: bytes) -> bool:
        """Return whether a quotation from a body may show the secret although ``body()`` has replaced it."""
        import html  # noqa: PLC0415  # its table of names takes a millisecond, and few replies are errors

        value, given, body = self._secret.reveal(), body, self.body(body)
        if len(value) < _SHORT and body != given:
            return True
        folded = body.lower()
        for charset in ("utf-8", "cp1251"):
            raw = value.encode(charset, "replace")
            digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()  # which old accounts accept as a password
            if digest.encode() in folded or raw.hex().encode() in folded or any(each in body for each in _base64(raw)):
                return True
            for unescaped in (unquote, unquote_plus):
                text = body.decode(charset, "replace")
                for _ in range(_ESCAPED):
                    text = html.unescape(unescaped(text, charset)) if _ESCAPE.search(text) else text
                    if value.lower() in text.lower():
                        return True
        return False

    def error(self, error: SmscError, *, omits_quotes: bool = False) -> SmscError:
        """Return the error without the secret in what it quotes.

        Args:
            error: The error.
            omits_quotes: Whether nothing is left of what it quotes.
        """
        quotes: dict[str, str | bytes] = {
            name: "" if omits_quotes else self.text(getattr(error, name)) for name in _QUOTED if hasattr(error, name)
        }
        if isinstance(error, DecodeError):
            quotes["body"] = b"" if omits_quotes else self.body(error.body)
        redacted: SmscError = attrs.evolve(cast("Any", error), **quotes)
        return redacted


def _spellings(secret: Secret) -> set[str]:
    import html  # noqa: PLC0415  # as above

    value = secret.reveal()
    in_urls = {quote(value), quote(value, safe=""), quote_plus(value)}
    return {value, *in_urls, json.dumps(value)[1:-1], ascii(value)[1:-1], html.escape(value)}


def _without(text: str, spellings: Iterable[str], mark: str) -> str:
    """Return a text with each spelling replaced, the longest first, whatever the case of its letters."""
    for spelling in sorted(spellings, key=len, reverse=True):
        folded, wanted = text.lower(), spelling.lower()
        if wanted in folded and len(folded) != len(text):
            return mark  # some letters are two in lower case, so places in one text are none in the other
        end = len(folded)
        while (start := folded.rfind(wanted, 0, end)) >= 0:
            text, end = text[:start] + mark + text[start + len(wanted) :], start
    return text


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield the base64 of bytes, less what depends on the bytes around them."""
    for before, shared in enumerate(_SHARED):
        packed = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        whole = packed[shared : len(packed) - bool((before + len(raw)) % 3)]
        yield from (whole, whole.translate(bytes.maketrans(b"+/", b"-_")))
