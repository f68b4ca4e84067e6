"""What changed between two lists, and what the same thing costs in several: arithmetic over records, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import attrs

from smsc_async.records import OperatorTariff, Service, Tariffs, Zone

__all__ = ["Change", "ChangeKind", "Compared", "Comparison", "compare", "diff"]


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
        """The new price less the old one, or ``None`` where one of them is missing."""
        return None if self.old is None or self.new is None else self.new - self.old

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent of the old price, to one place; ``None`` where there is none, or the old one is 0."""
        if self.difference is None or not self.old:
            return None
        return (self.difference * 100 / self.old).quantize(Decimal("0.1"))


_Line: TypeAlias = Zone | OperatorTariff


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

    Example:
        >>> from smsc_async import decode, diff
        >>> old = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> new = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.75"}], "mail": "0.1"}')
        >>> [(change.kind.value, change.id, change.price, change.difference) for change in diff(old, new)]
        [('dearer', '1', 'api', Decimal('0.25'))]
    """
    mail = _price_change("mail", "", "", "mail", old=old.mail, new=new.mail)
    return (
        *_line_changes("zone", {each.zone: each for each in old.zones}, {each.zone: each for each in new.zones}),
        *_line_changes(
            "operator", {each.mccmnc: each for each in old.codes}, {each.mccmnc: each for each in new.codes}
        ),
        *([] if mail is None else [mail]),
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
    before, after = _prices(old), _prices(new)
    for price in after:
        change = _price_change(kind, key, name, price, old=before[price], new=after[price])
        if change is not None:
            yield change


def _price_change(
    line: str, key: str, name: str, price: str, *, old: Decimal | None, new: Decimal | None
) -> Change | None:
    if old == new:
        return None
    if old is None:
        kind = ChangeKind.PRICED
    elif new is None:
        kind = ChangeKind.UNPRICED
    else:
        kind = ChangeKind.DEARER if new > old else ChangeKind.CHEAPER
    return Change(kind, line, key, name, price, old, new)


def _name(line: _Line) -> str:
    return line.name if isinstance(line, Zone) else ""


def _prices(line: _Line) -> dict[str, Decimal | None]:
    if isinstance(line, Zone):
        return {"api": line.api, "mass": line.mass, "mms": line.mms, "hlr": line.hlr, "call": line.call}
    return {"cost": line.cost}


@attrs.frozen
class Compared:
    """What one zone costs in each of the lists that are compared.

    Attributes:
        zone: The zone's number.
        name: Its name in the first list that has it.
        prices: One for each list, in their order; ``None`` where the list has no such zone or no price for it.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import Compared
        >>> Compared("1", "Russia", (Decimal("2.50"), None, Decimal("2.40"))).cheapest
        Decimal('2.40')
    """

    zone: str
    name: str
    prices: tuple[Decimal | None, ...]

    @property
    def cheapest(self) -> Decimal | None:
        """The lowest of the prices, or ``None`` where no list has one."""
        return min((price for price in self.prices if price is not None), default=None)


@attrs.frozen
class Comparison:
    """Several lists side by side, for one service.

    Attributes:
        names: What the lists are called, in their order.
        service: What the prices are for.
        rows: One for each zone that any of the lists has: those of the first list in its order, then what the others add.

    Example:
        >>> from smsc_async import compare, decode
        >>> cheap = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> dear = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.75"}], "mail": "0.1"}')
        >>> comparison = compare({"alex": cheap, "boris": dear})
        >>> comparison.rows[0].prices, comparison.rows[0].cheapest
        ((Decimal('2.50'), Decimal('2.75')), Decimal('2.50'))
        >>> comparison.totals({"1": 1000})
        (Decimal('2500.00'), Decimal('2750.00'))
    """

    names: tuple[str, ...]
    service: Service
    rows: tuple[Compared, ...]

    def totals(self, mix: Mapping[str, int]) -> tuple[Decimal | None, ...]:
        """Return what a mix of traffic costs in each list.

        Args:
            mix: How many messages go to each zone, by its number.

        Returns:
            One sum for each list, in their order; ``None`` where it has no price for a zone of the mix.

        Raises:
            KeyError: No list has such a zone.
        """
        by_zone = {row.zone: row for row in self.rows}
        unknown = [zone for zone in mix if zone not in by_zone]
        if unknown:
            raise KeyError(f"no list has a zone {', '.join(map(repr, unknown))}")
        columns = [[by_zone[zone].prices[place] for zone in mix] for place in range(len(self.names))]
        return tuple(_sum(prices, mix.values()) for prices in columns)


def compare(lists: Mapping[str, Tariffs], *, service: Service | str = Service.API) -> Comparison:
    """Return what each zone costs in several lists.

    Zones are the same where their number is. Individual tariffs of operators are not compared: the service does not say
    to which zone an operator belongs.

    Args:
        lists: The lists by what they are to be called, such as the accounts' logins.
        service: What the prices are for, as ``Service`` or as its value.

    Returns:
        The prices side by side; without a row where there are no lists.

    Raises:
        ValueError: No such service.

    Example:
        >>> from smsc_async import compare, decode
        >>> alex = decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.1"}')
        >>> boris = decode(b'{"zones": [{"zone": "1", "api": "2.40"}], "mail": "0.1"}')
        >>> compare({"alex": alex, "boris": boris}).rows[0].prices
        (Decimal('2.50'), Decimal('2.40'))
    """
    service = Service(service)
    by_zone = [{zone.zone: zone for zone in tariffs.zones} for tariffs in lists.values()]
    # A dict keeps the order in which keys came, and the first name.
    names: dict[str, str] = {}
    for zones in by_zone:
        for zone in zones.values():
            names.setdefault(zone.zone, zone.name)
    rows = (
        Compared(key, name, tuple(_price_in(zones, key, service) for zones in by_zone)) for key, name in names.items()
    )
    return Comparison(tuple(lists), service, tuple(rows))


def _price_in(zones: Mapping[str, Zone], key: str, service: Service) -> Decimal | None:
    return _prices(zones[key])[service.value] if key in zones else None


def _sum(prices: Iterable[Decimal | None], counts: Iterable[int]) -> Decimal | None:
    total = Decimal(0)
    for price, count in zip(prices, counts, strict=True):
        if price is None:
            return None
        total += price * count
    return total
