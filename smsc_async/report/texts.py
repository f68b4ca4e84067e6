"""Text that comes from elsewhere, made fit for a page: names are the service's, and may be anything. Pure.

Invariant: whatever a name holds, it is shown as text, turns no other text round, ends no element, and the page can be
written as UTF-8.
"""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from smsc_async.display import escape_for_display

MISSING: Final = "–"  # noqa: RUF001  # the dash of a missing price, as in the commands
"""What stands for a price that the account does not have."""

# In a script element `<` could end it; the last two end lines in older readers of JavaScript.
_IN_SCRIPT: Final = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


def escaped(text: str) -> str:
    """Return a text as it stands between tags, or in an attribute within quotes."""
    return html.escape(escape_for_display(text))


def embedded(document: object) -> str:
    """Return a document as JSON that can stand in a script element; its texts have to be escaped for display."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def money(price: Decimal | None, missing: str = MISSING) -> str:
    """Return a price with the digits it has."""
    return missing if price is None else f"{price:f}"


def time_element(instant: datetime) -> str:
    """Return an instant in UTC; the script puts it into the reader's time zone, and leaves UTC in the title."""
    utc = instant.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M} UTC"
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}" title="{text}">{text}</time>'
