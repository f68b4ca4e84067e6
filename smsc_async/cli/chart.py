"""A price over time: as a line of a terminal, and as a picture (needs the extra ``plot``)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from smsc_async.analysis.snapshots import PricePoint
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.console import notes
from smsc_async.cli.files import check_output, replace_file
from smsc_async.display import escape_for_display

_FORMATS: Final = {".png", ".svg"}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
# What a terminal without them has, by the ink.
_ASCII: Final = "_.-~=*%#"


def check_chart(path: Path, history: Path) -> None:
    """Check that a chart can be drawn to a path, before anything else is done.

    Raises:
        CliError: It is neither a PNG nor an SVG, it is the history, or the extra is not there.
    """
    if path.suffix.lower() not in _FORMATS:
        raise CliError(f"--chart {path}: the name must end in .png or .svg")
    check_output(path, [history])
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        # A notebook exports its backend to every child. No backend is needed here.
        os.environ.pop("MPLBACKEND", None)
        # It reads the settings of its working folder: in this one they are its own, and not the user's.
        with contextlib.suppress(ModuleNotFoundError), contextlib.chdir(Path(spec.origin).parent / "mpl-data"):
            logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns if there is no home folder
            import_module("matplotlib")  # an extra, and half a second
            return
    raise CliError('a chart needs matplotlib: pip install "smsc-async[plot]"')


def draw_prices(points: Sequence[PricePoint], path: Path, *, title: str) -> None:
    """Draw a price over time: a line that steps where another price was first seen, and ends where there was none.

    Notes where the picture is.

    Raises:
        OSError: The file cannot be written.
    """
    # No pyplot, which would look for a display. It is partly untyped, hence Any.
    dates: Any = import_module("matplotlib.dates")
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    instants = [instant for point in points for instant in (point.since, point.until)]
    prices = [float("nan") if point.price is None else float(point.price) for point in points for _ in range(2)]
    axes.plot(instants, prices, drawstyle="steps-post", marker=".")
    if instants[0] == instants[-1]:
        axes.set_xlim(instants[0] - timedelta(hours=12), instants[0] + timedelta(hours=12))
    axes.set_title(escape_for_display(title), parse_math=False)  # a name may hold two dollars, which would be a formula
    axes.set_ylabel("price")
    axes.set_xlabel("UTC")
    axes.grid(visible=True, alpha=0.3)
    ticks = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(ticks))
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is a box in the picture: no reason for lines about the font.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(picture, dpi=120, format=path.suffix[1:].lower())
    replace_file(path, picture.getvalue())
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
