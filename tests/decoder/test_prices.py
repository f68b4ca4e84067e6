"""The grammar of a price."""

# ruff: noqa: RUF001  # digits of other alphabets are the point

import re
from decimal import Decimal, Inexact, InvalidOperation, Rounded, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Format, decode
from smsc_async.decoder.prices import parse_prices
from tests.decoder.shapes import CODE, FORMATS, fault, place, prices, reply, zone

GOOD = ["0", "1", "00", "007.50", "0.00", "2.50", "2.5", "999999999999", "0.000000000001", "1" * 12 + "." + "9" * 12]
BAD = [
    "NaN",
    "nan",
    "sNaN",
    "Infinity",
    "-Infinity",
    "1e999999",
    "1e1",
    "1E1",
    "1_0",
    "-1",
    "+1",
    "--",
    "-0",
    "−1",
    ".5",
    "5.",
    ".",
    "1.2.3",
    "1..2",
    "1 000",
    "0x1",
    "١",
    "２",
    "1٫5",
    "²",
    "1\u00a0",
    "\u2003",
    "1" * 13,
    "1." + "1" * 13,
    "1" * 5000,
    "2.50 RUB",
    "—",
    "null",
    "None",
    "1\x002",
    "'1'",
]


# One grammar serves all formats: each text once, and a few in the other formats.
BAD_IN_A_FORMAT = [(Format.JSON, text) for text in BAD] + [
    (form, text) for form in FORMATS if form is not Format.JSON for text in ("NaN", "1_0", "1.2.3")
]


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("form", FORMATS)
def test_a_price_keeps_the_digits_that_were_sent(form: Format, text: str) -> None:
    tariffs = decode(reply(form, [zone(mass=text)], [{"mccmnc": "25001", "cost": text}], text))
    expected = Decimal(text).as_tuple()
    found = (tariffs.zones[0].mass, tariffs.codes[0].cost, tariffs.mail)
    assert [price is not None and price.as_tuple() for price in found] == [expected] * 3


@pytest.mark.parametrize(("form", "text"), BAD_IN_A_FORMAT)
def test_what_is_not_a_price_is_refused_with_its_place(form: Format, text: str) -> None:
    for member in ("api", "call"):
        rows = [zone(zone=str(number)) for number in range(1, 9)]
        rows[3][member] = text
        error = fault(reply(form, rows), form)
        assert error.position == place(form, member, 3)
        assert "not a price" in error.message


@pytest.mark.parametrize(("form", "text"), BAD_IN_A_FORMAT)
def test_an_email_price_that_is_none_is_refused(form: Format, text: str) -> None:
    assert fault(reply(form, mail=text)).format is not None


@pytest.mark.parametrize("text", ["NaN", "1_0", "1.2.3"])
@pytest.mark.parametrize(
    ("form", "position"),
    [
        (Format.PLAIN, "line 2, cost"),
        (Format.CSV, "line 2, cost"),
        (Format.XML, "codes/mccmnc[1]/@cost"),
        (Format.JSON, "codes[0].cost"),
    ],
)
def test_the_place_of_an_operators_price_is_named(form: Format, position: str, text: str) -> None:
    assert fault(reply(form, codes=[{"mccmnc": "25001", "cost": text}])).position == position


@pytest.mark.parametrize("text", ["", "-"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_price_and_a_dash_are_no_price(form: Format, text: str) -> None:
    mail = "-" if form is Format.CSV else text
    tariffs = decode(reply(form, [zone(api=text, call=text)], [{"mccmnc": "25001", "cost": text}], mail))
    assert prices(tariffs) == {"api": None, "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": None}
    assert (tariffs.codes[0].cost, tariffs.mail) == (None, None)


@pytest.mark.parametrize("member", ["api", "mass", "mms", "hlr", "call"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_absent_price_is_no_price_and_shifts_none(form: Format, member: str) -> None:
    row = zone()
    del row[member]
    expected = {"api": "2.50", "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": "1.20", member: None}
    assert prices(decode(reply(form, [row, zone(zone="2")]))) == expected


@pytest.mark.parametrize("form", [Format.PLAIN, Format.XML, Format.JSON])
def test_a_decimal_comma_is_a_decimal_mark(form: Format) -> None:
    tariffs = decode(reply(form, [zone(api="2,50", call="0,05")], [{"mccmnc": "25001", "cost": "1,85"}], "0,10"))
    assert (prices(tariffs)["api"], prices(tariffs)["call"]) == ("2.50", "0.05")
    assert (str(tariffs.codes[0].cost), str(tariffs.mail)) == ("1.85", "0.10")


@pytest.mark.parametrize("text", ["1,2,3", "1.2,3", ",5", "5,", "1,,2"])
@pytest.mark.parametrize("form", [Format.PLAIN, Format.XML, Format.JSON])
def test_a_second_decimal_mark_and_a_lone_one_are_refused(form: Format, text: str) -> None:
    assert fault(reply(form, [zone(api=text)])).position == place(form, "api")


@pytest.mark.parametrize("text", [" 1 ", "1 ", " 1", "\t1"])
@pytest.mark.parametrize("form", FORMATS)
def test_spaces_around_a_price_are_layout_in_the_text_formats_alone(form: Format, text: str) -> None:
    body = reply(form, [zone(api=text)])
    if form in {Format.PLAIN, Format.CSV}:
        assert prices(decode(body))["api"] == "1"
    else:
        assert fault(body).position == place(form, "api")


@pytest.mark.parametrize("text", ["1\n2", "1\n", "\n1"])
def test_a_text_with_a_line_feed_is_not_two_prices(text: str) -> None:
    assert fault(reply(Format.JSON, [zone(api=text)])).position == "zones[0].api"
    with pytest.raises(KeyError):
        parse_prices([[text, "3"]])


def test_no_prices_are_no_numbers() -> None:
    assert parse_prices([[]]) == [[]]
    assert parse_prices([[None, "", "-", None]]) == [[None] * 4]


def test_a_column_without_repetition_keeps_its_order() -> None:
    texts = [f"{number}.{number}" for number in range(500)]
    assert parse_prices([texts]) == [[Decimal(text) for text in texts]]


def test_a_column_with_a_decimal_comma_keeps_its_order_and_its_gaps() -> None:
    assert parse_prices([["1,5", None, "2", "1,5", "-"]]) == [[Decimal("1.5"), None, 2, Decimal("1.5"), None]]


def test_the_first_text_that_is_no_price_is_named_by_the_error() -> None:
    with pytest.raises(KeyError) as caught:
        parse_prices([["1", "2"], ["1", "x", "2", "y"]])
    assert caught.value.args == ("x",)


def test_the_callers_decimal_context_changes_nothing() -> None:
    body = reply(Format.JSON, [zone(api="123456789012.123456789012")], [{**CODE, "cost": "0.00010"}], "1234.5")
    with localcontext(prec=3) as context:
        for signal in (Inexact, Rounded, InvalidOperation):
            context.traps[signal] = True
        tariffs = decode(body)
    assert [str(price) for price in (tariffs.zones[0].api, tariffs.codes[0].cost, tariffs.mail)] == [
        "123456789012.123456789012",
        "0.00010",
        "1234.5",
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_a_repeated_row_is_compared_whatever_the_decimal_context_is(form: Format) -> None:
    with localcontext(prec=3) as context:
        context.traps[Inexact] = True
        assert len(decode(reply(form, [zone(api="1234.5"), zone(api="1234.50")])).zones) == 1
        fault(reply(form, [zone(api="1234.5"), zone(api="1234.6")]))


texts = st.lists(st.one_of(st.none(), st.sampled_from([*GOOD, *BAD, "", "-"]), st.text(max_size=6)), max_size=6)


@given(st.lists(texts | st.lists(st.sampled_from([*GOOD, None]), unique=True), max_size=3))
@pytest.mark.no_cover
def test_columns_are_read_as_their_texts_one_by_one_would_be(columns: list[list[str | None]]) -> None:
    def alone(text: str | None) -> Decimal | None:
        if text in {None, "", "-"}:
            return None
        if not re.fullmatch(r"[0-9]{1,12}([.,][0-9]{1,12})?", text or ""):
            raise ValueError(text)
        return Decimal((text or "").replace(",", "."))

    try:
        expected = [[alone(text) for text in column] for column in columns]
    except ValueError:
        with pytest.raises(KeyError):
            parse_prices(columns)
    else:
        assert repr(parse_prices(columns)) == repr(expected)
