"""The table, and the page that holds the last one."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.pairing import Line

HEAD = ("what", "ours", "beside", "theirs", "ratio", "to show")
PACKAGES = (
    "smsc-async", "httpx", "h11", "anyio", "aiohttp", "httpx-aiohttp", "aiolimiter", "pyrate-limiter", "limits",
    "aiocache", "cashews", "pydantic", "cattrs", "msgspec",
)  # fmt: skip
DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- the last run -->", "<!-- its end -->"


def row(line: Line) -> tuple[str, ...]:
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return (line.what, line.ours, line.peer, line.theirs, ratio, line.aim)


def table(title: str, lines: Iterable[Line]) -> str:
    """A table that reads well on a screen and as Markdown."""
    rows = [HEAD, *map(row, lines)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(HEAD))]

    def cells(each: Sequence[str]) -> str:
        return "| " + " | ".join(text.ljust(width) for text, width in zip(each, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([f"### {title}", "", cells(HEAD), rule, *map(cells, rows[1:]), ""])


def where_and_when() -> str:
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {cpu()}, {os.cpu_count()} cores, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}\n\n{versions()}\n"
    )


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def versions() -> str:
    told: list[str] = []
    for package in PACKAGES:
        try:
            told.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            told.append(f"{package} not installed")
    return ", ".join(told)


def write(text: str) -> Path:
    """Put the last run in its place on the page."""
    page = DOCS / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")
    return page
