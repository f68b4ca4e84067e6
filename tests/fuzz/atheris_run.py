"""Coverage-guided fuzzing of one target: ``uv run --group fuzz python -m tests.fuzz.atheris_run TARGET SECONDS``."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    # By name: it is in a group of its own, since not every platform has it.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["smsc_async"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    name, seconds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as corpus:
        for n, seed in enumerate(SEEDS):
            (Path(corpus) / f"seed-{n}").write_bytes(seed)
        bounds = ["-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"]
        atheris.Setup(
            [sys.argv[0], f"-max_total_time={seconds}", *bounds, "-print_final_stats=1", corpus], TARGETS[name]
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
