"""The four shapes, to the byte."""

# ruff: noqa: RUF001  # Cyrillic names are the point

import json
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from smsc_async import Extra, Format, OperatorTariff, Tariffs, Zone
from smsc_async.simulator.rendering import Missing, render, render_refusal

MTS = Zone("1", "Россия (МТС, Т2)", Decimal("2.50"), Decimal("2.60"), Decimal(7), Decimal("0.30"), Decimal(4))
KAZAKHSTAN = Zone("2", 'Kazakhstan "Beeline" & <Kcell> = all', api=Decimal("12.0"))
LIST = Tariffs((MTS, KAZAKHSTAN), (OperatorTariff("25001", Decimal("1.85")), OperatorTariff("25020")), Decimal("0.10"))
PRICELESS = Tariffs((Zone("1", "Russia"),), (OperatorTariff("25001"),))


def test_plain_text_is_lines_of_assignments() -> None:
    assert render(LIST, Format.PLAIN).decode() == (
        "zone = 1, name = Россия (МТС, Т2), api = 2.50, mass = 2.60, mms = 7, hlr = 0.30, call = 4\n"
        'zone = 2, name = Kazakhstan "Beeline" & <Kcell> = all, api = 12.0, mass = , mms = , hlr = , call = \n'
        "mccmnc = 25001, cost = 1.85\n"
        "mccmnc = 25020, cost = \n"
        "mail = 0.10\n"
    )


def test_comma_separated_text_quotes_nothing() -> None:
    assert render(LIST, Format.CSV).decode() == (
        "1,Россия (МТС, Т2),2.50,2.60,7,0.30,4\n"
        '2,Kazakhstan "Beeline" & <Kcell> = all,12.0,,,,\n'
        "25001,1.85\n"
        "25020,\n"
        "0.10\n"
    )


def test_xml_escapes_names_and_holds_prices_as_attributes() -> None:
    assert render(LIST, Format.XML).decode() == (
        "<price>\n<zones>\n"
        '<zone name="Россия (МТС, Т2)" api="2.50" mass="2.60" mms="7" hlr="0.30" call="4">1</zone>\n'
        '<zone name="Kazakhstan &quot;Beeline&quot; &amp; &lt;Kcell&gt; = all" api="12.0" mass="" mms="" hlr=""'
        ' call="">2</zone>\n'
        '</zones>\n<codes>\n<mccmnc cost="1.85">25001</mccmnc>\n<mccmnc cost="">25020</mccmnc>\n</codes>\n'
        "<mail>0.10</mail>\n</price>"
    )


def test_json_holds_every_value_as_a_string_in_the_layout_of_the_page() -> None:
    body = render(LIST, Format.JSON).decode()
    assert body.startswith('{\n"zones": [{\n"zone": "1",\n"name": "Россия (МТС, Т2)",\n"api": "2.50",')
    assert body.endswith('},\n{\n"mccmnc": "25020",\n"cost": ""\n}],\n"mail": "0.10"\n}')
    assert json.loads(body)["zones"][1] == {
        "zone": "2",
        "name": 'Kazakhstan "Beeline" & <Kcell> = all',
        "api": "12.0",
        "mass": "",
        "mms": "",
        "hlr": "",
        "call": "",
    }


@pytest.mark.parametrize(
    ("missing", "shape", "expected"),
    [
        ("dash", Format.PLAIN, "zone = 1, name = Russia, api = -, mass = -, mms = -, hlr = -, call = -\n"),
        ("dash", Format.CSV, "1,Russia,-,-,-,-,-\n25001,-\n-\n"),
        ("dash", Format.XML, '<mccmnc cost="-">25001</mccmnc>\n</codes>\n<mail>-</mail>'),
        ("dash", Format.JSON, '"cost": "-"\n}],\n"mail": "-"'),
        ("absent", Format.PLAIN, "zone = 1, name = Russia\nmccmnc = 25001\nmail = \n"),
        ("absent", Format.CSV, "1,Russia,,,,,\n25001,\n-\n"),
        ("absent", Format.XML, '<zone name="Russia">1</zone>\n</zones>\n<codes>\n<mccmnc>25001</mccmnc>'),
        ("absent", Format.JSON, '"name": "Russia"\n}],\n"codes": [{\n"mccmnc": "25001"\n}],\n"mail": ""'),
    ],
)
def test_a_missing_price_is_written_as_told_and_the_mail_line_never_left_out(
    missing: Missing, shape: Format, expected: str
) -> None:
    assert expected in render(PRICELESS, shape, missing=missing).decode()


def test_a_list_without_operators_has_an_empty_section_or_none_where_absent_is_asked() -> None:
    bare = Tariffs((MTS,))
    assert "<codes>\n</codes>" in render(bare, Format.XML).decode()
    assert '"codes": []' in render(bare, Format.JSON).decode()
    assert "codes" not in render(bare, Format.XML, missing="absent").decode()
    assert "codes" not in render(bare, Format.JSON, missing="absent").decode()


def test_extra_members_follow_the_documented_ones_and_never_replace_them() -> None:
    tariffs = Tariffs(
        (Zone("1", "Russia", extra=Extra({"vat": "20", "api": "9"})),),
        (OperatorTariff("25001", extra=Extra({"name": "МТС", "cost": "9"})),),
        extra=Extra({"currency": "RUB", "mail": "9"}),
    )
    plain, csv, xml = (render(tariffs, shape).decode() for shape in (Format.PLAIN, Format.CSV, Format.XML))
    assert plain.splitlines()[0].endswith("call = , vat = 20")
    assert plain.endswith("mccmnc = 25001, cost = , name = МТС\nmail = \ncurrency = RUB\n")
    assert csv == "1,Russia,,,,,\n25001,\n-\n"
    assert 'call="" vat="20">1</zone>' in xml
    assert xml.endswith(
        '<mccmnc cost="" name="МТС">25001</mccmnc>\n</codes>\n<mail></mail>\n<currency>RUB</currency>\n</price>'
    )
    told = json.loads(render(tariffs, Format.JSON))
    assert (told["zones"][0]["vat"], told["zones"][0]["api"], told["codes"][0]["name"]) == ("20", "", "МТС")
    assert list(told) == ["zones", "codes", "mail", "currency"]


def test_a_price_keeps_its_digits_and_has_no_exponent() -> None:
    assert render(Tariffs((), mail=Decimal("1E+2")), Format.PLAIN) == b"mail = 100\n"
    assert render(Tariffs((), mail=Decimal("0.00000010")), Format.PLAIN) == b"mail = 0.00000010\n"


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "koi8-r"])
@pytest.mark.parametrize("shape", list(Format))
def test_names_are_written_in_the_charset_asked_for(shape: Format, charset: str) -> None:
    assert "Россия (МТС, Т2)" in render(LIST, shape, charset=charset).decode(charset)


def test_characters_that_a_charset_lacks_are_escaped_where_the_format_can() -> None:
    tariffs = Tariffs((Zone("1", "Côte d’Ivoire, Абиджан"),))
    assert 'name="C&#244;te d’Ivoire, Абиджан"' in render(tariffs, Format.XML, charset="windows-1251").decode("cp1251")
    assert '"C\\u00f4te d’Ivoire, Абиджан"' in render(tariffs, Format.JSON, charset="windows-1251").decode("cp1251")
    assert "1,C?te d’Ivoire, Абиджан," in render(tariffs, Format.CSV, charset="windows-1251").decode("cp1251")


def test_line_breaks_in_a_name_survive_xml_and_json() -> None:
    tariffs = Tariffs((Zone("1", "a\n\tb\r"),))
    assert ET.fromstring(render(tariffs, Format.XML))[0][0].get("name") == "a\n\tb\r"
    assert json.loads(render(tariffs, Format.JSON))["zones"][0]["name"] == "a\n\tb\r"


@pytest.mark.parametrize(
    ("tariffs", "shape", "charset", "complaint"),
    [
        (Tariffs((Zone("1", "a\nb"),)), Format.PLAIN, "utf-8", "line break"),
        (Tariffs((Zone("1", "a\rb"),)), Format.CSV, "utf-8", "line break"),
        (Tariffs((Zone("1", "a\x00b"),)), Format.XML, "utf-8", "XML cannot hold"),
        (Tariffs((), extra=Extra({"a b": "1"})), Format.XML, "utf-8", "no name"),
        (LIST, Format.XML, "utf-99", "no such charset: 'utf-99'"),
        (LIST, Format.JSON, "utf-99", "no such charset: 'utf-99'"),
    ],
)
def test_what_cannot_be_written_is_refused(tariffs: Tariffs, shape: Format, charset: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        render(tariffs, shape, charset=charset)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Format.PLAIN, "ERROR = 9 (too <many>)"),
        (Format.CSV, "0,-9"),
        (Format.XML, "<result>\n<error>too &lt;many&gt;</error>\n<error_code>9</error_code>\n</result>"),
        (Format.JSON, '{\n"error": "too <many>",\n"error_code": 9\n}'),
    ],
)
def test_a_refusal_has_a_shape_of_its_own_in_each_format(shape: Format, expected: str) -> None:
    assert render_refusal(9, "too <many>", shape).decode() == expected


@pytest.mark.parametrize("shape", [Format.PLAIN, Format.XML, Format.JSON])
def test_a_refusal_is_written_in_the_charset_asked_for(shape: Format) -> None:
    assert "отказ" in render_refusal(2, "отказ", shape, charset="koi8-r").decode("koi8-r")
