"""What a list must be, in whatever format it comes."""

# ruff: noqa: RUF001  # digits of other alphabets are the point

import pickle

import pytest

from smsc_async import Format, IncompleteReply, decode
from tests.decoder.shapes import CODE, FORMATS, ZONE, fault, place, reply, zone


@pytest.mark.parametrize("form", FORMATS)
def test_a_zone_that_comes_twice_is_refused_with_both_places(form: Format) -> None:
    error = fault(reply(form, [zone(zone=text) for text in ("1", "2", "3", "2 ", "1")]))
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
def test_an_operator_that_comes_twice_is_refused_with_both_places(form: Format, position: str) -> None:
    codes = [{**CODE, "mccmnc": text} for text in ("25001", "25002", "25002")]
    assert fault(reply(form, codes=codes)).position == position


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


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x0e", "\x1f", "\x7f"])
@pytest.mark.parametrize("form", [Format.PLAIN, Format.CSV, Format.JSON])
def test_other_control_characters_in_a_name_are_refused(form: Format, character: str) -> None:
    error = fault(reply(form, [zone(zone="0"), zone(name=f"a{character}b")]))
    assert error.position == place(form, "name", 1)


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (rb'{"zones": [{"zone": "1", "name": "\ud800"}], "mail": "1"}', "zones[0].name"),
        (rb'{"zones": [{"zone": "\udfff"}], "mail": "1"}', "zones[0].zone"),
        (rb'{"zones": [{"zone": "1", "x": "\ud800"}], "mail": "1"}', "zones[0] 'x'"),
        (rb'{"zones": [{"zone": "1", "\ud800": 1}], "mail": "1"}', r"zones[0] '\ud800'"),
        (rb'{"zones": [{"zone": "1", "x": ["\ud800"]}], "mail": "1"}', "zones[0] 'x'"),
        (rb'{"zones": [{"zone": "1"}], "mail": "1", "\ud800": 1}', r"'\ud800'"),
        (rb'{"zones": [{"zone": "1"}], "mail": "\ud800"}', "mail"),
        (rb'{"zones": [{"zone": "1", "api": "\ud800"}], "mail": "1"}', "zones[0].api"),
    ],
)
def test_half_a_character_is_refused(body: bytes, position: str) -> None:
    assert fault(body).position == position


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
