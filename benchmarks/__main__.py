"""``uv run python -m benchmarks [section …] [--quick] [--write] [--docs folder]``.

The peers are in the dependency group ``bench``. If they are missing and uv has started this process, it starts itself again
with them, in an environment of its own: no test needs forty more packages.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from benchmarks import page

SECTIONS = ("fleet", "decoding", "permits", "quota", "cached", "importing", "memory", "lockout")
PEERS = (
    "aiohttp",
    "aiolimiter",
    "aiocache",
    "cashews",
    "cattrs",
    "limits",
    "matplotlib",
    "msgspec",
    "pydantic",
    "pyrate_limiter",
)
ROUNDS = 5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Times beside those of other packages, as ratios."
    )
    parser.add_argument("section", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small and rough, to see that everything runs")
    parser.add_argument("--write", action="store_true", help="write the results into benchmarks.md, and its picture")
    parser.add_argument("--docs", type=Path, default=page.DOCS, help="the folder of benchmarks.md; docs by default")
    options = parser.parse_args(arguments)
    unknown = set(options.section).difference(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}")
    if not options.quick and not all(map(find_spec, PEERS)):
        with_peers(arguments)
    heading = page.where_and_when()
    print(heading)
    parts = [heading]
    for name in options.section or SECTIONS:
        began = time.perf_counter()
        # A process of its own: garbage collections take longer in one that has the objects of other sections.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            title, lines = process.submit(page.section, name, 1 if options.quick else ROUNDS).result()
        print(page.table(title, lines, goals=True), flush=True)
        print(f"({time.perf_counter() - began:.0f} s)\n", file=sys.stderr)
        parts.append(page.table(title, lines, goals=False))
    if options.write:
        from benchmarks import pictures

        pictures.arrivals_in_windows(options.docs / "arrivals.png")
        print(f"written to {page.write(chr(10).join(parts), options.docs)}")


def with_peers(arguments: list[str]) -> None:
    """Start this process again with the peers; return without them if that is impossible."""
    uv = os.environ.get("UV")  # uv sets it for the processes that it starts
    if uv is None or "SMSC_ASYNC_BENCH" in os.environ:
        print("Some peers are not installed: uv run --group bench python -m benchmarks", file=sys.stderr)
        return
    os.environ["SMSC_ASYNC_BENCH"] = "1"
    os.execv(uv, [uv, "run", "--quiet", "--isolated", "--group", "bench", "python", "-m", "benchmarks", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
