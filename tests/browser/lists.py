"""Lists as accounts get them over some weeks: most prices stay, some move, a zone comes, goes and is renamed."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import attrs

from smsc_async import Snapshot, Tariffs
from smsc_async.simulator import sample_tariffs
from tests.report.pages import DAY

__all__ = ["weeks"]


def weeks() -> list[Snapshot]:
    """Twelve lists of each of three accounts."""
    chance = random.Random(3)
    snapshots: list[Snapshot] = []
    for account, factor in (("main", "1"), ("reserve", "0.97"), ("partner", "1.04")):
        tariffs = sample_tariffs(Decimal(factor))
        for day in range(12):
            snapshots.append(Snapshot(account, DAY + timedelta(days=3 * day, hours=6), tariffs))
            tariffs = _moved(tariffs, chance)
            if account == "main" and day == 4:
                zones = (
                    attrs.evolve(zone, name="Latvija") if zone.zone == "32" else zone for zone in tariffs.zones[:-1]
                )
                tariffs = attrs.evolve(tariffs, zones=tuple(zones))
            elif account == "main" and day == 8:
                tariffs = attrs.evolve(tariffs, zones=(*tariffs.zones, sample_tariffs().zones[-1]))
    return snapshots


def _moved(tariffs: Tariffs, chance: random.Random) -> Tariffs:
    def moved(price: Decimal | None) -> Decimal | None:
        if price is None or chance.random() > 0.04:
            return price
        return (price * chance.choice((Decimal("0.9"), Decimal("0.95"), Decimal("1.05")))).quantize(Decimal("0.01"))

    return attrs.evolve(
        tariffs,
        zones=tuple(
            attrs.evolve(
                zone,
                api=moved(zone.api),
                mass=moved(zone.mass),
                mms=moved(zone.mms),
                hlr=moved(zone.hlr),
                call=moved(zone.call),
            )
            for zone in tariffs.zones
        ),
        codes=tuple(attrs.evolve(code, cost=moved(code.cost)) for code in tariffs.codes),
    )
