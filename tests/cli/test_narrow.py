"""Terminals that are too narrow, names that are too long: no price is cut, nothing is left out."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from rich.cells import cell_len

from smsc_async.records import OperatorTariff, Tariffs, Zone
from smsc_async.simulator import SimulatedAccount, Simulator, sample_tariffs
from tests.cli.running import Ran, invoke

PRICE = Decimal("123456789.12345678")
LONG = "Россия, имя отправителя " * 10
ODD = Tariffs(
    (Zone("1", LONG, PRICE, PRICE, PRICE, PRICE, PRICE), Zone("2", "x" * 150, Decimal(1)), Zone("3", "中文名字" * 9)),
    tuple(OperatorTariff(str(code), PRICE) for code in range(25001, 25007)),
)


def joined(ran: Ran) -> str:
    """The output without what folds a name over lines."""
    return "".join(ran.stdout.split())


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize("columns", ["1", "20", "40", "80", "500"])
@pytest.mark.parametrize("chosen", [(), ("--columns", "name,api,zone")])
def test_no_price_and_no_name_is_cut(columns: str, chosen: tuple[str, ...], simulator: Simulator) -> None:
    simulator.put(SimulatedAccount("alex", "123", tariffs=ODD))
    ran = invoke("tariffs", *chosen, env={"COLUMNS": columns})
    assert "…" not in ran.stdout
    assert ran.stdout.count(f"{PRICE}") == (11 if not chosen else 1)
    assert joined(ran).count("x") >= 150
    assert joined(ran).count("名") == 9


@pytest.mark.usefixtures("alex")
def test_one_price_is_told_with_the_whole_name(simulator: Simulator) -> None:
    simulator.put(SimulatedAccount("alex", "123", tariffs=ODD))
    ran = invoke("price", "--zone", "2", "--count", "1000000")
    assert joined(ran).count("x") == 150
    assert "total    1000000\n" in ran.stdout


@pytest.mark.parametrize("columns", ["20", "80"])
def test_all_accounts_are_compared_however_many(
    columns: str, base_url: str, plain_environment: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P", "123")
    names = [f"a-rather-long-name-of-an-account-{place}" for place in range(12)]
    accounts = (
        f'[accounts.{name}]\nlogin = "{name}"\npassword_from = "env:P"\nbase_url = "{base_url}"\n' for name in names
    )
    plain_environment.write_text("".join(accounts), "utf-8")
    for name in names:
        simulator.put(SimulatedAccount(name, "123"))
    ran = invoke("compare", *names, "--mix", "1=100000", env={"COLUMNS": columns})
    assert ran.stdout.splitlines()[-1].split() == ["sum", "of", "the", "mix", *["385000.00"] * 12]
    assert ran.stdout.count(" 32.00") == 12


@pytest.mark.usefixtures("alex")
def test_a_terminal_that_suffices_is_not_left() -> None:
    widest = max(map(cell_len, invoke("tariffs", env={"COLUMNS": "20"}).stdout.splitlines()))
    assert 40 < widest < 80
    for columns in (widest, widest + 1, 80):
        lines = invoke("tariffs", env={"COLUMNS": str(columns)}).stdout.splitlines()
        assert max(map(cell_len, lines)) <= columns
        assert len([line for line in lines if line.endswith("250.00")]) == 1
    assert sample_tariffs().zone("65").call == 250
