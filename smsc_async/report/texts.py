"""Text that comes from elsewhere, made fit for a page: names are the service's, and may be anything. Pure.

Invariant: whatever a name holds, it is shown as text, ends no element, and the page can be written as UTF-8.
"""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

__all__ = ["MISSING", "embedded", "escaped", "money", "shown", "time_element"]

MISSING: Final = "–"  # noqa: RUF001  # the dash of a missing price, as in the commands
"""What stands for a price that the account does not have."""

# What HTML drops or rewrites when it reads, and halves of letters, which UTF-8 cannot hold.
_NOT_SHOWN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

# In a script element `<` could end it; the last two end lines in older readers of JavaScript.
_IN_SCRIPT: Final = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


def shown(text: str) -> str:
    """Return a text with a mark in place of each character that a page cannot hold."""
    return _NOT_SHOWN.sub("\ufffd", text)


def escaped(text: str) -> str:
    """Return a text as it stands between tags, or in an attribute within quotes."""
    return html.escape(shown(text))


def embedded(document: object) -> str:
    """Return a document as JSON that can stand in a script element; its texts have to be ``shown``."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def money(price: Decimal | None, missing: str = MISSING) -> str:
    """Return a price with the digits it has."""
    return missing if price is None else f"{price:f}"


def time_element(instant: datetime) -> str:
    """Return an instant in UTC; the script puts it into the reader's time zone, and leaves UTC in the title."""
    utc = instant.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M} UTC"
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}" title="{text}">{text}</time>'
