"""What the same thing costs in several lists: arithmetic over records, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from itertools import chain
from typing import TypeAlias

import attrs

from smsc_async.analysis.exact import EXACT
from smsc_async.records import MESSAGES, Service, Tariffs, checked_type

_Prices: TypeAlias = tuple[Decimal | None, ...]


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
class ComparedOperator:
    """What an operator's individual tariff costs in each of the lists that are compared.

    Attributes:
        mccmnc: Country and network code of the operator.
        prices: One for each list, in their order; ``None`` where the account has no individual tariff for it. There the
            price of the operator's zone applies, which the service does not name.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import ComparedOperator
        >>> ComparedOperator("25001", (Decimal("1.85"), Decimal("1.80"))).cheapest
        Decimal('1.80')
        >>> ComparedOperator("25001", (Decimal("1.85"), None)).cheapest is None
        True
    """

    mccmnc: str
    prices: tuple[Decimal | None, ...]

    @property
    def cheapest(self) -> Decimal | None:
        """The lowest of the prices, or ``None`` where a list has none: what its account pays instead may be less."""
        known = [price for price in self.prices if price is not None]
        return min(known, default=None) if len(known) == len(self.prices) else None


@attrs.frozen
class Comparison:
    """Several lists side by side, for one service.

    Attributes:
        names: What the lists are called, in their order.
        service: What the prices are for.
        rows: One for each zone that any of the lists has: those of the first list in its order, then what the others add.
        codes: One for each operator that any of the lists has an individual tariff for, in the same order. Empty where
            the service is not an SMS: MMS, HLR requests and calls are priced by zone.

    Example:
        >>> from smsc_async import compare, decode
        >>> cheap = decode(
        ...     b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}],'
        ...     b' "codes": [{"mccmnc": "25001", "cost": "1.85"}], "mail": "0.1"}'
        ... )
        >>> dear = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.75"}], "mail": "0.1"}')
        >>> comparison = compare({"alex": cheap, "boris": dear})
        >>> comparison.rows[0].prices, comparison.rows[0].cheapest
        ((Decimal('2.50'), Decimal('2.75')), Decimal('2.50'))
        >>> comparison.codes[0].mccmnc, comparison.codes[0].prices
        ('25001', (Decimal('1.85'), None))
        >>> comparison.totals({"1": 1000})
        (Decimal('2500.00'), Decimal('2750.00'))
        >>> comparison.totals({"1": 1000, "1/25001": 500})
        (Decimal('3425.00'), Decimal('4125.00'))
    """

    names: tuple[str, ...]
    service: Service
    rows: tuple[Compared, ...]
    codes: tuple[ComparedOperator, ...] = ()

    def totals(self, mix: Mapping[str, int]) -> tuple[Decimal | None, ...]:
        """Return what a mix of traffic costs in each list.

        Args:
            mix: How many messages go to each zone, by its number; or to one operator of a zone, as ``"1/25001"``. Of that
                the individual tariff counts, or the zone's price in a list that has none, as in ``Tariffs.price()``.

        Returns:
            One sum for each list, in their order; ``None`` where it has no price for a part of the mix.

        Raises:
            KeyError: No list has such a zone.
        """
        zones = {row.zone: row.prices for row in self.rows}
        codes = {row.mccmnc: row.prices for row in self.codes}
        lines = {key: _prices_of(key, zones, codes) for key in mix}
        unknown = [key for key, prices in lines.items() if prices is None]
        if unknown:
            names = ", ".join(map(repr, unknown))
            raise KeyError(f"no list has a zone {names}; an operator is named with its zone, such as '1/25001'")
        columns = [[prices[place] for prices in lines.values() if prices] for place in range(len(self.names))]
        with localcontext(EXACT):
            return tuple(_sum(prices, mix.values()) for prices in columns)


def compare(lists: Mapping[str, Tariffs], *, service: Service | str = Service.API) -> Comparison:
    """Return what each zone costs in several lists, and each operator that has an individual tariff.

    Zones are the same where their number is, operators where their code is. An individual tariff stands beside others of
    its operator and beside no zone's price: the service does not say to which zone an operator belongs.

    Args:
        lists: The lists by what they are to be called, such as the accounts' logins.
        service: What the prices are for, as ``Service`` or as its value.

    Returns:
        The prices side by side; without a row where there are no lists.

    Raises:
        TypeError: ``lists`` is no mapping, or one of them no ``Tariffs``.
        ValueError: No such service.

    Example:
        >>> from smsc_async import compare, decode
        >>> codes = b'"codes": [{"mccmnc": "25001", "cost": "1.85"}]'
        >>> alex = decode(b'{"zones": [{"zone": "1", "api": "2.50"}], %s, "mail": "0.1"}' % codes)
        >>> boris = decode(b'{"zones": [{"zone": "1", "api": "2.40"}], %s, "mail": "0.1"}' % codes)
        >>> comparison = compare({"alex": alex, "boris": boris})
        >>> comparison.rows[0].prices, comparison.codes[0].prices
        ((Decimal('2.50'), Decimal('2.40')), (Decimal('1.85'), Decimal('1.85')))
    """
    service = Service(service)
    checked_type("lists", lists, Mapping, 'a mapping of names to lists, such as {"alex": tariffs}')  # type: ignore[type-abstract]  # isinstance() takes it
    for name, tariffs in lists.items():
        checked_type(name, tariffs, Tariffs, "a Tariffs, as Client.tariffs() returns it")
    by_zone = [{zone.zone: zone for zone in tariffs.zones} for tariffs in lists.values()]
    # A dict keeps the order in which keys came, and the first name.
    names: dict[str, str] = {}
    for zones in by_zone:
        for zone in zones.values():
            names.setdefault(zone.zone, zone.name)
    rows = (
        Compared(key, name, tuple(getattr(zones.get(key), service.value, None) for zones in by_zone))
        for key, name in names.items()
    )
    by_code = [{code.mccmnc: code.cost for code in tariffs.codes} for tariffs in lists.values()]
    keys = dict.fromkeys(chain.from_iterable(by_code)) if service in MESSAGES else ()
    codes = (ComparedOperator(key, tuple(costs.get(key) for costs in by_code)) for key in keys)
    return Comparison(tuple(lists), service, tuple(rows), tuple(codes))


def marks_of(row: Compared | ComparedOperator) -> list[bool]:
    """Return for each price whether a reader sees it as the cheapest. Where all are the same, none is."""
    cheapest = row.cheapest
    is_best = [price is not None and price == cheapest for price in row.prices]
    return is_best if not all(is_best) else [False] * len(is_best)


def _prices_of(key: str, zones: Mapping[str, _Prices], codes: Mapping[str, _Prices]) -> _Prices | None:
    zone, _, operator = key.partition("/")
    if key in zones or not operator or zone not in zones:
        return zones.get(key)
    individual = codes.get(operator, zones[zone])
    return tuple(price if cost is None else cost for cost, price in zip(individual, zones[zone], strict=True))


def _sum(prices: Sequence[Decimal | None], counts: Iterable[int]) -> Decimal | None:
    costs = (price * count for price, count in zip(prices, counts, strict=True) if price is not None)
    return None if None in prices else sum(costs, Decimal(0))
