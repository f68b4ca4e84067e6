"""JSON: ``{"zones": […], "codes": […], "mail": …}``, or a refusal with ``error_code``.

Numbers are taken as they are written, so that no digit is lost on a float; a price may be a number or a text. A member
that comes twice in an object is refused, documented or not. What is not documented is kept in ``extra``: texts as they
are, everything else as its JSON text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from typing import Final, TypeGuard, cast

from smsc_async.decoder.assemble import COST, PRICES, Columns, ParsedReply, assemble, by_member, extra_members
from smsc_async.decoder.prices import Notation
from smsc_async.decoder.refusals import structured_refusal
from smsc_async.decoder.text import NAMES, excerpt
from smsc_async.decoder.usual_json import take_zones
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format, Tariffs

__all__ = ["read"]

# What is not documented may be nested, but not without end: far below Python's limit, far above any sense.
_DEEPEST: Final = 32

Json = str | bool | list["Json"] | dict[str, "Json"] | None
Object = dict[str, Json]

_FORMAT_NAME: Final = NAMES[Format.JSON]
_NOTATION: Final = Notation(comma=True, spaces=False)
_DOCUMENTED: Final = ("zones", "codes", "mail")
# An unfinished token with nothing after it: a text, a number, a literal, or nothing at all.
_UNFINISHED: Final = re.compile(r'"?[\w.+\\-]*\s*')
# An empty array of PHP is ``[]`` where a list was expected, and may be ``{}`` or nothing.
_NOTHING: Final[tuple[Json, ...]] = (None, "", [], {})


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def read(text: str) -> Tariffs:
    """Return the list in a JSON answer that is not blank."""
    document, usual = _document(text)
    if not isinstance(document, dict):
        raise DecodeError("an array or a value where an object is expected", _FORMAT_NAME, "", excerpt(text))
    if "error_code" in document:
        description = document.get("error")
        raise structured_refusal(
            _as_text(document["error_code"]), description if isinstance(description, str) else "", _FORMAT_NAME
        )
    if document.keys().isdisjoint(_DOCUMENTED):
        raise DecodeError("neither a tariff list nor a refusal", _FORMAT_NAME, "", excerpt(text))
    if "mail" not in document:
        raise IncompleteReply("the e-mail price, which every whole list has, is missing", _FORMAT_NAME)
    zones, names = _usual_zones(usual) if usual else _zones(_objects(document, "zones"))
    reply = ParsedReply(
        format_name=_FORMAT_NAME,
        notation=_NOTATION,
        zones=zones,
        names=names,
        codes=_section("codes", _objects(document, "codes"), "mccmnc", COST),
        mail=_texts([document["mail"]], "mail", "")[0],
        extra=_as_texts({member: value for member, value in document.items() if member not in _DOCUMENTED}),
    )
    return assemble(reply)


def _zones(rows: list[Object]) -> tuple[Columns, Sequence[str | None]]:
    """Return the zones, and the column of their names."""
    names = by_member(rows, "name")[0]
    return _section("zones", rows, "zone", PRICES, "name"), _texts(names, "zones", "name")


def _usual_zones(columns: list[Sequence[str | None]]) -> tuple[Columns, Sequence[str | None]]:
    """Return the same from zones that never were in the document."""
    numbers, names, *prices = columns
    return Columns(ids=numbers, prices=prices, extras={}, place=partial(_place, "zones")), names


def _section(section: str, rows: list[Object], member: str, prices: tuple[str, ...], *others: str) -> Columns:
    ids, *columns = by_member(rows, member, *prices)
    return Columns(
        ids=_texts(ids, section, member),
        prices=[_texts(column, section, price) for price, column in zip(prices, columns, strict=True)],
        extras={row: _as_texts(extra) for row, extra in extra_members(rows, member, *others, *prices).items()},
        place=partial(_place, section),
    )


def _place(section: str, row: int, member: str) -> str:
    return f"{section}[{row}].{member}" if member else f"{section}[{row}]"


def _objects(document: Object, section: str) -> list[Object]:
    """Return the rows of a section, none where it is absent or empty."""
    rows = document.get(section)
    if rows in _NOTHING:
        return []
    if not isinstance(rows, list):
        raise DecodeError("not an array", _FORMAT_NAME, section, excerpt(_as_text(rows)))
    if not _are_objects(rows):
        row, odd = next((row, each) for row, each in enumerate(rows) if not isinstance(each, dict))
        raise DecodeError("not an object", _FORMAT_NAME, f"{section}[{row}]", excerpt(_as_text(odd)))
    return rows


def _are_objects(rows: list[Json]) -> TypeGuard[list[Object]]:
    return set(map(type, rows)) == {dict}


def _texts(column: list[Json], section: str, member: str) -> list[str | None]:
    """Return a column that has only texts, numbers and null."""
    if _are_texts(column):
        return column
    row, odd = next((row, each) for row, each in enumerate(column) if not (each is None or isinstance(each, str)))
    position = _place(section, row, member) if member else section
    raise DecodeError("neither a text nor a number", _FORMAT_NAME, position, excerpt(_as_text(odd)))


def _are_texts(column: list[Json]) -> TypeGuard[list[str | None]]:
    try:
        "".join(cast("list[str]", column))  # the quickest look at every type
    except TypeError:
        return set(map(type, column)) <= {str, _Number, type(None)}
    return True


def _as_texts(members: Object) -> dict[str, str]:
    return {member: _as_text(value) for member, value in members.items()}


def _as_text(value: Json) -> str:
    """Return a text as it is, and anything else as its JSON text, with its numbers as they came."""
    return str(value) if isinstance(value, str) else _as_json(value, _DEEPEST)


def _as_json(value: Json, deepest: int) -> str:
    if deepest == 0:
        raise _too_deep()
    match value:
        case _Number():
            return str(value)
        case list():
            return f"[{', '.join([_as_json(each, deepest - 1) for each in value])}]"
        case dict():
            members = [f"{_as_json(name, 1)}: {_as_json(each, deepest - 1)}" for name, each in value.items()]
            return "{" + ", ".join(members) + "}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _too_deep() -> DecodeError:
    return DecodeError("nested deeper than any tariff list", _FORMAT_NAME)


def _document(text: str) -> tuple[Json, list[Sequence[str | None]]]:
    """Return the document, and the columns of the zones where they are usual and not in it."""
    usual, rest = take_zones(text)
    if usual:
        # Lines are counted in the whole text, so a fault is looked for there.
        with suppress(DecodeError):
            document = _parse(rest)
            if isinstance(document, dict) and document.get("zones") == []:
                return document, usual
    return _parse(text), []


def _parse(text: str) -> Json:
    """Return the document, without a member that comes twice.

    Looking at each object costs half as much as the parsing. Every member has a colon, so where there are no more of
    them than belong to the members that were kept and stand in the names, no member was lost.
    """
    document = _decode(text, _QUICK)
    rows = _rows(document)
    more = text.count(":") - sum(map(len, rows))
    # A colon that is escaped stands in a name, and not in the text.
    if more == 0 or (more == _colons(rows[1:]) and "\\u003" not in text):
        return document
    return _decode(text, _THOROUGH)


def _rows(document: Json) -> list[Object]:
    """Return the document itself and the objects in its sections."""
    if not isinstance(document, dict):
        return []
    sections = [rows for rows in (document.get("zones"), document.get("codes")) if isinstance(rows, list)]
    return [document, *chain.from_iterable(rows for rows in sections if _are_objects(rows))]


def _colons(rows: list[Object]) -> int:
    names: list[Json] = list(map(dict[str, Json].get, rows, repeat("name"), repeat("")))
    return "".join(filter(None, names)).count(":") if _are_texts(names) else 0


def _decode(text: str, decoder: json.JSONDecoder) -> Json:
    try:
        document: Json = decoder.decode(text)
    except json.JSONDecodeError as error:
        fault = error
    except RecursionError:
        fault = None
    else:
        return document
    if fault is None:
        raise _too_deep()
    rest = text[fault.pos :]
    if fault.msg.startswith("Unterminated string") or _UNFINISHED.fullmatch(rest):
        raise IncompleteReply("stops before its last bracket", _FORMAT_NAME)
    raise DecodeError(fault.msg, _FORMAT_NAME, f"line {fault.lineno}, column {fault.colno}", excerpt(rest))


def _object(members: list[tuple[str, Json]]) -> Object:
    made = dict(members)
    if len(made) != len(members):
        twice = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
        raise DecodeError(
            "comes twice in one object, and nobody can tell which is right",
            _FORMAT_NAME,
            excerpt(twice)[1:-1],
            excerpt(_as_text(made)),
        )
    return made


# Lenient towards control characters in texts: what they may be is the same in every format, and judged there.
_QUICK: Final = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number, strict=False)
_THOROUGH: Final = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_Number, strict=False, object_pairs_hook=_object
)
