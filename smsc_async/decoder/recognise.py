"""Which of the four formats an answer has, by its first line."""

from __future__ import annotations

import re
from typing import Final

from smsc_async.records import Format

__all__ = ["NAMES", "recognise"]

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
