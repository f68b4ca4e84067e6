"""The two programs for the command line, run as their pages say."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from examples import cron_compare
from smsc_async import OperatorTariff, Tariffs, Zone
from smsc_async.simulator import sample_tariffs
from smsc_async.testing import SmscServer

ROOT = Path(__file__).parent.parent.parent


def run(server: SmscServer, folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    passwords = {"SMSC_PASSWORD_ALEX": "123", "SMSC_PASSWORD_BORIS": "456"}
    env = {**os.environ, **server.env, **passwords, "SMSC_STORE": str(folder / "tariffs.db")}
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_accounts_are_compared_into_a_csv(smsc_server: SmscServer, tmp_path: Path) -> None:
    smsc_server.add_account("boris", "456", tariffs=sample_tariffs(Decimal("0.9")))
    path = tmp_path / "prices.csv"
    ran = run(smsc_server, tmp_path, "examples.cron_compare", str(path), "alex", "boris")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["zone", "name", "alex", "boris", "cheapest", "mccmnc"]
    assert ["32", "Latvia", "4.10", "3.69", "boris", ""] in table
    assert ["", "", "3.42", "3.08", "boris", "25001"] in table
    assert len(table) == 1 + len(sample_tariffs().zones) + len(sample_tariffs().codes)


def test_an_account_that_cannot_be_had_leaves_the_file_as_it_was(smsc_server: SmscServer, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("yesterday's")
    ran = run(smsc_server, tmp_path, "examples.cron_compare", str(path), "alex", "boris")
    assert ran.returncode == 1
    assert ran.stderr.startswith("boris: the service refused with error 2")
    assert path.read_text() == "yesterday's"


def test_a_name_like_a_formula_and_a_missing_price_are_harmless() -> None:
    lists = {
        "alex": Tariffs(
            (Zone("1", "=HYPERLINK(1)", api=Decimal("2.50")), Zone("2", "Latvia")),
            (OperatorTariff("25001", Decimal("1.85")),),
        ),
        "boris": Tariffs((Zone("1", "=HYPERLINK(1)", api=Decimal("2.5")),)),
    }
    assert cron_compare.rows(lists, ["alex", "boris"])[1:] == [
        ["1", "'=HYPERLINK(1)", "2.50", "2.5", "alex boris", ""],
        ["2", "Latvia", "", "", "", ""],
        ["", "", "1.85", "", "", "25001"],
    ]


def test_requests_of_ones_own_share_the_fourteen(tmp_path: Path) -> None:
    with SmscServer(latency=0.05) as server:
        ran = run(server, tmp_path, "examples.own_requests")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == "balance: 1871.62\nstates: 20\nprice: 3.85\n"
        assert server.simulator.peak("alex") <= 14
        assert len(server.log) == 22
        assert server.violations() == []


@pytest.mark.parametrize(
    "program", sorted(path.relative_to(ROOT) for path in (ROOT / "examples").rglob("*.py")), ids=str
)
def test_every_program_has_a_test_that_names_it(program: Path) -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py"))
    name = ".".join(program.with_suffix("").parts)
    folder, _, last = name.rpartition(".")
    assert name in tests or re.search(rf"from {re.escape(folder)} import (\w+, )*{last}\b", tests)
