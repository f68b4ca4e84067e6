"""A price over time: as a line of a terminal, and as a picture (needs the extra ``plot``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from smsc_async.analysis.snapshots import PricePoint
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes

__all__ = ["check_chart", "draw_prices", "sparkline"]

_FORMATS: Final = {".png", ".svg"}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
# What a terminal without them has, by the ink.
_ASCII: Final = "_.-~=*%#"


def check_chart(path: Path) -> None:
    """Find out whether a chart can be drawn there, before anything else is done.

    Raises:
        CliError: It is neither a PNG nor an SVG, or the extra is not there.
    """
    if path.suffix.lower() not in _FORMATS:
        raise CliError(f"--chart {path}: the name must end in .png or .svg", ExitCode.USAGE)
    try:
        import_module("matplotlib")  # an extra, and half a second
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        return
    raise CliError(f'a chart needs {missing}: pip install "smsc-async[plot]"', ExitCode.USAGE)


def draw_prices(points: Sequence[PricePoint], path: Path, *, title: str) -> None:
    """Draw a price over time: a line that steps where another price was first seen, and ends where there was none.

    Tells where the picture is.

    Raises:
        OSError: The file cannot be written.
    """
    # No pyplot, which would look for a display. Its types are half told, hence Any.
    dates: Any = import_module("matplotlib.dates")
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    instants = [instant for point in points for instant in (point.since, point.until)]
    prices = [float("nan") if point.price is None else float(point.price) for point in points for _ in range(2)]
    axes.plot(instants, prices, drawstyle="steps-post", marker=".")
    axes.set_title(title, parse_math=False)  # a name may hold two dollars, which would be a formula
    axes.set_ylabel("price")
    axes.set_xlabel("UTC")
    axes.grid(visible=True, alpha=0.3)
    ticks = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(ticks))
    with warnings.catch_warnings():
        # A letter that the font lacks is a box in the picture: no reason for lines about the font.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(path, dpi=120)
    notes().print(f"{path}: prices: {len(points)}", soft_wrap=True)


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
