"""JSON: ``{"zones": […], "codes": […], "mail": …}``, or a refusal with ``error_code``.

Numbers are taken as they are written, so that no digit is lost on a float; a price may be a number or a text. A
documented member that is repeated in an object with another value is refused. What is not documented is in ``extra``:
texts as they are, everything else as its JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import NoneType
from typing import Final, TypeAlias, cast

from smsc_async.decoder.assemble import Columns, assemble
from smsc_async.decoder.members import COST, PRICES, by_member, extra_members, merge_members
from smsc_async.decoder.refusals import structured_refusal
from smsc_async.decoder.text import excerpt, refuse_depth
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Tariffs

Json: TypeAlias = "str | bool | list[Json] | dict[str, Json] | None"
Object: TypeAlias = "dict[str, Json]"

_TEXTS: Final = (str, NoneType)
_DOCUMENTED: Final = ("zones", "codes", "mail")
# An unfinished token with nothing after it: a text, a number, a literal, or nothing at all.
_UNFINISHED: Final = re.compile(r'"?[\w.+\\-]*\s*')
# An empty array of PHP is ``[]`` where a list was expected, and may be ``{}`` or nothing.
_NOTHING: Final[tuple[Json, ...]] = (None, "", [], {})
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b'{}[]"'))
_ESCAPES: Final = re.compile(rb"\\.(?:\\.)*", re.DOTALL)
_QUOTED: Final = re.compile(rb'"[^"]*"?')


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def read(text: str) -> Tariffs | None:
    """Return the list in a JSON answer that is not blank, or ``None`` if the answer is not of this service."""
    refuse_depth(_brackets(text))
    document = _parse(text)
    if not isinstance(document, dict):
        raise DecodeError("an array or a value where an object is expected", excerpt=excerpt(text))
    if "error_code" in document:
        description = document.get("error")
        raise structured_refusal(_as_text(document["error_code"]), description if isinstance(description, str) else "")
    if document.keys().isdisjoint(_DOCUMENTED):
        return None
    if "mail" not in document:
        raise IncompleteReply("the e-mail price, which every whole list has, is missing")
    return assemble(
        zones=_columns("zones", _objects(document, "zones"), "zone", PRICES, "name"),
        codes=_columns("codes", _objects(document, "codes"), "mccmnc", COST),
        mail=_texts([document["mail"]], "mail", "")[0],
        extra=_as_texts({member: value for member, value in document.items() if member not in _DOCUMENTED}),
    )


def _brackets(text: str) -> bytes:
    """Return the brackets outside of texts, which show the depth before anything is parsed."""
    marks = _ESCAPES.sub(b"", text.encode()).translate(_BRACKETS, _NOT_BRACKETS)
    # The first replacement is quick, and removes quotes in pairs: each bracket stays within or outside of a text.
    return _QUOTED.sub(b"", marks.replace(b'""', b""))


def _parse(text: str) -> Json:
    try:
        document: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        fault = error
    else:
        return document
    rest = text[fault.pos :]
    is_unfinished = fault.msg != "Extra data" and _UNFINISHED.fullmatch(rest)
    if fault.msg.startswith("Unterminated string") or is_unfinished:
        raise IncompleteReply("stops before its last bracket")
    raise DecodeError(fault.msg, position=f"line {fault.lineno}, column {fault.colno}", excerpt=excerpt(rest))


def _object(members: list[tuple[str, Json]]) -> Object:
    made = dict(members)
    return made if len(made) == len(members) else merge_members(members, str)


# Lenient towards control characters in texts: a name may hold any character.
_DECODER: Final = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_Number, strict=False, object_pairs_hook=_object
)


def _objects(document: Object, section: str) -> list[Object]:
    """Return the rows of a section, none if it is absent or empty."""
    rows = document.get(section)
    if rows in _NOTHING:
        return []
    if not isinstance(rows, list):
        raise DecodeError("not an array", position=section, excerpt=excerpt(_as_text(rows)))
    for row, each in enumerate(rows):
        if not isinstance(each, dict):
            raise DecodeError("not an object", position=f"{section}[{row}]", excerpt=excerpt(_as_text(each)))
    return cast("list[Object]", rows)


def _columns(section: str, rows: list[Object], member: str, prices: tuple[str, ...], *further: str) -> Columns:
    names, *others = by_member(rows, "name", member, *prices)
    columns = zip(others, (member, *prices), strict=True)
    ids, *costs = [_texts(column, section, name) for column, name in columns]
    extras = extra_members(rows, member, *further, *prices)
    return Columns(
        ids=ids,
        names=[name if isinstance(name, _TEXTS) else _as_text(name) for name in names],
        prices=costs,
        extras={row: _as_texts(members) for row, members in extras.items()},
        place=partial(_place, section),
    )


def _place(section: str, row: int, member: str) -> str:
    return f"{section}[{row}].{member}" if member else f"{section}[{row}]"


def _texts(column: list[Json], section: str, member: str) -> Sequence[str | None]:
    """Return a column that has only texts, numbers and null."""
    texts = cast("list[str]", column)
    with suppress(TypeError):
        "".join(texts)  # the quickest look at every type
        return texts
    for row, value in enumerate(column):
        if isinstance(value, _TEXTS):
            continue
        position = _place(section, row, member) if member else section
        raise DecodeError("neither a text nor a number", position=position, excerpt=excerpt(_as_text(value)))
    return texts


def _as_texts(members: Mapping[str, Json]) -> dict[str, str]:
    return {member: _as_text(value) for member, value in members.items()}


def _as_text(value: Json) -> str:
    """Return a text as it is, and anything else as its JSON text, with its numbers as they came."""
    return str(value) if isinstance(value, str) else _as_json(value)


def _as_json(value: Json) -> str:
    match value:
        case _Number():
            return str(value)
        case list():
            return f"[{', '.join(map(_as_json, value))}]"
        case dict():
            members = [f"{_as_json(name)}: {_as_json(each)}" for name, each in value.items()]
            return "{" + ", ".join(members) + "}"
        case _:
            return json.dumps(value, ensure_ascii=False)
