"""The bytes are believed before the declaration, and a format is told by its first line."""

import codecs

import pytest

from smsc_async import Format, IncompleteReply, decode
from smsc_async.decoder.text import recognise, to_text
from tests.decoder.shapes import reply, zone

NAMED = reply(Format.JSON, [zone(name="Россия, ЁЯё")]).decode()


@pytest.mark.parametrize("declared", [None, "utf-8", "windows-1251", "koi8-r", "utf-16", "x-unknown", "zlib", "", "\0"])
def test_utf8_is_read_as_such_whatever_is_declared(declared: str | None) -> None:
    assert decode(NAMED.encode(), charset=declared).zones[0].name == "Россия, ЁЯё"


@pytest.mark.parametrize("declared", [None, "utf-8", "windows-1251", "cp1251", "CP1251", "ISO-8859-1", "zlib", "idna"])
def test_what_is_not_utf8_is_windows_1251(declared: str | None) -> None:
    assert decode(NAMED.encode("cp1251"), charset=declared).zones[0].name == "Россия, ЁЯё"


@pytest.mark.parametrize("declared", ["koi8-r", "KOI8-R", ' "koi8_r" ', "koi8-u", "iso-8859-5", "cp866", "ibm866"])
def test_a_declared_cyrillic_charset_is_honoured(declared: str) -> None:
    codec = declared.strip(' "')
    assert decode(NAMED.encode(codec), charset=declared).zones[0].name == "Россия, ЁЯё"


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert to_text(codecs.BOM_UTF8 + b"0,-2", None) == "0,-2"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be"])
def test_utf16_is_told_by_its_mark(codec: str) -> None:
    body = NAMED.encode(codec)
    assert decode(body if codec == "utf-16" else codecs.BOM_UTF16_BE + body).zones[0].name == "Россия, ЁЯё"


def test_utf16_cut_within_a_character_is_incomplete() -> None:
    with pytest.raises(IncompleteReply, match="within a character of UTF-16"):
        to_text(NAMED.encode("utf-16")[:-1], None)


def test_a_unit_of_utf16_without_a_meaning_is_a_replacement_character() -> None:
    assert to_text(codecs.BOM_UTF16_LE + b"a\0\x00\xdcb\0", None) == "a\ufffdb"


def test_several_byte_order_marks_are_no_part_of_the_text_either() -> None:
    assert to_text(codecs.BOM_UTF8 * 2 + b"0,-2", None) == "0,-2"


def test_utf8_cut_within_a_character_is_incomplete() -> None:
    with pytest.raises(IncompleteReply, match="within a character of UTF-8"):
        to_text("ERROR = 2 (ошибка".encode()[:-1], None)


def test_a_cut_character_of_a_declared_charset_is_a_character_of_that_charset() -> None:
    assert to_text(b"ab\xd0", "koi8-r") == "abп"


@pytest.mark.parametrize("declared", [None, "cp1251"])
def test_the_byte_that_windows_1251_does_not_have_is_a_question_mark(declared: str | None) -> None:
    assert to_text(b"1,Russia\x98\xff,", declared) == "1,Russia?я,"
    assert to_text(b"\x98\xff", "koi8-r") == b"\x98\xff".decode("koi8-r")


@pytest.mark.parametrize("declared", [None, "windows-1251"])
def test_a_name_that_was_cut_within_a_character_is_still_utf8(declared: str | None) -> None:
    body = reply(Format.JSON, [zone(name="Росси#"), zone(zone="2", name="Казахстан")]).replace(b"#", b"\xd1")
    assert [each.name for each in decode(body, charset=declared).zones] == ["Росси\ufffd", "Казахстан"]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_every_line_end_becomes_a_line_feed(end: str) -> None:
    assert to_text(f"a{end}{end}b".encode(), None) == "a\n\nb"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("zone = 1, name = Russia", Format.PLAIN),
        ("\n\n  zone=1,name=x", Format.PLAIN),
        ("currency = RUB\nzone = 1", Format.PLAIN),
        ("mail = 0.10", Format.PLAIN),
        ("ERROR = 2 (authorise error)", Format.PLAIN),
        ("ERR", Format.PLAIN),
        ("z", Format.PLAIN),
        ("zone ", Format.PLAIN),
        ("1,Russia,2.50,2.40,8.00,0.30,1.20", Format.CSV),
        ("25001,1.85", Format.CSV),
        ("A 1,Russia,2.50,2.40,8.00,0.30,1.20", Format.CSV),
        ("0,-2", Format.CSV),
        ("0 , -2", Format.CSV),
        ("12", Format.CSV),
        ("0.10", Format.CSV),
        ("зона,", Format.CSV),
        ("<price>", Format.XML),
        ('\n<?xml version="1.0"?>', Format.XML),
        ("<!DOCTYPE price [", Format.XML),
        ("<htmlish/>", None),
        ("<prices/>", None),
        ("<price.x/>", None),
        ("<", Format.XML),
        ("<pri", Format.XML),
        ("<result/>", Format.XML),
        ("<!-", Format.XML),
        ("<!-- no end", Format.XML),
        ("<?xml no end", Format.XML),
        ('<?xml version="1.0"?>\n<!-- a --> <price>', Format.XML),
        ("<!-- waf --><html></html>", None),
        ('<?xml version="1.0"?><!DOCTYPE html PUBLIC "x">', None),
        ('<?xml version="1.0"?><html>', None),
        ("<br />\n<b>Warning</b>", None),
        ("<center>", None),
        ("<script>", None),
        ("<PRICE>", None),
        ("{", Format.JSON),
        ("[1]", Format.JSON),
        ("<!DOCTYPE html>", None),
        ("<!doctype  HTML PUBLIC", None),
        ("<HTML lang=en>", None),
        ("<head>", None),
        ("<body>", None),
        ("SSH-2.0-OpenSSH_8.9p1", None),
        ("Bad Gateway", None),
        ("zonefile", None),
        ("a,b" * 3, Format.CSV),
        ("The list, as it was, is gone", None),
        ("123456789012345678901", None),
        ("\0", None),
        ("= 1", None),
    ],
)
def test_a_text_is_recognised_by_its_beginning(text: str, form: Format | None) -> None:
    assert recognise(text) is form
