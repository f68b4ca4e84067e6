from __future__ import annotations

import decimal
from decimal import Decimal

import attrs
import pytest

from smsc_async import ComparedOperator, OperatorTariff, Service, Tariffs, Zone, compare
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


def test_operators_stand_side_by_side_by_their_code_and_where_one_has_no_tariff_none_is_the_cheapest() -> None:
    codes = (
        OperatorTariff("25002", Decimal("1.90")),
        OperatorTariff("25001", Decimal("1.80")),
        OperatorTariff("25099"),
    )
    other = Tariffs((ONE,), codes)
    assert compare({"alex": LIST, "boris": other}).codes == (
        ComparedOperator("25001", (Decimal("1.85"), Decimal("1.80"))),
        ComparedOperator("25002", (None, Decimal("1.90"))),
        ComparedOperator("25099", (None, None)),
    )
    assert [row.cheapest for row in compare({"alex": LIST, "boris": other}).codes] == [Decimal("1.80"), None, None]
    assert ComparedOperator("25001", ()).cheapest is None


@pytest.mark.parametrize("service", Service)
def test_individual_tariffs_are_prices_of_messages_alone(service: Service) -> None:
    comparison = compare({"alex": LIST}, service=service)
    assert bool(comparison.codes) == (service in {Service.API, Service.MASS})
    # As price() has it.
    price = LIST.price("1", operator="25001", service=service)
    assert comparison.totals({"1/25001": 2}) == (None if price is None else 2 * price.cost,)


def test_an_operator_of_a_mix_costs_its_tariff_or_else_what_its_zone_does() -> None:
    other = Tariffs((attrs.evolve(ONE, api=Decimal("2.40")), Zone("1/2", "odd", api=Decimal(7))))
    comparison = compare({"alex": LIST, "boris": other})
    assert comparison.totals({"1": 10, "1/25001": 100}) == (Decimal("210.00"), Decimal("264.00"))
    assert comparison.totals({"1/25099": 1}) == (Decimal("2.50"), Decimal("2.40"))
    assert comparison.totals({"2/25001": 1}) == (Decimal("1.85"), None)
    assert comparison.totals({"1/2": 1}) == (None, Decimal(7))  # the number of a zone comes first
    for odd in ("25001", "1/", "/25001", "9/25001"):
        with pytest.raises(KeyError, match=f"no list has a zone '{odd}'; an operator is named with its zone"):
            comparison.totals({odd: 1})


def test_no_lists_are_a_comparison_without_rows_and_an_unknown_service_is_misuse() -> None:
    assert (compare({}).rows, compare({}).codes) == ((), ())
    with pytest.raises(ValueError, match="fax"):
        compare({"alex": LIST}, service="fax")


def test_a_sum_has_every_digit_under_any_decimal_context() -> None:
    comparison = compare({"alex": Tariffs((Zone("1", "x", Decimal("123456789012.123456789012")),))})
    with decimal.localcontext() as context:
        context.prec = 3
        assert comparison.totals({"1": 1_000_003}) == (Decimal("123457159382490493.159382367036"),)
