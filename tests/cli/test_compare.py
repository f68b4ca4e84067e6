from __future__ import annotations

import csv
import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from smsc_async.analysis.compare import Compared
from smsc_async.cli.diff import CHANGE_COLUMNS
from smsc_async.records import Format, OperatorTariff
from smsc_async.simulator import Fault, SimulatedAccount, Simulator, render, sample_tariffs
from tests.cli.running import invoke, piped


@pytest.mark.usefixtures("both")
def test_accounts_stand_side_by_side_and_the_cheapest_is_marked() -> None:
    ran = invoke("compare", "mine", "theirs", "--mix", "1=1000", "--mix", "32=10")
    assert ran.code == 0, ran
    lines = ran.stdout.splitlines()
    assert lines[1].split() == ["zone", "name", "mine", "theirs"]
    assert lines[3].split()[-2:] == ["3.85", "3.47*"]
    assert lines[-1].split()[-2:] == ["3891.00", "3506.90*"]
    assert ["25001", "MTS", "·", "RU", "3.42", "3.08*"] in map(str.split, lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("both")
def test_a_comparison_is_data_too() -> None:
    told = json.loads(invoke("compare", "mine", "theirs", "--mix", "1=1000", "-o", "json").stdout)
    prices = {"mine": "3.85", "theirs": "3.47"}
    assert told["service"] == "api"
    assert told["zones"][0]["prices"] == prices
    assert told["zones"][0]["cheapest"] == ["theirs"]
    assert told["mix"] == {
        "counts": {"1": 1000},
        "prices": {"mine": "3850.00", "theirs": "3470.00"},
        "cheapest": ["theirs"],
    }
    assert "mix" not in json.loads(invoke("compare", "mine", "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(invoke("compare", "mine", "theirs", "--mix", "1=2", "-o", "csv").stdout)))
    assert rows[0] == {"zone": "1", "name": rows[0]["name"], **prices, "cheapest": "theirs", "mccmnc": ""}
    assert list(rows[0]) == ["zone", "name", "mine", "theirs", "cheapest", "mccmnc"]
    assert rows[-1]["name"] == "sum of the mix"
    some = invoke("compare", "theirs", "mine", "-o", "csv", "--columns", "zone,mine,theirs").stdout
    assert some.splitlines()[:2] == ["zone,mine,theirs", "1,3.85,3.47"]


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("output", ["json", "table"])
def test_the_cheapest_price_of_a_line_is_not_looked_up_for_each_account(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Compared] = []
    real: Any = Compared.cheapest

    def cheapest(line: Compared) -> Decimal | None:
        looks.append(line)
        price: Decimal | None = real.fget(line)
        return price

    monkeypatch.setattr(Compared, "cheapest", property(cheapest))
    assert invoke("compare", "mine", "theirs", "-o", output).code == 0
    assert len(looks) <= 2 * len(sample_tariffs().zones)  # for the document, and for the marks of the table


@pytest.mark.usefixtures("both")
def test_individual_tariffs_of_operators_are_compared_too(simulator: Simulator) -> None:
    costs = {"25001": "3.50", "25002": None}
    codes = tuple(OperatorTariff(code, None if cost is None else Decimal(cost)) for code, cost in costs.items())
    simulator.put(SimulatedAccount("boris", "456", tariffs=attrs.evolve(sample_tariffs(), codes=codes)))
    ran = invoke("compare", "mine", "theirs", "--operator", "2500", "--mix", "1/25001=10", "--mix", "1/25002=1")
    assert [line.split() for line in ran.stdout.splitlines()[3:]] == [
        ["25001", "MTS", "·", "RU", "3.42*", "3.50"],
        ["25002", "Megafon", "·", "RU", "3.75", "–"],  # noqa: RUF001  # the dash of a missing price
        [],
        ["sum", "of", "the", "mix", "37.95*", "38.85"],  # of the zone, where there is no individual tariff
    ]
    assert ran.stderr.endswith("are charged by zone; the service does not name it\n")
    told = json.loads(invoke("compare", "mine", "theirs", "--operator", "2500", "-o", "json").stdout)
    assert list(told) == ["service", "zones", "codes"]
    assert told["zones"] == []
    assert told["codes"] == [
        {"mccmnc": "25001", "prices": {"mine": "3.42", "theirs": "3.50"}, "cheapest": ["mine"]},
        {"mccmnc": "25002", "prices": {"mine": "3.75", "theirs": None}, "cheapest": []},
    ]
    csv_rows = invoke("compare", "mine", "theirs", "--operator", "25001", "--operator", "25002", "-o", "csv").stdout
    assert csv_rows.splitlines() == [
        "zone,name,mine,theirs,cheapest,mccmnc",
        ",,3.42,3.50,mine,25001",
        ",,3.75,,,25002",
    ]
    whole = json.loads(invoke("compare", "mine", "theirs", "--mix", "1=1", "-o", "json").stdout)
    assert list(whole) == ["service", "zones", "mix", "codes"]
    assert len(whole["codes"]) == len(sample_tariffs().codes)
    assert json.loads(invoke("compare", "mine", "--service", "hlr", "-o", "json").stdout)["codes"] == []


@pytest.mark.usefixtures("both")
def test_where_all_prices_are_the_same_or_missing_none_is_marked(simulator: Simulator) -> None:
    simulator.put(SimulatedAccount("boris", "456"))
    ran = invoke("compare", "mine", "theirs", "--service", "mms", "--mix", "32=1")
    assert "*" not in "".join(ran.stdout.splitlines()[1:])
    assert ran.stdout.splitlines()[-1].split()[-2:] == ["–", "–"]  # noqa: RUF001  # the dash of a missing price


@pytest.mark.usefixtures("both")
def test_an_account_that_fails_is_told_and_the_others_are_shown(simulator: Simulator) -> None:
    simulator.fail(Fault.refusal(2), login="boris")
    ran = invoke("compare", "mine", "theirs")
    assert ran.code == 4
    (told,) = [line for line in ran.stderr.splitlines() if line.startswith("theirs: the service refused with error 2")]
    assert told.endswith("the client does not retry by itself")  # in one line, as a log has it
    assert "3.85" in ran.stdout
    simulator.fail(Fault.refusal(1), login="alex")
    ran = invoke("compare", "mine", "theirs", "--fresh")
    assert (ran.code, ran.stdout) == (3, "")


@pytest.mark.usefixtures("both")
def test_a_password_that_is_not_there_is_one_failure_and_the_others_are_shown(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain_environment.write_text(plain_environment.read_text("utf-8").replace("env:A", "file:/missing"), "utf-8")
    for command in (("compare",), ("report", "-o", str(tmp_path / "page.html"))):
        ran = invoke(*command, "mine", "theirs")
        assert ran.code == 14
        assert "\nmine: /missing: No such file or directory\n" in f"\n{ran.stderr}"
    assert "accounts: 1, lists: 1" in ran.stderr
    monkeypatch.delenv("B")
    assert invoke("compare", "theirs").code == 2
    assert invoke("compare", "mine", "theirs").stdout == ""


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mine", "--mix", "1"), 2, "must be ZONE=COUNT"),
        (("mine", "--mix", "1=-5"), 2, "must be ZONE=COUNT"),
        (("mine", "--mix", "4711=1"), 13, "no zone has the number '4711'"),
        (("mine", "--mix", "1/nowhere=1"), 2, "no network is called 'nowhere'"),
        (("mine", "--mix", "1/ =1"), 2, "the name of the operator is empty"),
        (("mine", "--mix", "Israel=1"), 2, "--mix: 2 zones have 'Israel' in their name"),
        (("mine", "--mix", "1/beeline=1"), 2, "operators are called 'beeline'"),
        (("mine", "--mix", "25001=1"), 13, "an operator is named with its zone, such as 1/25001"),
        (("mine", "--operator", "999"), 13, "no individual tariff for an operator '999' in any of the lists"),
        (("mine", "--operator", "25001", "--service", "hlr"), 2, "hlr is priced by zone"),
        (("mine", "nobody"), 2, "no account 'nobody'"),
        ((), 2, "Missing argument"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("compare", *arguments)
    assert ran.code == code
    assert said in ran.stderr


@pytest.mark.usefixtures("both")
def test_a_mix_is_named_as_everywhere() -> None:
    mixes = (("1/25001=10", "12=5"), ("мтс (р/mts ru=10", "Kcell / activ=5"), ("1/250-01=10", "12=3", "12=2"))  # noqa: RUF001  # Cyrillic letters
    sums = {
        invoke("compare", "mine", *(each for mix in mixed for each in ("--mix", mix))).stdout.splitlines()[-1]
        for mixed in mixes
    }
    assert [line.split()[-1] for line in sums] == ["86.20"]
    assert invoke("compare", "mine", "--mix", "1/24701=10").stdout.split()[-1] == "38.50"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "before.json"
    path.write_bytes(render(sample_tariffs(), Format.JSON))
    return path


@pytest.mark.usefixtures("alex")
def test_lists_that_are_the_same_end_with_0_and_others_with_1(
    saved: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = invoke("diff", str(saved), "now")
    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr.endswith("no changes\n")
    now = sample_tariffs()
    latvia = attrs.evolve(now.zone("32"), name="Latvija", api=Decimal("4.51"), hlr=None)
    zones = tuple(latvia if zone.zone == "32" else zone for zone in now.zones if zone.zone != "66")
    simulator.put(SimulatedAccount("alex", "123", tariffs=attrs.evolve(now, zones=zones)))
    ran = invoke(
        "diff", str(saved), "now", "-o", "csv", "--columns", "change,id,name,old_name,price,old,new,difference"
    )
    assert ran.code == 1
    assert ran.stderr.endswith("4 changes\n")
    assert ran.stdout.splitlines() == [
        "change,id,name,old_name,price,old,new,difference",
        "renamed,32,Latvija,Latvia,,,,",
        "dearer,32,Latvija,,api,4.10,4.51,0.41",
        "unpriced,32,Latvija,,hlr,0.40,,",
        "removed,66,Other countries = all the rest,,,,,",
    ]
    # As if a minute had passed: "now" is fetched each time, and the fourth in a minute would wait.
    monkeypatch.setenv("SMSC_STORE", str(tmp_path / "later.sqlite3"))
    table = [line.split() for line in invoke("diff", str(saved), "env").stdout.splitlines()]
    assert table[0] == ["change", "id", "name", "price", "old", "new", "by", "%"]
    assert table[2] == ["renamed", "32", "Latvia", "->", "Latvija"]
    assert table[3] == ["dearer", "32", "Latvija", "api", "4.10", "4.51", "0.41", "10.0"]
    assert table[4] == ["unpriced", "32", "Latvija", "hlr", "0.40"]
    columns = invoke("diff", str(saved), "env", "--columns", "change,id").stdout
    assert columns.splitlines()[-1].split() == ["removed", "66"]
    told = json.loads(invoke("diff", "now", str(saved), "-o", "json").stdout)
    assert tuple(told["changes"][0]) == CHANGE_COLUMNS
    assert told["changes"][0]["change"] == "renamed"
    assert len(told["changes"]) == 4


@pytest.mark.parametrize("reply_format", Format)
def test_a_saved_answer_of_any_format_will_do(reply_format: Format, saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(render(sample_tariffs(), reply_format))
    assert invoke("diff", str(saved), str(other)).code == 0


def test_a_list_can_come_from_standard_input(saved: Path) -> None:
    assert invoke("diff", "-", str(saved), stdin=saved.read_text("utf-8")).code == 0


def test_only_one_list_can_come_from_standard_input() -> None:
    ran = invoke("diff", "-", "-", stdin="{}")
    assert (ran.code, ran.stderr) == (2, "smsc-async: only one side can be standard input\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")
def test_a_list_can_come_from_a_pipe_as_of_another_command(saved: Path, tmp_path: Path) -> None:
    with piped(saved, tmp_path / "pipe") as pipe:
        assert invoke("diff", str(pipe), str(saved)).code == 0


def test_a_folder_is_told_as_one(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    ran = invoke("diff", str(tmp_path / "lists"), str(saved))
    assert (ran.code, ran.stderr) == (14, f"smsc-async: {tmp_path / 'lists'} is a folder: name a file\n")
    ran = invoke("diff", "lists", str(saved))
    assert (ran.code, "no account 'lists'" in ran.stderr) == (2, True)
    assert ran.stderr.endswith("; lists is a folder\n")


@pytest.mark.usefixtures("both")
def test_a_folder_that_is_called_like_an_account_is_in_nobodys_way(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert invoke("diff", str(saved), "mine").code == 0


def test_no_changes_as_csv_are_the_names_of_the_columns(saved: Path) -> None:
    ran = invoke("diff", str(saved), str(saved), "-o", "csv", "--columns", "change,id")
    assert (ran.code, ran.stdout) == (0, "change,id\n")
    ran = invoke("diff", str(saved), str(saved), "--columns", "nothing")
    assert (ran.code, ran.stderr) == (2, f"smsc-async: no column 'nothing'; there are {', '.join(CHANGE_COLUMNS)}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing.json", "missing.json"), 14, "there is no file missing.json"),
        (("nobody", "nobody"), 2, "no account 'nobody'"),
        (("nobody", "nobody"), 2, "accounts add nobody …; nor is there a file nobody"),
        (("now", "now"), 2, "no account is set up: smsc-async accounts add main"),
        (("env@foo", "now"), 2, "nor is there a file env@foo, nor is 'foo' an instant such as 2026-11-01"),
        (("main@2026.11.01", "now"), 14, "no file main@2026.11.01, nor is '2026.11.01' an instant such as 2026-11-01"),
        (("", "now"), 2, "smsc-async: the name of the account is empty\n"),
    ],
)
def test_what_is_no_list_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("diff", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize("new", ["missing.json", "nobody", "main@2026-11-01", "odd.json"])
def test_what_is_no_list_is_told_before_anything_is_fetched(
    new: str, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text("{}", "utf-8")
    assert invoke("diff", "now", new).code > 1
    assert simulator.log == []


def test_a_file_that_is_no_list_is_told_by_its_name(tmp_path: Path, saved: Path) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text('{"zones": 1, "mail": 1}', "utf-8")
    ran = invoke("diff", str(odd), str(saved))
    assert ran.code == 7
    assert f"{odd} is not a tariff list: JSON answer" in ran.stderr
    odd.write_text("notes", "utf-8")
    told = invoke("diff", str(odd), str(saved)).stderr
    assert told == f"smsc-async: {odd} is not a tariff list: it is in none of the formats of the service\n"
