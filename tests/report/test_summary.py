from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import attrs

from smsc_async import OperatorTariff, Tariffs, render_report
from tests.report.pages import DAY, Read, days_of, listed

LIST = attrs.evolve(
    listed("Russia", "Latvia", "Estonia"), codes=(OperatorTariff("25001", Decimal(2)),), mail=Decimal(1)
)


def priced(*prices: str, cost: str = "2", mail: str = "1") -> Tariffs:
    zones = tuple(attrs.evolve(zone, api=Decimal(price)) for zone, price in zip(LIST.zones, prices, strict=True))
    return attrs.evolve(LIST, zones=zones, codes=(OperatorTariff("25001", Decimal(cost)),), mail=Decimal(mail))


def told(*lists: Tariffs, since: datetime | None = None) -> str:
    return " ".join(Read(render_report(days_of("alex", *lists), since=since)).text.split())


def test_it_tells_what_there_is_and_from_when() -> None:
    text = told(LIST, LIST)
    assert "1 account, 2 lists, 2026-11-01 00:00 UTC to 2026-11-02 00:00 UTC." in text
    assert "3 zones, 1 operator, e-mail 1" in text


def test_it_counts_what_changed_since_the_last_list_that_differs_and_the_first_one() -> None:
    lists = (LIST, priced("2.75", "2.50", "2.00"), priced("3.00", "2.50", "2.00"))
    text = told(*lists)
    assert "Since the last list that differs, 2026-11-02 00:00 UTC: ▲ 1 dearer" in text
    assert "Since the first list, 2026-11-01 00:00 UTC: ▲ 1 dearer ▼ 1 cheaper" in text
    # The same list again, such as that of a minute ago, hides nothing.
    again = told(*lists, lists[-1], lists[-1])
    assert "Since the last list that differs, 2026-11-02 00:00 UTC: ▲ 1 dearer" in again


def test_lists_that_are_the_same_are_so_since_the_first() -> None:
    text = told(LIST, LIST, LIST)
    assert text.count("Since") == 1
    assert "Since the first list, 2026-11-01 00:00 UTC: no changes" in text


def test_it_compares_with_the_list_of_an_instant() -> None:
    lists = (LIST, priced("2.75", "2.50", "2.00"), priced("3.00", "2.50", "2.00"), priced("3.00", "2.60", "2.00"))
    text = told(*lists, since=DAY + timedelta(days=1, hours=5))
    assert "Since the list in force at 2026-11-02 05:00 UTC, 2026-11-02 00:00 UTC: ▲ 2 dearer" in text
    assert "first list" not in text.partition("Changes, newest first")[0].partition("Comparison")[0]
    early = told(*lists, since=DAY - timedelta(days=1))
    assert "Since the first list, 2026-11-01 00:00 UTC: ▲ 2 dearer ▼ 1 cheaper" in early


def test_it_names_the_prices_that_rose_and_fell_most() -> None:
    text = told(LIST, priced("2.75", "5.00", "2.40", cost="1", mail="1.5"))
    movers = [
        "Latvia api 2.50 → 5.00 ▲ +100.0 %",
        "e-mail 1 → 1.5 ▲ +50.0 %",
        "Russia api 2.50 → 2.75 ▲ +10.0 %",
        "operator 25001 MTS · RU 2 → 1 ▼ −50.0 %",  # noqa: RUF001  # as wide as the plus
        "Estonia api 2.50 → 2.40 ▼ −4.0 %",  # noqa: RUF001  # likewise
    ]
    assert " ".join(movers) in text


def test_what_only_came_went_or_was_renamed_moved_no_price() -> None:
    text = told(LIST, attrs.evolve(listed("Россия", "Latvia"), mail=Decimal(1)))
    assert "+ 0" not in text
    assert "− 2 removed ≈ 1 renamed Prices" in text  # noqa: RUF001  # likewise


def test_a_zone_without_a_name_is_called_by_its_number() -> None:
    text = told(listed("", " ", "Latvia"), listed("", " ", "Latvia", api="5.00"))
    for name in ("zone 1", "zone 2", "Latvia"):
        assert f"{name} api 2.50 → 5.00 ▲ +100.0 %" in text
