"""From the bytes of an answer to its text.

The service answers in windows-1251 unless it is asked for UTF-8, and its Content-Type has been seen to say
windows-1251 over UTF-8 (spec/README.md, row 6). So the bytes are believed before the declaration: what is UTF-8 is read
as UTF-8, for Cyrillic text of an 8-bit charset is practically never valid UTF-8; the rest is read in the charset that
was declared, where it is one of those below, else in windows-1251.
"""

from __future__ import annotations

import codecs
from typing import Final

from smsc_async.decoder.excerpts import excerpt
from smsc_async.errors import DecodeError, IncompleteReply

__all__ = ["to_text"]

# Not codecs.lookup(): that name comes from the network, and Python also knows "zlib", "idna" and "unicode_escape".
_EIGHT_BIT: Final = {
    "cp1251": "cp1251",
    "cp866": "cp866",
    "ibm866": "cp866",
    "iso-8859-5": "iso8859-5",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "windows-1251": "cp1251",
}


def to_text(body: bytes, charset: str | None) -> str:
    """Return the text, without a byte order mark and with bare line feeds, or raise ``DecodeError``."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _from_utf16(body)
    else:
        text = _from_eight_bits(body.removeprefix(codecs.BOM_UTF8), charset)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _from_eight_bits(body: bytes, charset: str | None) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"
    declared = _EIGHT_BIT.get((charset or "").strip(" \t\"'").lower().replace("_", "-"))
    if cut and declared is None:
        raise IncompleteReply("the text ends within a character of UTF-8")
    try:
        return body.decode(declared or "cp1251")
    except UnicodeDecodeError as error:
        at, shown = error.start, excerpt(body[max(0, error.start - 10) : error.end + 10].decode("latin-1"))
    raise DecodeError(f"neither UTF-8 nor {declared or 'windows-1251'}; ask for UTF-8", None, f"byte {at}", shown)


def _from_utf16(body: bytes) -> str:
    try:
        return body.decode("utf-16")
    except UnicodeDecodeError as error:
        at, cut = error.start, error.reason in {"truncated data", "unexpected end of data"}
    if cut:
        raise IncompleteReply("the text ends within a character of UTF-16")
    raise DecodeError("marked as UTF-16, and it is not", None, f"byte {at}")
