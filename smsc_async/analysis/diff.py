"""What changed between two lists: arithmetic over records, no I/O.

Invariant: no result depends on the caller's decimal context. Under a context of four digits, ``12.345 - 1`` would be 11.34.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, TypeAlias

import attrs

from smsc_async.analysis.exact import EXACT
from smsc_async.records import OperatorTariff, Service, Tariffs, Zone, checked_type


class ChangeKind(StrEnum):
    """What became of a line or of a price.

    Example:
        >>> from smsc_async import ChangeKind
        >>> ChangeKind.DEARER.value
        'dearer'
    """

    ADDED = "added"
    """A zone or an operator that the old list does not have."""
    REMOVED = "removed"
    """A zone or an operator that the new list does not have."""
    RENAMED = "renamed"
    """A zone of another name under the same number."""
    DEARER = "dearer"
    CHEAPER = "cheaper"
    PRICED = "priced"
    """A price where there was none."""
    UNPRICED = "unpriced"
    """No price where there was one."""


@attrs.frozen
class Change:
    """One change between two lists.

    Attributes:
        kind: What became of it.
        line: What changed: ``"zone"``, ``"operator"`` or ``"mail"``.
        id: The zone's number or the operator's code; empty for the e-mail price.
        name: The zone's name, the new one where it has one; empty for the others.
        price: Which price: the name of a service, ``"cost"`` for an operator, ``"mail"``; empty where a whole line was
            added, removed or renamed.
        old: The old price, or ``None`` where there was none.
        new: The new price, or ``None`` where there is none.
        old_name: The name before, where ``kind`` is ``RENAMED``; else empty.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import Change, ChangeKind
        >>> change = Change(ChangeKind.DEARER, "zone", "1", "Russia", "api", Decimal("2.50"), Decimal("2.75"))
        >>> change.difference, change.percent
        (Decimal('0.25'), Decimal('10.0'))
    """

    kind: ChangeKind
    line: str
    id: str
    name: str = ""
    price: str = ""
    old: Decimal | None = None
    new: Decimal | None = None
    old_name: str = ""

    @property
    def difference(self) -> Decimal | None:
        """The new price less the old one, exactly; ``None`` if one of them is missing."""
        return None if self.old is None or self.new is None else EXACT.subtract(self.new, self.old)

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent of the old price, to one place, half to even; ``None`` without one or from 0."""
        ratio = self.ratio
        if ratio is None:
            return None
        digits = Decimal(abs(round(ratio * 1000))).as_tuple().digits
        return Decimal((int(ratio < 0), digits, -1))

    @property
    def ratio(self) -> Fraction | None:
        """The difference as a part of the old price, exactly; ``None`` without one or from 0."""
        if self.old is None or self.new is None or not self.old:
            return None
        return (Fraction(self.new) - Fraction(self.old)) / Fraction(self.old)


_Line: TypeAlias = Zone | OperatorTariff
_ZONE_PRICES: Final = tuple(service.value for service in Service)


def diff(old: Tariffs, new: Tariffs) -> tuple[Change, ...]:
    """Return what changed from one list to another.

    Lines are the same where their zone number or operator code is. Prices are compared as numbers: ``2.5`` and ``2.50``
    are the same. Members of ``extra`` and the order of the lines don't count.

    Args:
        old: The list before.
        new: The list after.

    Returns:
        The changes of the zones in the order of the new list, with those that are gone after them; then those of the
        operators, likewise; then that of the e-mail price. Empty where nothing changed.

    Raises:
        TypeError: One of them is no ``Tariffs``.

    Example:
        >>> from smsc_async import decode, diff
        >>> old = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> new = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.75"}], "mail": "0.1"}')
        >>> [(change.kind.value, change.id, change.price, change.difference) for change in diff(old, new)]
        [('dearer', '1', 'api', Decimal('0.25'))]
    """
    for name, tariffs in (("old", old), ("new", new)):
        checked_type(name, tariffs, Tariffs, "a Tariffs, as Client.tariffs() returns it")
    return (
        *_line_changes("zone", {each.zone: each for each in old.zones}, {each.zone: each for each in new.zones}),
        *_line_changes(
            "operator", {each.mccmnc: each for each in old.codes}, {each.mccmnc: each for each in new.codes}
        ),
        *_price_changes("mail", "", "", "mail", old=old.mail, new=new.mail),
    )


def _line_changes(kind: str, old: Mapping[str, _Line], new: Mapping[str, _Line]) -> Iterator[Change]:
    for key, line in new.items():
        if key in old:
            yield from _changes_within(kind, key, old[key], line)
        else:
            yield Change(ChangeKind.ADDED, kind, key, _name(line))
    for key, line in old.items():
        if key not in new:
            yield Change(ChangeKind.REMOVED, kind, key, _name(line))


def _changes_within(kind: str, key: str, old: _Line, new: _Line) -> Iterator[Change]:
    name = _name(new)
    if name != _name(old):
        yield Change(ChangeKind.RENAMED, kind, key, name, old_name=_name(old))
    for price in _ZONE_PRICES if isinstance(new, Zone) else ("cost",):
        yield from _price_changes(kind, key, name, price, old=getattr(old, price), new=getattr(new, price))


def _price_changes(
    line: str, key: str, name: str, price: str, *, old: Decimal | None, new: Decimal | None
) -> Iterator[Change]:
    if old == new:
        return
    if old is None:
        kind = ChangeKind.PRICED
    elif new is None:
        kind = ChangeKind.UNPRICED
    else:
        kind = ChangeKind.DEARER if new > old else ChangeKind.CHEAPER
    yield Change(kind, line, key, name, price, old, new)


def _name(line: _Line) -> str:
    return line.name if isinstance(line, Zone) else ""
