from __future__ import annotations

import copy
import decimal
import pickle
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Change, ChangeKind, OperatorTariff, Tariffs, Zone, diff
from smsc_async.simulator import make_tariffs

ONE = Zone("1", "Russia", api=Decimal("2.50"), hlr=Decimal("0.30"))
LIST = Tariffs((ONE, Zone("2", "Latvia")), (OperatorTariff("25001", Decimal("1.85")),), Decimal("0.10"))


def with_zone(**changes: object) -> Tariffs:
    return attrs.evolve(LIST, zones=(attrs.evolve(ONE, **changes), *LIST.zones[1:]))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # names of fields


def test_equal_lists_have_no_changes_whatever_the_digits_order_and_extras() -> None:
    other = attrs.evolve(with_zone(api=Decimal("2.5")), zones=tuple(reversed(LIST.zones)))
    assert diff(LIST, other) == ()


@pytest.mark.parametrize(
    ("api", "kind", "difference", "percent"),
    [
        ("2.75", "dearer", "0.25", "10.0"),
        ("2.00", "cheaper", "-0.50", "-20.0"),
        (None, "unpriced", None, None),
    ],
)
def test_a_price_that_changes_is_told_in_money_and_percent(
    api: str | None, kind: str, difference: str | None, percent: str | None
) -> None:
    (change,) = diff(LIST, with_zone(api=None if api is None else Decimal(api)))
    assert (change.kind, change.line, change.id, change.name, change.price) == (kind, "zone", "1", "Russia", "api")
    assert change.difference == (None if difference is None else Decimal(difference))
    assert change.percent == (None if percent is None else Decimal(percent))


def test_a_price_that_was_not_there_or_was_nothing_has_no_percentage() -> None:
    (change,) = diff(LIST, with_zone(mms=Decimal(5)))
    assert (change.kind, change.old, change.new, change.percent) == (ChangeKind.PRICED, None, Decimal(5), None)
    (change,) = diff(with_zone(api=Decimal(0)), LIST)
    assert (change.kind, change.difference, change.percent) == (ChangeKind.DEARER, Decimal("2.50"), None)


def test_zones_come_go_and_are_renamed() -> None:
    new = attrs.evolve(LIST, zones=(Zone("3", "Estonia"), attrs.evolve(ONE, name="Россия")))
    assert [(change.kind.value, change.id, change.name, change.old_name) for change in diff(LIST, new)] == [
        ("added", "3", "Estonia", ""),
        ("renamed", "1", "Россия", "Russia"),
        ("removed", "2", "Latvia", ""),
    ]


def test_operators_and_e_mail_change_too() -> None:
    codes = (OperatorTariff("25001", Decimal("1.90")), OperatorTariff("25002", None))
    new = attrs.evolve(LIST, codes=codes, mail=Decimal("0.20"))
    assert [(change.kind.value, change.line, change.id, change.price) for change in diff(LIST, new)] == [
        ("dearer", "operator", "25001", "cost"),
        ("added", "operator", "25002", ""),
        ("dearer", "mail", "", "mail"),
    ]


@given(st.integers(1, 40), st.integers(0, 20), st.integers(0, 3), st.integers(0, 3))
def test_the_way_back_has_the_opposite_changes(zones: int, operators: int, one: int, other: int) -> None:
    opposite = {"added": "removed", "dearer": "cheaper", "priced": "unpriced", "renamed": "renamed"}
    opposite |= {after: before for before, after in opposite.items()}
    old, new = make_tariffs(zones, operators, seed=one), make_tariffs(zones + one, operators, seed=other)
    there = {(change.kind.value, change.line, change.id, change.price) for change in diff(old, new)}
    back = {(opposite[change.kind], change.line, change.id, change.price) for change in diff(new, old)}
    assert there == back


def test_a_change_survives_pickle_and_copy() -> None:
    change = Change(ChangeKind.DEARER, "zone", "1", "Russia", "api", Decimal("2.50"), Decimal("2.75"))
    assert pickle.loads(pickle.dumps(change)) == copy.deepcopy(change) == change


@pytest.mark.parametrize("precision", [1, 4, 28])
@pytest.mark.parametrize("rounding", [decimal.ROUND_UP, decimal.ROUND_HALF_EVEN])
def test_no_result_depends_on_the_decimal_context_of_the_caller(precision: int, rounding: str) -> None:
    change = Change(
        ChangeKind.DEARER, "zone", "1", "x", "api", Decimal("12.345"), Decimal("13.3456789012345678901234567890")
    )
    cheaper = attrs.evolve(change, new=Decimal("12.3449"))
    with decimal.localcontext() as context:
        context.prec, context.rounding = precision, rounding
        assert str(change.difference) == "1.0006789012345678901234567890"
        assert (str(change.percent), str(cheaper.percent)) == ("8.1", "-0.0")
        assert [str(each.percent) for each in halves()] == ["0.2", "-0.2", "0.4", "100.0"]


def halves() -> list[Change]:
    """Changes of 0.25, -0.25, 0.35 and 100 percent: a half is rounded to the even digit."""
    return [
        Change(ChangeKind.DEARER, "mail", "", "", "mail", Decimal(2000), Decimal(new))
        for new in (2005, 1995, 2007, 4000)
    ]
