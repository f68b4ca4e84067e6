"""The grammar of a price.

A price is ASCII digits, and optionally one decimal mark with digits on both sides. ``Decimal`` itself is far more
lenient: it takes ``NaN``, ``1e999999``, ``1_0`` and Arabic digits. The mark is a point; a comma is taken too where it cannot be mistaken
for a separator. At most twelve digits stand before the mark and twelve after it: no tariff needs more, and sums of such numbers stay
exact within the 28 digits of Python's default decimal context.

An absent price, an empty one and ``-`` are all "no price": nobody outside knows how the service writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, cast

import attrs

__all__ = ["Notation", "decimals"]

_PRICE: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_PRICES: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?\n)*+")
_NO_PRICES: Final[dict[str | None, Decimal | None]] = {None: None, "": None, "-": None}


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
        if text in _NO_PRICES:
            return None
        if self.comma:
            text = text.replace(",", ".")
        if not _PRICE.fullmatch(text):
            raise ValueError(text)
        return Decimal(text)


def decimals(column: Sequence[str | None], notation: Notation) -> list[Decimal | None]:
    """Return what each text of a column stands for.

    Prices repeat from zone to zone, so each distinct text is read once; and all of them are checked in one go, one by one only
    where that fails.

    Raises:
        KeyError: A text is not a price; it is the key.
    """
    distinct = set(column)
    written = [text for text in distinct if text is not None and text not in _NO_PRICES]
    if not _are_prices(written):
        return list(map(_one_by_one(written, notation).__getitem__, column))
    if len(written) == len(column):
        return list(map(Decimal, cast("Sequence[str]", column)))
    known: dict[str | None, Decimal | None] = dict(zip(written, map(Decimal, written), strict=True))
    known.update(_NO_PRICES)
    return list(map(known.__getitem__, column))


def _are_prices(texts: list[str]) -> bool:
    run = "\n".join(texts) + "\n"
    # The count, because a text with a line feed of its own would pass for two prices.
    return _PRICES.fullmatch(run) is not None and run.count("\n") == len(texts)


def _one_by_one(texts: Iterable[str], notation: Notation) -> dict[str | None, Decimal | None]:
    known = dict(_NO_PRICES)
    for text in texts:
        try:
            known[text] = notation.price(text)
        except ValueError:
            continue
    return known
