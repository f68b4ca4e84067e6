"""Plain text: rows that are read from their right end."""

from decimal import Decimal

import pytest

from smsc_async import IncompleteReply, decode
from smsc_async.records import Tariffs
from tests.decoder.shapes import fault, prices

PRICES = "api = 2.50, mass = 2.40, mms = 8.00, hlr = 0.30, call = 1.20"
MAIL = "mail = 0.10\n"


def row(name: str, fields: str = PRICES) -> Tariffs:
    return decode(f"zone = 1, name = {name}, {fields}\n{MAIL}".encode())


@pytest.mark.parametrize(
    "name",
    [
        "Russia",
        "Russia, MTS, others",
        "a = b",
        "odd, api = trick",
        "odd, api = 5",
        "odd, api = 5, mass = 6, mms = 7, hlr = 8, call = 9",
        "odd, call = 1",
        "odd, zone = 1, name = x",
        "x, vat = 20",
        "mccmnc = 1, cost = 2",
        "mail = 0.5",
        'quotes "in" it',
        "(parentheses), (more",
        ", ,",
        ",",
        "=",
        "1,5",
        "ERROR = 2 (x)",
        "Кипр, ΑΒΓ 中文",
    ],
)
def test_a_name_may_look_like_anything(name: str) -> None:
    tariffs = row(name)
    assert tariffs.zones[0].name == name
    assert prices(tariffs) == {"api": "2.50", "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": "1.20"}
    # A decimal comma keeps the row from being the usual one: the other way of reading it comes to the same.
    assert row(name, PRICES.replace("0.30", "0,30")) == tariffs


@pytest.mark.parametrize(
    "text",
    [
        "zone=1,name=Russia,api=2.50,mass=2.40,mms=8.00,hlr=0.30,call=1.20",
        "  zone =1 ,  name=  Russia  , api=2.50 ,mass= 2.40,mms=8.00,   hlr=0.30,call=1.20  ",
        "\tzone\t=\t1,\tname = Russia,\tapi = 2.50, mass = 2.40, mms = 8.00, hlr = 0.30, call =\t1.20",
    ],
)
def test_spaces_are_layout(text: str) -> None:
    assert decode(f"{text}\n mail=0.10 ".encode()) == row("Russia")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n \r\n"])
def test_any_line_end_and_blank_lines_will_do(end: str) -> None:
    text = f"{end}zone = 1, name = Russia, {PRICES}{end}mccmnc = 25001, cost = 1.85{end}mail = 0.10{end}"
    tariffs = decode(text.encode())
    assert (tariffs.zones, tariffs.operator("25001").cost) == (row("Russia").zones, Decimal("1.85"))


def test_a_name_may_be_empty_or_absent() -> None:
    assert decode(f"zone = 1, name = , {PRICES}\n{MAIL}".encode()).zones[0].name == ""
    assert decode(f"zone = 1, {PRICES}\n{MAIL}".encode()).zones[0].name == ""


def test_a_zone_may_have_no_price_at_all() -> None:
    tariffs = decode(f"zone = 1\nzone = 2, name = x, vat = 20\n{MAIL}".encode())
    assert [(zone.zone, zone.name, zone.api) for zone in tariffs.zones] == [("1", "", None), ("2", "x, vat = 20", None)]


def test_members_after_the_documented_ones_are_kept() -> None:
    text = (
        f"zone = 1, name = a, {PRICES}, vat = 20, валюта = RUB, note = \n"
        "mccmnc = 25001, cost = 1,85, vat = 20\n"
        "mccmnc = 25002, since = 2024\n"
        "mail = 0,10, vat = 5\ncurrency = RUB, or so = x\n"
    )
    tariffs = decode(text.encode())
    assert tariffs.zones[0].extra == {"vat": "20", "валюта": "RUB", "note": ""}
    assert [(code.cost, dict(code.extra)) for code in tariffs.codes] == [
        (Decimal("1.85"), {"vat": "20"}),
        (None, {"since": "2024"}),
    ]
    assert (tariffs.mail, dict(tariffs.extra)) == (Decimal("0.10"), {"vat": "5", "currency": "RUB, or so = x"})


def test_a_line_that_is_not_documented_may_come_first() -> None:
    tariffs = decode(f"currency = RUB\nzone_count = 1\nzone = 1, name = a, {PRICES}\n{MAIL}".encode())
    assert tariffs.extra == {"currency": "RUB", "zone_count": "1"}


@pytest.mark.parametrize(
    "fields",
    [
        "api = 2.50, vat = 20, mass = 2.40",
        "mass = 2.40, api = 2.50",
        "api = 2.50, call = 1, call = 2",
        "api = 1, api = 2, mass = 3, api = 4, vat = 1, call = 5",
    ],
)
def test_prices_that_cannot_be_separated_from_the_name_are_refused(fields: str) -> None:
    # The last row has an api that is found, and still one that may be lost.
    error = fault(f"zone = 1, name = a, {PRICES}\nzone = 2, name = b, {fields}\n{MAIL}".encode())
    assert "cannot be separated from the name" in error.message
    assert (error.format, error.position) == ("plain text", "line 2")


def test_a_field_between_number_and_prices_is_refused_where_there_is_no_name() -> None:
    assert fault(f"zone = 1, vat = 20, {PRICES}\n{MAIL}".encode()).position == "line 1"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (f"zone = 1, name = a, {PRICES}, zone = 2\n{MAIL}", "line 1, zone"),
        (f"zone = 1, {PRICES}, name = a\n{MAIL}", "line 1, name"),
        (f"zone = 1, name = a, {PRICES}\nmccmnc = 25001, cost = 1, cost = 2\n{MAIL}", "line 2, cost"),
        (f"zone = 1, name = a, {PRICES}\nmail = 1, mail = 2\n", "line 2, mail"),
        (f"zone = 1, name = a, {PRICES}\napi = 1\napi = 2\n{MAIL}", "line 3, api"),
        (f"zone = 1, name = a, {PRICES}\nname = 1\n{MAIL}", "line 2, name"),
    ],
)
def test_a_member_that_comes_twice_is_refused(text: str, position: str) -> None:
    error = fault(text.encode())
    assert "twice" in error.message
    assert error.position == position


def test_of_an_undocumented_member_that_is_repeated_the_last_value_counts() -> None:
    text = f"zone = 1, name = a, {PRICES}, vat = 1, vat = 2\nvat = 3\nmail = 1, vat = 4\nlast = a\nlast = b\n"
    tariffs = decode(text.encode())
    assert (dict(tariffs.zones[0].extra), dict(tariffs.extra)) == ({"vat": "2"}, {"vat": "4", "last": "b"})


def test_a_documented_member_may_be_repeated_with_the_same_value() -> None:
    text = f"zone = 1, name = a, {PRICES}\nmccmnc = 25001, cost = 1, cost = 1\nmail = 1, mail = 1\n"
    assert decode(text.encode()).codes[0].cost == Decimal(1)


@pytest.mark.parametrize("late", [f"zone = 2, name = b, {PRICES}", "mccmnc = 25001, cost = 1", "mail = 0.20"])
def test_the_email_price_ends_the_list(late: str) -> None:
    error = fault(f"zone = 1, name = a, {PRICES}\n\n{MAIL}{late}\n".encode())
    assert "ends a list" in error.message
    assert error.position == "line 4"


@pytest.mark.parametrize("line", ["nonsense", "= 5", "1 = 5", "zone, 1"])
def test_a_line_without_a_member_is_refused(line: str) -> None:
    error = fault(f"zone = 1, name = a, {PRICES}\n{line}\n{MAIL}".encode())
    assert error.position == "line 2"


def test_a_last_line_that_stops_before_its_value_is_incomplete() -> None:
    for end in ("mail = 0.10\ncurr", "mail = 0.10\ncurrency =", "mail = 0.", "mail = 0,", "mail = ", "mail ="):
        with pytest.raises(IncompleteReply):
            decode(f"zone = 1, name = a, {PRICES}\n{end}".encode())


def test_an_email_price_may_be_empty_where_its_line_ends() -> None:
    assert decode(f"zone = 1, name = a, {PRICES}\nmail = \n".encode()).mail is None
    assert decode(f"zone = 1, name = a, {PRICES}\nmail = -".encode()).mail is None


def test_the_places_count_blank_lines() -> None:
    assert (
        fault(f"\n\nzone = 1, name = a, {PRICES}\n\nzone = 2, name = b, api = x\n{MAIL}".encode()).position
        == "line 5, api"
    )
    assert fault(f"zone = , name = a, {PRICES}\n{MAIL}".encode()).position == "line 1, zone"
