"""The grammar of a price."""

# ruff: noqa: RUF001  # digits of other alphabets are the point

import random
import sys
import threading
from decimal import Decimal, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Format, decode
from smsc_async.decoder import prices as prices_module
from smsc_async.decoder.prices import Notation, decimals
from tests.decoder.shapes import FORMATS, fault, place, prices, reply, zone

STRICT = Notation(comma=False, spaces=False)

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


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("form", FORMATS)
def test_a_price_keeps_the_digits_that_were_sent(form: Format, text: str) -> None:
    tariffs = decode(reply(form, [zone(mass=text)], [{"mccmnc": "25001", "cost": text}], text))
    expected = Decimal(text).as_tuple()
    found = (tariffs.zones[0].mass, tariffs.codes[0].cost, tariffs.mail)
    assert [price is not None and price.as_tuple() for price in found] == [expected] * 3


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("member", ["api", "call"])
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_not_a_price_is_refused_with_its_place(form: Format, member: str, text: str) -> None:
    rows = [zone(zone=str(number)) for number in range(1, 9)]
    rows[3][member] = text
    error = fault(reply(form, rows), form)
    assert error.position == place(form, member, 3)
    assert "not a price" in error.message


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("form", FORMATS)
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
        decimals([[text, "3"]], STRICT)


def test_no_prices_are_no_numbers() -> None:
    assert decimals([[]], STRICT) == [[]]
    assert decimals([[None, "", "-", None]], STRICT) == [[None] * 4]


def test_a_column_without_repetition_keeps_its_order() -> None:
    texts = [f"{number}.{number}" for number in range(500)]
    assert decimals([texts], STRICT) == [[Decimal(text) for text in texts]]


def test_a_column_with_a_decimal_comma_keeps_its_order_and_its_gaps() -> None:
    notation = Notation(comma=True, spaces=True)
    assert decimals([["1,5", None, " 2 ", "1,5", " - "]], notation) == [[Decimal("1.5"), None, 2, Decimal("1.5"), None]]


def test_the_first_text_that_is_no_price_is_named_by_the_error() -> None:
    with pytest.raises(KeyError) as caught:
        decimals([["1", "2"], ["1", "x", "2", "y"]], STRICT)
    assert caught.value.args == ("x",)


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext(prec=2) as context:
        context.traps[Inexact] = True
        assert str(decimals([["123.456"]], STRICT)[0][0]) == "123.456"


texts = st.lists(st.one_of(st.none(), st.sampled_from([*GOOD, *BAD, "", "-"]), st.text(max_size=6)), max_size=6)


@given(st.lists(texts | st.lists(st.sampled_from([*GOOD, None]), unique=True), max_size=3))
@pytest.mark.no_cover
def test_columns_are_read_as_their_texts_one_by_one_would_be(columns: list[list[str | None]]) -> None:
    def alone(text: str | None) -> Decimal | None:
        return None if text is None else STRICT.price(text)

    try:
        expected = [[alone(text) for text in column] for column in columns]
    except ValueError:
        with pytest.raises(KeyError):
            decimals(columns, STRICT)
    else:
        assert repr(decimals(columns, STRICT)) == repr(expected)


LENIENT = Notation(comma=True, spaces=True)


@pytest.fixture
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_module, "_spellings", prices_module._nothing_known())  # pyright: ignore[reportPrivateUsage]


def remembered() -> dict[str | None, Decimal | None]:
    return prices_module._spellings  # pyright: ignore[reportPrivateUsage]


@pytest.mark.usefixtures("nothing_remembered")
def test_lists_share_a_price_that_is_written_alike_and_no_other() -> None:
    first = decimals([["2.50", "2.5", None, "-"], ["2.50", "0.00", "", "3"]], STRICT)
    again = decimals([["3", "2.50"], ["02.50", "0.00"]], LENIENT)
    assert repr(first) == repr(
        [[Decimal("2.50"), Decimal("2.5"), None, None], [Decimal("2.50"), Decimal("0.00"), None, Decimal(3)]]
    )
    assert repr(again) == repr([[Decimal(3), Decimal("2.50")], [Decimal("02.50"), Decimal("0.00")]])
    assert again[0] == [first[1][3], first[0][0]]
    assert again[0][1] is first[0][0]
    assert again[1][1] is first[1][1]


@pytest.mark.usefixtures("nothing_remembered")
def test_what_one_format_takes_is_not_taken_by_another_for_it() -> None:
    assert decimals([["2,50", " 3 ", "4"]], LENIENT) == [[Decimal("2.50"), Decimal(3), Decimal(4)]]
    for text in ("2,50", " 3 "):
        with pytest.raises(KeyError):
            decimals([["4", text]], STRICT)
    assert remembered().keys() <= {"", "-", "4"}


@pytest.mark.usefixtures("nothing_remembered")
def test_a_number_of_json_is_remembered_as_plain_text() -> None:
    numbers = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": 2.50}], "codes": [], "mail": 0.10}')
    texts = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "codes": [], "mail": "0.10"}')
    assert repr(numbers) == repr(texts)
    assert numbers.zones[0].api is texts.zones[0].api
    assert set(map(type, remembered())) == {str}


@pytest.mark.usefixtures("nothing_remembered")
def test_no_more_prices_are_remembered_than_there_is_room_for() -> None:
    most = 0
    for start in range(0, 40_000, 400):
        texts = [f"{number}.5" for number in range(start, start + 400)]
        assert decimals([texts], STRICT) == [[Decimal(text) for text in texts]]
        most = max(most, len(remembered()))
    assert 10_000 < most <= 16_384 + 2
    long = [f"{number}.75" for number in range(1000)]
    assert decimals([long], STRICT) == [[Decimal(text) for text in long]]
    assert not remembered().keys() & set(long)


@pytest.mark.usefixtures("nothing_remembered")
def test_threads_read_the_right_prices_while_others_forget_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_module, "_MOST_KEPT", 300)
    wrong: list[list[str | None]] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            texts: list[str | None] = [f"{chance.randrange(400)}.{chance.randrange(2)}" for _ in range(50)]
            if repr(decimals([texts], STRICT)) != repr([[Decimal(text or "") for text in texts]]):
                wrong.append(texts)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
