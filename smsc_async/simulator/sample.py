"""Tariff lists to serve: the realistic one of ``sample.tsv``, and large ones made by number."""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from typing import Final

import attrs

from smsc_async.records import OperatorTariff, Service, Tariffs, Zone

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
        zones=tuple(
            _zone(zone.zone, zone.name, (_times(getattr(zone, each.value), factor) for each in Service))
            for zone in _SAMPLE.zones
        ),
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


def _zone(zone: str, name: str, prices: Iterable[Decimal | None]) -> Zone:
    api, mass, mms, hlr, call = prices
    return Zone(zone, name, api, mass, mms, hlr, call)


def _price(text: str) -> Decimal | None:
    return None if text == "-" else Decimal(text)


def _read_sample() -> Tariffs:
    text = files("smsc_async.simulator").joinpath("sample.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    zones = [(name, map(_price, prices)) for name, *prices in rows if len(prices) > 1]
    return Tariffs(
        tuple(_zone(str(number), name, prices) for number, (name, prices) in enumerate(zones, 1)),
        tuple(OperatorTariff(row[0], _price(row[1])) for row in rows if len(row) == 2),
        Decimal("0.10"),
    )


_SAMPLE: Final = _read_sample()
