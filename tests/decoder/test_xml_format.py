"""XML: no DTD, no depth, and whatever the provider adds."""

import time
import tracemalloc
from decimal import Decimal

import pytest

from smsc_async import DecodeError, Format, IncompleteReply, decode
from tests.decoder.shapes import fault

ROW = '<zone name="Russia" api="2.50" mass="2.40" mms="8.00" hlr="0.30" call="1.20">1</zone>'
USUAL = f"<price>\n<zones>\n{ROW}\n</zones>\n<mail>0.10</mail>\n</price>\n"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><price><zones>&lol9;</zones><mail>1</mail></price>"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<zones>", "<zones><!-- a -->"),
        ("<zones>", "<zones >"),
        ("<price>", "<!-- <zones></zones> --><price>"),
        ("<price>", "<?x <zones></zones> ?><price>"),
        ("</price>", "</price><?x?>"),
        ("<zone name", "<zone  name"),
        ('name="Russia" api="2.50"', 'api="2.50" name="Russia"'),
        ("'", "'"),
        ('"Russia"', "'Russia'"),
        ('"Russia"', '"R&#117;ssia"'),
        ('"Russia"', '"R&#x75;ssia"'),
        (">1</zone>", "><![CDATA[1]]></zone>"),
        (">1</zone>", ">&#49;</zone>"),
        (">1</zone>", "> 1\n</zone >"),
        ("<zones>", ['<?xml version="1.0" ?>', "<zones>"][1]),
    ],
)
def test_the_same_list_written_otherwise_is_the_same_list(old: str, new: str) -> None:
    assert decode(USUAL.replace(old, new, 1).encode()) == decode(USUAL.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</zone>", "</zone>junk"),
        ("</zone>", f"</zone>junk{ROW.replace('>1<', '>2<')}"),
        ("</zones>", "junk</zones>"),
        ("<mail>", "<mail>0<x/>"),
        ("1</zone>", "1<x/>2</zone>"),
        ("<zone ", "<zone name='x' "),
        ("</price>", "<mail>0.20</mail></price>"),
        ("</price>", "</price><price/>"),
        ("</price>", "&nbsp;</price>"),
        ("</mail>", "</mial>"),
        ("Russia", "<"),
        ("Russia", "&"),
        ("Russia", "&euro;"),
        (">1<", ">]]><"),
        ("Russia", "&#x110000;"),
        ("</zone>", "<api>3</api></zone>"),
        ("<price>", "<price xmlns='http://example.com/'>"),
        ("0.10", "\0"),
    ],
)
def test_what_is_no_xml_or_cannot_be_told_is_refused(old: str, new: str) -> None:
    broken = USUAL.replace(old, new, 1)
    assert broken != USUAL
    with pytest.raises(DecodeError):
        decode(broken.encode())


def test_a_section_within_a_section_is_no_section() -> None:
    assert decode(USUAL.replace("</zones>", "<zones></zones></zones>").encode()) == decode(USUAL.encode())


def test_a_section_in_a_comment_is_no_section() -> None:
    for old, new in (("<zones>", "<!-- <zones>"), ("<zones>", "<?x <zones>"), ("<zones>", "<![CDATA[<zones>")):
        end = {"<!": "-->", "<?": "?>", "<![": "]]>"}[new[: 3 if "CDATA" in new else 2]]
        with pytest.raises(IncompleteReply, match="without a single zone"):
            decode(USUAL.replace(old, new).replace("</zones>", f"</zones>{end}").encode())


def test_text_in_a_section_is_kept_like_any_other() -> None:
    assert decode(USUAL.replace("<zones>", "<zones>junk").encode()).extra == {"zones": "junk"}
    assert decode(USUAL.replace("<zones>\n", "<zones>junk", 1).replace("<zone ", "<zone  ").encode()).extra == {
        "zones": "junk"
    }


def test_zones_elsewhere_are_no_zones() -> None:
    with pytest.raises(IncompleteReply, match="without a single zone"):
        decode(USUAL.replace("<zones>", "<x><zones>").replace("</zones>", "</zones></x>").encode())


@pytest.mark.parametrize("encoding", ["windows-1251", "UTF-8", "utf-16", "ucs-4", "x-unknown", "utf-7"])
def test_the_encoding_that_the_document_declares_means_nothing(encoding: str) -> None:
    body = f'\ufeff<?xml version="1.0" encoding="{encoding}"?>\n{USUAL}'.replace("Russia", "Россия").encode()
    assert decode(body).zones[0].name == "Россия"


def test_layout_before_the_declaration_is_no_fault() -> None:
    assert decode(f'\r\n <?xml version="1.0"?>\r\n{USUAL}'.encode()) == decode(USUAL.encode())


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        BOMB.replace("9;", "1;"),
        f'<!DOCTYPE price SYSTEM "file:///etc/passwd">{USUAL}',
        f'<!DOCTYPE price [<!ENTITY x "2.50">]>{USUAL.replace("2.50", "&x;")}',
        f"<!DOCTYPE price>{USUAL}",
    ],
)
def test_a_document_type_declaration_is_refused_before_anything_is_expanded(body: str) -> None:
    error = fault(body.encode(), Format.XML)
    assert "document type" in error.message
    assert error.format == "XML"


def test_an_entity_declared_without_a_document_type_is_refused() -> None:
    fault(f'<!ENTITY x "2.50">{USUAL}'.encode())


@pytest.mark.parametrize("text", ["<price>" * 100_000, "<price>" * 100_000 + "</price>" * 100_000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "deeper" in fault(text.encode()).message


def test_deep_nesting_is_refused_before_it_is_built() -> None:
    body = b"<price>" * 1_000_000
    tracemalloc.start()
    fault(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(body)


def test_four_levels_are_not_deep() -> None:
    assert decode(USUAL.replace("</zone>", "<a><b/></a></zone>").replace("<b/>", "").encode()).zones[0].extra == {
        "a": ""
    }
    assert "deeper" in fault(USUAL.replace("</zone>", "<a><b/></a></zone>").encode()).message


def test_what_is_not_documented_is_kept_under_its_name_or_path() -> None:
    text = (
        '<price currency="RUB"><zones count="1">'
        '<zone name="Russia" api="2.50" vat="20">1<since year="2024"> May </since></zone><note>n</note></zones>'
        '<codes><mccmnc cost="1.85" tag="t">25001</mccmnc><mccmnc cost="1.90">25002</mccmnc></codes>'
        "<mail>0.10</mail><taxes><vat>20</vat></taxes><empty/></price>"
    )
    tariffs = decode(text.encode())
    assert tariffs.zones[0].extra == {"vat": "20", "since": "May", "since.year": "2024"}
    assert [code.extra for code in tariffs.codes] == [{"tag": "t"}, {}]
    assert tariffs.extra == {"currency": "RUB", "zones.count": "1", "zones.note": "n", "taxes.vat": "20", "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        "<price/>",
        "<price><mail>1</mail></price>",
        "<price><zones/><mail>1</mail></price>",
        USUAL.replace("mail", "email"),
    ],
)
def test_a_list_without_a_zone_or_an_email_price_is_incomplete(text: str) -> None:
    with pytest.raises(IncompleteReply):
        decode(text.encode())


@pytest.mark.parametrize("mail", ["<mail/>", "<mail></mail>", "<mail>-</mail>", "<mail>\n</mail>"])
def test_an_empty_email_price_is_none(mail: str) -> None:
    assert decode(USUAL.replace("<mail>0.10</mail>", mail).encode()).mail is None


def test_an_email_price_may_have_layout_around_it() -> None:
    assert decode(USUAL.replace("0.10", "\r\n 0.10\t").encode()).mail == Decimal("0.10")


@pytest.mark.parametrize("text", ["", " "])
def test_a_zone_without_its_number_is_refused(text: str) -> None:
    for unusual in ("<zone ", "<zone  "):
        error = fault(USUAL.replace(">1<", f">{text}<").replace("<zone ", unusual).encode())
        assert error.position == "zones/zone[1]"


def test_a_fault_is_named_by_line_and_column_of_the_whole_text() -> None:
    error = fault(USUAL.replace("</mail>", "</mial>").encode())
    assert error.message == "mismatched tag"
    assert (error.position, error.excerpt) == ("line 5, column 13", "'mial>'")


def test_another_root_is_not_of_this_service() -> None:
    error = fault(b"<prices/>")
    assert "not an answer of this service" in error.message
    assert (error.format, error.excerpt) == (None, "'<prices/>'")


def test_a_section_that_is_repeated_adds_its_rows() -> None:
    other = ROW.replace(">1<", ">2<")
    tariffs = decode(USUAL.replace("</zones>", f"</zones><zones>{ROW}{other}</zones>").encode())
    assert [each.zone for each in tariffs.zones] == ["1", "2"]


def test_of_an_undocumented_element_that_is_repeated_the_last_value_counts() -> None:
    text = USUAL.replace("</zone>", "<ж>1</ж><ж>2</ж></zone>").replace("</price>", "<vat>1</vat><vat>2</vat></price>")
    tariffs = decode(text.encode())
    assert (dict(tariffs.zones[0].extra), dict(tariffs.extra)) == ({"ж": "2"}, {"vat": "2"})


def test_a_documented_element_that_is_repeated_with_another_value_is_refused() -> None:
    error = fault(USUAL.replace("</zone>", "<api>3</api></zone>").encode())
    assert (error.position, error.excerpt) == ("zones/zone[1]/@api", "'3'")
    assert decode(USUAL.replace("</price>", "<mail>0.10</mail></price>").encode()) == decode(USUAL.encode())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("\x01", r"\x01"),
        ("&#1;", r"\x01"),
        ("&#x1;", r"\x01"),
        ("&#x000B;", r"\x0b"),
        ("&#xD800;", r"\ud800"),
        ("&#65535;", r"\uffff"),
        ("\x1f&#65;&#x42;\ufffe", r"\x1fAB\ufffe"),
    ],
)
def test_what_xml_forbids_is_written_as_its_escape_in_a_name(written: str, name: str) -> None:
    assert decode(USUAL.replace("Russia", written).encode()).zones[0].name == name
    assert "not a price" in fault(USUAL.replace("2.50", f"2{written}50").encode()).message


def test_an_unfinished_list_with_what_xml_forbids_is_incomplete() -> None:
    with pytest.raises(IncompleteReply):
        decode(USUAL.replace("Russia", "\x01").replace("</price>", "").encode())


def test_the_time_for_hostile_text_grows_with_its_length_alone() -> None:
    for piece in ("<zones><zone name=", '<zone name="', "</zone>", "<zones>\n\n\n\n", "<zones></zones>"):
        started = time.process_time()
        fault(("<price>" + piece * 50_000).encode())
        assert time.process_time() - started < 2
