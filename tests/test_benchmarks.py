"""The benchmarks run: those that are cheap, quickly, and with what a developer has installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_cheap_sections_print_their_tables() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "decoding", "permits", "quota", "cached", "memory"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    for title in ("Decoding", "Permit", "Quota", "Cached answer", "Memory"):
        assert f"### {title}" in told
    # A peer that is missing has its line all the same.
    assert "aiolimiter" in told


def test_a_section_that_is_not_there_is_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "fleets"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "no section fleets" in ended.stderr
