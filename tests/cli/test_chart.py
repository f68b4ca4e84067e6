"""Pictures: the settings of another tool have no effect, and no input is overwritten."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from smsc_async.analysis.snapshots import Snapshot
from smsc_async.history import History
from smsc_async.simulator import sample_tariffs
from tests.cli.running import environment, invoke

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite3"

    async def fill() -> None:
        for day in range(3):
            await History(path).add(Snapshot("alex", AT + timedelta(days=day), sample_tariffs(1 + Decimal(day) / 10)))

    anyio.run(fill)
    return path


def draw(folder: Path, history: Path, **variables: str) -> bytes:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "smsc_async", "history", "alex", "--zone", "1", "--chart", "c.svg", "--history", str(history)],
        env=environment(**variables), cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "c.svg: prices: 3\n")
    return (folder / "c.svg").read_bytes()


def test_the_settings_of_matplotlib_have_no_effect(tmp_path: Path, history: Path) -> None:
    folders = [tmp_path / name for name in ("plain", "notebook", "settings", "broken")]
    for folder in folders:
        folder.mkdir()
    settings = "text.usetex: True\naxes.facecolor: red\nbackend: TkAgg\nsavefig.format: pdf\n"
    (folders[2] / "matplotlibrc").write_text(settings, "utf-8")
    (folders[3] / "matplotlibrc").write_bytes(b"\xff")
    (tmp_path / "config" / "matplotlib").mkdir(parents=True)
    (tmp_path / "config" / "matplotlib" / "matplotlibrc").write_text(settings, "utf-8")
    sizes = {
        len(draw(folders[0], history)),
        len(draw(folders[1], history, MPLBACKEND="module://matplotlib_inline.backend_inline")),
        len(draw(folders[2], history)),
        len(draw(folders[3], history, MATPLOTLIBRC=str(folders[2]), XDG_CONFIG_HOME=str(tmp_path / "config"))),
        len(draw(folders[0], history, MATPLOTLIBRC=str(folders[2] / "matplotlibrc"), HOME="/proc")),
    }
    assert len(sizes) == 1, "the pictures differ"


def test_a_chart_replaces_neither_the_history_nor_what_is_no_picture(tmp_path: Path, history: Path) -> None:
    link = tmp_path / "picture.png"
    link.symlink_to(history)
    before = history.read_bytes()
    ran = invoke("history", "alex", "--zone", "1", "--chart", str(link), "--history", str(history))
    assert (ran.code, "is what this command reads" in ran.stderr) == (14, True)
    assert history.read_bytes() == before
    assert invoke("history", "alex", "--zone", "1", "--chart", str(history), "--history", str(history)).code == 2


def test_a_chart_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path, history: Path) -> None:
    chart = tmp_path / "c.png"
    arguments = ("history", "alex", "--zone", "1", "--chart", str(chart), "--history", str(history))
    assert invoke(*arguments).code == 0
    assert chart.stat().st_mode & 0o777 == 0o600
    chart.chmod(0o644)
    assert invoke(*arguments, "--until", "2026-11-01").code == 0  # one point
    assert (chart.stat().st_mode & 0o777, chart.read_bytes()[:4]) == (0o644, b"\x89PNG")
