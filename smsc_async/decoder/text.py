"""The text of an answer: from bytes to text, its format, its structure, its lines, and excerpts of it for errors.

The service answers in windows-1251 unless the request names UTF-8, and its Content-Type has been seen to say
windows-1251 over UTF-8 (spec/README.md, row 6). So the bytes count before the declaration: valid UTF-8 is read as
UTF-8, because Cyrillic text of an 8-bit charset is practically never valid UTF-8; the rest is read in the charset that
was declared, if it is one of those below, else in windows-1251. A byte without a meaning becomes U+FFFD or ``?``: in a
name it costs nothing, and in a price it is refused later.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from smsc_async.display import escape_for_display
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format

NAMES: Final = {
    Format.PLAIN: "plain text",
    Format.CSV: "comma-separated text",
    Format.XML: "XML",
    Format.JSON: "JSON",
}

# What may stand before the first element of XML, and of HTML.
_PROLOG: Final = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
# The two elements that an answer consists of; a document type, which is refused later; what does not end.
_XML: Final = re.compile(r"<(?:(?:price|result)(?![\w.:-])|(?i:!doctype(?!\s+html))|\?|!--)")
_XML_STARTS: Final = ("<price", "<result", "<!--", "<!DOCTYPE")
_MEMBER: Final = re.compile(r"[^\W\d]\w*\s*=")
# A zone's number and a comma, or, in an answer that is cut short, a number alone.
_NUMBERED: Final = re.compile(r"\w{1,20}\s*,|[0-9.]{1,20}$")
COMMAS_OF_A_ZONE: Final = 6
# With what plain text begins, for an answer that is cut short within it.
_FIRST_WORDS: Final = ("zone", "ERROR")

# Not codecs.lookup(): that name comes from the network, and Python also knows "zlib", "idna" and "unicode_escape".
_CP1251: Final = frozenset({"cp1251", "windows-1251"})
_EIGHT_BIT: Final = frozenset({"cp866", "ibm866", "iso-8859-5", "koi8-r", "koi8-u"}) | _CP1251

# Each mark costs memory when it is parsed. The longest answer has room for 30,000 zones, with ten of a mark each.
_MARKS: Final = "\n,=<{["
_MOST_MARKS: Final = 300_000
# What is not documented may be nested, but not without end: far below Python's limit, far above any sense.
_DEEPEST: Final = 33

# Enough to recognise the place by, and too little to fill a log.
_LONGEST_EXCERPT: Final = 60


def to_text(body: bytes, charset: str | None) -> str:
    """Return the text, without a byte order mark and with bare line feeds, or raise ``DecodeError``."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _from_utf16(body)
    else:
        text = _from_eight_bits(body.removeprefix(codecs.BOM_UTF8), charset).lstrip("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _from_eight_bits(body: bytes, charset: str | None) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"
    declared = (charset or "").strip(" \t\"'").lower().replace("_", "-")
    if cut and declared not in _EIGHT_BIT:
        raise IncompleteReply("the text ends within a character of UTF-8")
    text = body.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    # Names that were cut within a character are still UTF-8; text of an 8-bit charset has hardly a valid sequence.
    if len(text) - len(text.encode("ascii", "ignore")) > 2 * damaged:
        return text
    # The one byte that one of them does not have; the handler of errors would take seconds for a long text of it.
    return body.decode(declared) if declared in _EIGHT_BIT - _CP1251 else body.replace(b"\x98", b"?").decode("cp1251")


def _from_utf16(body: bytes) -> str:
    try:
        return body.decode("utf-16")
    except UnicodeDecodeError as error:
        cut = error.reason in {"truncated data", "unexpected end of data"}
    if cut:
        raise IncompleteReply("the text ends within a character of UTF-16")
    return body.decode("utf-16", "replace")


def recognise(text: str) -> Format | None:
    """Return the format that the text begins like, or ``None`` for an HTML page, a banner or a sentence."""
    head = text.lstrip()
    if head.startswith(("{", "[")):
        return Format.JSON
    if head.startswith("<"):
        return Format.XML if _is_xml(_PROLOG.sub("", head, count=1)) else None
    first = head.partition("\n")[0].rstrip()
    if _MEMBER.match(first) or (first and any(word.startswith(first) for word in _FIRST_WORDS)):
        return Format.PLAIN
    if _NUMBERED.match(first) or first.count(",") >= COMMAS_OF_A_ZONE:
        return Format.CSV
    return None


def _is_xml(head: str) -> bool:
    return _XML.match(head) is not None or any(start.startswith(head) for start in _XML_STARTS)


def refuse_size(text: str) -> None:
    """Refuse a text that would become more lines, members or elements than any tariff list has."""
    if len(text) > _MOST_MARKS and max(map(text.count, _MARKS)) > _MOST_MARKS:
        raise DecodeError("more rows or members than in any tariff list", excerpt=excerpt(text))


def refuse_depth(brackets: bytes) -> None:
    """Refuse what is nested too deep, by the opening and closing brackets of a text as ``[`` and ``]``."""
    for _ in range(_DEEPEST):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    # A pair is left of a nest that is closed, and opening brackets of one that is not.
    if b"[]" in brackets or brackets.count(b"[") > _DEEPEST:
        raise DecodeError("nested deeper than any tariff list")


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

    def place(self, index: int, member: str = "") -> str:
        """Return the name of the line, with the number that an editor shows for it, or of a member in it."""
        number = [number for number, line in enumerate(self._text.split("\n"), 1) if line.strip()][index]
        return f"line {number}, {member}" if member else f"line {number}"

    def fault(
        self, message: str, index: int, member: str = "", *, kind: type[DecodeError] = DecodeError
    ) -> DecodeError:
        """Return the error for a line, or for a member in it."""
        return kind(message, position=self.place(index, member), excerpt=excerpt(self.rows[index]))


def excerpt(text: str) -> str:
    """Return the beginning of the text, quoted and escaped, in at most 60 characters."""
    shown = f"'{escape_for_display(text[:_LONGEST_EXCERPT])}'"
    return shown if len(shown) <= _LONGEST_EXCERPT else shown[: _LONGEST_EXCERPT - 3] + "..."
