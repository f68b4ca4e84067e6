"""The members of an answer: which are documented, and from rows of members to columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Final, TypeVar

from smsc_async.decoder.text import excerpt
from smsc_async.errors import DecodeError
from smsc_async.records import Service

PRICES: Final = tuple(service.value for service in Service)
COST: Final = ("cost",)
DOCUMENTED: Final = frozenset({"zones", "codes", "mail", "zone", "name", *PRICES, "mccmnc", *COST, "error_code"})

ValueT = TypeVar("ValueT")


def by_member(rows: Sequence[dict[str, ValueT]], *members: str) -> list[list[ValueT | None]]:
    """Return one column for each member, with ``None`` for rows that do not have the member."""
    return [list(map(dict[str, ValueT].get, rows, repeat(member))) for member in members]


def extra_members(rows: Sequence[Mapping[str, ValueT]], *documented: str) -> dict[int, dict[str, ValueT]]:
    """Return, by row, the members beyond the documented ones; rows without such members are left out."""
    known = frozenset(documented)
    # The keys of all rows at once: few lists have any others.
    if known.issuperset(set[str]().union(*rows)):
        return {}
    return {
        number: {member: row[member] for member in row if member not in known}
        for number, row in enumerate(rows)
        if not known.issuperset(row)
    }


def merge_members(members: Iterable[tuple[str, ValueT]], place: Callable[[str], str]) -> dict[str, ValueT]:
    """Return the members as a dict; if an undocumented one is repeated, its last value counts.

    Raises:
        DecodeError: A documented member is repeated with another value.
    """
    merged: dict[str, ValueT] = {}
    for member, value in members:
        if merged.get(member, value) != value and member in DOCUMENTED:
            raise DecodeError("comes twice with different values", position=place(member), excerpt=excerpt(str(value)))
        merged[member] = value
    return merged
