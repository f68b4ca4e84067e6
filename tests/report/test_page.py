from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsc_async import OperatorTariff, Service, Snapshot, Tariffs, Zone, render_report
from smsc_async.display import escape_for_display
from smsc_async.simulator import sample_tariffs
from tests.report.pages import DAY, HOSTILE, Read, data_of, days_of, large, listed, unfolded
from tests.support.slow import exhaustive_after

OWN_TAGS = Read(
    render_report(days_of("alex", listed("a"), listed("b", api="3")) + days_of("boris", listed("a", api="2")))
).tags


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_names_are_text_whatever_is_in_them() -> None:
    lists = [listed(*HOSTILE), listed(*reversed(HOSTILE), api="3")]
    snapshots = [*days_of(HOSTILE[0], *lists), *days_of(HOSTILE[3], *lists)]
    page = render_report(snapshots, title=HOSTILE[0])
    read = Read(page)
    assert read.tags <= OWN_TAGS
    assert not {name for name in read.attributes if name.startswith("on") or name == "style"}
    names = [row[1] for row in read.rows if len(row) == 7 and row[0].isdigit()]
    assert names[: len(HOSTILE)] == [escape_for_display(name) for name in reversed(HOSTILE)]
    assert data_of(page)["accounts"][0]["name"] == HOSTILE[0]
    assert HOSTILE[0] in read.text


@settings(max_examples=20)  # each is a page; `test_texts.py` tries more
@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=4), st.text())
def test_no_name_ends_the_data_or_adds_a_tag(names: list[str], title: str) -> None:
    page = render_report(days_of("alex", listed(*names), listed(*reversed(names))), title=title)
    page.encode()
    assert len(data_of(page)["accounts"][0]["zones"]) == len(names)
    assert Read(page).tags <= OWN_TAGS


def test_the_policy_lets_nothing_be_loaded_and_runs_what_the_page_was_made_with() -> None:
    page = render_report(days_of("alex", listed("Russia")))
    read = Read(page)
    early, _, script = read.scripts
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    assert read.policy.split("; ")[:3] == [
        "default-src 'none'",
        f"style-src {hash_of(style[1])}",
        f"script-src {hash_of(early)} {hash_of(script)}",
    ]
    assert "unsafe" not in read.policy


def test_the_page_names_no_other_place() -> None:
    page = render_report(days_of("alex", listed("Russia")))
    assert set(re.findall(r"[\w+.-]+://[^\s\"']*", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", page)


@pytest.mark.parametrize("name", ["data.js", "table_view.js", "chart.js", "report.js", "report.css"])
def test_a_part_of_the_page_does_not_end_the_element_that_it_stands_in(name: str) -> None:
    text = files("smsc_async.report").joinpath(name).read_text("utf-8")
    assert not re.search(r"</|<!--|\r", text)
    assert "innerHTML" not in text


def test_prices_have_the_digits_that_were_sent() -> None:
    prices = ("2.5", "2.500", "100", "0.0000001", "12345678901234567890.12")
    zones = tuple(Zone(str(number), "x", api=Decimal(price)) for number, price in enumerate(prices))
    page = render_report([Snapshot("alex", DAY, Tariffs(zones))])
    assert [row[2] for row in Read(page).rows if len(row) == 7][1:] == list(prices)
    assert [zone[2] for zone in data_of(page)["accounts"][0]["zones"]] == list(prices)


def test_the_newest_list_of_each_account_makes_the_tables_in_whatever_order_they_come() -> None:
    old, new = days_of("alex", listed("Russia"), listed("Russia", api="2.75"))
    other = Snapshot("boris", DAY, listed("Россия", "Latvia", api="2.60"))
    page = render_report([new, other, old])
    rows = Read(page).rows
    assert ["1", "Russia", "2.75", "–", "–", "–", "–"] in rows  # noqa: RUF001  # the dash of a missing price
    assert ["zone", "name", "alex", "boris"] in rows
    assert ["1", "Russia", "2.75", "2.60 cheapest"] in rows
    assert ["2", "Latvia", "–", "2.60 cheapest"] in rows  # noqa: RUF001  # likewise
    assert unfolded(data_of(page)["accounts"][0]["zones"][0][2], 2) == ["2.50", "2.75"]


def test_of_two_lists_of_one_instant_the_later_given_counts() -> None:
    page = render_report([Snapshot("alex", DAY, listed("a", api=price)) for price in ("1", "2")])
    (account,) = data_of(page)["accounts"]
    assert (len(account["taken"]), account["zones"][0][2]) == (1, "2")


def test_where_all_cost_the_same_or_nothing_none_is_the_cheapest() -> None:
    for price in ("2.50", None):
        lists = {name: days_of(name, listed("Russia", api=price)) for name in ("alex", "boris")}
        assert " cheapest" not in Read(render_report([*lists["alex"], *lists["boris"]])).text


def test_individual_tariffs_of_operators_are_compared_and_marked_where_every_account_has_one() -> None:
    lists = [
        attrs.evolve(listed("Russia"), codes=tuple(OperatorTariff(code, Decimal(cost)) for code, cost in costs.items()))
        for costs in ({"25001": "1.85", "25002": "1.90"}, {"25001": "1.80", "25099": "3"})
    ]
    snapshots = [*days_of("alex", lists[0]), *days_of("boris", lists[1])]
    page = render_report(snapshots)
    dash = "–"  # noqa: RUF001  # the dash of a missing price
    rows = Read(page).rows
    assert [row for row in rows if row[1].startswith("operator ")] == [
        [dash, "operator 25001 MTS · RU", "1.85", "1.80 cheapest"],
        [dash, "operator 25002 Megafon · RU", "1.90", dash],
        [dash, "operator 25099 Beeline · RU", dash, "3"],
    ]
    note = "An account without one pays the price of the operator's zone"
    assert note in Read(page).text
    assert "<tr hidden>" not in page
    # They are no prices of an HLR request; a reader who chooses an SMS is to find them there.
    assert render_report(snapshots, service="hlr").count("<tr hidden>") == 3
    assert note not in Read(render_report([*days_of("alex", listed("a")), *days_of("boris", listed("a"))])).text


def test_the_service_is_the_one_that_was_asked_for() -> None:
    snapshots = [
        *days_of("alex", sample_tariffs()),
        *days_of("boris", sample_tariffs(Decimal("0.9"))),
    ]
    page = render_report(snapshots, service="hlr")
    assert ["32", "Latvia", "0.40", "0.36 cheapest"] in Read(page).rows
    assert data_of(page)["service"] == "hlr"
    assert page == render_report(snapshots, service=Service.HLR)
    with pytest.raises(ValueError, match="fax"):
        render_report(snapshots, service="fax")


def test_it_says_when_it_was_made_where_that_is_told() -> None:
    page = render_report([], generated_at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
    assert "Made 2026-11-24 09:30 UTC." in Read(page).text
    assert "Made" not in Read(render_report([])).text
    with pytest.raises(ValueError, match="must have a time zone"):
        render_report([], generated_at=datetime(2026, 11, 24))  # noqa: DTZ001  # what is refused


def test_lists_without_lines_or_prices_and_no_lists_at_all_are_pages() -> None:
    assert "No lists." in Read(render_report([])).text
    assert data_of(render_report([]))["accounts"] == []
    empty = render_report(days_of("alex", Tariffs(()), Tariffs(())))
    assert "0 zones, 0 operators, e-mail –" in Read(empty).text  # noqa: RUF001  # the dash of a missing price
    assert "no changes" in Read(empty).text
    without = render_report(days_of("alex", listed("Russia", api=None)))
    assert ["1", "Russia", *["–"] * 5] in Read(without).rows  # noqa: RUF001  # likewise


def test_one_list_has_nothing_to_be_compared_with() -> None:
    text = Read(render_report(days_of("alex", listed("Russia")))).text
    assert "1 account, 1 list, 2026-11-01 00:00 UTC." in text
    assert "One list: nothing to compare it with yet." in text
    assert "One account: there is nothing to compare it with." in text


def test_a_reader_without_a_script_is_told_what_is_missing() -> None:
    assert "Without JavaScript this page shows" in Read(render_report([])).text


@pytest.mark.parametrize("days", exhaustive_after(1, [10, 30]))
def test_it_is_small_though_every_price_is_another_in_every_list(days: int) -> None:
    assert len(render_report(large(days)).encode()) < 100_000 * days


def test_lists_that_stay_make_a_small_page() -> None:
    zones = sample_tariffs()
    page = render_report(
        Snapshot(account, DAY + timedelta(days=day), attrs.evolve(zones))
        for account in ("alex", "boris", "clara")
        for day in range(30)
    )
    assert len(page.encode()) < 120_000


def test_the_columns_are_explained() -> None:
    text = Read(render_report(days_of("alex", listed("Russia")))).text
    for name, meaning in (("api", "through the API"), ("hlr", "An HLR request"), ("cost", "An individual tariff")):
        assert f"{name}" in text
        assert meaning in text


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="since=2026-11-01 00:00:00: must have a time zone"):
        render_report([], since=datetime(2026, 11, 1))  # noqa: DTZ001  # what is refused
