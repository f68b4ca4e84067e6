"""The grammar of a price.

A price is ASCII digits, and optionally one decimal mark with digits on both sides. ``Decimal`` itself is far more
lenient: it takes ``NaN``, ``1e999999``, ``1_0`` and Arabic digits. The mark is a point; a comma is taken too where it
cannot be mistaken for a separator. At most twelve digits stand before the mark and twelve after it: no tariff needs
more, and sums of such numbers stay exact within the 28 digits of Python's default decimal context.

An absent price, an empty one and ``-`` are all "no price": nobody outside knows how the service writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from operator import itemgetter
from typing import Final, cast

import attrs

__all__ = ["Notation", "decimals"]

_PRICE: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_PRICES: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?\n)*+")
_NO_PRICES: Final = frozenset({None, "", "-"})
_MOST_AT_ONCE: Final = 512
_MOST_KEPT: Final = 16384


def _nothing_known() -> dict[str | None, Decimal | None]:
    return {"": None, "-": None}


# The accounts of a fleet have lists of their own, in which the same few thousand prices stand: all under 100 with two
# digits after the mark are 10,000. So those of short lists are remembered, 4 MiB of them at most. It saves a third of the
# time for another list of 50 zones, and seven tenths of its memory. Only what every notation takes for a price is here,
# and texts alone, without None: that makes looking up quicker.
_spellings: dict[str | None, Decimal | None] = _nothing_known()


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


def decimals(columns: Sequence[Sequence[str | None]], notation: Notation) -> list[list[Decimal | None]]:
    """Return what each text of each column stands for.

    All the texts are checked in one go, and one by one only where that fails.

    Raises:
        KeyError: A text is not a price; it is the key, and the first one of its kind.
    """
    with suppress(KeyError):
        return [_looked_up(_spellings, column) for column in columns]
    texts = set[str | None]().union(*columns)
    # Not None for all lists: a dict of texts alone is quicker.
    known: dict[str | None, Decimal | None] = dict.fromkeys(["", *texts.intersection(_NO_PRICES)])
    texts -= _NO_PRICES
    new = cast("set[str]", texts)
    if not _are_prices(new):
        known.update(_one_by_one(new, notation))
    elif len(new) <= _MOST_AT_ONCE:
        known.update(_remembered(new))
    elif 2 * len(new) < sum(map(len, columns)):
        # Prices repeat, so each text is read once, which saves an eighth of the time of a usual list.
        known.update(zip(new, map(Decimal, new), strict=True))
    else:
        known = _Straight(known)
    return [_looked_up(known, column) for column in columns]


def _remembered(texts: set[str]) -> dict[str, Decimal | None]:
    """Return the prices of texts that have been checked: of those that are remembered the same objects as before."""
    global _spellings  # noqa: PLW0603  # replaced and never emptied: another thread may be reading it
    known = _spellings
    new = texts.difference(known)
    if len(known) + len(new) > _MOST_KEPT:
        known, new = _nothing_known(), texts
    # Texts of their own: a number of a JSON document is a `str` of another kind, which would make each look slower.
    known.update(zip(map(str, new), map(Decimal, new), strict=True))
    _spellings = known
    return dict(zip(texts, map(known.__getitem__, texts), strict=True))


def _looked_up(known: Mapping[str | None, Decimal | None], column: Sequence[str | None]) -> list[Decimal | None]:
    # The quickest of all ways to look up many keys. It wants two at least to return a tuple.
    read: tuple[Decimal | None, ...] = itemgetter("", "", *column)(known)
    return list(read[2:])


class _Straight(dict[str | None, Decimal | None]):
    """What has been checked, read as it is asked for; nothing is remembered."""

    __missing__ = staticmethod(Decimal)


def _are_prices(texts: set[str]) -> bool:
    run = "\n".join(texts) + "\n"
    # The count, because a text with a line feed of its own would pass for two prices.
    return _PRICES.fullmatch(run) is not None and run.count("\n") == len(texts)


def _one_by_one(texts: Iterable[str], notation: Notation) -> dict[str | None, Decimal | None]:
    known: dict[str | None, Decimal | None] = {}
    for text in texts:
        try:
            known[text] = notation.price(text)
        except ValueError:
            continue
    return known
