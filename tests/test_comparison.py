from __future__ import annotations

from decimal import Decimal

import pytest

from smsc_async import OperatorTariff, Service, Tariffs, Zone, compare
from smsc_async.simulator import sample_tariffs

ONE = Zone("1", "Russia", api=Decimal("2.50"), hlr=Decimal("0.30"))
LIST = Tariffs((ONE, Zone("2", "Latvia")), (OperatorTariff("25001", Decimal("1.85")),), Decimal("0.10"))


def test_lists_stand_side_by_side_by_the_number_of_the_zone() -> None:
    other = Tariffs((Zone("1", "Россия", api=Decimal("2.40")), Zone("9", "Poland", api=Decimal(4))))
    comparison = compare({"alex": LIST, "boris": other})
    assert (comparison.names, comparison.service) == (("alex", "boris"), Service.API)
    assert [(row.zone, row.name, row.prices, row.cheapest) for row in comparison.rows] == [
        ("1", "Russia", (Decimal("2.50"), Decimal("2.40")), Decimal("2.40")),
        ("2", "Latvia", (None, None), None),
        ("9", "Poland", (None, Decimal(4)), Decimal(4)),
    ]


def test_a_mix_is_summed_where_every_zone_of_it_has_a_price() -> None:
    comparison = compare({"alex": sample_tariffs(), "boris": sample_tariffs(Decimal("0.9"))}, service="hlr")
    assert comparison.totals({"1": 10, "32": 5}) == (Decimal("5.00"), Decimal("4.50"))
    assert comparison.totals({"1": 10, "7": 1}) == (None, None)
    assert comparison.totals({}) == (Decimal(0), Decimal(0))
    with pytest.raises(KeyError, match="no list has a zone '4711'"):
        comparison.totals({"4711": 1})


def test_no_lists_are_a_comparison_without_rows_and_an_unknown_service_is_misuse() -> None:
    assert compare({}).rows == ()
    with pytest.raises(ValueError, match="fax"):
        compare({"alex": LIST}, service="fax")
