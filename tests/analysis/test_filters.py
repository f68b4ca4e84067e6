from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import attrs
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Change, ChangeKind, OperatorTariff, Service, Tariffs, Zone, diff
from smsc_async.analysis.filters import ChangeFilter, with_old_prices

OLD = Tariffs(
    (
        Zone("1", "Russia", api=Decimal("2.00"), hlr=Decimal("0.30")),
        Zone("2", "Latvia", api=Decimal(4)),
        Zone("3", "gone"),
    ),
    (OperatorTariff("25001", Decimal("1.85")),),
    Decimal("0.10"),
)
NEW = Tariffs(
    (
        Zone("1", "Russia", api=Decimal("2.02"), hlr=Decimal("0.27")),
        Zone("2", "Latvija", mms=Decimal(9)),
        Zone("4", "new"),
    ),
    (OperatorTariff("25001", Decimal("1.86")),),
    Decimal("0.11"),
)
CHANGES = diff(OLD, NEW)


def is_of_zone_1(change: Change) -> bool:
    return change.id == "1"


def reported(**conditions: object) -> list[str]:
    changes, _ = ChangeFilter(**conditions).split(CHANGES)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # names of fields
    return [f"{change.id or 'mail'} {change.kind}" for change in changes]


def test_without_conditions_every_change_is_reported() -> None:
    assert ChangeFilter().split(CHANGES) == (CHANGES, ())


def test_a_service_selects_its_prices_and_the_lines_themselves() -> None:
    lines = ["2 renamed", "4 added", "3 removed"]
    assert reported(services=frozenset({Service.HLR})) == ["1 cheaper", *lines]
    assert sorted(reported(services=frozenset({Service.API}))) == sorted(
        ["1 dearer", "2 unpriced", "25001 dearer", *lines]
    )
    assert "25001 dearer" in reported(services=frozenset({Service.MASS}))


def test_kinds_and_lines_select_too_and_all_conditions_have_to_hold() -> None:
    assert reported(kinds=frozenset({ChangeKind.CHEAPER})) == ["1 cheaper"]
    assert reported(lines=is_of_zone_1) == ["1 dearer", "1 cheaper"]
    assert reported(lines=is_of_zone_1, kinds=frozenset({ChangeKind.DEARER})) == ["1 dearer"]


def test_a_threshold_withholds_small_changes_and_nothing_without_a_ratio() -> None:
    changes, small = ChangeFilter(min_ratio=Fraction(1, 100)).split(CHANGES)
    assert [(change.id, change.price) for change in small] == [
        ("25001", "cost")
    ]  # 0.54 %; the 1.0 % of api is not less
    assert {*changes, *small} == {*CHANGES}
    _, small = ChangeFilter(min_ratio=Fraction(1, 1)).split(CHANGES)
    assert [(change.id, change.price) for change in small] == [
        ("1", "api"),
        ("1", "hlr"),
        ("25001", "cost"),
        ("", "mail"),
    ]


@given(st.sets(st.sampled_from([change for change in CHANGES if change.ratio is not None])))
def test_a_list_with_its_old_prices_differs_from_the_new_one_in_these_alone(withheld: set[Change]) -> None:
    between = with_old_prices(NEW, withheld)
    assert set(diff(between, NEW)) == {
        change if change.name != "Latvia" else attrs.evolve(change, name="Latvija") for change in withheld
    }
    assert len(diff(OLD, between)) == len(CHANGES) - len(withheld)
