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

__all__ = ["COST", "PRICES", "Section", "Sheet", "assemble", "by_member", "kept"]

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
class Section:
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
class Sheet:
    """All that stands in an answer, as text.

    Attributes:
        read_as: The format's name, for errors.
        notation: How the format writes prices.
        zones: The zones.
        names: Their names.
        codes: The individual tariffs.
        mail: The price of an e-mail message.
        extra: What the answer has beyond the documented members.
    """

    read_as: str
    notation: Notation
    zones: Section
    names: Column
    codes: Section
    mail: str | None
    extra: Mapping[str, str]


def by_member(rows: Sequence[dict[str, ValueT]], *members: str) -> list[list[ValueT | None]]:
    """Return one column for each member, ``None`` where a row does not have it."""
    return [list(map(dict[str, ValueT].get, rows, repeat(member))) for member in members]


def kept(rows: Sequence[Mapping[str, ValueT]], *documented: str) -> dict[int, dict[str, ValueT]]:
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


def assemble(sheet: Sheet) -> Tariffs:
    """Return the list, or raise the first fault that is found in it."""
    zones, codes = sheet.zones, sheet.codes
    if not zones.ids:
        raise IncompleteReply("a list without a single zone; ask again", sheet.read_as)
    numbers = _zone_ids(sheet)
    operators = _operator_ids(sheet)
    names = _texts(_stripped(sheet.names), lambda row: zones.place(row, "name"), sheet.read_as)
    return Tariffs(
        build_zones(numbers, names, *_prices(sheet, zones, PRICES), _extras(sheet, zones)),
        build_operators(operators, *_prices(sheet, codes, COST), _extras(sheet, codes)),
        _prices(sheet, Section(ids=[], prices=[[sheet.mail]], extras={}, place=lambda _, member: member), ["mail"])[0][
            0
        ],
        _extra(sheet.extra, str, sheet.read_as),
    )


def _zone_ids(sheet: Sheet) -> list[str]:
    section = sheet.zones
    ids = _stripped(section.ids)
    lengths = set(map(len, ids))
    if 0 in lengths:
        raise DecodeError("a zone without its number", sheet.read_as, section.place(ids.index(""), "zone"))
    if max(lengths) > _LONGEST_ID:
        row, long = next((row, text) for row, text in enumerate(ids) if len(text) > _LONGEST_ID)
        raise DecodeError("not a zone's number: too long", sheet.read_as, section.place(row, "zone"), excerpt(long))
    ids = _texts(ids, lambda row: section.place(row, "zone"), sheet.read_as)
    _refuse_twice(ids, section, "zone", sheet.read_as)
    return ids


def _operator_ids(sheet: Sheet) -> list[str]:
    section = sheet.codes
    ids = _stripped(section.ids)
    for row, text in enumerate(ids):
        if not _MCCMNC.fullmatch(text):
            raise DecodeError(
                "an operator is named by 4 to 7 digits", sheet.read_as, section.place(row, "mccmnc"), excerpt(text)
            )
    _refuse_twice(ids, section, "mccmnc", sheet.read_as)
    return ids


def _refuse_twice(ids: list[str], section: Section, member: str, read_as: str) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    second = next(row for row, text in enumerate(ids) if seen.setdefault(text, row) != row)
    first, again = section.place(seen[ids[second]], member), section.place(second, member)
    raise DecodeError(
        "comes twice, and nobody can tell which is right", read_as, f"{first} and {again}", excerpt(ids[second])
    )


def _stripped(column: Column) -> list[str]:
    """Return the texts without the spaces around them, empty where there is none."""
    try:
        return list(map(str.strip, cast("Sequence[str]", column)))
    except TypeError:
        return [text.strip() if text else "" for text in column]


def _texts(texts: list[str], place: Callable[[int], str], read_as: str) -> list[str]:
    """Return the texts as they may be handed out."""
    # Neither control characters nor halves of characters are printable: most lists are through with this.
    if "".join(texts).isprintable():
        return texts
    return [_text(text, place, row, read_as) for row, text in enumerate(texts)]


def _text(text: str, place: Callable[[int], str], row: int, read_as: str) -> str:
    if _UNFIT.search(text):
        raise DecodeError("has characters that no text has", read_as, place(row), excerpt(text))
    return text.translate(_LAYOUT)


def _prices(sheet: Sheet, section: Section, members: Sequence[str]) -> list[list[Decimal | None]]:
    try:
        return decimals(section.prices, sheet.notation)
    except KeyError as error:
        text: str = error.args[0]
    member, column = next(each for each in zip(members, section.prices, strict=True) if text in each[1])
    raise DecodeError(
        "not a price, which is digits with at most one decimal mark between them",
        sheet.read_as,
        section.place(column.index(text), member),
        excerpt(text),
    )


def _extras(sheet: Sheet, section: Section) -> Sequence[Extra] | repeat[Extra]:
    if not section.extras:
        return repeat(NO_EXTRA, len(section.ids))
    return [
        _extra(section.extras[row], partial(section.place, row, ""), sheet.read_as)
        if row in section.extras
        else NO_EXTRA
        for row in range(len(section.ids))
    ]


def _extra(items: Mapping[str, str], place: Callable[[], str], read_as: str) -> Extra:
    if not items:
        return NO_EXTRA
    members, values = list(items), [text.strip() for text in items.values()]

    def named(row: int) -> str:
        return f"{place()} {members[row][:20]!a}".strip()

    _texts(members, named, read_as)
    return Extra(dict(zip(members, _texts(values, named, read_as), strict=True)))
