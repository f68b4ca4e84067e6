"""``uv run python -m benchmarks [section …] [--quick] [--write]``.

The peers are in the dependency group ``bench``. Where they are missing and uv has started this, it is started again
with them, in an environment of its own: no test needs forty more packages, and no checkout keeps them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec

from benchmarks import page

SECTIONS = ("fleet", "decoding", "permits", "quota", "cached", "importing", "memory", "lockout")
PEERS = ("aiolimiter", "aiocache", "cashews", "limits", "matplotlib", "msgspec", "pydantic", "pyrate_limiter")
ROUNDS = 5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios beside what one would use instead."
    )
    parser.add_argument("section", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small and rough: to see that it runs")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its pictures")
    options = parser.parse_args(arguments)
    unknown = set(options.section).difference(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}")
    if not options.quick and not all(map(find_spec, PEERS)):
        with_peers(arguments)
    told = page.where_and_when()
    print(told)
    for name in options.section or SECTIONS:
        section = import_module(f"benchmarks.{name}")
        began = time.perf_counter()
        part = page.table(section.TITLE, section.run(1 if options.quick else ROUNDS))
        print(part, flush=True)
        print(f"({time.perf_counter() - began:.0f} s)\n", file=sys.stderr)
        told += "\n" + part
    if options.write:
        from benchmarks import pictures

        pictures.fleet_times(page.DOCS / "fleet.png")
        pictures.arrivals_in_windows(page.DOCS / "arrivals.png")
        print(f"written to {page.write(told)}")


def with_peers(arguments: list[str]) -> None:
    """Start again with the peers; goes on without them where that cannot be."""
    uv = os.environ.get("UV")  # set by uv for what it runs
    if uv is None or "SMSC_ASYNC_BENCH" in os.environ:
        print("Some peers are not installed: uv run --group bench python -m benchmarks", file=sys.stderr)
        return
    os.environ["SMSC_ASYNC_BENCH"] = "1"
    os.execv(uv, [uv, "run", "--quiet", "--isolated", "--group", "bench", "python", "-m", "benchmarks", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
