# Cyrillic names, and dashes that are meant

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from smsc_async.decoder import decode
from smsc_async.records import Extra, Tariffs, Zone
from smsc_async.simulator import Fault, SimulatedAccount, Simulator, sample_tariffs
from tests.cli.running import invoke

SAMPLE = sample_tariffs()


@pytest.mark.usefixtures("alex")
def test_the_table_has_all_zones_and_operators() -> None:
    ran = invoke("tariffs")
    assert ran.code == 0
    assert ran.stdout.splitlines()[0].split() == ["zone", "name", "api", "mass", "mms", "hlr", "call"]
    assert ran.stdout.endswith("66 zones, 27 individual tariffs of operators, e-mail 0.10\n")
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert ran.stderr.startswith("fetching the list of env …\nenv, fetched at ")


@pytest.mark.usefixtures("alex")
def test_json_is_the_list_with_prices_as_text_and_reads_back_equal() -> None:
    told = invoke("tariffs", "-o", "json", "--fresh").stdout
    assert json.loads(told) == SAMPLE.to_dict()
    assert json.loads(told)["zones"][0]["api"] == "3.85"
    assert decode(told.encode()) == SAMPLE


@pytest.mark.usefixtures("alex")
def test_csv_has_a_row_for_each_line_of_the_list() -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("tariffs", "-o", "csv").stdout)))
    assert len(rows) == 66 + 27 + 1
    assert rows[2]["name"] == 'Билайн (ПАО "ВымпелКом")'
    assert (rows[0]["api"], rows[6]["call"], rows[-1]["cost"]) == ("3.85", "", "0.10")


@pytest.mark.usefixtures("alex")
def test_a_part_of_the_list_can_be_asked_for_by_number_and_by_name() -> None:
    ran = invoke("tariffs", "--zone", "1", "--zone", "india", "--operator", "250", "-o", "json")
    told = json.loads(ran.stdout)
    assert [zone["zone"] for zone in told["zones"]] == ["1", "53", "54"]
    assert len(told["codes"]) == 9
    assert "mail" not in told
    table = invoke("tariffs", "--zone", "32").stdout
    assert table.splitlines()[-1] == "zones: 1, individual tariffs: 0"
    assert "operators:" not in table
    assert "zone " not in invoke("tariffs", "--operator", "25001").stdout


@pytest.mark.usefixtures("alex")
def test_services_and_columns_can_be_chosen() -> None:
    selected = ("--zone", "32", "--service", "hlr", "--service", "api")
    assert invoke("tariffs", *selected).stdout.splitlines()[0].split() == ["zone", "name", "hlr", "api"]
    told = json.loads(invoke("tariffs", *selected, "-o", "json").stdout)
    assert told == {"zones": [{"zone": "32", "name": "Latvia", "api": "4.10", "hlr": "0.40"}], "codes": []}
    columns = ("--columns", "name, hlr,zone")
    assert invoke("tariffs", *selected, "-o", "tsv", *columns).stdout == "name\thlr\tzone\nLatvia\t0.40\t32\n"
    assert json.loads(invoke("tariffs", *selected, "-o", "json", *columns).stdout)["zones"] == [
        {"zone": "32", "name": "Latvia", "hlr": "0.40"}
    ]
    assert invoke("tariffs", *selected, *columns).stdout.splitlines()[-1].split() == ["Latvia", "0.40", "32"]


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--zone", "Atlantis"), 13, "no zone has the number 'Atlantis'"),
        (("--operator", "999"), 13, "no individual tariff for an operator '999'"),
        (("-o", "csv", "--columns", "nam"), 2, "no column 'nam'; there are kind, zone, name"),
        (("--bom",), 2, "--bom and --decimal-comma are for -o csv"),
        (("--deadline", "0"), 2, "deadline=0.0"),
        (("--output", "xml"), 2, "xml"),
    ],
)
def test_what_cannot_be_had_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("tariffs", *arguments)
    assert ran.code == code
    assert ran.stdout == ""
    assert said in ran.stderr


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    "arguments",
    [
        ("tariffs", "--columns", "nme"),
        ("tariffs", "--columns", "zone,nmae"),
        ("tariffs", "--columns", "zone,API"),
        ("tariffs", "--columns", "api", "--service", "hlr"),
        ("price", "--zone", "1", "--columns", "price,nme"),
        ("compare", "env", "--columns", "nme,env"),
        ("diff", "now", "env", "--columns", "nme"),
    ],
)
def test_a_column_that_is_mistyped_costs_no_request(arguments: tuple[str, ...], simulator: Simulator) -> None:
    ran = invoke(*arguments)
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("smsc-async: no column ")
    assert simulator.log == []


@pytest.mark.usefixtures("alex")
def test_a_spreadsheet_opens_it_safely(simulator: Simulator) -> None:
    zones = tuple(
        Zone(str(number), name, Decimal("2.50"))
        for number, name in enumerate(
            ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\uff1d1+1", "Latvia, = not at the start"], 1
        )
    )
    simulator.put(SimulatedAccount("alex", "123", tariffs=Tariffs(zones, (), Decimal("0.10"))))
    told = invoke("tariffs", "-o", "csv", "--bom", "--decimal-comma", "--columns", "name,api").stdout
    assert told.startswith("\ufeffname;api\n")
    rows = list(csv.reader(io.StringIO(told.removeprefix("\ufeff")), delimiter=";"))[1:-1]
    assert [row[0] for row in rows] == [
        '\'=cmd|"/c calc"!A1',
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "'\uff1d1+1",
        "Latvia, '= not at the start",
    ]
    assert {row[1] for row in rows} == {"2,50"}


@pytest.mark.usefixtures("alex")
def test_the_names_of_columns_are_as_safe_as_what_is_below_them(simulator: Simulator) -> None:
    zone = Zone("1", "Russia", Decimal("2.50"), extra=Extra({"=1+1": "-1"}))
    simulator.put(SimulatedAccount("alex", "123", tariffs=Tariffs((zone,), (), Decimal("0.10"))))
    rows = [line.split("\t") for line in invoke("tariffs", "--zone", "1", "-o", "tsv").stdout.splitlines()]
    assert [row[-1] for row in rows] == ["'=1+1", "'-1"]


@pytest.mark.usefixtures("alex")
def test_a_member_that_the_documentation_does_not_name_can_be_a_column(simulator: Simulator) -> None:
    zone = Zone("1", "Russia", Decimal("2.50"), extra=Extra({"vat": "20", "mms_in": "1"}))
    simulator.put(SimulatedAccount("alex", "123", tariffs=Tariffs((zone,), (), Decimal("0.10"))))
    assert invoke("tariffs", "--zone", "1", "-o", "tsv", "--columns", "vat,mms_in").stdout == "vat\tmms_in\n20\t1\n"
    ran = invoke("tariffs", "--columns", "excise")
    assert (ran.code, ran.stdout) == (2, "")
    assert "no column 'excise'; there are kind, zone" in ran.stderr


@pytest.mark.usefixtures("both")
def test_accounts_come_from_the_file_and_the_default_needs_no_name() -> None:
    assert "3.85" in invoke("tariffs", "--zone", "1").stdout
    assert "3.47" in invoke("tariffs", "theirs", "--zone", "1").stdout


@pytest.mark.usefixtures("base_url")
def test_a_wrong_password_ends_with_its_own_code_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "not-it-4711")
    ran = invoke("--debug", "tariffs")
    assert ran.code == 4
    assert "not-it-4711" not in ran.stdout + ran.stderr


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.refusal(1), 3),
        (Fault.refusal(3), 3),
        (Fault.refusal(4), 5),
        (Fault.html_page(), 7),
        (Fault.redirect("http://127.0.0.1:9/"), 8),
        (Fault.hang(), 9),
    ],
)
def test_each_kind_of_trouble_has_a_code_and_a_sentence(fault: Fault, code: int, simulator: Simulator) -> None:
    simulator.fail(fault)
    ran = invoke("tariffs", "--deadline", "0.7" if code == 9 else "20")
    assert ran.code == code, ran
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[-1].startswith("smsc-async: ")


def test_a_service_that_is_not_https_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOGIN": "alex", "PASSWORD": "123", "BASE_URL": "http://example.test/"}.items():
        monkeypatch.setenv(f"SMSC_{name}", value)
    ran = invoke("tariffs")
    assert (ran.code, "must be https" in ran.stderr) == (2, True)


def test_an_unknown_account_is_misuse(plain_environment: Path) -> None:
    ran = invoke("tariffs", "nobody")
    assert ran.code == 2
    assert str(plain_environment) in ran.stderr


@pytest.mark.usefixtures("alex")
def test_a_column_of_extras_can_be_asked_for(simulator: Simulator) -> None:
    zone = attrs.evolve(SAMPLE.zones[0], name="-", mms=None)
    simulator.put(SimulatedAccount("alex", "123", tariffs=attrs.evolve(SAMPLE, zones=(zone,), codes=())))
    assert invoke("tariffs", "-o", "csv", "--columns", "name,mms").stdout == "name,mms\n'-,\n,\n"
