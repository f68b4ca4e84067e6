"""What a list must be, in whatever format it comes."""

# ruff: noqa: RUF001  # digits of other alphabets are the point

import pickle

import pytest

from smsc_async import Format, IncompleteReply, decode
from smsc_async.display import escape_for_display
from tests.decoder.shapes import CODE, FORMATS, ZONE, fault, place, reply, zone


@pytest.mark.parametrize("form", FORMATS)
def test_two_rows_of_a_zone_that_differ_are_refused_with_both_places(form: Format) -> None:
    rows = [zone(zone=text, call=call) for text, call in (("1", "1"), ("2", "1"), ("3", "1"), ("2 ", "2"), ("1", "1"))]
    error = fault(reply(form, rows))
    assert error.position == f"{place(form, 'zone', 1)} and {place(form, 'zone', 3)}"
    assert error.excerpt == "'2'"


@pytest.mark.parametrize(
    ("form", "position"),
    [
        (Format.PLAIN, "line 3, mccmnc and line 4, mccmnc"),
        (Format.CSV, "line 3, mccmnc and line 4, mccmnc"),
        (Format.XML, "codes/mccmnc[2] and codes/mccmnc[3]"),
        (Format.JSON, "codes[1].mccmnc and codes[2].mccmnc"),
    ],
)
def test_two_rows_of_an_operator_that_differ_are_refused_with_both_places(form: Format, position: str) -> None:
    codes = [{"mccmnc": text, "cost": cost} for text, cost in (("25001", "1"), ("25002", "1"), ("25002", "-"))]
    assert fault(reply(form, codes=codes)).position == position


@pytest.mark.parametrize("member", ["name", "api", "mass", "mms", "hlr", "call"])
@pytest.mark.parametrize("form", FORMATS)
def test_two_rows_that_differ_in_any_member_are_refused(form: Format, member: str) -> None:
    assert "ambiguous" in fault(reply(form, [zone(), zone(**{member: "9.99"})])).message


def test_two_rows_that_differ_in_an_undocumented_member_are_refused() -> None:
    assert "ambiguous" in fault(reply(Format.JSON, [zone(currency="RUB"), zone(currency="USD")])).message


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_that_is_repeated_without_a_difference_is_one_row(form: Format) -> None:
    rows = [zone(), zone(zone="2"), zone(api="2.500")]
    tariffs = decode(reply(form, rows, [CODE, CODE, {**CODE, "mccmnc": "25002"}]))
    assert [each.zone for each in tariffs.zones] == ["1", "2"]
    assert str(tariffs.zones[0].api) == "2.50"
    assert [each.mccmnc for each in tariffs.codes] == ["25001", "25002"]


@pytest.mark.parametrize("text", ["2500", "25001", "250001", "2500001", "0000"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_operator_has_four_to_seven_digits(form: Format, text: str) -> None:
    assert decode(reply(form, codes=[{**CODE, "mccmnc": f" {text} "}])).codes[0].mccmnc == text


@pytest.mark.parametrize("text", ["", "250", "25000001", "2500a", "250-01", "250 01", "٢٥٠٠١", "-25001", "２５００１"])
@pytest.mark.parametrize("form", FORMATS)
def test_anything_else_is_no_operator(form: Format, text: str) -> None:
    error = fault(reply(form, codes=[CODE, {**CODE, "mccmnc": text}]))
    assert "mccmnc" in error.position
    assert "4 to 7 digits" in error.message


@pytest.mark.parametrize("text", ["1", "01", "A-1", "зона 5", "x" * 64])
@pytest.mark.parametrize("form", FORMATS)
def test_the_number_of_a_zone_is_any_short_text(form: Format, text: str) -> None:
    assert decode(reply(form, [zone(zone=f" {text} ")]), format=form).zones[0].zone == text


@pytest.mark.parametrize("text", ["", " ", "x" * 65, "a\x01b"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_zone_without_a_number_or_with_an_odd_one_is_refused(form: Format, text: str) -> None:
    error = fault(reply(form, [zone(zone="1"), zone(zone=text)]), form)
    assert error.position == place(form, "zone", 1)


@pytest.mark.parametrize("form", FORMATS)
def test_names_lose_the_spaces_around_them_and_keep_those_within(form: Format) -> None:
    assert decode(reply(form, [zone(name="  a \u00a0 b  ")])).zones[0].name == "a \u00a0 b"


@pytest.mark.parametrize("form", FORMATS)
def test_a_tab_in_a_name_is_a_space(form: Format) -> None:
    assert decode(reply(form, [zone(name="a\tb")])).zones[0].name == "a b"


def test_a_line_feed_in_a_name_is_a_space_where_there_can_be_one() -> None:
    assert decode(reply(Format.JSON, [zone(name="a\nb\rc")])).zones[0].name == "a b c"
    assert decode(reply(Format.XML, [zone(name="a\nb")])).zones[0].name == "a b"


ODD = ["\x00", "\x01", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\u200b", "\u202e", "\u2028", "\ue000", "\ufffe"]


@pytest.mark.parametrize("character", ODD)
@pytest.mark.parametrize("form", [Format.PLAIN, Format.CSV, Format.JSON])
def test_an_odd_character_in_a_name_costs_nothing(form: Format, character: str) -> None:
    assert decode(reply(form, [zone(name=f"a{character}b")])).zones[0].name == f"a{character}b"


@pytest.mark.parametrize("character", ODD)
def test_an_odd_character_in_a_name_costs_nothing_in_xml_which_forbids_some(character: str) -> None:
    names = {f"a{character}b", f"a{escape_for_display(character)}b"}
    assert decode(reply(Format.XML, [zone(name=f"a{character}b")])).zones[0].name in names


@pytest.mark.parametrize("character", ODD)
@pytest.mark.parametrize("form", FORMATS)
def test_an_odd_character_in_a_number_is_refused(form: Format, character: str) -> None:
    assert "zone" in fault(reply(form, [zone(zone=f"1{character}1")]), form).position
    assert "mccmnc" in fault(reply(form, codes=[{**CODE, "mccmnc": f"250{character}01"}])).position


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (rb'{"zones": [{"zone": "\udfff"}], "mail": "1"}', "zones[0].zone"),
        (rb'{"zones": [{"zone": "1"}], "mail": "\ud800"}', "mail"),
        (rb'{"zones": [{"zone": "1", "api": "\ud800"}], "mail": "1"}', "zones[0].api"),
    ],
)
def test_half_a_character_in_a_number_or_a_price_is_refused(body: bytes, position: str) -> None:
    assert fault(body).position == position


def test_half_a_character_elsewhere_is_written_as_its_escape() -> None:
    row = rb'{"zone": "1", "name": "a\ud800\tb", "x": ["\ud800"], "\udc00": 1}'
    zone = decode(rb'{"zones": [' + row + rb'], "mail": "1", "y": "\ud800"}').zones[0]
    assert zone.name == r"a\ud800 b"
    assert zone.extra == {"x": r'["\ud800"]', r"\udc00": "1"}
    repr(zone).encode()


def test_a_whole_character_of_two_halves_is_none_of_them() -> None:
    assert (
        decode(rb'{"zones": [{"zone": "1", "name": "\ud83d\ude00"}], "mail": "1"}').zones[0].name == "\N{GRINNING FACE}"
    )


def test_extra_members_lose_spaces_and_tabs_like_names() -> None:
    assert decode(b'{"zones": [{"zone": "1", "x": " a\\tb "}], "mail": "1"}').zones[0].extra == {"x": "a b"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_without_a_zone_is_incomplete(form: Format) -> None:
    with pytest.raises(IncompleteReply):
        decode(reply(form, []))


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_without_an_email_price_is_incomplete(form: Format) -> None:
    with pytest.raises(IncompleteReply, match="e-mail price"):
        decode(reply(form, mail=None))


@pytest.mark.parametrize("form", FORMATS)
def test_a_list_without_operators_has_none(form: Format) -> None:
    assert decode(reply(form, codes=[])).codes == ()


def test_one_reply_in_four_formats_is_one_list() -> None:
    lists = [decode(reply(form, [ZONE, zone(zone="2", name="b", mms="-")])) for form in FORMATS]
    assert len(set(lists)) == 1
    assert pickle.loads(pickle.dumps(lists[0])) == lists[0]
