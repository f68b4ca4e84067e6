"""The text of an answer: from bytes to text, its format, its lines, and excerpts of it for errors.

The service answers in windows-1251 unless it is asked for UTF-8, and its Content-Type has been seen to say
windows-1251 over UTF-8 (spec/README.md, row 6). So the bytes are believed before the declaration: what is UTF-8 is read
as UTF-8, for Cyrillic text of an 8-bit charset is practically never valid UTF-8; the rest is read in the charset that
was declared, where it is one of those below, else in windows-1251.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format

__all__ = ["NAMES", "Lines", "excerpt", "recognise", "to_text"]

NAMES: Final = {
    Format.PLAIN: "plain text",
    Format.CSV: "comma-separated text",
    Format.XML: "XML",
    Format.JSON: "JSON",
}

_HTML: Final = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MEMBER: Final = re.compile(r"[^\W\d]\w*\s*=")
# A zone's number and a comma, or, in an answer that is cut short, a number alone.
_NUMBERED: Final = re.compile(r"\w{1,20}\s*,|[0-9.]{1,20}$")
_COMMAS_OF_A_ZONE: Final = 6
# With what plain text begins, for an answer that is cut short within it.
_FIRST_WORDS: Final = ("zone", "ERROR")

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

# Enough to recognise the place by, and too little to fill a log.
_LONGEST_EXCERPT = 60


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


def recognise(text: str) -> Format | None:
    """Return the format that the text begins like, or ``None`` for an HTML page, a banner, a sentence or nothing."""
    head = text.lstrip()
    if head.startswith(("{", "[")):
        return Format.JSON
    if head.startswith("<"):
        return None if _HTML.match(head) else Format.XML
    first = head.partition("\n")[0].rstrip()
    if _MEMBER.match(first) or (first and any(word.startswith(first) for word in _FIRST_WORDS)):
        return Format.PLAIN
    if _NUMBERED.match(first) or first.count(",") >= _COMMAS_OF_A_ZONE:
        return Format.CSV
    return None


class Lines:
    """The lines of a text that are not blank.

    Attributes:
        rows: The lines, without their line feeds.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.rows: list[str] = list(filter(str.strip, text.split("\n")))

    @property
    def is_last_ended(self) -> bool:
        """Whether a line feed follows the last line, so that nothing of it can have been cut off."""
        return self._text.rstrip(" \t").endswith("\n")

    def number(self, index: int) -> int:
        """Return the number, from 1, that an editor shows for the line."""
        return [number for number, line in enumerate(self._text.split("\n"), 1) if line.strip()][index]

    def place(self, index: int, member: str = "") -> str:
        """Return the name of the line, or of a member in it."""
        return f"line {self.number(index)}, {member}" if member else f"line {self.number(index)}"


def excerpt(text: str) -> str:
    """Return the beginning of the text, quoted and escaped, in at most 60 characters."""
    shown = ascii(text[:_LONGEST_EXCERPT])
    return shown if len(shown) <= _LONGEST_EXCERPT else shown[: _LONGEST_EXCERPT - 3] + "..."
