"""Comma-separated text: nothing is quoted, and nothing is guessed."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Format, IncompleteReply, decode
from tests.decoder.shapes import Row, fault, prices, reply, zone

FIRST = "1,Russia,2.50,2.40,8.00,0.30,1.20"


@pytest.mark.parametrize(
    "name",
    [
        "Russia, MTS, others",
        "Russia,MTS",
        "a, 5",
        "a,5 b",
        "operators 900,901",
        'quotes "in, it"',
        '"quoted"',
        "a,,b",
        "zone = 1, name = x",
        ", x",
        " , .",
        "0,-9",
        "a,1.2.3",
    ],
)
def test_a_name_may_have_commas(name: str) -> None:
    tariffs = decode(f"{FIRST}\n2,{name},2.50,2.40,8.00,0.30,1.20\n0.10\n".encode())
    assert tariffs.zones[1].name == name.strip()
    assert prices(tariffs, 1) == {"api": "2.50", "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": "1.20"}


@pytest.mark.parametrize(
    "row",
    [
        "2,Russia,2,50,2.40,8.00,0.30,1.20",
        "2,Russia,2.50,2.40,8.00,0.30,1,20",
        "2,Russia,2.50,2,40,8.00,0.30,1.20",
        "2,Russia,2,50,2,40,8,00,0,30,1,20",
        "2,Russia,2,50,,,,",
        "2,Russia,,,8,50,,",
        "2,Russia,-,-,8,50,-,-",
        "2,Russia,-,-,8,50 ,-,-",
        "2,,2,50,2,2,2,2",
        "2,Area 8,800,5,5,5,5,5",
    ],
)
def test_a_decimal_comma_is_refused_where_it_may_be_one(row: str) -> None:
    error = fault(f"{FIRST}\n{row}\n0.10\n".encode())
    assert "decimal comma" in error.message
    assert error.position == "line 2, name"
    assert fault(f"{row}\n{FIRST}\n0.10\n".encode()).position == "line 1, name"


def test_a_column_beyond_the_documented_ones_is_not_taken_for_a_price() -> None:
    error = fault(f"{FIRST},20\n2,Other,1.50,1.40,4.00,0.30,1.20,20\n0.10\n".encode())
    assert "column" in error.message
    assert error.position == "line 1, name"
    assert error.excerpt == repr(f"{FIRST},20")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("25001,1,85", "a row of 3 fields"),
        ("2,Russia,2.50,2.40,8.00,0.30", "a row of 6 fields"),
        (",,", "a row of 3 fields"),
        ("nonsense", "is behind the e-mail price"),
        ("0.10", "is behind the e-mail price"),
    ],
)
def test_a_row_of_another_width_is_refused(row: str, message: str) -> None:
    error = fault(f"{FIRST}\n{row}\n25001,1.85\n0.10\n".encode())
    assert message in error.message
    assert error.position == ("line 3" if "behind" in message else "line 2")


def test_a_cut_row_is_told_from_a_short_one_by_its_line_feed() -> None:
    assert "a row of 3 fields" in fault(f"{FIRST}\n25001,1,85\n".encode()).message
    with pytest.raises(IncompleteReply):
        decode(f"{FIRST}\n25001,1,85".encode())


def test_a_name_that_is_a_number_is_no_reason_to_refuse() -> None:
    names = [zone.name for zone in decode(b"1,900,5,5,5,5,5\n2,,5,5,5,5,5\n3,a, b,5,5,5,5,5\n0.10\n").zones]
    assert names == ["900", "", "a, b"]


def test_a_zone_after_the_operators_is_refused() -> None:
    error = fault(f"{FIRST}\n25001,1.85\n{FIRST}\n0.10\n".encode())
    assert "come first" in error.message
    assert error.position == "line 3"


def test_the_email_price_ends_the_list() -> None:
    assert fault(f"{FIRST}\n0.10\n\n25001,1.85\n".encode()).position == "line 4"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", " \r\n\r\n"])
def test_any_line_end_and_blank_lines_will_do(end: str) -> None:
    tariffs = decode(f"{end}{FIRST}{end}25001,1.85{end}0.10{end}".encode())
    assert (tariffs.zones[0].name, tariffs.operator("25001").cost, tariffs.mail) == (
        "Russia",
        Decimal("1.85"),
        Decimal("0.10"),
    )


def test_spaces_are_layout() -> None:
    assert decode(b" 1 ,\tRussia , 2.50, 2.40 ,8.00,0.30 , 1.20 \n 25001 , 1.85\n 0.10 \n") == decode(
        f"{FIRST}\n25001,1.85\n0.10\n".encode()
    )


@pytest.mark.parametrize("end", ["0.1", "-", "0.10 ", "7\n", "7\n \t", "0\r\n", "12\r"])
def test_an_email_price_that_cannot_be_the_beginning_of_a_row_is_taken(end: str) -> None:
    assert len(decode(f"{FIRST}\n{end}".encode()).zones) == 1


@pytest.mark.parametrize(
    "end", ["", "7", "0", "12 ", "0.", "25001", "25001,", "25001,1.8", "2,Ukraine", "2,Uk,1,1", "2,"]
)
def test_an_end_that_may_be_cut_off_is_incomplete(end: str) -> None:
    with pytest.raises(IncompleteReply):
        decode(f"{FIRST}\n{end}".encode())


def test_a_cut_in_the_first_row_is_incomplete() -> None:
    for length in range(1, len(FIRST)):
        with pytest.raises(IncompleteReply):
            decode(FIRST[:length].encode(), format=Format.CSV)


def test_an_operator_that_is_none_is_named() -> None:
    error = fault(f"{FIRST}\nRussia,1.85\n0.10\n".encode())
    assert (error.position, error.excerpt) == ("line 2, mccmnc", "'Russia'")


def naive(line: str) -> list[str]:
    number, *rest = line.split(",")
    return [each.strip() for each in (number, ",".join(rest[:-5]), *rest[-5:])]


def shifted(name: str) -> str | None:
    """Return what stands after the last comma of the name, if it is like a price."""
    _, comma, last = name.rpartition(",")
    return last if comma and re.fullmatch(r"([0-9]+(\.[0-9]+)?|-)?", last) else None


pieces = st.sampled_from(["a", "b c", "", " ", ", ", ",", "5", "x5", "-", "1.2.3", "\u2028", "."])
rows = st.tuples(st.lists(pieces, max_size=5).map("".join), st.sampled_from(["2.50", "50", ""]))


@given(st.lists(rows, min_size=1, max_size=5))
def test_wide_rows_are_read_from_their_right_end_like_each_by_itself(rows: list[tuple[str, str]]) -> None:
    zones: list[Row] = [zone(zone=str(number), name=name, api=api) for number, (name, api) in enumerate(rows)]
    body = reply(Format.CSV, zones, codes=[])
    suspects = [(last, api) for name, api in rows if (last := shifted(name)) is not None]
    if any(len(suspects) == len(rows) or (last.isdigit() and api.isdigit()) for last, api in suspects):
        assert "it is ambiguous" in fault(body, Format.CSV).message
        return
    found = decode(body, format=Format.CSV).zones
    read = [[each.zone, each.name, *(str(each.api or ""), str(each.mass), str(each.call))] for each in found]
    expected = [naive(line) for line in body.decode().split("\n")[:-2]]
    assert read == [[*row[:4], row[6]] for row in expected]
