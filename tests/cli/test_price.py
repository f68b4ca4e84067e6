from __future__ import annotations

import json

import pytest

from smsc_async.cli.price import PRICE_COLUMNS
from smsc_async.simulator import Simulator
from tests.cli.running import invoke


@pytest.mark.usefixtures("alex")
def test_a_price_says_which_line_it_comes_from_and_is_multiplied() -> None:
    ran = invoke("price", "--zone", "latvia", "--parts", "2", "--count", "1000", "-o", "json")
    assert json.loads(ran.stdout) == {
        "price": "4.10",
        "source": "zone",
        "id": "32",
        "name": "Latvia",
        "service": "api",
        "parts": 2,
        "count": 1000,
        "total": "8200.00",
    }


@pytest.mark.usefixtures("alex")
def test_an_individual_tariff_comes_first_and_the_zone_for_what_it_does_not_cover() -> None:
    both = ("price", "--zone", "1", "--operator", "25001", "--columns", "price,source", "-o", "tsv")
    assert invoke(*both).stdout == "price\tsource\n3.42\tindividual tariff of operator\n"
    assert invoke(*both, "--service", "hlr").stdout == "price\tsource\n0.30\tzone\n"


@pytest.mark.usefixtures("alex")
def test_the_columns_are_known_beforehand() -> None:
    assert tuple(invoke("price", "--zone", "1", "-o", "tsv").stdout.splitlines()[0].split("\t")) == PRICE_COLUMNS


@pytest.mark.usefixtures("alex")
def test_a_table_leaves_out_what_there_is_none_of() -> None:
    names = [line.split()[0] for line in invoke("price", "--operator", "25001").stdout.splitlines()]
    assert names == ["price", "source", "id", "service", "parts", "count", "total"]


@pytest.mark.usefixtures("alex")
def test_the_parts_can_be_counted_from_a_text() -> None:
    ran = invoke("price", "--zone", "32", "--text", "я" * 71, "--columns", "parts,total")
    assert ran.stdout.splitlines()[-1].split() == ["2", "8.20"]
    assert ["total", "4.10"] in [line.split() for line in invoke("price", "--zone", "32").stdout.splitlines()]


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Name a --zone, an --operator or both"),
        (("--zone", "Israel"), 2, "2 zones have 'Israel' in their name, such as 46"),
        (("--zone", "Atlantis"), 13, "no zone has"),
        (("--zone", "7", "--service", "call"), 13, "no call price for zone 7"),
        (("--operator", "40001"), 13, "no api price for operator 40001"),
        (("--zone", "7", "--operator", "40001", "--service", "mms"), 13, "for zone 7 or operator 40001"),
        (("--zone", "1", "--count", "0"), 2, "count"),
        (("--zone", "1", "--parts", "0"), 2, "parts"),
        (("--zone", "1", "--text", "Hello", "--parts", "1"), 2, "Name --text or --parts, not both"),
    ],
)
def test_what_has_no_price_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("price", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    ("operator", "code"),
    [("25001", "25001"), ("250-01", "25001"), ("250 01", "25001"), ("мтс ru", "25001"), ("Megafon", "25002"), ("24701", "24701"), ("LV", "24701")],
)  # fmt: skip
def test_an_operator_can_be_named_in_many_ways(operator: str, code: str) -> None:
    ran = invoke("price", "--operator", operator, "-o", "json")
    assert json.loads(ran.stdout)["id"] == code


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize("command", [("price",), ("tariffs",), ("compare", "env"), ("history",)])
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--operator", "Бармаглот", "no network is called 'Бармаглот'"),
        ("--operator", "megafonn", "did you mean Megafon"),
        ("--operator", "２５００１", "no network is called"),  # noqa: RUF001  # digits that are meant
        ("--operator", "", "the name of the operator is empty"),
        ("--operator", "mts us", "no network is called 'mts us'"),
        ("--operator", "mtss", "no network is called 'mtss' (did you mean MTS?); an operator is a code"),
        ("--operator", "\udcff", "the name of the operator '\\udcff' is not text"),
        ("--zone", " ", "the name of the zone is empty"),
        ("--zone", "\udcff", "the name of the zone '\\udcff' is not text"),
    ],
)
def test_what_can_name_nothing_costs_no_request(
    command: tuple[str, ...], option: str, value: str, said: str, simulator: Simulator
) -> None:
    if command[0] == "compare" and option == "--zone":
        option, value = "--mix", f"{value}=10"
    ran = invoke(*command, option, value)
    assert (ran.code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert simulator.log == []


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("--operator", "mts"),
            2,
            "2 operators are called 'mts', such as 25001 MTS · RU, 25702 MTS · BY: give the code",
        ),
        (("--operator", "99999"), 13, "no individual tariff for an operator '99999' in this list"),
        (("--operator", "vodafone tr"), 13, "no individual tariff for an operator 'vodafone tr'"),
        (("--zone", "latvja"), 13, "did you mean Latvia?"),
        (("--zone", "Lithunia"), 13, "did you mean Lithuania"),
    ],
)
def test_what_is_not_found_comes_with_what_is_like_it(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("price", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.usefixtures("alex")
def test_an_operator_without_a_tariff_of_its_own_costs_what_the_zone_costs() -> None:
    for operator in ("99999", "vodafone tr"):
        assert json.loads(invoke("price", "--zone", "32", "--operator", operator, "-o", "json").stdout)["id"] == "32"


@pytest.mark.usefixtures("alex")
def test_a_total_has_all_its_digits() -> None:
    ran = invoke("price", "--zone", "32", "--count", "9" * 40, "-o", "json")
    assert json.loads(ran.stdout)["total"] == "40999999999999999999999999999999999999995.90"
