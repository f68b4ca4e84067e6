from __future__ import annotations

from decimal import Decimal

import attrs

from smsc_async import OperatorTariff, Tariffs, render_report
from tests.report.pages import Read, days_of, listed

LIST = attrs.evolve(
    listed("Russia", "Latvia", "Estonia"), codes=(OperatorTariff("25001", Decimal(2)),), mail=Decimal(1)
)


def priced(*prices: str, cost: str = "2", mail: str = "1") -> Tariffs:
    zones = tuple(attrs.evolve(zone, api=Decimal(price)) for zone, price in zip(LIST.zones, prices, strict=True))
    return attrs.evolve(LIST, zones=zones, codes=(OperatorTariff("25001", Decimal(cost)),), mail=Decimal(mail))


def told(*lists: Tariffs) -> str:
    return " ".join(Read(render_report(days_of("alex", *lists))).text.split())


def test_it_tells_what_there_is_and_from_when() -> None:
    text = told(LIST, LIST)
    assert "1 account, 2 lists, 2026-11-01 00:00 UTC to 2026-11-02 00:00 UTC." in text
    assert "3 zones, 1 operator, e-mail 1" in text


def test_it_counts_what_changed_lately_and_since_the_first_list() -> None:
    text = told(LIST, priced("2.75", "2.50", "2.00"), priced("3.00", "2.50", "2.00"))
    assert "Since the list before, 2026-11-02 00:00 UTC: ▲ 1 dearer" in text
    assert "Since the first list, 2026-11-01 00:00 UTC: ▲ 1 dearer ▼ 1 cheaper" in text
    assert "first list" not in told(LIST, LIST).partition("Prices")[0]


def test_it_names_the_prices_that_rose_and_fell_most() -> None:
    text = told(LIST, priced("2.75", "5.00", "2.40", cost="1", mail="1.5"))
    movers = [
        "Latvia api 2.50 → 5.00 ▲ +100.0 %",
        "e-mail 1 → 1.5 ▲ +50.0 %",
        "Russia api 2.50 → 2.75 ▲ +10.0 %",
        "operator 25001 2 → 1 ▼ −50.0 %",  # noqa: RUF001  # as wide as the plus
        "Estonia api 2.50 → 2.40 ▼ −4.0 %",  # noqa: RUF001  # likewise
    ]
    assert " ".join(movers) in text


def test_what_only_came_went_or_was_renamed_moved_no_price() -> None:
    text = told(LIST, attrs.evolve(listed("Россия", "Latvia"), mail=Decimal(1)))
    assert "+ 0" not in text
    assert "− 2 removed ≈ 1 renamed Prices" in text  # noqa: RUF001  # likewise
