"""A price over time as a picture; needs the extra ``plot``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from smsc_async.analysis.snapshots import PricePoint
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes

__all__ = ["check_chart", "draw_prices"]

_FORMATS: Final = {".png", ".svg"}


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
