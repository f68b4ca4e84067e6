"""Tariff lists to serve: a realistic one to read, and large ones made by number.

Names and prices are invented. The names hold characters that break careless parsers: commas, quotes, parentheses, equals signs,
ampersands, apostrophes, Cyrillic and Latin letters side by side.
"""

# ruff: noqa: RUF001  # Cyrillic names

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import attrs

from smsc_async.records import OperatorTariff, Tariffs, Zone

__all__ = ["make_tariffs", "sample_tariffs"]

# name | api mass mms hlr call, "-" where there is no price
_ZONES: Final = """
МТС (Россия)                                  | 3.85 3.95 9.50 0.30 2.40
МегаФон, Yota                                 | 4.10 4.20 9.50 0.30 2.40
Билайн (ПАО "ВымпелКом")                      | 3.99 4.09 9.90 0.30 2.40
T2 (Tele2), Ростелеком                        | 3.60 3.70 9.50 0.30 2.40
МОТИВ (Екатеринбург-2000)                     | 3.20 3.30 - 0.25 2.10
Россия, прочие операторы                      | 3.45 3.55 - 0.30 2.40
Россия, имя отправителя = бесплатное          | 2.95 - - - -
Россия, рекламные сообщения (код "R")         | 6.20 6.40 12.00 - -
Крым и Севастополь (Win Mobile, Волна)        | 4.40 4.50 - 0.35 2.90
Виртуальные операторы (Т-Мобайл, СберМобайл)  | 3.75 3.85 - 0.30 2.40
Казахстан, Beeline (КаР-Тел)                  | 9.80 9.90 - 0.45 6.20
Казахстан, Kcell / activ                      | 10.40 10.50 - 0.45 6.20
Казахстан, Tele2 & Altel                      | 9.10 9.20 - 0.45 6.20
Україна, Київстар                             | 8.90 9.00 - 0.50 7.10
Україна, Vodafone ("МТС Україна")             | 8.70 8.80 - 0.50 7.10
Україна, lifecell                             | 8.20 8.30 - 0.50 7.10
Беларусь, МТС                                 | 11.30 11.40 - 0.50 8.30
Беларусь, A1 (velcom)                         | 11.60 11.70 - 0.50 8.30
Беларусь, life:)                              | 10.90 11.00 - 0.50 8.30
Узбекистан, Ucell                             | 14.20 14.30 - 0.60 9.40
Узбекистан, Beeline; Uzmobile; Mobiuz         | 13.80 13.90 - 0.60 9.40
Кыргызстан: MegaCom, O!, Beeline              | 12.50 12.60 - 0.55 9.00
Таджикистан, «Вавилон-М»                      | 13.10 13.20 - 0.55 9.80
Таджикистан, прочие (Tcell, MegaFon)          | 12.70 12.80 - 0.55 9.80
Туркменистан                                  | 15.00 15.10 - - -
Азербайджан (Azercell, Bakcell, Nar)          | 18.90 19.00 - 0.60 14.20
Армения: Viva-MTS = Viva                      | 12.20 12.30 - 0.55 10.10
Грузия (MagtiCom, Silknet, Cellfie)           | 6.40 6.50 - 0.45 7.70
Молдова, Orange                               | 7.30 7.40 - 0.50 8.80
Абхазия, А-Мобайл & Аквафон                   | 5.90 6.00 - 0.40 6.60
Южная Осетия                                  | 5.70 5.80 - - 6.60
Latvia                                        | 4.10 4.20 - 0.40 5.20
Lithuania (Telia, Bitė, Tele2)                | 3.30 3.40 - 0.40 5.20
Estonia                                       | 5.20 5.30 - 0.40 5.20
Poland                                        | 3.70 3.80 - 0.40 4.40
Germany (Telekom, Vodafone, O2)               | 8.40 8.50 - 0.45 5.90
France                                        | 5.60 5.70 - 0.45 5.10
Spain                                         | 4.90 5.00 - 0.45 5.10
Italy (TIM, Vodafone, WINDTRE)                | 6.30 6.40 - 0.45 5.60
United Kingdom                                | 3.90 4.00 - 0.40 4.10
Netherlands                                   | 8.10 8.20 - 0.45 5.90
Czech Republic                                | 5.40 5.50 - 0.40 5.00
Finland                                       | 6.80 6.90 - 0.40 5.00
Sweden (3, Tele2, Telenor, Telia)             | 5.80 5.90 - 0.40 4.90
Norway                                        | 6.10 6.20 - 0.40 4.90
Israel, "Partner" (orange)                    | 3.10 3.20 - 0.40 6.00
Israel, other                                 | 2.90 3.00 - 0.40 6.00
Turkey (Turkcell, Vodafone TR, Türk Telekom)  | 1.95 2.05 - 0.35 7.40
United Arab Emirates (du = EITC, Etisalat)    | 5.10 5.20 - 0.45 9.90
Saudi Arabia                                  | 4.60 4.70 - 0.45 9.90
China                                         | 4.80 4.90 - 0.50 4.70
Hong Kong, Macao                              | 5.30 5.40 - 0.50 4.70
India (promotional, DLT "P")                  | 5.00 - - 0.40 -
India (transactional, DLT "T")                | 0.45 0.55 - 0.40 3.80
Vietnam                                       | 9.40 9.50 - 0.55 8.20
Thailand (AIS, TrueMove H, dtac)              | 2.30 2.40 - 0.40 6.30
Korea, Republic of                            | 2.80 2.90 - 0.45 5.50
Japan                                         | 7.60 7.70 - 0.55 7.90
USA & Canada                                  | 1.15 1.25 2.90 0.30 3.50
México                                        | 3.40 3.50 - 0.40 5.60
Brasil (Claro, TIM, Vivo)                     | 2.60 2.70 - 0.40 6.10
Côte d'Ivoire                                 | 8.80 8.90 - 0.60 14.90
Egypt                                         | 10.20 10.30 - 0.55 12.70
South Africa                                  | 2.40 2.50 - 0.40 7.20
Спутниковая связь (Thuraya, Iridium)          | 32.00 32.50 - - 250.00
Other countries = all the rest                | 12.00 12.50 - 0.60 -
"""

_OPERATORS: Final = """
25001 3.42   25002 3.75   25011 3.75   25020 3.18   25035 2.90   25039 3.18   25050 3.05   25062 3.30   25099 3.61
25501 8.30   25503 8.45   25506 7.90   25701 10.70  25702 10.85  25704 10.20  28204 6.05   40101 9.35   40102 9.95
40177 8.75   43404 13.20  43405 13.70  43701 11.90  43601 12.35  40001 -      24701 3.85   26201 7.95   22210 5.95
"""

_CENT: Final = Decimal("0.01")


def sample_tariffs(factor: Decimal = Decimal(1)) -> Tariffs:
    """Return a realistic list: 66 zones and the individual tariffs of 27 operators.

    Args:
        factor: Every price is multiplied by it and rounded to two places, so that accounts can have different lists:
            ``Decimal("0.9")`` is a discount of a tenth.

    Raises:
        ValueError: The factor is not above 0.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async.simulator import sample_tariffs
        >>> sample_tariffs().zone("1").api, sample_tariffs(Decimal("0.9")).zone("1").api
        (Decimal('3.85'), Decimal('3.47'))
    """
    if not (factor.is_finite() and factor > 0):
        raise ValueError(f"factor must be a number above 0, not {factor}")
    if factor == 1:
        return _SAMPLE  # one object for all accounts
    return attrs.evolve(
        _SAMPLE,
        zones=tuple(_times_zone(zone, factor) for zone in _SAMPLE.zones),
        codes=tuple(attrs.evolve(each, cost=_times(each.cost, factor)) for each in _SAMPLE.codes),
        mail=_times(_SAMPLE.mail, factor),
    )


def make_tariffs(zones: int = 2000, operators: int = 500, *, seed: int = 0) -> Tariffs:
    """Return a list of that size, the same for the same arguments; for benchmarks.

    Its names are those of the sample, with a number; about one price in ten is missing.

    Args:
        zones: Zones; at least 1.
        operators: Individual tariffs; at most 50,000, the number of different codes.
        seed: Seed of the random prices.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> from smsc_async.simulator import make_tariffs
        >>> len(make_tariffs(zones=300, operators=20).zones)
        300
    """
    if zones < 1:
        raise ValueError(f"zones must be at least 1, not {zones!r}")
    if not 0 <= operators <= 50_000:
        raise ValueError(f"operators must be between 0 and 50000, not {operators!r}")
    chance = random.Random(seed)  # noqa: S311  # prices, not secrets
    names = [zone.name for zone in _SAMPLE.zones]
    return Tariffs(
        tuple(
            _zone(str(number), f"{names[number % len(names)]} {number}", (_random_price(chance) for _ in range(5)))
            for number in range(1, zones + 1)
        ),
        tuple(
            # A country has room for a hundred operators; the countries begin at 200.
            OperatorTariff(f"{200 + number // 100}{number % 100:02}", _random_price(chance))
            for number in range(operators)
        ),
        _CENT * chance.randint(1, 50),
    )


def _random_price(chance: random.Random) -> Decimal | None:
    return None if chance.random() < 0.1 else _CENT * chance.randint(30, 2500)


def _times(price: Decimal | None, factor: Decimal) -> Decimal | None:
    return None if price is None else (price * factor).quantize(_CENT, ROUND_HALF_UP)


def _times_zone(zone: Zone, factor: Decimal) -> Zone:
    prices = (zone.api, zone.mass, zone.mms, zone.hlr, zone.call)
    return _zone(zone.zone, zone.name, (_times(price, factor) for price in prices))


def _zone(zone: str, name: str, prices: Iterable[Decimal | None]) -> Zone:
    api, mass, mms, hlr, call = prices
    return Zone(zone, name, api, mass, mms, hlr, call)


def _price(text: str) -> Decimal | None:
    return None if text == "-" else Decimal(text)


def _read_zone(number: int, line: str) -> Zone:
    name, _, prices = line.rpartition("|")
    return _zone(str(number), name.strip(), map(_price, prices.split()))


def _read_sample() -> Tariffs:
    pairs = iter(_OPERATORS.split())
    return Tariffs(
        tuple(_read_zone(number, line) for number, line in enumerate(_ZONES.strip().splitlines(), 1)),
        tuple(OperatorTariff(mccmnc, _price(cost)) for mccmnc, cost in zip(pairs, pairs, strict=True)),
        Decimal("0.10"),
    )


_SAMPLE: Final = _read_sample()
