"""Each benchmark runs, in its smallest variant and with the peers that are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import page
from benchmarks.__main__ import SECTIONS
from benchmarks.pairing import Line

ROOT = Path(__file__).parent.parent


def test_every_section_prints_its_table() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    ).stdout
    for title in ("Fleet", "Decoding", "Permit", "Quota", "Cached answer", "Import", "Memory", "Lockout"):
        assert f"### {title}" in output
    assert output.count("### ") == len(SECTIONS)
    # A peer that is not installed has its line all the same.
    assert "aiolimiter" in output
    assert "bare aiohttp" in output


def test_an_unknown_section_is_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "fleets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "no section fleets" in ended.stderr


def test_the_page_has_no_goals() -> None:
    lines = [Line("a permit", "1 µs", "a peer", "2 µs", 0.5, "≤ 1")]
    assert "≤ 1" in page.table("Permit", lines, goals=True)
    assert "≤ 1" not in page.table("Permit", lines, goals=False)
    assert "goal" not in (page.DOCS / "benchmarks.md").read_text("utf-8")
