"""A tariff list as it was at an instant: for histories, watches and reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import attrs

from smsc_async.records import Service, Tariffs, checked_type


def checked_instant(name: str, instant: datetime) -> datetime:
    """Return an instant, which needs a time zone.

    Raises:
        TypeError: It is no instant.
        ValueError: It has no time zone.
    """
    checked_type(name, instant, datetime, "a datetime, such as datetime.now(UTC)")
    if instant.utcoffset() is None:
        raise ValueError(f"{name}={instant}: must have a time zone, such as datetime.now(UTC)")
    return instant


def _in_utc(_: object, attribute: attrs.Attribute[datetime], value: datetime) -> None:
    checked_instant(attribute.name, value)


def _is_list(_: object, attribute: attrs.Attribute[Tariffs], value: Tariffs) -> None:
    checked_type(attribute.name, value, Tariffs, "a Tariffs, as Client.tariffs() returns it")


def _is_name(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    checked_type(attribute.name, value, str, "a name, such as a login")


@attrs.frozen
class Snapshot:
    """The list of an account at an instant.

    Attributes:
        account: The account of the list, by the name under which it is recorded: a login, or a name of the user's.
        taken_at: When the service sent it, with its time zone.
        tariffs: The list.

    Raises:
        TypeError: ``account`` is no text, ``taken_at`` no ``datetime``, or ``tariffs`` no ``Tariffs``.
        ValueError: ``taken_at`` has no time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from smsc_async import Snapshot, decode
        >>> tariffs = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> Snapshot("alex", datetime(2026, 11, 24, tzinfo=UTC), tariffs).tariffs.zone("1").api
        Decimal('2.50')
    """

    account: str = attrs.field(validator=_is_name)
    taken_at: datetime = attrs.field(validator=_in_utc)
    tariffs: Tariffs = attrs.field(validator=_is_list)


@attrs.frozen
class Period:
    """A time in which every snapshot of an account had the same list, to the last digit.

    Attributes:
        account: Whose list.
        since: When the first of the snapshots was taken.
        until: When the last of them was taken. The list changed at an unknown time after it.
        count: How many they are.
        tariffs: The list.

    Example:
        >>> from datetime import UTC, datetime
        >>> from smsc_async import Period, decode
        >>> tariffs = decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.1"}')
        >>> period = Period("alex", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC), 2300, tariffs)
        >>> (period.until - period.since).days
        23
    """

    account: str
    since: datetime = attrs.field(validator=_in_utc)
    until: datetime = attrs.field(validator=_in_utc)
    count: int
    tariffs: Tariffs


@attrs.frozen
class PricePoint:
    """A time in which a price was seen to be the same.

    Attributes:
        since: When it was first seen.
        until: When it was last seen, before another one was.
        price: The price, or ``None`` where the account had none.

    Example:
        >>> from datetime import UTC, datetime
        >>> from decimal import Decimal
        >>> from smsc_async import PricePoint
        >>> at = datetime(2026, 11, 24, tzinfo=UTC)
        >>> PricePoint(at, at, Decimal("2.50")).price
        Decimal('2.50')
    """

    since: datetime
    until: datetime
    price: Decimal | None


def price_points(
    periods: Iterable[Period],
    *,
    zone: str | None = None,
    operator: str | None = None,
    mail: bool = False,
    service: Service | str = Service.API,
) -> tuple[PricePoint, ...]:
    """Return one price over time, as ``History.prices()`` does.

    Args:
        periods: Of one account, oldest first.
        zone: The zone's number, or ``None``.
        operator: The operator's code, or ``None``.
        mail: Whether it is the e-mail price, in place of the two.
        service: What is sent.

    Raises:
        TypeError: None of the three is given, or ``mail`` and another, or one that is not text.
        ValueError: No such service.
    """
    if mail == (zone is not None or operator is not None):
        raise TypeError('which price? Name a zone, an operator or both, such as zone="1", or mail=True')
    # No list has a number as a key: an operator given as a number would silently get the price of its zone.
    for name, value, example in ("zone", zone, "1"), ("operator", operator, "25001"):
        if value is not None:
            checked_type(name, value, str, f'text, such as "{example}"')
    points: list[PricePoint] = []
    for period in periods:
        price = period.tariffs.mail if mail else _price(period.tariffs, zone, operator, Service(service))
        if points and points[-1].price == price:
            points[-1] = attrs.evolve(points[-1], until=period.until)
        else:
            points.append(PricePoint(period.since, period.until, price))
    return tuple(points)


def _price(tariffs: Tariffs, zone: str | None, operator: str | None, service: Service) -> Decimal | None:
    if zone is not None and not any(each.zone == zone for each in tariffs.zones):
        zone = None  # a zone may come and go: an operator's tariff still answers
    if zone is None and operator is None:
        return None
    price = tariffs.price(zone, operator=operator, service=service)
    return None if price is None else price.cost
