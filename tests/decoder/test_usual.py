"""The short ways for what is usual read what the long ones read, and refuse what they refuse."""

from __future__ import annotations

import re
import time
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import ApiError, DecodeError, Format, Tariffs, decode
from smsc_async.decoder import json_format, usual_json, xml_format
from smsc_async.simulator.rendering import Missing, render
from tests.decoder.shapes import ZONE, Row, fault, reply, zone
from tests.decoder.test_decode import lists

MODULES = {Format.JSON: json_format, Format.XML: xml_format}
ROW = '{"zone": "1", "name": "Russia", "api": "2.50", "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": "1.20"}'
USUAL = f'{{"zones": [{ROW}], "codes": [], "mail": "0.10"}}'


def outcome(text: str, form: Format) -> tuple[str, Tariffs | None]:
    """What comes of the text: the list to the last digit and member, or the error."""
    try:
        tariffs = decode(text.encode("utf-8", "surrogatepass"), format=form)
    except (ApiError, DecodeError) as error:
        return f"{type(error).__name__}: {error}", None
    return repr(tariffs), tariffs


def nothing_taken(text: str) -> tuple[list[list[str]], str]:
    return [], text


def the_long_way(text: str, form: Format) -> tuple[str, Tariffs | None]:
    with mock.patch.object(MODULES[form], "take_zones", nothing_taken):
        return outcome(text, form)


def was_short(text: str) -> bool:
    return bool(usual_json.take_zones(text)[0])


def test_the_usual_zones_are_taken_out_of_json_before_parsing() -> None:
    columns, rest = usual_json.take_zones(USUAL)
    assert [list(column) for column in columns] == [[text] for text in ZONE.values()]
    assert rest == '{"zones": [], "codes": [], "mail": "0.10"}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        (": ", ":"),
        (", ", ","),
        (", ", ",\n    "),
        ("{", "{\n\t"),
        ("}", "\n}"),
        ("[", "[ "),
        ("}]", "}\t]"),
        ('"mms": "8.00", ', ""),
        ('"mms": "8.00"', '"mms": null'),
        ('"mms": "8.00"', '"mms": ""'),
        (', "call": "1.20"', ""),
        ('"name": "Russia", ', ""),
        ('"Russia"', "null"),
        ("Russia", r"\"R\", \\ \u0444\n"),
        ("Russia", "}, {: ]"),
        (ROW, f"{ROW} , {ROW.replace('1', '2', 1)},\n{ROW.replace('1', '3', 1)}"),
    ],
)
def test_what_is_usual_in_json_takes_the_short_way_to_the_same_list(old: str, new: str) -> None:
    text = USUAL.replace(old, new)
    assert was_short(text) or " , " in new
    assert outcome(text, Format.JSON) == the_long_way(text, Format.JSON)
    assert outcome(text, Format.JSON)[1] is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"zones": [', '"zones" : ['),
        ('"zone"', '"zone" '),
        ('"zone": "1", "name": "Russia"', '"name": "Russia", "zone": "1"'),
        ('"2.50"', "2.50"),
        ('"2.50"', r'"2\u002e50"'),
        ('"1"', r'"\u0031"'),
        ('"name"', r'"n\u0061me"'),
        ('"call": "1.20"', '"call": "1.20", "vat": "20"'),
        ('"mail"', '"x": {"zones": []}, "mail"'),
        ('"mail"', '"x": "zones", "mail"'),
        (f"[{ROW}]", f'[{ROW}, {{"zone": "2"}}, {{"vat": "20", "zone": "3"}}]'),
    ],
)
def test_what_is_unusual_in_json_takes_the_long_way_to_a_list(old: str, new: str) -> None:
    text = USUAL.replace(old, new)
    assert text != USUAL
    assert not was_short(text)
    assert outcome(text, Format.JSON)[1] is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ROW, f"{ROW},"),
        (ROW, f",{ROW}"),
        (ROW, f"{ROW} {ROW.replace('1', '2', 1)}"),
        (ROW, f"{ROW},, {ROW.replace('1', '2', 1)}"),
        (ROW, f"{ROW}, {ROW}"),
        (ROW, f'"{ROW}"'),
        (ROW, f'{ROW.replace("1", "2", 1)}], "zones": [{ROW}'),
        (ROW, f'{ROW.replace("1", "2", 1)}], "z\\u006fnes": [{ROW}'),
        (ROW, ROW.replace("}", ', "api": "1"}')),
        (ROW, ROW.replace("Russia", r"\x")),
        (ROW, ROW.replace("Russia", r"\ud800")),
        (ROW, ROW.replace("Russia", "\x01")),
        (ROW, ROW.replace("2.50", "2.5O")),
        (ROW, ROW.replace('"zone": ', '"zone":\u00a0')),
        ("}]", "}"),
        ('"zones"', '"x": {"zones"'),
        ('"zones": [', '"x": {"zones": ['),
        ('"zones"', 'zones"'),
        ('"zones"', r'"\"zones"'),
        ('"zones"', r'"x": "\"zones"'),
        ('"mail"', '"mail": "1", "mail"'),
        ('"mail": "0.10"', '"mail": '),
        (', "mail": "0.10"', ""),
        ('"mail": "0.10"}', '"mail": "0.10"'),
    ],
)
def test_what_is_no_list_is_refused_for_the_same_reason_on_both_ways(old: str, new: str) -> None:
    text = USUAL.replace(old, new)
    assert text != USUAL
    assert outcome(text, Format.JSON) == the_long_way(text, Format.JSON)
    assert outcome(text, Format.JSON)[1] is None


PIECES = [
    *(
        '"',
        "\\",
        "\\u003a",
        "\\u0022",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "null",
        "1",
        "-",
        "<",
        ">",
        "&",
        "&amp;",
    ),
    *(
        '"zones": [',
        '"zone": "1"',
        ', "api": "1"',
        '"mail": "1", ',
        '"x": {"a": 1, "a": 2}, ',
        ROW,
        f", {ROW}",
        "&#49;",
    ),
    *("<zones>", "</zones>", "<zone ", "</zone>", "<!--", "-->", "<a/>", '<zone name="" api="1">9</zone>', ' api="1"'),
]
changes = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8) | st.just(200), st.sampled_from(["", *PIECES])), max_size=3
)


@given(lists, st.sampled_from(["empty", "dash", "absent"]), st.sampled_from(list(MODULES)), changes)
def test_a_changed_list_is_the_same_list_on_both_ways_or_none(
    tariffs: Tariffs, missing: Missing, form: Format, changes: list[tuple[float, int, str]]
) -> None:
    text = render(tariffs, form, missing=missing).decode()
    for where, length, piece in changes:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    (short, read), (long, parsed) = outcome(text, form), the_long_way(text, form)
    assert read == parsed
    assert short == long or form is Format.XML  # there the parser may have refused what a price or a name cannot be


values = st.sampled_from(
    [
        '"a"',
        '"a: b"',
        '":"',
        r'"\":"',
        r'"\u003a"',
        r'"\u003A: "',
        "1",
        "null",
        "true",
        '{"a": 1}',
        '{"a": 1, "a": 2}',
        "[]",
    ]
)
members = st.lists(
    st.tuples(st.sampled_from(["name", "api", "x", "a:", r"\u006eame"]), st.sampled_from([":", " :"]), values)
)


@given(st.lists(members, max_size=3), members)
def test_no_member_that_comes_twice_is_overlooked(
    rows: list[list[tuple[str, str, str]]], others: list[tuple[str, str, str]]
) -> None:
    def written(row: list[tuple[str, str, str]]) -> str:
        return ", ".join(f'"{name}"{colon} {value}' for name, colon, value in row)

    zones = ", ".join(f'{{"zone": "{number}"{", " if row else ""}{written(row)}}}' for number, row in enumerate(rows))
    text = f'{{"zones": [{zones}], "mail": "1"{", " if others else ""}{written(others)}}}'
    thorough = mock.patch.object(json_format, "_QUICK", json_format._THOROUGH)  # pyright: ignore[reportPrivateUsage]  # the other way
    with thorough:
        expected = outcome(text, Format.JSON)
    assert outcome(text, Format.JSON) == expected


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
        assert "nobody can tell" in fault(body, Format.CSV).message
        return
    found = decode(body, format=Format.CSV).zones
    read = [[each.zone, each.name, *(str(each.api or ""), str(each.mass), str(each.call))] for each in found]
    expected = [naive(line) for line in body.decode().split("\n")[:-2]]
    assert read == [[*row[:4], row[6]] for row in expected]


def test_the_time_for_hostile_json_grows_with_its_length_alone() -> None:
    for piece in (
        '{"zone":"',
        '{"zone":"1","name":"',
        '{"zone":"1","name":"\\',
        '{"zone":"1"},',
        '"zones":[',
        "{\n\n\n\n",
        ROW,
    ):
        started = time.process_time()
        fault(('{"zones":[' + piece * 50_000).encode())
        assert time.process_time() - started < 2
