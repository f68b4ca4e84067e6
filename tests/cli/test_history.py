"""``history``, and ``diff`` with lists that were kept: what was in force, and one price over time."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import attrs
import pytest

from smsc_async import History, OperatorTariff, PricePoint, Snapshot, Tariffs, Zone
from smsc_async.cli.chart import draw_prices, sparkline
from tests.cli.running import invoke

START = datetime(2026, 11, 1, 6, 0, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def list_of(api: str | None, name: str = "Latvia") -> Tariffs:
    zones = [Zone("1", "Россия", Decimal("2.50"), mms=Decimal(9))]
    zones += [] if api is None else [Zone("32", name, Decimal(api), hlr=Decimal("0.40"))]
    return Tariffs(tuple(zones), (OperatorTariff("24701", Decimal("3.85")),), Decimal("0.10"))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3")


@pytest.fixture
def filled(history: History) -> None:
    async def fill() -> None:
        for day, api in enumerate(("4.10", "4.10", "4.10", "4.51", None, "4.60")):
            name = "Latvija" if day == 3 else "Latvia"
            await history.add(Snapshot("main", START + day * DAY, list_of(api, name)))
        await history.add(Snapshot("reserve", START + DAY, list_of("5")))

    anyio.run(fill)


@pytest.mark.usefixtures("filled")
def test_lists_are_shown_by_the_time_in_which_they_were_in_force() -> None:
    ran = invoke("history")
    assert (ran.code, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert re.split("  +", lines[0]) == [
        "account", "since (UTC)", "until (UTC)", "lists", "zones", "operators", "changes"
    ]  # fmt: skip
    assert [line.split() for line in lines[2:]] == [
        ["main", "2026-11-01", "06:00", "2026-11-03", "06:00", "3", "2", "1", "–"],  # noqa: RUF001  # the dash of nothing
        ["main", "2026-11-04", "06:00", "2026-11-04", "06:00", "1", "2", "1", "2"],
        ["main", "2026-11-05", "06:00", "2026-11-05", "06:00", "1", "1", "1", "1"],
        ["main", "2026-11-06", "06:00", "2026-11-06", "06:00", "1", "2", "1", "1"],
        ["reserve", "2026-11-02", "06:00", "2026-11-02", "06:00", "1", "2", "1", "–"],  # noqa: RUF001
    ]
    assert max(map(len, lines)) <= 80
    some = invoke("history", "main", "--since", "2026-11-03", "--until", "2026-11-05", "--columns", "lists,changes")
    assert [line.split() for line in some.stdout.splitlines()[2:]] == [["1", "–"], ["1", "2"]]  # noqa: RUF001


@pytest.mark.usefixtures("filled")
def test_lists_over_time_are_data_too() -> None:
    told = json.loads(invoke("history", "main", "-o", "json").stdout)["periods"]
    assert told[:2] == [
        {
            "account": "main",
            "since": "2026-11-01T06:00:12+00:00",
            "until": "2026-11-03T06:00:12+00:00",
            "lists": 3,
            "zones": 2,
            "operators": 1,
            "changes": None,
        },
        {**told[1], "lists": 1, "changes": 2},
    ]
    rows = list(csv.DictReader(io.StringIO(invoke("history", "-o", "csv").stdout)))
    assert [row["changes"] for row in rows] == ["", "2", "1", "1", ""]
    assert tuple(rows[0]) == ("account", "since", "until", "lists", "zones", "operators", "changes")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("wanted", ["32", "latvia"])
def test_a_price_over_time_is_a_table_and_a_line(wanted: str) -> None:
    ran = invoke("history", "main", "--zone", wanted)
    assert ran.code == 0
    lines = ran.stdout.splitlines()
    assert lines[0] == "main, api, zone 32, Latvia"
    assert [line.split() for line in lines[4:8]] == [
        ["2026-11-01", "06:00", "2026-11-03", "06:00", "4.10"],
        ["2026-11-04", "06:00", "2026-11-04", "06:00", "4.51", "+0.41"],
        ["2026-11-05", "06:00", "2026-11-05", "06:00", "–"],  # noqa: RUF001  # the dash of no price
        ["2026-11-06", "06:00", "2026-11-06", "06:00", "4.60"],
    ]
    assert len(lines[-1]) == 80
    assert (lines[-1][0], lines[-1][-1]) == ("▁", "█")
    assert " " in lines[-1]


@pytest.mark.usefixtures("filled")
def test_a_price_over_time_is_data_too() -> None:
    told = invoke("history", "main", "--zone", "32", "-o", "tsv", "--columns", "since,price,difference").stdout
    assert told.splitlines()[1:3] == ["2026-11-01T06:00:12+00:00\t4.10\t", "2026-11-04T06:00:12+00:00\t4.51\t0.41"]
    prices = json.loads(invoke("history", "main", "--zone", "32", "-o", "json").stdout)["prices"]
    assert [each["price"] for each in prices] == ["4.10", "4.51", None, "4.60"]
    assert tuple(prices[0]) == ("since", "until", "price", "difference")
    assert invoke("history", "main", "--mail", "--columns", "price").stdout.splitlines()[-1].strip() == "0.10"
    assert "main, api, operator 24701" in invoke("history", "main", "--operator", "24701").stdout
    assert "main, e-mail" in invoke("history", "main", "--mail").stdout
    assert "9" in invoke("history", "main", "--zone", "1", "--service", "mms", "-o", "csv").stdout


@pytest.mark.usefixtures("filled")
def test_a_zone_that_has_gone_is_found_by_its_number() -> None:
    ran = invoke("history", "main", "--zone", "32", "--until", "2026-11-05T12:00", "-o", "csv")
    assert [row["price"] for row in csv.DictReader(io.StringIO(ran.stdout))] == ["4.10", "4.51", ""]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody",), 2, "nothing of 'nobody' in"),
        (("--zone", "32"), 2, "whose price? Name one of main, reserve"),
        (("main", "--mail", "--zone", "32"), 2, "--mail is a price of its own"),
        (("main", "--zone", "Atlantis"), 13, "no zone has the number 'Atlantis'"),
        (("main", "--zone", "32", "--service", "call"), 13, "no such price in any of the lists: main, call, zone 32"),
        (("main", "--since", "yesterday"), 2, "'yesterday' is not an instant"),
        (("main", "--since", "2026-11-03", "--until", "2026-11-02"), 2, "--since (2026-11-03 00:00 UTC) is later than"),
        (("main", "--history", "missing.db"), 14, "missing.db: smsc-async watch records lists there"),
        (("--prune", "1d", "--history", "missing.db"), 14, "missing.db: smsc-async watch records lists there"),
        (("main", "--prune", "soon"), 2, "'soon' is not a duration"),
        (("main", "--prune", "1d", "--zone", "1"), 2, "--prune works on whole lists"),
        (("main", "--prune", "1d", "--until", "2026-11-01"), 2, "--prune works on whole lists"),
        (("main", "--prune", "1d", "--chart", "x.png"), 2, "--prune works on whole lists"),
        (("main", "--columns", "nothing"), 2, "no column 'nothing'"),
        (("main", "--columns", "price"), 2, "no column 'price'; there are account, since"),
        (("main", "--mail", "--columns", "lists"), 2, "no column 'lists'; there are since, until, price"),
        (("main", "--chart", "x.png"), 2, "a chart of which price?"),
        (("main", "--zone", "32", "--chart", "x.pdf"), 2, "must end in .png or .svg"),
    ],
)
def test_what_cannot_be_had_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = invoke("history", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert said in ran.stderr


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("reserve", "--since", "2026-12-01", "--until", "2026-12-02"),
            ("nothing of 'reserve' in that time in {path}; lists are from 2026-11-02 06:00 to 2026-11-02 06:00 UTC\n"),
        ),
        (
            ("--until", "2026-10-01", "--zone", "32"),
            "nothing in that time in {path}; lists are from 2026-11-01 06:00 to 2026-11-06 06:00 UTC\n",
        ),
    ],
)
def test_where_lists_are_of_another_time_it_is_told(arguments: tuple[str, ...], told: str, history: History) -> None:
    ran = invoke("history", *arguments)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", told.format(path=history.path))


def test_a_history_that_was_named_and_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"  # what SMSC_HISTORY says here
    for arguments in (("history",), ("history", "main"), ("diff", "main@2026-11-01", "main@now")):
        ran = invoke(*arguments)
        assert (ran.code, ran.stdout) == (14, "")
        assert ran.stderr.startswith(f"smsc-async: there is no file {path}: smsc-async watch records lists there, and ")
    assert not path.exists()


def test_an_empty_history_says_how_to_fill_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SMSC_HISTORY")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "smsc-async" / "history.sqlite3"
    for arguments in ((), ("--zone", "1"), ("--mail",)):
        ran = invoke("history", *arguments)
        assert (ran.code, ran.stdout) == (0, "")
        assert ran.stderr == f"nothing in {path} yet: smsc-async watch records lists there\n"
    assert invoke("history", "-o", "json").stdout == '{\n  "periods": []\n}\n'
    assert "no column 'nme'; there are account" in invoke("history", "--columns", "nme").stderr


@pytest.mark.usefixtures("filled", "alex")
def test_repetitions_can_be_dropped() -> None:
    before = invoke("history", "main", "--zone", "32").stdout
    assert (
        invoke("history", "reserve", "--prune", "1d").stderr == "0 repetitions dropped; every change is still there\n"
    )
    assert invoke("history", "--prune", "0.001s").stderr.startswith("1 repetitions dropped")
    assert invoke("history", "main", "--zone", "32").stdout == before


@pytest.mark.usefixtures("filled")
def test_a_list_that_was_kept_can_be_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = invoke("diff", "main@2026-11-02", "main@now", "-o", "csv", "--columns", "change,id,old,new")
    assert (ran.code, ran.stdout) == (1, "change,id,old,new\ndearer,32,4.10,4.60\n")
    assert ran.stderr.splitlines()[:2] == [
        "main, recorded at 2026-11-01 06:00:12 UTC",
        "main, recorded at 2026-11-06 06:00:12 UTC",
    ]
    ran = invoke("diff", "main@2026-10-01", "main@now")
    assert ran.code == 14
    assert "no list of 'main' from 2026-10-01 00:00 UTC or before" in ran.stderr
    assert "no account 'main@home'" in invoke("diff", "main@home", "main@now").stderr
    monkeypatch.setenv("SMSC_LOGIN", "main")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    elsewhere = ("--history", str(tmp_path / "history.sqlite3"))
    assert invoke("diff", "env@2026-11-02", "main@2026-11-03", *elsewhere).code == 0


@pytest.mark.usefixtures("filled")
def test_a_price_over_time_is_drawn(tmp_path: Path) -> None:
    for name, begin in (("latvia.svg", b"<?xml"), ("LATVIA.PNG", b"\x89PNG")):
        ran = invoke("history", "main", "--zone", "32", "--chart", str(tmp_path / name))
        assert ran.code == 0
        assert "4.51" in ran.stdout
        assert ran.stderr == f"{tmp_path / name}: prices: 4\n"
        assert (tmp_path / name).read_bytes().startswith(begin)


@pytest.mark.parametrize("title", ["zone 1, US $x_{$", "zone 51, 中国"])
def test_a_chart_is_called_whatever_a_zone_is_called(title: str, tmp_path: Path) -> None:
    draw_prices(points("1.50", "1.60"), tmp_path / "x.svg", title=title)
    assert (tmp_path / "x.svg").exists()


@pytest.mark.usefixtures("filled")
def test_where_a_chart_cannot_be_drawn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = invoke("history", "main", "--zone", "32", "--chart", str(tmp_path / "x.png"))
    assert (ran.code, ran.stdout) == (2, "")
    assert 'a chart needs matplotlib: pip install "smsc-async[plot]"' in ran.stderr


def points(*prices: str | None) -> list[PricePoint]:
    told = [None if price is None else Decimal(price) for price in prices]
    return [PricePoint(START + day * DAY, START + day * DAY, price) for day, price in enumerate(told)]


def test_a_line_is_as_high_as_the_price_at_equal_steps_of_time() -> None:
    prices = points("1", "2", None, "8")
    assert sparkline(prices, 4, ascii_only=False) == "▁▂ █"
    assert sparkline(prices, 7, ascii_only=True) == "__..  #"
    longer = [attrs.evolve(prices[0], until=START + 2 * DAY), attrs.evolve(prices[3], until=START + 4 * DAY)]
    assert sparkline(longer, 5, ascii_only=True) == "___##"


def test_a_price_that_never_changed_or_never_was_is_a_line_too() -> None:
    assert sparkline(points("2.50"), 3, ascii_only=True) == "==="
    assert sparkline(points(None), 3, ascii_only=True) == "   "
    assert sparkline(points("0", "0"), 1, ascii_only=False) == "▅"


def test_a_difference_has_all_its_digits(history: History) -> None:
    async def fill() -> None:
        for day, api in enumerate(("12345678901234567890123456789.01", "0.02", None)):
            await history.add(Snapshot("main", START + day * DAY, list_of(api)))

    anyio.run(fill)
    told = invoke("history", "main", "--zone", "32", "-o", "tsv", "--columns", "difference").stdout
    assert told == 'difference\n""\n-12345678901234567890123456788.99\n""\n'
