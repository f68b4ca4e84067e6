"""The report as a reader has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from smsc_async import (
    Compared,
    ComparedOperator,
    OperatorTariff,
    Service,
    Snapshot,
    Tariffs,
    Zone,
    compare,
    diff,
    render_report,
)
from smsc_async.analysis.networks import label_of
from smsc_async.display import escape_for_display
from smsc_async.simulator import make_tariffs, sample_tariffs
from tests.browser.conftest import Open
from tests.browser.lists import weeks
from tests.report.pages import DAY, HOSTILE, days_of, large, listed

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
MISSING = "–"  # noqa: RUF001  # the dash of a missing price
MINUS = "−"  # noqa: RUF001  # as wide as the plus


def rows_of(table: Locator) -> list[list[str]]:
    """The cells of a table's body as texts."""
    found: list[list[str]] = table.locator("tbody").evaluate(
        "(body) => [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found


def column(table: Locator, place: int) -> list[str]:
    return [row[place] for row in rows_of(table)]


def shown_zones(page: Page) -> Locator:
    return page.locator(".panel:not(.away) .zones")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    text: str = page.evaluate("document.activeElement.textContent")
    return text


def first_paint(page: Page) -> float:
    """Milliseconds until something of the page could be seen: told, and never judged."""
    took: float | None = None
    while took is None:
        page.wait_for_timeout(10)
        took = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    return took


def test_a_large_report_is_small_loads_nothing_and_is_soon_there(
    opened: Open, tell: Callable[[str], None], tmp_path: Path
) -> None:
    page = opened(large())
    size = (tmp_path / "report.html").stat().st_size
    assert size < 3_000_000
    took = first_paint(page)
    tell(
        f"300 zones, 3 accounts, 30 lists, every price new in each: {size:,} bytes, first contentful paint {took:.0f} ms"
    )
    assert len(rows_of(page.locator(".changes"))) == 200
    page.get_by_role("button", name="Show more").click()
    assert len(rows_of(page.locator(".changes"))) == 400


def test_lists_of_some_weeks_are_soon_there(opened: Open, tell: Callable[[str], None], tmp_path: Path) -> None:
    page = opened(weeks())
    took = first_paint(page)
    size = (tmp_path / "report.html").stat().st_size
    tell(f"66 zones, 3 accounts, 12 lists: {size:,} bytes, first contentful paint {took:.0f} ms")


def test_it_is_searched_with_the_keyboard_alone(opened: Open) -> None:
    page = opened(weeks())
    press(page, "/")
    page.keyboard.type("COTE ivoire")
    assert column(shown_zones(page), 1) == ["Côte d'Ivoire"]
    assert column(page.locator(".compared"), 1) == ["Côte d'Ivoire"]
    assert set(column(page.locator(".changes"), 4)) == {"Côte d'Ivoire"}
    assert page.locator("#found").text_content() == "1 of 94 lines"
    press(page, "Escape")
    assert len(rows_of(shown_zones(page))) == 66
    page.keyboard.type("25001")
    assert rows_of(shown_zones(page)) == []
    assert column(page.locator(".panel:not(.away) .codes"), 0) == ["25001 MTS · RU"]
    press(page, "ArrowDown")
    assert focused(page) == "25001 MTS · RU"


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_found_comes_into_sight(opened: Open, width: int) -> None:
    page = opened(weeks(), viewport={"width": width, "height": 844})
    latvia = shown_zones(page).get_by_role("button", name="Latvija")
    expect(latvia).not_to_be_in_viewport()
    press(page, "/")
    page.keyboard.type("latvija")
    expect(latvia).to_be_in_viewport(ratio=1)
    expect(page.locator("#search")).to_be_in_viewport(ratio=1)
    # Whoever searches further down stays there.
    press(page, "Escape")
    page.get_by_role("link", name="Changes").click()
    press(page, "/")
    page.keyboard.type("latvija")
    expect(page.get_by_role("heading", name="Changes")).to_be_in_viewport()


def test_that_nothing_is_found_is_said_in_one_line(opened: Open) -> None:
    page = opened(weeks())
    press(page, "/")
    page.keyboard.type("nowhere")
    heights = [page.locator(f"{table} tbody").first.bounding_box() for table in (".zones", ".codes", ".compared")]
    assert [height is not None and height["height"] < 40 for height in heights] == [True] * 3


def test_it_is_sorted_with_the_keyboard_alone(opened: Open) -> None:
    page = opened(days_of("alex", sample_tariffs()))
    table = shown_zones(page)
    before = rows_of(table)
    heads = table.get_by_role("columnheader")
    heads.filter(has_text="mms").get_by_role("button").focus()
    press(page, "Enter")
    prices = [Decimal(row[4]) for row in rows_of(table) if row[4] != MISSING]
    assert prices == sorted(prices)
    assert column(table, 4)[len(prices) :] == [MISSING] * (66 - len(prices))
    assert heads.filter(has_text="mms").get_attribute("aria-sort") == "ascending"
    press(page, "Enter")
    assert [Decimal(row[4]) for row in rows_of(table)[: len(prices)]] == sorted(prices, reverse=True)
    assert column(table, 4)[-1] == MISSING
    assert heads.filter(has_text="mms").get_attribute("aria-sort") == "descending"
    press(page, "Enter")
    assert rows_of(table) == before
    press(page, "Shift+Tab", "Shift+Tab", "Shift+Tab", "Enter")
    assert table.locator("[aria-sort]").text_content() == "name"
    names = column(table, 1)
    assert names.index("Brasil (Claro, TIM, Vivo)") < names.index("Côte d'Ivoire") < names.index("Czech Republic")


def test_the_arrows_go_from_row_to_row_and_enter_opens_the_chart(opened: Open) -> None:
    page = opened(weeks())
    names = column(shown_zones(page), 1)
    press(page, "/", "ArrowDown")
    assert focused(page) == names[0]
    for key, name in {"ArrowDown": names[1], "End": names[-1], "ArrowUp": names[-2], "PageUp": names[-17]}.items():
        press(page, key)
        assert focused(page) == name
    press(page, "Home", "ArrowUp", "Enter")
    dialog = page.get_by_role("dialog", name=names[0])
    expect(dialog).to_be_visible()
    expect(dialog.locator("path.steps[d]")).to_have_count(6)  # three lines, and their likenesses in the legend
    press(page, "Escape")
    expect(dialog).to_be_hidden()
    assert focused(page) == names[0]
    # One row of a table is in the order of the Tab key: 66 of them would be a wall.
    press(page, "Tab")
    assert focused(page) == "operator"


def test_a_chart_says_in_words_what_it_shows(opened: Open) -> None:
    prices = ("2.50", "2.50", "2.750", "1.999")
    lists = [listed("Russia", api=price) for price in prices]
    others = [Snapshot("boris", DAY + timedelta(days=9), listed("Россия", api=None))]
    page = opened([*days_of("alex", *lists), *others])
    page.get_by_role("button", name="Russia").first.click()
    plot = page.locator("#plot")
    expect(plot).to_be_focused()
    assert plot.get_attribute("aria-label") == (
        "api price of Russia. alex: 2.50 at first, 1.999 now, 2 changes, between 1.999 and 2.750. boris has no price. "
        "Left and right arrows go from list to list."
    )
    legend = page.locator("#chart > table")
    assert rows_of(legend) == [["alex", "1.999", f"{MINUS}0.501 ({MINUS}20.0 %)"], ["boris", MISSING, MISSING]]
    press(page, "ArrowLeft", "ArrowLeft")
    assert rows_of(legend)[0] == ["alex", "2.750", "+0.250 (+10.0 %)"]
    assert "list 3 of 5" in (page.locator("#cursor").text_content() or "")
    press(page, "Home")
    assert rows_of(legend)[0] == ["alex", "2.50", "the same"]
    plot.hover(position={"x": 700, "y": 100})
    assert "list 5 of 5" in (page.locator("#cursor").text_content() or "")
    page.get_by_text("All prices as a table").click()
    table = page.locator("#values table")
    expect(table.locator("tbody tr")).to_have_count(4)
    assert [row[1:] for row in rows_of(table)] == [
        ["boris", MISSING],
        ["alex", "1.999"],
        ["alex", "2.750"],
        ["alex", "2.50"],
    ]
    page.locator("#chart").get_by_role("radio", name="hlr").check()
    expect(plot).to_have_text("No account has, or had, a price for this.")


def test_names_are_text_whatever_is_in_them(opened: Open) -> None:
    names = [escape_for_display(name) for name in HOSTILE if name.strip()]
    lists = [listed(*names), listed(*reversed(names), api="3")]
    page = opened([*days_of(names[0], *lists), *days_of(names[3], *lists)], title=names[3])
    assert page.title() == names[3]
    assert column(shown_zones(page), 1) == names[::-1]
    assert column(page.locator(".compared"), 1) == names[::-1]
    assert set(column(page.locator(".changes"), 1)) == {names[0], names[3]}
    # A name that turns letters round does so within its bounds.
    renamed = page.locator(".changes tr", has_text="renamed").first.locator("th bdi")
    assert renamed.all_text_contents() == [names[0], names[-1]]
    for name in names:
        page.locator("#search").fill(name)
        assert name in column(shown_zones(page), 1)
        shown_zones(page).locator("tbody button").nth(column(shown_zones(page), 1).index(name)).press("Enter")
        assert name in (page.locator("#chart-title").text_content() or "")
        press(page, "Escape")
    page.locator("#search").fill("")


@pytest.mark.parametrize("name", ["", " ", "\u00a0"])
def test_a_zone_without_a_name_can_be_opened_by_its_number(opened: Open, name: str) -> None:
    page = opened(days_of("alex", listed(name, "Latvia")))
    page.get_by_role("button", name="zone 1").click()
    expect(page.get_by_role("dialog", name="zone 1")).to_be_visible()


def test_the_changes_are_those_of_the_library_to_the_digit(opened: Open) -> None:
    lists = [make_tariffs(12, 4, seed=seed) for seed in range(4)]
    page = opened(days_of("alex", *lists))
    while page.locator("#more button").is_visible():
        page.locator("#more button").click()
    told = [[row[2].split()[1], row[3], *row[5:]] for row in rows_of(page.locator(".changes"))]

    def signed(value: Decimal | None) -> str:
        return "" if value is None else f"{value:+}".replace("-", MINUS)

    expected = [
        [
            change.kind.value,
            change.id,
            change.price,
            "" if change.old is None else str(change.old),
            "" if change.new is None else str(change.new),
            signed(change.difference),
            signed(change.percent),
        ]
        for old, new in reversed(list(pairwise(lists)))
        for change in diff(old, new)
    ]
    assert len(told) > 150
    assert told == expected


def test_percents_are_rounded_as_the_library_does(opened: Open) -> None:
    olds = ("8.00", "0.3", "1000", "7")
    moves = [(old, by) for old in olds for by in ("0.01", "-0.01", "0.02", "0.012", "0.5", "1.5", "-2.5", "100.05")]
    old = Tariffs(tuple(Zone(str(place), "x", api=Decimal(price)) for place, (price, _) in enumerate(moves)))
    new = Tariffs(
        tuple(Zone(str(place), "x", api=Decimal(price) + Decimal(by)) for place, (price, by) in enumerate(moves))
    )
    page = opened(days_of("alex", old, new))
    expected = [
        [f"{value:+}".replace("-", MINUS) for value in (each.difference, each.percent)] for each in diff(old, new)
    ]
    assert [row[-2:] for row in rows_of(page.locator(".changes"))] == expected
    assert {"+0.2", f"{MINUS}0.2", f"{MINUS}0.0", "+0.0"} <= {percent for _, percent in expected}


def test_the_changes_are_filtered_by_kind_and_by_account(opened: Open) -> None:
    page = opened(weeks())
    changes = page.locator("#changes")
    table = page.locator(".changes")
    changes.get_by_role("checkbox", name="renamed").check()
    assert [row[4] for row in rows_of(table)] == ["Latvia → Latvija"]
    changes.get_by_role("checkbox", name="removed").check()
    assert sorted(row[2] for row in rows_of(table)) == [f"{MINUS} removed", "≈ renamed"]
    changes.get_by_role("radio", name="reserve").check()
    assert page.locator("#changed").text_content() == "0 changes"
    for kind in ("renamed", "removed"):
        changes.get_by_role("checkbox", name=kind).uncheck()
    assert set(column(table, 1)) == {"reserve"}


@pytest.mark.parametrize("service", Service)
def test_the_comparison_is_that_of_the_library_for_each_service(opened: Open, service: Service) -> None:
    snapshots = weeks()
    page = opened(snapshots)
    page.locator("#services").get_by_role("radio", name=service.value).check()
    newest = {snapshot.account: snapshot.tariffs for snapshot in snapshots}
    comparison = compare(newest, service=service)
    assert bool(comparison.codes) == (service in {Service.API, Service.MASS})
    lines: list[tuple[str, str, Compared | ComparedOperator]] = [
        *((row.zone, row.name, row) for row in comparison.rows),
        *((MISSING, f"operator {label_of(row.mccmnc)}", row) for row in comparison.codes),
    ]
    for told, (key, name, row) in zip(rows_of(page.locator(".compared")), lines, strict=True):
        is_marked = row.cheapest is not None and any(price != row.cheapest for price in row.prices)
        expected = [
            MISSING if price is None else f"{price}{' cheapest' if is_marked and price == row.cheapest else ''}"
            for price in row.prices
        ]
        assert told == [key, name, *expected]
    cells = rows_of(page.locator(".compared"))
    names = ("main", "reserve", "partner")
    wins = [f"{name} in {sum('cheapest' in row[place] for row in cells)}" for place, name in enumerate(names, 2)]
    assert page.locator("#wins").text_content() == f"Lines in which an account is the cheapest: {', '.join(wins)}."


@pytest.mark.parametrize("service", ["api", "hlr"])
def test_operators_are_compared_where_an_sms_is_and_opened_as_zones_are(opened: Open, service: str) -> None:
    codes = {"alex": ("25001", "25002"), "boris": ("25099", "25001")}
    snapshots = [
        Snapshot(
            name,
            DAY,
            attrs.evolve(
                listed("Russia"),
                codes=tuple(OperatorTariff(code, Decimal(place + 1)) for place, code in enumerate(each)),
            ),
        )
        for name, each in codes.items()
    ]
    page = opened(snapshots, service=service)
    table = page.locator(".compared")
    assert len(rows_of(table)) == (4 if service == "api" else 1)
    page.locator("#services").get_by_role("radio", name="mass").check()
    operators = [
        [MISSING, "operator 25001 MTS · RU", "1 cheapest", "2"],
        [MISSING, "operator 25002 Megafon · RU", "2", MISSING],
        [MISSING, "operator 25099 Beeline · RU", MISSING, "1"],
    ]
    assert rows_of(table)[1:] == operators
    expect(table.get_by_role("button", name="operator 25002 Megafon · RU")).to_be_visible()
    page.locator("#search").fill("25001")
    assert rows_of(table) == operators[:1]
    table.get_by_role("button", name="operator 25001 MTS · RU").click()
    expect(page.get_by_role("dialog", name="operator 25001 MTS · RU")).to_be_visible()
    assert [row[:2] for row in rows_of(page.locator("#chart > table"))] == [["alex", "1"], ["boris", "2"]]
    press(page, "Escape")
    page.locator("#services").get_by_role("radio", name="hlr").check()
    assert rows_of(table) == []


def test_instants_are_in_the_time_zone_of_the_reader_with_utc_beside_them(opened: Open) -> None:
    page = opened(days_of("alex", listed("Russia")), timezone_id="Asia/Tokyo")
    time = page.locator(".panel time")
    assert time.text_content() == "1 Nov 2026, 09:00"
    assert time.get_attribute("title") == "2026-11-01 00:00 UTC"
    assert "Times are in Asia/Tokyo." in (page.locator("header").text_content() or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(opened: Open, scheme: str, pictures: Path) -> None:
    page = opened(weeks(), color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page.screenshot(path=pictures / f"{scheme}.png")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(246, 247, 249)") == (scheme == "light")
    page.locator(".kind").first.wait_for()
    assert page.evaluate(CONTRAST) == []
    press(page, "/", "ArrowDown", "Enter")
    expect(page.locator("#plot svg")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.screenshot(path=pictures / f"{scheme}-chart.png")


@pytest.mark.parametrize("width", [390, 720, 1280])
@pytest.mark.parametrize("accounts", [1, 3, 12])
def test_no_screen_has_to_be_pushed_sideways(opened: Open, pictures: Path, width: int, accounts: int) -> None:
    names = ["alex", "an account with a name that is longer", "a-login-that-has-no-place-to-be-broken-at", *"abcdefghi"]
    snapshots = [
        Snapshot(name, each.taken_at, each.tariffs)
        for name in names[:accounts]
        for each in weeks()[: 12 if name == "alex" else 1]
    ]
    page = opened(snapshots, viewport={"width": width, "height": 844})
    pushed = "document.scrollingElement.scrollWidth"
    assert page.evaluate(pushed) <= width
    page.locator("#comparison").scroll_into_view_if_needed()
    page.screenshot(path=pictures / f"{width}-{accounts}.png")
    press(page, "/", "ArrowDown", "Enter")
    dialog = page.locator("#chart")
    expect(dialog).to_be_visible()
    assert page.evaluate(pushed) <= width
    assert dialog.evaluate(
        "(box) => box.scrollWidth <= box.clientWidth && box.getBoundingClientRect().right <= innerWidth"
    )
    page.screenshot(path=pictures / f"{width}-{accounts}-chart.png")


def test_it_prints_all_tables_and_no_controls(opened: Open, pictures: Path) -> None:
    page = opened(weeks())
    assert len(rows_of(page.locator(".changes"))) == 200
    page.evaluate(
        "addEventListener('beforeprint', () => { window.printed = document.querySelector('.changes').tBodies[0].rows.length })"
    )
    printed = page.pdf(path=pictures / "printed.pdf")
    assert printed.startswith(b"%PDF")
    assert page.evaluate("window.printed") > 300
    assert len(rows_of(page.locator(".changes"))) == 200
    page.emulate_media(media="print")
    for selector in ("#bar", "#keys", "#services", "#accounts", "#more"):
        expect(page.locator(selector)).to_be_hidden()
    for place in range(3):
        expect(page.locator(".panel").nth(place)).to_be_visible()


def test_without_a_script_the_tables_are_there(opened: Open) -> None:
    page = opened(weeks(), java_script_enabled=False)
    expect(page.get_by_text("Without JavaScript this page shows")).to_be_visible()
    expect(page.locator(".panel")).to_have_count(3)
    for place in range(3):
        expect(page.locator(".panel").nth(place)).to_be_visible()
    expect(page.locator(".compared")).to_be_visible()
    expect(page.locator("#bar")).to_be_hidden()
    expect(page.locator("#changes")).to_be_hidden()


@pytest.mark.parametrize(
    "snapshots",
    [
        [],
        days_of("alex", Tariffs(())),
        days_of("alex", listed("Russia", api=None), listed("Russia", api=None)),
        [*days_of("alex", listed("Russia")), *days_of("boris", Tariffs(()))],
        days_of("alex", listed("Russia", api="0"), listed("Russia", api="1")),
    ],
    ids=["no lists", "no lines", "no prices", "one empty", "from nothing"],
)
def test_a_report_of_little_is_a_page_without_an_error(opened: Open, snapshots: list[Snapshot]) -> None:
    page = opened(snapshots)
    press(page, "/", "ArrowDown", "Enter")
    press(page, "Escape", "/", "x", "Escape", "Escape")


def test_the_policy_keeps_a_page_from_asking_anybody(chromium: Browser, tmp_path: Path) -> None:
    """As if a name had got through: not by `opened`, since the browser tells its console what it refused."""
    path = tmp_path / "report.html"
    path.write_text(render_report(days_of("alex", listed("Russia"))), "utf-8")
    context = chromium.new_context()
    page = context.new_page()
    stopped: list[tuple[str, str | None]] = []
    page.on("requestfailed", lambda request: stopped.append((request.url, request.failure)))
    page.goto(path.as_uri())
    refused = page.evaluate(
        """async () => {
          const refused = [];
          addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
          const image = new Image();
          image.src = "http://127.0.0.1:9/image";
          await fetch("http://127.0.0.1:9/data").catch(() => {});
          try { document.body.innerHTML += "<b>"; } catch { /* told as an event */ }
          await new Promise((done) => setTimeout(done, 100));
          return refused.sort();
        }"""
    )
    assert refused == ["connect-src", "img-src", "require-trusted-types-for"]
    assert stopped == [("http://127.0.0.1:9/image", "csp")]
    context.close()


def test_a_network_is_found_by_its_name(opened: Open) -> None:
    page = opened(weeks())
    press(page, "/")
    page.keyboard.type("mts ru")
    assert "25001 MTS · RU" in column(page.locator(".panel:not(.away) .codes"), 0)
    assert rows_of(shown_zones(page)) == []
    page.locator(".panel:not(.away) .codes").get_by_role("button", name="25001 MTS").click()
    expect(page.get_by_role("dialog", name="operator 25001 MTS · RU")).to_be_visible()


def test_a_time_that_the_clocks_show_twice_has_its_offset(opened: Open) -> None:
    lists = [listed("Russia", api=price) for price in ("1", "2", "3")]
    instants = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 5)]
    page = opened(
        [Snapshot("alex", at, tariffs) for at, tariffs in zip(instants, lists, strict=True)], timezone_id="Europe/Kyiv"
    )
    assert column(page.locator(".changes"), 0) == ["25 Oct 2026, 07:30", "25 Oct 2026, 03:30 GMT+2"]
    assert "25 Oct 2026, 03:30 GMT+3 to 25 Oct 2026, 07:30" in (page.locator("header p").text_content() or "")


def test_two_lists_within_a_second_are_two_in_the_chart(opened: Open) -> None:
    lists = [listed("Russia", api=price) for price in ("1", "2")]
    page = opened(
        [Snapshot("alex", DAY + timedelta(milliseconds=300 * place), each) for place, each in enumerate(lists)]
    )
    page.get_by_role("button", name="Russia").first.click()
    assert "list 2 of 2" in (page.locator("#cursor").text_content() or "")


@pytest.mark.parametrize("width", [390, 800, 1200])
def test_prices_of_many_digits_stay_within_the_window(opened: Open, width: int) -> None:
    prices = ("1234567890.123456", "9876543210.654321")
    lists = [listed("A name of a zone that is rather long", "x", api=price) for price in prices]
    page = opened(days_of("alex", *lists), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    name = page.locator(".changes tbody th").first.bounding_box()
    assert name is not None
    assert name["width"] > 100


LONG = Decimal("1234567890.123456")


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize(
    ("account", "zone"),
    [
        ("a" * 100, Zone("1", "x", Decimal(1))),
        ("alex", Zone("7" * 100, "x", Decimal(1))),
        ("alex", Zone("1", "x", LONG, LONG, LONG, LONG, LONG)),
    ],
    ids=["account", "number", "prices"],
)
def test_what_is_longer_than_usual_stays_within_the_window(opened: Open, account: str, zone: Zone, width: int) -> None:
    lists = [Tariffs((attrs.evolve(zone, api=Decimal(price)),)) for price in ("1", "2")]
    page = opened(days_of(account, *lists), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_search_in_twenty_thousand_zones_takes_less_than_half_of_the_page(
    opened: Open, tell: Callable[[str], None]
) -> None:
    """By the processor time of the page's thread. Seconds are printed and not judged: a busy processor is slower too."""
    first = opened(days_of("alex", *(make_tariffs(20_000, 500, seed=seed) for seed in (1, 2))))
    page = first.context.new_page()
    session: Any = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def used() -> float:
        metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    page.goto(first.url)
    expect(page.locator("#changed")).not_to_be_empty(timeout=30_000)
    ready = used()
    searches: list[float] = []
    for text in ("r", "ru", "rus", "12345", "nothing like it", ""):
        before = used()
        page.locator("#search").fill(text)
        page.evaluate("document.body.offsetHeight")
        searches.append(used() - before)
    tell(f"20,000 zones: ready in {ready:.2f} s, searches in {', '.join(f'{each:.3f}' for each in searches)} s")
    assert 0 < max(searches) < ready / 2
