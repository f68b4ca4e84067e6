"""A price over time in one line of a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from smsc_async.analysis.snapshots import PricePoint

__all__ = ["sparkline"]

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
# What a terminal without them has, by the ink.
_ASCII: Final = "_.-~=*%#"


def sparkline(points: Sequence[PricePoint], width: int, *, ascii_only: bool) -> str:
    """Return a line in which each letter is the price at an instant, the instants equally far from each other.

    The lowest price is the lowest letter, the highest the highest; where there was none there is a space.

    Args:
        points: The price over time; at least one.
        width: Letters of the line.
        ascii_only: Whether letters beyond ASCII cannot be shown.
    """
    levels = _ASCII if ascii_only else _BLOCKS
    prices = [point.price for point in points if point.price is not None]
    begun, lasted = points[0].since, points[-1].until - points[0].since
    instants = (begun + lasted * step / max(1, width - 1) for step in range(width))
    sampled = (next(point.price for point in reversed(points) if point.since <= instant) for instant in instants)
    return "".join(_letter(price, min(prices), max(prices), levels) if prices else " " for price in sampled)


def _letter(price: Decimal | None, lowest: Decimal, highest: Decimal, levels: str) -> str:
    if price is None:
        return " "
    if lowest == highest:
        return levels[len(levels) // 2]
    return levels[int((price - lowest) / (highest - lowest) * (len(levels) - 1))]
