"""Which changes a reader wants to see, and what the next list is compared with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import attrs

from smsc_async.analysis.diff import Change, ChangeKind
from smsc_async.records import MESSAGES, Service, Tariffs


@attrs.frozen(kw_only=True)
class ChangeFilter:
    """Selects changes; every condition has to hold.

    Attributes:
        lines: Whether a change belongs to a line that the reader wants; ``None`` for all lines.
        services: The services whose prices count; empty for all, the e-mail price included.
        kinds: The kinds of changes; empty for all.
        min_ratio: The smallest change of a price, as a part of the old price. A change without a ratio is never too small.

    Example:
        >>> from decimal import Decimal
        >>> from fractions import Fraction
        >>> small = Change(ChangeKind.DEARER, "zone", "1", "Russia", "api", Decimal("2.50"), Decimal("2.51"))
        >>> ChangeFilter(min_ratio=Fraction(1, 100)).split([small])[0]
        ()
    """

    lines: Callable[[Change], bool] | None = None
    services: frozenset[Service] = frozenset()
    kinds: frozenset[ChangeKind] = frozenset()
    min_ratio: Fraction = Fraction(0)

    def split(self, changes: Iterable[Change]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """Return the changes to report, and those to compare again later because they are too small yet."""
        reported: list[Change] = []
        small: list[Change] = []
        for change in filter(self._wants, changes):
            (small if self._is_small(change) else reported).append(change)
        return tuple(reported), tuple(small)

    def _wants(self, change: Change) -> bool:
        return (
            (not self.kinds or change.kind in self.kinds)
            and (not self.services or self._is_of_service(change))
            and (self.lines is None or self.lines(change))
        )

    def _is_of_service(self, change: Change) -> bool:
        if change.line == "operator":
            return bool(self.services & MESSAGES)
        return not change.price or change.price in self.services

    def _is_small(self, change: Change) -> bool:
        return change.ratio is not None and abs(change.ratio) < self.min_ratio


def with_old_prices(tariffs: Tariffs, changes: Iterable[Change]) -> Tariffs:
    """Return a list with the prices that it had before these changes.

    A reader's next list is compared with the result: a price that creeps is reported once its changes add up.
    """
    old: dict[tuple[str, str, str], Any] = {(change.line, change.id, change.price): change.old for change in changes}

    def prices_of(line: str, key: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: old[line, key, name] for name in names if (line, key, name) in old}

    zones = (attrs.evolve(zone, **prices_of("zone", zone.zone, Service)) for zone in tariffs.zones)
    codes = (attrs.evolve(code, **prices_of("operator", code.mccmnc, ["cost"])) for code in tariffs.codes)
    return attrs.evolve(tariffs, zones=tuple(zones), codes=tuple(codes), **prices_of("mail", "", ["mail"]))
