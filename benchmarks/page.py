"""The tables, and the page that contains the last run."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import import_module, metadata
from pathlib import Path

from benchmarks.pairing import Line

HEAD = ("what", "ours", "beside", "theirs", "ratio", "goal")
PACKAGES = (
    "smsc-async", "httpx", "h11", "anyio", "aiohttp", "aiolimiter", "pyrate-limiter", "limits",
    "aiocache", "cashews", "pydantic", "cattrs", "msgspec",
)  # fmt: skip
DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- the last run -->", "<!-- its end -->"


def section(name: str, rounds: int) -> tuple[str, list[Line]]:
    """Return the title of a section, and what it measures."""
    module = import_module(f"benchmarks.{name}")
    return module.TITLE, module.run(rounds)


def row(line: Line) -> tuple[str, ...]:
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return (line.what, line.ours, line.peer, line.theirs, ratio, line.aim)


def table(title: str, lines: Iterable[Line], *, goals: bool) -> str:
    """Return a table that reads well on a screen and as Markdown.

    Args:
        title: Its heading.
        lines: Its lines.
        goals: Whether the last column has the goals.
    """
    columns = len(HEAD) if goals else len(HEAD) - 1
    rows = [each[:columns] for each in (HEAD, *map(row, lines))]
    widths = [max(len(each[column]) for each in rows) for column in range(columns)]

    def cells(each: Sequence[str]) -> str:
        return "| " + " | ".join(text.ljust(width) for text, width in zip(each, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([f"### {title}", "", cells(rows[0]), rule, *map(cells, rows[1:]), ""])


def where_and_when() -> str:
    load = f", load {os.getloadavg()[1]:.0f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {cpu()}, {os.cpu_count()} cores, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}{load}\n\n{versions()}\n"
    )


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def versions() -> str:
    return ", ".join(map(version, PACKAGES))


def version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"


def write(text: str, folder: Path) -> Path:
    """Replace the last run on the page."""
    page = folder / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")
    return page
