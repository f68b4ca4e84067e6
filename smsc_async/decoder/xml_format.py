"""XML: ``<price>`` with ``<zones>``, ``<codes>`` and ``<mail>``, or a refusal in ``<result>``.

A document type declaration is refused before the parser sees any of it, so nothing is expanded; elements may be nested
four deep, which is looked at while the tree grows. The parser gets text, so the encoding that a document declares
for itself means nothing.

What is not documented is kept: attributes and elements under their names, in ``extra`` of the zone, the operator or the
list that they stand in; what is nested deeper under the path of names, as in ``taxes.vat``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, cast
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers.expat import ErrorString
from xml.parsers.expat import errors as expat

from smsc_async.decoder.assemble import COST, PRICES, Columns, ParsedReply, assemble, by_member, extra_members
from smsc_async.decoder.prices import Notation
from smsc_async.decoder.refusals import structured_refusal
from smsc_async.decoder.text import NAMES, excerpt
from smsc_async.decoder.usual_xml import take_zones
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format, Tariffs

__all__ = ["read"]

_FORMAT_NAME: Final = NAMES[Format.XML]
_NOTATION: Final = Notation(comma=True, spaces=False)
_ROOTS: Final = frozenset({"price", "result"})
_ROWS: Final = {"zones": "zone", "codes": "mccmnc"}
_DEEPEST: Final = 4
# How much the tree may grow between two looks at its depth.
_CHUNK: Final = 1 << 16

# What a document that stops looks like: no element, an unclosed token, half a character, an unclosed CDATA section.
_CUT: Final = frozenset(
    expat.codes[message]
    for message in (
        expat.XML_ERROR_NO_ELEMENTS,
        expat.XML_ERROR_UNCLOSED_TOKEN,
        expat.XML_ERROR_PARTIAL_CHAR,
        expat.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)


def read(text: str) -> Tariffs:
    """Return the list in an XML answer that is not blank."""
    root, usual = _parse(text.lstrip())
    if root.tag not in _ROOTS:
        raise DecodeError("neither a tariff list nor a refusal", _FORMAT_NAME, "", excerpt(f"<{root.tag}>"))
    _refuse_odd_shapes(root)
    members = _once(_flat(root), "")
    if "error_code" in members:
        raise structured_refusal(members["error_code"], members.get("error", ""), _FORMAT_NAME)
    if "mail" not in members:
        raise IncompleteReply("the e-mail price, which every whole list has, is missing", _FORMAT_NAME)
    zones, names = _usual_zones(usual) if usual else _zones(root)
    reply = ParsedReply(
        format_name=_FORMAT_NAME,
        notation=_NOTATION,
        zones=zones,
        names=names,
        codes=_section("codes", _rows(root, "codes"), COST),
        mail=members.pop("mail"),
        extra=members,
    )
    return assemble(reply)


def _rows(root: Element, section: str) -> list[tuple[str | None, dict[str, str]]]:
    """Return the text of each row of a section, and what else is in it."""
    found = root.findall(section)
    if len(found) > 1:
        raise DecodeError("comes twice, and nobody can tell which is right", _FORMAT_NAME, section)
    elements = found[0].findall(_ROWS[section]) if found else []
    if not any(map(len, elements)):
        return [(element.text, element.attrib) for element in elements]
    return [(element.text, _once(_flat(element), _place(section, row, ""))) for row, element in enumerate(elements)]


def _section(
    section: str, rows: list[tuple[str | None, dict[str, str]]], prices: tuple[str, ...], *others: str
) -> Columns:
    members = [row for _, row in rows]
    columns = by_member(members, *prices)
    return Columns(
        ids=[text for text, _ in rows],
        prices=columns,
        extras=extra_members(members, *others, *prices),
        place=partial(_place, section),
    )


def _zones(root: Element) -> tuple[Columns, list[str | None]]:
    """Return the zones, and the column of their names."""
    rows = _rows(root, "zones")
    return _section("zones", rows, PRICES, "name"), [row.get("name") for _, row in rows]


def _usual_zones(columns: list[list[str]]) -> tuple[Columns, list[str]]:
    """Return the same from zones that never were in the tree."""
    names, *prices, ids = columns
    return Columns(ids=ids, prices=prices, extras={}, place=partial(_place, "zones")), names


def _place(section: str, row: int, member: str) -> str:
    at = f"{section}/{_ROWS[section]}[{row + 1}]"
    return at if member in {"", _ROWS[section]} else f"{at}/@{member}"


def _flat(element: Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Return the attributes and elements in an element under the path of their names; rows are not among them."""
    for attribute, value in element.items():
        yield path + attribute, value
    for child in element:
        if child.tag == _ROWS.get(element.tag):
            continue
        text = (child.text or "").strip(" \t\n")
        if text or (not len(child) and child.tag not in _ROWS):
            yield path + child.tag, text
        yield from _flat(child, f"{path}{child.tag}.")


def _once(members: Iterable[tuple[str, str]], place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for member, text in members:
        if member in found:
            position = f"{place} {excerpt(member)}".strip()
            raise DecodeError("comes twice, and nobody can tell which is right", _FORMAT_NAME, position, excerpt(text))
        found[member] = text
    return found


def _parse(text: str) -> tuple[Element, list[list[str]]]:
    """Return the tree, and the columns of the zones where they are usual and not in it."""
    usual, rest = take_zones(text)
    if usual:
        # Lines are counted in the whole text, so a fault is looked for there.
        with suppress(DecodeError):
            root = _tree(rest)
            if root.find("zones") is not None:
                return root, usual
    return _tree(text), []


def _tree(text: str) -> Element:
    if "<!DOCTYPE" in text:
        raise DecodeError("a document type declaration, which no tariff list has", _FORMAT_NAME)
    builder = TreeBuilder()
    parser = XMLParser(target=builder)  # noqa: S314  # no DTD
    try:
        for start in range(0, len(text), _CHUNK):
            parser.feed(text[start : start + _CHUNK])
            _refuse_depth(builder)
        root: Element = parser.close()
    except ParseError as error:
        fault, (line, column) = error, error.position
    else:
        return root
    if fault.code in _CUT:
        raise IncompleteReply("stops before its last element ends", _FORMAT_NAME)
    shown = "".join(text.split("\n")[line - 1 : line])[column:]
    raise DecodeError(ErrorString(fault.code), _FORMAT_NAME, f"line {line}, column {column + 1}", excerpt(shown))


def _refuse_depth(builder: TreeBuilder) -> None:
    """Refuse a tree whose newest element is nested too deep, however much of it is still to come."""
    # The typing of close() forgets that there is nothing before the first element.
    node = cast("Element | None", builder.close())
    for _ in range(_DEEPEST):
        if node is None or not len(node):
            return
        node = node[-1]
    raise _too_deep()


def _refuse_odd_shapes(root: Element) -> None:
    """Refuse what is nested too deep, and text after an element, which may be the rest of a number."""
    level = [root]
    for _ in range(1, _DEEPEST):
        level = [child for element in level for child in element]
        stray = "".join([child.tail for child in level if child.tail]).strip()
        if stray:
            raise DecodeError("text that belongs to no element", _FORMAT_NAME, "", excerpt(stray))
        if not any(map(len, level)):
            return
    raise _too_deep()


def _too_deep() -> DecodeError:
    return DecodeError("elements nested deeper than in any tariff list", _FORMAT_NAME)
