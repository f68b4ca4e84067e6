"""The grammar of a price.

A price is ASCII digits, and optionally one decimal mark with digits on both sides. ``Decimal`` itself is far more
lenient: it takes ``NaN``, ``1e999999``, ``1_0`` and Arabic digits. The mark is a point; a comma is taken too where it cannot be mistaken
for a separator. At most twelve digits stand before the mark and twelve after it: no tariff needs more, and sums of such numbers stay
exact within the 28 digits of Python's default decimal context.

An absent price, an empty one and ``-`` are all "no price": nobody outside knows how the service writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import attrs

__all__ = ["Notation", "decimals"]

_PRICE: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_PRICES: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?\n)*+")
_NO_PRICE: Final = frozenset({None, "", "-"})


@attrs.frozen(kw_only=True)
class Notation:
    """How a format writes prices.

    Attributes:
        comma: Whether the decimal mark may be a comma.
        spaces: Whether spaces around a price are layout; where not, they are a fault of the value.
    """

    comma: bool
    spaces: bool

    def price(self, text: str) -> Decimal | None:
        """Return the price with the digits of the text, or ``None`` for no price.

        Raises:
            ValueError: The text is neither.
        """
        if self.spaces:
            text = text.strip(" \t")
        if text in _NO_PRICE:
            return None
        if self.comma:
            text = text.replace(",", ".")
        if not _PRICE.fullmatch(text):
            raise ValueError(text)
        return Decimal(text)


def decimals(texts: Iterable[str | None], notation: Notation) -> dict[str | None, Decimal | None]:
    """Return what each text stands for; a text that is not a price is left out.

    Prices repeat from zone to zone, so the caller gives each distinct text once. All of them are checked in one go, and one by one
    only where that fails.
    """
    known: dict[str | None, Decimal | None] = dict.fromkeys(_NO_PRICE)
    written = [text for text in texts if text is not None and text not in _NO_PRICE]
    run = "\n".join(written) + "\n"
    # The count, because a text with a line feed of its own would pass for two prices.
    if _PRICES.fullmatch(run) and run.count("\n") == len(written):
        known.update(zip(written, map(Decimal, written), strict=True))
        return known
    for text in written:
        try:
            known[text] = notation.price(text)
        except ValueError:
            continue
    return known
