"""What of a list is shown: some of its lines, some of its prices, some of its columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Final, TypeAlias, cast

import attrs

from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.records import Row, Service, Tariffs

__all__ = [
    "Selection",
    "check_columns",
    "check_list_columns",
    "match_operators",
    "match_zones",
    "select",
    "to_plain",
    "with_columns",
]

_SLIP: Final = 0.8
"""How like a column a name has to be to count as a slip of it: ``nme`` is one, ``mms_in`` may be a member of its own."""

Plain: TypeAlias = dict[str, "Plain"] | list["Plain"] | str | int | bool | None
"""What JSON can hold; a price is text, so that no reader makes a float of it."""


@attrs.frozen
class Selection:
    """A part of a list.

    Attributes:
        tariffs: The list with the lines that were chosen.
        is_whole: Whether that is all of them; the e-mail price is part of a whole list only.
        services: The services whose prices are shown.
    """

    tariffs: Tariffs
    is_whole: bool
    services: tuple[Service, ...]

    def rows(self) -> list[Row]:
        """Return the lines as flat rows, without the columns of the other services."""
        left_out = {service.value for service in Service} - set(self.services)
        rows = self.tariffs.to_rows() if self.is_whole else self.tariffs.to_rows()[:-1]
        return [{name: value for name, value in row.items() if name not in left_out} for row in rows]

    def document(self, columns: Collection[str]) -> Plain:
        """Return the lines in the shape of ``Tariffs.to_dict()``, with prices as text.

        Args:
            columns: The members of a line to keep, or none for all of them.
        """
        left_out = {service.value for service in Service} - set(self.services)
        document = self.tariffs.to_dict()
        if not self.is_whole:
            document = {name: document[name] for name in ("zones", "codes")}
        for name in ("zones", "codes"):
            document[name] = [_line(line, columns, left_out) for line in cast("list[Row]", document[name])]
        return to_plain(document)


def select(
    tariffs: Tariffs, *, zones: Sequence[str] = (), operators: Sequence[str] = (), services: Sequence[Service] = ()
) -> Selection:
    """Return the lines that were asked for: where only zones are named, no operators, and the other way round.

    Args:
        tariffs: The whole list.
        zones: Numbers of zones, or parts of names in any case.
        operators: Codes of operators, or what they begin with.
        services: The services whose prices are shown; none for all.

    Raises:
        CliError: One of them names nothing in the list.
    """
    shown = tuple(services) or tuple(Service)
    if not zones and not operators:
        return Selection(tariffs, True, shown)
    matched = {zone.zone for wanted in zones for zone in match_zones(tariffs, wanted).zones}
    codes = match_operators((code.mccmnc for code in tariffs.codes), operators, "this list")
    part = attrs.evolve(
        tariffs,
        zones=tuple(zone for zone in tariffs.zones if zone.zone in matched),
        codes=tuple(code for code in tariffs.codes if code.mccmnc in codes),
    )
    return Selection(part, False, shown)


def match_operators(there: Iterable[str], wanted: Sequence[str], where: str) -> set[str]:
    """Return the codes of operators that were asked for, by the code or its beginning.

    Raises:
        CliError: One of them is nowhere there.
    """
    known = tuple(there)
    matched: set[str] = set()
    for each in wanted:
        matches = {code for code in known if code.startswith(each)}
        if not matches:
            raise CliError(f"no individual tariff for an operator {each!r} in {where}", ExitCode.NO_PRICE)
        matched |= matches
    return matched


def match_zones(tariffs: Tariffs, wanted: str) -> Tariffs:
    """Return the list with the zone of that number, or else with those that have the text in their name.

    Raises:
        CliError: There is none.
    """
    zones = [zone for zone in tariffs.zones if zone.zone == wanted] or [
        zone for zone in tariffs.zones if wanted.casefold() in zone.name.casefold()
    ]
    if not zones:
        raise CliError(f"no zone has the number {wanted!r} or that text in its name", ExitCode.NO_PRICE)
    return attrs.evolve(tariffs, zones=tuple(zones))


def with_columns(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """Return the rows with these columns alone, in this order; with none named, as they are.

    Raises:
        CliError: There is no such column.
    """
    there = list(rows[0]) if rows else list(columns)
    check_columns(columns, there)
    return [{name: row[name] for name in columns or there} for row in rows]


def check_columns(columns: Sequence[str], there: Sequence[str]) -> None:
    """Find out whether there are these columns, where they are known before anything is fetched.

    Raises:
        CliError: There is no such column.
    """
    for name in columns:
        if name not in there:
            raise CliError(f"no column {name!r}; there are {', '.join(there)}", ExitCode.USAGE)


def check_list_columns(columns: Sequence[str], services: Sequence[Service]) -> None:
    """Find out whether columns of a list that is not here yet are mistyped.

    A name that is like none of those that are known may be a member that the documentation does not name: only the list
    tells.

    Raises:
        CliError: One is like a column that every list has, and is none.
    """
    there, every = (
        list(Selection(Tariffs((), ()), True, tuple(shown)).rows()[0]) for shown in (services or Service, Service)
    )
    check_columns([name for name in columns if get_close_matches(name.lower(), every, cutoff=_SLIP)], there)


def to_plain(value: object) -> Plain:
    """Return a value as JSON can hold it: prices as text with the digits they have."""
    if isinstance(value, dict):
        return {name: to_plain(member) for name, member in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [to_plain(member) for member in cast("list[object]", value)]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"nothing that is shown is a {type(value).__name__}")


def _line(line: Row, columns: Collection[str], left_out: Collection[str]) -> Row:
    return {name: value for name, value in line.items() if name not in left_out and (not columns or name in columns)}
