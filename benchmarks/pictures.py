"""The picture of the arrivals, limiter by limiter."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks import quota

mpl.use("Agg")
plt: Any = import_module("matplotlib.pyplot")  # after the choice of the canvas; some of its types are unknown
# From a palette that colour-blind readers can distinguish (Okabe and Ito).
WITHIN, BROKEN = "#0072b2", "#d55e00"
SMALL = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}


def arrivals_in_windows(path: Path) -> None:
    """Draw the number of requests at the server in the window that ends at each moment, limiter by limiter."""
    jitter = "20 % of W"
    runs = {
        name: quota.arrivals(make, quota.JITTERS[jitter], seed=1)
        for name, (module, make) in quota.MAKERS.items()
        if find_spec(module)
    }
    with plt.rc_context(SMALL):
        figure, grid = plt.subplots(
            len(runs),
            1,
            sharex=True,
            sharey=True,
            figsize=(7, 1.4 * len(runs) + 0.6),
            layout="constrained",
            squeeze=False,
        )
        for axes, (name, run) in zip(grid[:, 0], runs.items(), strict=True):
            times, counts = in_windows(run)
            colour = WITHIN if max(counts) <= 3 else BROKEN
            axes.fill_between([at / quota.WINDOW for at in times], counts, step="post", color=colour, linewidth=0)
            axes.axhline(3, color="black", linewidth=0.8)
            axes.set_ylabel(name.replace(", ", ",\n"), rotation=0, ha="right", va="center")
            axes.set_yticks([0, 3, 6])
        grid[-1, 0].set_xlabel("time in windows W")
        figure.suptitle(
            f"Requests within the last W at the server; 3 are allowed. Delay up to {jitter} each way", x=0.02, ha="left"
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def in_windows(arrived: Sequence[float]) -> tuple[list[float], list[int]]:
    changes = sorted([(at, 1) for at in arrived] + [(at + quota.WINDOW, -1) for at in arrived])
    times, counts = [0.0], [0]
    for at, change in changes:
        times.append(at)
        counts.append(counts[-1] + change)
    return times, counts
