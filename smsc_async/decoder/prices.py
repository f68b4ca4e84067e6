"""The grammar of a price.

A price is ASCII digits, and optionally one decimal mark with digits on both sides. ``Decimal`` itself is far more
lenient: it takes ``NaN``, ``1e999999``, ``1_0`` and Arabic digits. The mark is a point or a comma; a format that separates
fields with commas has none in a price. At most twelve digits stand before the mark and twelve after it: no tariff needs
more, and sums of such numbers stay exact within the 28 digits of Python's default decimal context.

An absent price, an empty one and ``-`` are all "no price": it is unknown how the service writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Final

_PRICE: Final = re.compile(r"[0-9]{1,12}+(?:\.[0-9]{1,12}+)?+")
_PRICES: Final = re.compile(rf"(?:(?:{_PRICE.pattern}|-)\n)*+")


def parse_prices(columns: Sequence[Sequence[str | None]]) -> list[list[Decimal | None]]:
    """Return the price of each text of each column, with the digits of the text.

    Raises:
        KeyError: A text is not a price. The key is the first such text.
    """
    # Most lists have no decimal comma, and a look at each text takes half as long again.
    if not _are_prices(chain.from_iterable(columns)):
        columns = [[_with_point(text) for text in column] for column in columns]
    return [[Decimal(text) if text and text != "-" else None for text in column] for column in columns]


def _with_point(text: str | None) -> str | None:
    """Return the text of a price with a point as its decimal mark."""
    price = text.replace(",", ".") if text else text
    if not _are_prices([price]):
        raise KeyError(text)
    return price


def _are_prices(texts: Iterable[str | None]) -> bool:
    # One match for all: a match for each of 10,000 prices takes 2.5 times as long (CPython 3.11).
    prices = [*filter(None, texts), ""]
    run = "\n".join(prices)
    # Without the count, a text with a line feed in it would pass for two prices.
    return _PRICES.fullmatch(run) is not None and run.count("\n") == len(prices) - 1
