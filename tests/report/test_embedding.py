from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import OperatorTariff, Service, Snapshot, Tariffs, Zone
from smsc_async.report.embedding import document_of, folded, folded_names
from smsc_async.report.timelines import timelines_of
from smsc_async.simulator import make_tariffs
from tests.report.pages import DAY, days_of, listed, unfolded

PRICES = st.none() | st.sampled_from(["2.5", "2.50", "0", "10"])


def account_of(*lists: Tariffs) -> dict[str, Any]:
    (account,) = cast(
        "list[dict[str, Any]]", document_of(timelines_of(days_of("alex", *lists)), Service.API)["accounts"]
    )
    return account


@given(st.lists(PRICES, min_size=1, max_size=12))
def test_a_price_reads_back_in_every_list_to_the_digit(prices: list[str | None]) -> None:
    assert unfolded(folded(["-" if price is None else price for price in prices]), len(prices)) == prices


@pytest.mark.parametrize(
    ("prices", "text"),
    [
        (["3.85"] * 9, "3.85"),
        (["3.85", "4.10", "4.10", "3.99"], "3.85 4.10 3:3.99"),
        (["-", "-", "2"], "- 2:2"),
        (["-"], "-"),
    ],
)
def test_a_price_that_stays_is_written_once(prices: list[str], text: str) -> None:
    assert folded(prices) == text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["Latvia", "Latvia"], "Latvia"),
        (["Latvia", None, "Latvia"], "Latvia"),
        ([None, "Latvia"], "Latvia"),
        (["Latvia", "Latvija", "Latvija"], [0, "Latvia", 1, "Latvija"]),
    ],
)
def test_a_name_is_written_again_where_it_changes(names: list[str | None], told: object) -> None:
    assert folded_names(names) == told


def test_lines_stand_as_in_the_newest_list_and_those_that_are_gone_after_them() -> None:
    old = Tariffs((Zone("9", "gone"), Zone("1", "Russia", api=Decimal("2.5"))), (OperatorTariff("25001"),), Decimal(1))
    new = Tariffs((Zone("2", "new"), Zone("1", "Russia", api=Decimal("2.50"))), (OperatorTariff("25002", Decimal(3)),))
    account = account_of(old, new)
    assert account["zones"] == [
        ["2", "new", "-", "-", "-", "-", "-"],
        ["1", "Russia", "2.5 2.50", "-", "-", "-", "-"],
        ["9", "gone", "-", "-", "-", "-", "-"],
    ]
    assert account["codes"] == [["25002", "- 3", "Megafon · RU"], ["25001", "-", "MTS · RU"]]
    assert account["mail"] == "1 -"
    # 2.5 and 2.50 are the same: no change, but the digits of each.
    assert account["changes"] == ["0a 2r 3a 4r 5u0"]


def test_each_change_has_its_line_its_kind_and_its_price() -> None:
    old = listed("Russia", "Latvia")
    one, two = old.zones
    renamed = attrs.evolve(one, name="Россия", api=Decimal(3), hlr=Decimal(1))
    new = Tariffs((renamed, attrs.evolve(two, api=Decimal(2))))
    assert account_of(old, old, new, old)["changes"] == ["", "0nd0p3 1c0", "0nc0u3 1d0"]


def test_a_list_that_stays_costs_nearly_nothing() -> None:
    one, many = make_tariffs(300, 20), [make_tariffs(300, 20)] * 30
    assert len(str(account_of(*many))) < 1.05 * len(str(account_of(one))) + 500


def test_two_lists_within_a_second_are_two_and_an_unknown_network_has_no_name() -> None:
    at = DAY + timedelta(milliseconds=250)
    tariffs = Tariffs((), (OperatorTariff("99999"),))
    snapshots = [Snapshot("alex", DAY, tariffs), Snapshot("alex", at, tariffs)]
    (account,) = cast("list[dict[str, Any]]", document_of(timelines_of(snapshots), Service.API)["accounts"])
    assert account["taken"] == [DAY.timestamp(), at.timestamp()]
    assert isinstance(account["taken"][0], int)
    assert account["codes"] == [["99999", "-"]]
