"""From the columns that a format module has read to a checked ``Tariffs``.

Here stands every rule that does not depend on the format: which numbers may not come twice, what a name may hold, that
a list has a zone. Columns are checked whole; a row is looked at by itself only to name the place of a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import repeat
from typing import Final, TypeVar, cast

import attrs

from smsc_async.decoder.building import build_operators, build_zones
from smsc_async.decoder.prices import Notation, decimals
from smsc_async.decoder.text import excerpt
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import NO_EXTRA, Extra, Service, Tariffs

__all__ = ["COST", "PRICES", "Columns", "ParsedReply", "assemble", "by_member", "extra_members"]

PRICES: Final = tuple(service.value for service in Service)
COST: Final = ("cost",)

Column = Sequence[str | None]
ValueT = TypeVar("ValueT")

_LONGEST_ID: Final = 64
# A country code of three digits and a network code of two or three; one more or less, for nobody has seen them all.
_MCCMNC: Final = re.compile(r"[0-9]{4,7}")
# Control characters that no name needs, and halves of characters, which cannot be written down again.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# XML reads a tab or a line feed in an attribute as a space; so the same list is equal in every format.
_LAYOUT: Final = str.maketrans("\t\n\r", "   ")


@attrs.frozen(kw_only=True)
class Columns:
    """The zones or the individual tariffs of an answer: columns of one length, and a way to name a place in them.

    Attributes:
        ids: The zones' numbers, or the operators'.
        prices: One column for each price, in the order of the record's fields.
        extras: By row, what a row has beyond the documented members.
        place: From row and member to the place's name; an empty member means the row.
    """

    ids: Column
    prices: Sequence[Column]
    extras: Mapping[int, Mapping[str, str]]
    place: Callable[[int, str], str]


@attrs.frozen(kw_only=True)
class ParsedReply:
    """All that stands in an answer, as text.

    Attributes:
        format_name: The format's name, for errors.
        notation: How the format writes prices.
        zones: The zones.
        names: Their names.
        codes: The individual tariffs.
        mail: The price of an e-mail message.
        extra: What the answer has beyond the documented members.
    """

    format_name: str
    notation: Notation
    zones: Columns
    names: Column
    codes: Columns
    mail: str | None
    extra: Mapping[str, str]


def by_member(rows: Sequence[dict[str, ValueT]], *members: str) -> list[list[ValueT | None]]:
    """Return one column for each member, ``None`` where a row does not have it."""
    return [list(map(dict[str, ValueT].get, rows, repeat(member))) for member in members]


def extra_members(rows: Sequence[Mapping[str, ValueT]], *documented: str) -> dict[int, dict[str, ValueT]]:
    """Return, by row, the members beyond the documented ones; rows without any are left out."""
    known = frozenset(documented)
    # The keys of all rows at once: few lists have any others.
    if known.issuperset(set[str]().union(*rows)):
        return {}
    return {
        number: {member: row[member] for member in row if member not in known}
        for number, row in enumerate(rows)
        if not known.issuperset(row)
    }


def assemble(reply: ParsedReply) -> Tariffs:
    """Return the list, or raise the first fault that is found in it."""
    zones, codes = reply.zones, reply.codes
    if not zones.ids:
        raise IncompleteReply("a list without a single zone; ask again", reply.format_name)
    numbers = _zone_ids(reply)
    operators = _operator_ids(reply)
    names = _texts(_stripped(reply.names), lambda row: zones.place(row, "name"), reply.format_name)
    return Tariffs(
        build_zones(numbers, names, *_prices(reply, zones, PRICES), _extras(reply, zones)),
        build_operators(operators, *_prices(reply, codes, COST), _extras(reply, codes)),
        _prices(reply, Columns(ids=[], prices=[[reply.mail]], extras={}, place=lambda _, member: member), ["mail"])[0][
            0
        ],
        _extra(reply.extra, str, reply.format_name),
    )


def _zone_ids(reply: ParsedReply) -> list[str]:
    section = reply.zones
    ids = _stripped(section.ids)
    lengths = set(map(len, ids))
    if 0 in lengths:
        raise DecodeError("a zone without its number", reply.format_name, section.place(ids.index(""), "zone"))
    if max(lengths) > _LONGEST_ID:
        row, long = next((row, text) for row, text in enumerate(ids) if len(text) > _LONGEST_ID)
        raise DecodeError("not a zone's number: too long", reply.format_name, section.place(row, "zone"), excerpt(long))
    ids = _texts(ids, lambda row: section.place(row, "zone"), reply.format_name)
    _refuse_twice(ids, section, "zone", reply.format_name)
    return ids


def _operator_ids(reply: ParsedReply) -> list[str]:
    section = reply.codes
    ids = _stripped(section.ids)
    for row, text in enumerate(ids):
        if not _MCCMNC.fullmatch(text):
            raise DecodeError(
                "an operator is named by 4 to 7 digits", reply.format_name, section.place(row, "mccmnc"), excerpt(text)
            )
    _refuse_twice(ids, section, "mccmnc", reply.format_name)
    return ids


def _refuse_twice(ids: list[str], section: Columns, member: str, format_name: str) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    second = next(row for row, text in enumerate(ids) if seen.setdefault(text, row) != row)
    first, again = section.place(seen[ids[second]], member), section.place(second, member)
    raise DecodeError(
        "comes twice, and nobody can tell which is right", format_name, f"{first} and {again}", excerpt(ids[second])
    )


def _stripped(column: Column) -> list[str]:
    """Return the texts without the spaces around them, empty where there is none."""
    try:
        return list(map(str.strip, cast("Sequence[str]", column)))
    except TypeError:
        return [text.strip() if text else "" for text in column]


def _texts(texts: list[str], place: Callable[[int], str], format_name: str) -> list[str]:
    """Return the texts as they may be handed out."""
    # Neither control characters nor halves of characters are printable: most lists are through with this.
    if "".join(texts).isprintable():
        return texts
    return [_text(text, place, row, format_name) for row, text in enumerate(texts)]


def _text(text: str, place: Callable[[int], str], row: int, format_name: str) -> str:
    if _UNFIT.search(text):
        raise DecodeError("has characters that no text has", format_name, place(row), excerpt(text))
    return text.translate(_LAYOUT)


def _prices(reply: ParsedReply, section: Columns, members: Sequence[str]) -> list[list[Decimal | None]]:
    try:
        return decimals(section.prices, reply.notation)
    except KeyError as error:
        text: str = error.args[0]
    member, column = next(each for each in zip(members, section.prices, strict=True) if text in each[1])
    raise DecodeError(
        "not a price, which is digits with at most one decimal mark between them",
        reply.format_name,
        section.place(column.index(text), member),
        excerpt(text),
    )


def _extras(reply: ParsedReply, section: Columns) -> Sequence[Extra] | repeat[Extra]:
    if not section.extras:
        return repeat(NO_EXTRA, len(section.ids))
    return [
        _extra(section.extras[row], partial(section.place, row, ""), reply.format_name)
        if row in section.extras
        else NO_EXTRA
        for row in range(len(section.ids))
    ]


def _extra(items: Mapping[str, str], place: Callable[[], str], format_name: str) -> Extra:
    if not items:
        return NO_EXTRA
    members, values = list(items), [text.strip() for text in items.values()]

    def named(row: int) -> str:
        return f"{place()} {members[row][:20]!a}".strip()

    _texts(members, named, format_name)
    return Extra(dict(zip(members, _texts(values, named, format_name), strict=True)))
