"""The part of a list that is shown: some of its lines, some of its prices, some of its columns.

One grammar for all commands: a zone is named by its number or a part of its name, an operator by its code or the beginning
of it, a part of its network's name, or its country; letters may be Latin or Cyrillic.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Final, cast

import attrs

from smsc_async.analysis.compare import Compared
from smsc_async.analysis.networks import fold, label_of, search, suggest
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.files import checked_text
from smsc_async.cli.formats import check_columns
from smsc_async.records import Row, Service, Tariffs, Zone

_SLIP: Final = 0.75
"""How like a column a name has to be to count as a slip of it: ``nme`` is one, ``mms_in`` may be a member of its own."""


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
        rows = self.tariffs.to_rows() if self.is_whole else self.tariffs.to_rows()[:-1]
        return [self._line(row, ()) for row in rows]

    def document(self, columns: Collection[str]) -> dict[str, object]:
        """Return the lines in the shape of ``Tariffs.to_dict()``.

        Args:
            columns: The members of a line to write, or none for all of them.
        """
        document = self.tariffs.to_dict()
        if not self.is_whole:
            document = {name: document[name] for name in ("zones", "codes")}
        for name in ("zones", "codes"):
            document[name] = [self._line(line, columns) for line in cast("list[Row]", document[name])]
        return document

    def _line(self, line: Row, columns: Collection[str]) -> Row:
        left_out = {*Service} - {*self.services}
        return {
            name: value for name, value in line.items() if name not in left_out and (not columns or name in columns)
        }


def select(
    tariffs: Tariffs, *, zones: Sequence[str] = (), operators: Sequence[str] = (), services: Sequence[Service] = ()
) -> Selection:
    """Return the lines that are named: if only zones are named, no operators, and vice versa.

    Args:
        tariffs: The whole list.
        zones: Numbers of zones, or parts of their names.
        operators: Operators, by anything that ``match_operators()`` knows them by.
        services: The services whose prices are shown; none for all.

    Raises:
        CliError: One of them names nothing in the list.
    """
    shown = tuple(services) or tuple(Service)
    if not zones and not operators:
        return Selection(tariffs, True, shown)
    keys = {key for wanted in zones for key in match_zones(tariffs.zones, wanted)}
    codes = match_operators((code.mccmnc for code in tariffs.codes), operators, "this list")
    part = attrs.evolve(
        tariffs,
        zones=tuple(zone for zone in tariffs.zones if zone.zone in keys),
        codes=tuple(code for code in tariffs.codes if code.mccmnc in codes),
    )
    return Selection(part, False, shown)


def check_names(*, zones: Iterable[str] = (), operators: Iterable[str] = ()) -> None:
    """Refuse what can name no zone or operator of any list, before a request is sent.

    Raises:
        CliError: A name is empty, or an operator is neither a code nor a known network.
    """
    for kind, names in (("zone", zones), ("operator", operators)):
        for name in names:
            if not checked_text(name, f"the name of the {kind}").strip():
                raise CliError(f"the name of the {kind} is empty")
            if kind == "operator" and not _code_of(name) and not search(name):
                raise CliError(
                    f"no network is called {name!r}{suggest(name)}; an operator is a code such as 25001, the beginning of one, "
                    "a part of a network's name, or a country such as KZ"
                )


def match_operators(known: Iterable[str], operators: Sequence[str], where: str) -> list[str]:
    """Return the codes that these operators name: by the code or its beginning, the network's name, or its country.

    Args:
        known: The codes to choose from.
        operators: The names.
        where: What has these codes, for the error.

    Raises:
        CliError: One of the operators is not among them.
    """
    codes = tuple(dict.fromkeys(known))
    matched: set[str] = set()
    for name in operators:
        named = set(search(name))
        beginning = _code_of(name)
        matches = {code for code in codes if (code.startswith(beginning) if beginning else code in named)}
        if not matches:
            raise CliError(
                f"no individual tariff for an operator {name!r} in {where}{suggest(name)}", ExitCode.NO_PRICE
            )
        matched |= {beginning} if beginning in matches else matches
    return [code for code in codes if code in matched]


def one_operator(known: Iterable[str], operator: str, *, has_zone: bool) -> str | None:
    """Return the code of the one operator that has this name.

    Args:
        known: The codes to choose from.
        operator: The name.
        has_zone: Whether a zone has a price for an operator that is not among them.

    Returns:
        The code; ``None`` if it is not among them, and a zone has its price.

    Raises:
        CliError: There is none, or there are several.
    """
    try:
        codes = match_operators(known, [operator], "this list")
    except CliError:
        if has_zone:
            return None
        raise
    if len(codes) == 1:
        return codes[0]
    some = ", ".join(map(label_of, codes[:3]))
    raise CliError(f"{len(codes)} operators are called {operator!r}, such as {some}: give the code")


def match_zones(zones: Iterable[Zone | Compared], wanted: str) -> list[str]:
    """Return the numbers of the zones that have this number, or else this text in their name.

    Raises:
        CliError: There is none.
    """
    names = {zone.zone: zone.name for zone in zones}
    matches = [wanted] if wanted in names else [key for key, name in names.items() if fold(wanted) in fold(name)]
    if not matches:
        parts = re.split(r"[^\w\s]+", " , ".join(names.values()))
        near = suggest(wanted, [*names.values(), *filter(None, map(str.strip, parts))])
        raise CliError(f"no zone has the number {wanted!r} or that text in its name{near}", ExitCode.NO_PRICE)
    return matches


def one_zone(zones: Iterable[Zone | Compared], wanted: str) -> str:
    """Return the number of the one zone that has this number, or this text in its name.

    Raises:
        CliError: There is none, or there are several.
    """
    there = tuple(zones)
    keys = match_zones(there, wanted)
    if len(keys) == 1:
        return keys[0]
    some = ", ".join(f"{zone.zone} ({zone.name})" for zone in there if zone.zone in keys[:3])
    raise CliError(f"{len(keys)} zones have {wanted!r} in their name, such as {some}: give the number")


def _code_of(operator: str) -> str:
    """Return the digits of a code that is written in any way, such as ``25-001``; empty for a name."""
    return re.sub(r"\D", "", operator) if re.fullmatch(r"[\d\s./-]+", operator, re.ASCII) else ""


def check_list_columns(columns: Sequence[str], services: Sequence[Service]) -> None:
    """Refuse mistyped columns of a list before it is fetched.

    A name that is like no known column may be a member that the documentation does not name: only the list shows it.

    Raises:
        CliError: One is like a column that every list has, and is none.
    """
    there, every = (
        list(Selection(Tariffs((), ()), True, tuple(shown)).rows()[0]) for shown in (services or Service, Service)
    )
    check_columns([name for name in columns if get_close_matches(name.lower(), every, cutoff=_SLIP)], there)
