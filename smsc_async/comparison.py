"""What the same thing costs in several lists: arithmetic over records, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from smsc_async.records import Service, Tariffs, Zone

__all__ = ["Compared", "Comparison", "compare"]


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
    price: Decimal | None = getattr(zones[key], service.value) if key in zones else None
    return price


def _sum(prices: Iterable[Decimal | None], counts: Iterable[int]) -> Decimal | None:
    total = Decimal(0)
    for price, count in zip(prices, counts, strict=True):
        if price is None:
            return None
        total += price * count
    return total
