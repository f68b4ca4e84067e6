"""The two things that are better seen than read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the choice of what it draws on

from benchmarks import fleet, quota, server

# From a palette that those who see fewer colours can tell apart (Okabe and Ito).
COLOURS = {
    fleet.OURS: "#0072b2",
    fleet.EXTRA: "#56b4e9",
    fleet.BARE_HTTPX: "#d55e00",
    fleet.BARE_AIOHTTP: "#009e73",
}
COUNTS = (10, 30, 100, 300, 1_000, 3_000, 10_000)
# One pool of httpx with so many callers waiting takes a time that grows with their square.
MOST_FOR_BARE_HTTPX = 300
SMALL = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}


def fleet_times(path: Path) -> None:
    """Seconds over the number of accounts."""
    with server.running() as base_url, plt.rc_context(SMALL):
        fleet.seconds(fleet.ours, base_url, COUNTS[-1])
        figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
        for name, fetch in fleet.contenders().items():
            counts = [count for count in COUNTS if name != fleet.BARE_HTTPX or count <= MOST_FOR_BARE_HTTPX]
            best = [
                min(fleet.seconds(fetch, base_url, count) for _ in range(2 if count <= 300 else 1)) for count in counts
            ]
            axes.plot(counts, best, "o-", color=COLOURS[name], markersize=4)
            # The one that ends early stands above the others: its name goes over its end, theirs behind.
            above = counts[-1] != COUNTS[-1]
            axes.annotate(
                name,
                (counts[-1], best[-1]),
                (0, 8) if above else (6, 0),
                textcoords="offset points",
                ha="center" if above else "left",
                va="bottom" if above else "center",
                color=COLOURS[name],
            )
        axes.set(xscale="log", yscale="log", xlabel="accounts", ylabel="seconds")
        axes.set_xlim(COUNTS[0], COUNTS[-1] * 12)
        axes.set_xticks(COUNTS, [f"{count:,}" for count in COUNTS])
        axes.minorticks_off()
        axes.set_title("A fleet: 50 in flight, 50 zones each, loopback", loc="left")
        figure.savefig(path, dpi=150)
        plt.close(figure)


def arrivals_in_windows(path: Path) -> None:
    """How many requests the server saw in the window that ends at each moment, limiter by limiter."""
    jitter = "20 % of W"
    runs = {
        name: quota.arrivals(make, quota.JITTERS[jitter], seed=1)
        for name, (module, make) in quota.MAKERS.items()
        if fleet.find_spec(module)
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
            colour = COLOURS[fleet.OURS] if max(counts) <= 3 else COLOURS[fleet.BARE_HTTPX]
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
