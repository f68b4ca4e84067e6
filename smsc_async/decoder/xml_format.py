r"""XML: ``<price>`` with ``<zones>``, ``<codes>`` and ``<mail>``, or a refusal in ``<result>``.

A document type declaration is refused before the parser sees any of it, so nothing is expanded; elements may be nested
four deep. The parser gets text, so the encoding that a document declares for itself means nothing. Characters that XML
forbids, and references to them, are read as their escaped form, such as ``\x01``: in a name they cost nothing.

What is not documented is in ``extra`` of the zone, the operator or the list: attributes and elements under their names,
what is nested deeper under the path of names, as in ``taxes.vat``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.parsers.expat import ErrorString

from smsc_async.decoder.assemble import Columns, assemble
from smsc_async.decoder.members import COST, PRICES, by_member, extra_members, merge_members
from smsc_async.decoder.refusals import structured_refusal
from smsc_async.decoder.text import excerpt, refuse_depth
from smsc_async.display import escape_for_display
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Tariffs

_ROWS: Final = {"zones": "zone", "codes": "mccmnc"}
_DEEPEST: Final = 4
# Where an element begins and where one ends.
_TAG: Final = re.compile(r"</|/>|<(?=[^/!?])")
_BRACKETS: Final = {"<": "[", "</": "]", "/>": "]"}
# Characters that no XML has, and the numbers of characters.
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# More of them are no accident, and stay a fault of the text.
_MOST_ESCAPES: Final = 10_000
_REFERENCE: Final = re.compile(r"&#(?:x([0-9a-f]{1,6})|([0-9]{1,7}));", re.IGNORECASE)

# What a document that stops looks like, in the numbers of expat: no element, an unclosed token, half a character, an
# unclosed CDATA section.
_CUT: Final = frozenset({3, 5, 6, 20})


def read(text: str) -> Tariffs:
    """Return the list in an XML answer that is not blank."""
    root = _parse(text.lstrip())
    _refuse_odd_shapes(root)
    members = merge_members(_flat(root), str)
    if "error_code" in members:
        raise structured_refusal(members["error_code"], members.get("error", ""))
    if "mail" not in members:
        raise IncompleteReply("the e-mail price, which every whole list has, is missing")
    return assemble(
        zones=_columns(root, "zones", PRICES, "name"),
        codes=_columns(root, "codes", COST),
        mail=members.pop("mail"),
        extra=members,
    )


def _columns(root: Element, section: str, prices: tuple[str, ...], *others: str) -> Columns:
    place = partial(_place, section)
    elements = [row for element in root.findall(section) for row in element.findall(_ROWS[section])]
    rows = [
        merge_members(_flat(element), partial(place, row)) if len(element) else element.attrib
        for row, element in enumerate(elements)
    ]
    names, *costs = by_member(rows, "name", *prices)
    return Columns(
        ids=[element.text for element in elements],
        names=names,
        prices=costs,
        extras=extra_members(rows, *others, *prices),
        place=place,
    )


def _place(section: str, row: int, member: str) -> str:
    at = f"{section}/{_ROWS[section]}[{row + 1}]"
    return at if member in {"", _ROWS[section]} else f"{at}/@{member}"


def _flat(element: Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Return the attributes and elements in an element under the path of their names; rows are not among them."""
    for attribute, value in element.items():
        yield path + attribute, value
    row = _ROWS.get(element.tag)
    for child in element:
        if child.tag == row:
            continue
        text = (child.text or "").strip(" \t\n")
        if text or (not len(child) and child.tag not in _ROWS):
            yield path + child.tag, text
        yield from _flat(child, f"{path}{child.tag}.")


def _parse(text: str) -> Element:
    """Return the tree of a document without a document type."""
    if "<!DOCTYPE" in text:
        raise DecodeError("a document type declaration, which no tariff list has")
    with suppress(ParseError):
        return _tree(text)
    text = _escape_forbidden(text)
    try:
        return _tree(text)
    except ParseError as error:
        code, (line, column) = error.code, error.position
    refuse_depth("".join(map(_BRACKETS.__getitem__, _TAG.findall(text))).encode())
    if code in _CUT:
        raise IncompleteReply("stops before its last element ends")
    shown = "".join(text.split("\n")[line - 1 : line])[column:]
    raise DecodeError(ErrorString(code), position=f"line {line}, column {column + 1}", excerpt=excerpt(shown))


def _tree(text: str) -> Element:
    parser = XMLParser()  # noqa: S314  # no DTD
    parser.feed(text)
    return parser.close()


def _escape_forbidden(text: str) -> str:
    text = _REFERENCE.sub(_character, text, _MOST_ESCAPES)
    return _FORBIDDEN.sub(lambda character: escape_for_display(character[0]), text, _MOST_ESCAPES)


def _character(reference: re.Match[str]) -> str:
    """Return the character that a reference names if XML forbids it, else the reference."""
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    character = chr(min(code, sys.maxunicode))
    return character if _FORBIDDEN.match(character) else reference[0]


def _refuse_odd_shapes(root: Element) -> None:
    """Refuse what is nested too deep, and text after an element, which may be the rest of a number."""
    level = [root]
    for _ in range(1, _DEEPEST):
        level = [child for element in level for child in element]
        stray = "".join([child.tail for child in level if child.tail]).strip()
        if stray:
            raise DecodeError("text that belongs to no element", excerpt=excerpt(stray))
        if not any(map(len, level)):
            return
    raise DecodeError("elements nested deeper than in any tariff list")
