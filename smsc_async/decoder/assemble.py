"""From the columns that a format module has read to a checked ``Tariffs``.

This module has every rule that does not depend on the format. It refuses what makes a price ambiguous: two rows of one
zone or operator that differ, a zone or operator that cannot be identified, a text that is not a price. It accepts
everything else: a row that is repeated without a difference is one row, and a name may hold any characters.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Final, TypeVar

import attrs

from smsc_async.decoder.members import COST, PRICES
from smsc_async.decoder.prices import parse_prices
from smsc_async.decoder.text import excerpt
from smsc_async.display import escape_for_display
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import MCCMNC, NO_EXTRA, Extra, OperatorTariff, Tariffs, Zone

Column = Sequence[str | None]
RecordT = TypeVar("RecordT", Zone, OperatorTariff)

_LONGEST_ID: Final = 64
# XML reads a tab or a line feed in an attribute as a space; so the same list is equal in every format.
_LAYOUT: Final = str.maketrans("\t\n\r", "   ")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@attrs.frozen(kw_only=True)
class Columns:
    """The zones or the individual tariffs of an answer, as columns of one length.

    Attributes:
        ids: The numbers of the zones or of the operators.
        names: The names of the zones; operators have none.
        prices: One column for each price, in the order of the record's fields.
        extras: By row, the members beyond the documented ones.
        place: From row and member to the name of the place in the answer; an empty member means the row.
    """

    ids: Column
    names: Column = ()
    prices: Sequence[Column]
    extras: Mapping[int, Mapping[str, str]] = attrs.field(factory=dict[int, Mapping[str, str]])
    place: Callable[[int, str], str]


def assemble(*, zones: Columns, codes: Columns, mail: str | None, extra: Mapping[str, str]) -> Tariffs:
    """Return the list that an answer contains, or raise an error for its first fault.

    Args:
        zones: The zones.
        codes: The individual tariffs.
        mail: The price of an e-mail message.
        extra: The members of the answer beyond the documented ones.
    """
    if not zones.ids:
        raise IncompleteReply("a list without a single zone; repeat the request")
    zone_ids = _ids(zones, "zone", _is_visible, "the number of a zone is 1 to 64 visible characters")
    code_ids = _ids(codes, "mccmnc", MCCMNC.fullmatch, "an operator is named by 4 to 7 digits")
    zone_records = _records(Zone, zone_ids, _texts(zones.names), *_prices(zones, PRICES), _extras(zones))
    code_records = _records(OperatorTariff, code_ids, *_prices(codes, COST), _extras(codes))
    mail_price = Columns(ids=[], prices=[[mail]], place=lambda _, member: member)
    return Tariffs(
        _distinct(zones, "zone", zone_ids, zone_records),
        _distinct(codes, "mccmnc", code_ids, code_records),
        _prices(mail_price, ["mail"])[0][0],
        _extra(extra),
    )


def _records(kind: type[RecordT], *columns: Sequence[object]) -> list[RecordT]:
    """Return the records of columns, which are in the order of the fields.

    The slots are filled column by column: the constructor of a frozen class takes twice as long (CPython 3.11).
    """
    records = list(map(object.__new__, repeat(kind, len(columns[0]))))
    for field, column in zip(attrs.fields(kind), columns, strict=True):
        fill: Callable[[RecordT, object], None] = getattr(kind, field.name).__set__
        deque(map(fill, records, column), maxlen=0)
    return records


def _ids(columns: Columns, member: str, is_id: Callable[[str], object], message: str) -> list[str]:
    ids = _stripped(columns.ids)
    for row, text in enumerate(ids):
        if not 0 < len(text) <= _LONGEST_ID or not is_id(text):
            raise DecodeError(message, position=columns.place(row, member), excerpt=excerpt(text))
    return ids


def _is_visible(text: str) -> bool:
    # Numbers that differ in an invisible character would look like one zone with two prices. In XML such a character is
    # an escape by now.
    return text.isalnum() or escape_for_display(text) == text.replace("\\", "")


def _distinct(columns: Columns, member: str, ids: Sequence[str], records: Sequence[RecordT]) -> tuple[RecordT, ...]:
    """Return the records without repetitions, or raise if two records of one id differ."""
    if len(set(ids)) == len(ids):
        return tuple(records)
    rows: dict[str, int] = {}
    for row, text in enumerate(ids):
        first = rows.setdefault(text, row)
        if first != row and records[first] != records[row]:
            raise DecodeError(
                "two rows that differ, so a price is ambiguous",
                position=f"{columns.place(first, member)} and {columns.place(row, member)}",
                excerpt=excerpt(text),
            )
    return tuple([records[row] for row in rows.values()])


def _stripped(column: Column) -> list[str]:
    """Return the texts of a column, on one line and without spaces around them; an absent text is empty."""
    texts = [text.strip() if text else "" for text in column]
    return texts if "".join(texts).isprintable() else [text.translate(_LAYOUT) for text in texts]


def _texts(column: Column) -> list[str]:
    r"""Return the texts of a column, with lone surrogates as ``\ud800``.

    No encoder accepts a lone surrogate, so writing the list down would fail.
    """
    texts = _stripped(column)
    return texts if "".join(texts).isprintable() else [_SURROGATE.sub(_escape, text) for text in texts]


def _escape(surrogate: re.Match[str]) -> str:
    return escape_for_display(surrogate[0])


def _prices(columns: Columns, members: Sequence[str]) -> list[list[Decimal | None]]:
    try:
        return parse_prices(columns.prices)
    except KeyError as error:
        text: str = error.args[0]
    member, column = next(each for each in zip(members, columns.prices, strict=True) if text in each[1])
    raise DecodeError(
        "not a price, which is digits with at most one decimal mark between them, and at most twelve on each side",
        position=columns.place(column.index(text), member),
        excerpt=excerpt(text),
    )


def _extras(columns: Columns) -> list[Extra]:
    return [_extra(columns.extras[row]) if row in columns.extras else NO_EXTRA for row in range(len(columns.ids))]


def _extra(members: Mapping[str, str]) -> Extra:
    names = [_SURROGATE.sub(_escape, name) for name in members]
    return Extra(dict(zip(names, _texts(list(members.values())), strict=True)))
