"""JSON: numbers keep their digits, and nothing is lost on the way."""

import json
import time

import pytest

from smsc_async import DecodeError, Format, IncompleteReply, decode
from tests.decoder.shapes import fault, prices, reply, zone


def listing(zones: str = '[{"zone": "1"}]', codes: str = "[]", mail: str = '"0.10"', more: str = "") -> bytes:
    return f'{{"zones": {zones}, "codes": {codes}, "mail": {mail}{more}}}'.encode()


def test_numbers_keep_their_digits() -> None:
    tariffs = decode(
        listing(
            '[{"zone": 7, "name": 5, "api": 2.50, "mass": 0, "mms": 8.00, "hlr": null, "call": "1.20"}]',
            '[{"mccmnc": 25001, "cost": 1.850}]',
            "0.10",
        )
    )
    assert prices(tariffs) == {"api": "2.50", "mass": "0", "mms": "8.00", "hlr": None, "call": "1.20"}
    assert (tariffs.zones[0].zone, tariffs.zones[0].name) == ("7", "5")
    assert (tariffs.codes[0].mccmnc, str(tariffs.codes[0].cost), str(tariffs.mail)) == ("25001", "1.850", "0.10")


def test_texts_may_hold_tabs_and_line_feeds_as_they_are() -> None:
    assert decode(listing('[{"zone": "1", "name": "a\tb\nc"}]')).zones[0].name == "a b c"
    assert decode(listing('[{"zone": "1", "name": "a:\tb"}]')).zones[0].name == "a: b"


def test_numbers_that_are_none_are_judged_like_texts() -> None:
    for value in ("NaN", "Infinity", "-Infinity"):
        assert "not a price" in fault(listing(mail=value)).message


def test_texts_of_numbers_are_plain_texts() -> None:
    tariffs = decode(listing('[{"zone": 7, "name": 5, "n": 5.0}]'))
    assert {type(text) for text in (tariffs.zones[0].zone, tariffs.zones[0].name, tariffs.zones[0].extra["n"])} == {str}


@pytest.mark.parametrize(
    "value",
    ["true", "false", "[]", "{}", '["2.50"]', "-1", "-0", "1e5", "1E400", "NaN", "Infinity", "-Infinity", "1" * 5000],
)
def test_what_is_not_a_price_is_refused_with_its_place(value: str) -> None:
    zones = ", ".join(f'{{"zone": "{row}", "api": {value if row == 3 else 1}}}' for row in range(5))
    assert fault(listing(f"[{zones}]")).position == "zones[3].api"
    assert fault(listing(codes=f'[{{"mccmnc": "25001", "cost": {value}}}]')).position == "codes[0].cost"
    assert fault(listing(mail=value)).position == "mail"


@pytest.mark.parametrize("value", ["true", "[]", '{"a": 1}'])
def test_a_number_of_another_type_is_refused(value: str) -> None:
    error = fault(listing(f'[{{"zone": {value}}}]'))
    assert (error.position, error.message) == ("zones[0].zone", "neither a text nor a number")
    assert error.excerpt == repr(value)


@pytest.mark.parametrize("value", ["true", "[]", '{"a": 1}'])
def test_a_name_of_another_type_is_its_json_text(value: str) -> None:
    assert decode(listing(f'[{{"zone": "1", "name": {value}}}]')).zones[0].name == value


@pytest.mark.parametrize("name", ["", ', "name": null', ', "name": ""', ', "name": "  "'])
def test_a_name_may_be_missing(name: str) -> None:
    assert decode(listing(f'[{{"zone": "1"{name}}}]')).zones[0].name == ""


@pytest.mark.parametrize("number", ["", '"zone": null,', '"zone": "",', '"zone": "  ",'])
def test_a_zone_without_its_number_is_refused(number: str) -> None:
    error = fault(listing('[{"zone": "1"}, {' + number + '"api": "1"}]'))
    assert error.position == "zones[1].zone"


@pytest.mark.parametrize("codes", ["[]", "{}", '""', "null"])
def test_codes_may_be_empty(codes: str) -> None:
    assert decode(listing(codes=codes)).codes == ()


def test_codes_may_be_absent() -> None:
    assert decode(b'{"zones": [{"zone": "1"}], "mail": null}').codes == ()


@pytest.mark.parametrize("section", ["zones", "codes"])
@pytest.mark.parametrize("value", ['"x"', "1", "0", "true", "false", '{"a": 1}'])
def test_a_section_of_another_type_is_refused(section: str, value: str) -> None:
    error = fault(listing(**{section: value}))
    assert (error.position, error.message) == (section, "not an array")


@pytest.mark.parametrize("section", ["zones", "codes"])
@pytest.mark.parametrize("value", ['"x"', "1", "null", "true", "[]"])
def test_a_row_of_another_type_is_refused(section: str, value: str) -> None:
    error = fault(listing(**{section: f"[{'{'}{'}'}, {value}]"}))
    assert (error.position, error.message) == (f"{section}[1]", "not an object")


@pytest.mark.parametrize("body", [b"[]", b"[1]", b'[{"zones": []}]'])
def test_an_array_is_refused(body: bytes) -> None:
    error = fault(body)
    assert (error.format, error.excerpt) == ("JSON", repr(body.decode()))


@pytest.mark.parametrize("form", [None, *Format])
@pytest.mark.parametrize(
    "body", [b"{}", b'{"status": 502, "a": [1]}', b'{"error": "x"}', b'{"message": "Bad gateway"}']
)
def test_an_object_of_another_kind_is_not_of_this_service(body: bytes, form: Format | None) -> None:
    error = fault(body, form)
    assert "not an answer of this service" in error.message
    assert error.format is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"zones": [], "mail": "1"}',
        b'{"zones": null, "mail": "1"}',
        b'{"codes": [], "mail": "1"}',
        b'{"mail": "1"}',
        b'{"zones": [{"zone": "1"}]}',
    ],
)
def test_a_list_without_a_zone_or_an_email_price_is_incomplete(body: bytes) -> None:
    with pytest.raises(IncompleteReply):
        decode(body)


@pytest.mark.parametrize("mail", ["null", '""', '"-"'])
def test_an_empty_email_price_is_none(mail: str) -> None:
    assert decode(listing(mail=mail)).mail is None


def test_what_is_not_documented_is_kept_as_text_or_json() -> None:
    kept = '"s": "a: b", "n": 20.50, "t": true, "z": null, "l": [1.0, "x", {}], "d": {"k\\"": -0, "ж": "é"}'
    tariffs = decode(
        listing(f'[{{"zone": "1"}}, {{"zone": "2", {kept}}}]', f'[{{"mccmnc": "25001", {kept}}}]', more=f", {kept}")
    )
    expected = {
        "s": "a: b",
        "n": "20.50",
        "t": "true",
        "z": "null",
        "l": '[1.0, "x", {}]',
        "d": '{"k\\"": -0, "ж": "é"}',
    }
    assert [dict(each.extra) for each in tariffs.zones] == [{}, expected]
    assert (dict(tariffs.codes[0].extra), dict(tariffs.extra)) == (expected, expected)


def test_an_odd_number_that_is_not_documented_is_kept_as_it_is_written() -> None:
    assert decode(listing(more=', "x": NaN, "y": 1e999999, "z": ' + "1" * 5000)).extra == {
        "x": "NaN",
        "y": "1e999999",
        "z": "1" * 5000,
    }


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (listing('[{"zone": "1", "api": "1", "api": "2"}]'), "api"),
        (listing('[{"zone": "1", "a\\u0070i": "1", "api" : "2"}]'), "api"),
        (listing('[{"zone": "1", "name": "a:b", "api": "1", "api": "2"}]'), "api"),
        (listing('[{"zone": "1", "zone": "2"}]'), "zone"),
        (listing('[{"zone": "1", "name": "a", "name": "b"}]'), "name"),
        (listing(codes='[{"mccmnc": "25001", "cost": "1", "cost": null}]'), "cost"),
        (listing(more=', "mail": "0.20"'), "mail"),
        (listing(more=', "zones": []'), "zones"),
        (b'{"error_code": 2, "error_code": 4}', "error_code"),
    ],
)
def test_a_documented_member_that_is_repeated_with_another_value_is_refused(body: bytes, position: str) -> None:
    error = fault(body)
    assert "twice" in error.message
    assert error.position == position


@pytest.mark.parametrize("more", ['"api": "1"', '"x": {"y": 1, "y": 2}', '"x": 1, "x": {"y": 2}'])
def test_any_other_repetition_costs_nothing(more: str) -> None:
    zone = decode(listing(f'[{{"zone": "1", "api": "1", {more}}}]')).zones[0]
    assert str(zone.api) == "1"
    assert zone.extra in ({}, {"x": '{"y": 2}'})


def test_the_member_that_comes_twice_is_named() -> None:
    error = fault(listing('[{"zone": "7", "api": "1", "api": "2"}]'))
    assert (error.position, error.excerpt) == ("api", "'2'")


@pytest.mark.parametrize("name", ["a: b", ":", 'x": "y', "\\"])
def test_colons_in_names_are_no_members(name: str) -> None:
    rows = [zone(name=name), zone(zone="2")]
    assert decode(reply(Format.JSON, rows)).zones[0].name == name


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"zones": ' + "[" * 100_000 + "]" * 100_000 + "}"])
def test_deep_nesting_is_refused(text: str) -> None:
    error = fault(text.encode())
    assert "deeper" in error.message
    assert error.format == "JSON"


def test_nesting_is_kept_up_to_32_levels() -> None:
    for depth in (1, 31, 32, 33, *range(100, 1200, 50)):
        value = "[" * depth + "]" * depth
        if depth <= 32:
            assert decode(listing(more=f', "x": {value}')).extra["x"] == value
        else:
            for body in (listing(more=f', "x": {value}'), f'{{"error_code": {value}}}'.encode(), listing(f"[{value}]")):
                assert "deeper" in fault(body).message


@pytest.mark.parametrize(
    "text",
    [
        '{"zones": [}',
        '{"zones": #, "mail": 1}',
        "{'zones': []}",
        '{"zones": [],}',
        '{"a": 1} {"b": 2}',
        '{"a": "\\x"}  , 1',
        '{"a" 1}',
    ],
)
def test_broken_json_is_refused_with_its_place(text: str) -> None:
    error = fault(text.encode())
    assert not isinstance(error, IncompleteReply)
    assert error.position.startswith("line 1, column ")


def test_the_place_of_a_fault_is_shown() -> None:
    error = fault(b'{"zones":\n  [?]}')
    assert (error.position, error.excerpt) == ("line 2, column 4", "'?]}'")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"',
        '{"zones',
        '{"zones"',
        '{"zones":',
        '{"zones": [{"zone": "1\\',
        '{"z": "\\u04',
        '{"mail": 0.',
        '{"mail": nul',
        '{"mail": -',
        '{"a": 1,',
    ],
)
def test_json_that_stops_is_incomplete(text: str) -> None:
    with pytest.raises(IncompleteReply):
        decode(text.encode())


@pytest.mark.parametrize("text", ["[" * 40, "]" * 40, '\\"' + "[" * 40, "\\\\", "{[" * 40])
def test_brackets_in_texts_are_no_nesting(text: str) -> None:
    escaped = text if "\\" in text else json.dumps(text)[1:-1]
    body = listing(f'[{{"zone": "1", "name": "{escaped}"}}]', more=f', "{escaped}": ["]", "{escaped}"]')
    assert decode(body).zones[0].name == json.loads(f'"{escaped}"')


def test_brackets_in_texts_do_not_hide_nesting() -> None:
    for closing in ('"]"', r'"\"]"', r'"\\", "]"'):
        value = f"[{closing}, " * 40 + "1" + "]" * 40
        assert "deeper" in fault(listing(more=f', "x": {value}')).message


@pytest.mark.parametrize("rest", [b"x", b" 7", b' "', b"true", b"-", b"\n\nNotice"])
@pytest.mark.parametrize("whole", [listing(), b'{"error": "no", "error_code": 2}'], ids=["list", "refusal"])
def test_a_whole_text_with_something_behind_it_is_not_called_cut(whole: bytes, rest: bytes) -> None:
    error = fault(whole + rest)
    assert (error.message, type(error)) == ("Extra data", DecodeError)


def test_brackets_that_close_nothing_are_no_nesting() -> None:
    assert fault(b'{"zones": []}' + b"]" * 40).message == "Extra data"


@pytest.mark.parametrize("colon", [":", " :", "\n:", " : "])
@pytest.mark.parametrize("name", ["a", "a: b", 'a\\": b', ": b"])
def test_a_member_that_comes_twice_is_found_however_its_colon_is_spaced(colon: str, name: str) -> None:
    zone = f'{{"zone"{colon}"1", "name": "{name}", "api": "1", "api"{colon}"2"}}'
    with pytest.raises(DecodeError, match="comes twice"):
        decode(f'{{"zones": [{zone}], "mail": "0.1"}}'.encode())


def test_the_time_for_hostile_json_grows_with_its_length_alone() -> None:
    for piece in (
        '{"zone":"',
        '{"zone":"1","name":"',
        '{"zone":"1","name":"\\',
        '{"zone":"1"},',
        '"zones":[',
        "{\n\n\n\n",
        '{"zone": "1", "name": "Russia", "api": "2.50"}',
    ):
        started = time.process_time()
        fault(('{"zones":[' + piece * 50_000).encode())
        assert time.process_time() - started < 2
