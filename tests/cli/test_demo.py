# ruff: noqa: RUF001  # Cyrillic names, and dashes that are meant

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from smsc_async.cli import demo
from smsc_async.records import Format
from smsc_async.simulator import Fault, Rules, Simulator, render, sample_tariffs
from tests.cli.running import Ran, invoke, spawn
from tests.support.doc_examples import README
from tests.support.slow import EXHAUSTIVE_CASE

SHORT = 0.2


def show(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> Ran:
    monkeypatch.setattr(demo, "new_simulator", lambda: simulator)
    return invoke("demo")


@pytest.fixture(scope="module", params=["short", pytest.param("process", marks=EXHAUSTIVE_CASE)])
def whole(request: pytest.FixtureRequest) -> Ran:
    """The demonstration as a user with pipes sees it: in this process with short windows, or in its own, which takes five seconds."""
    if request.param == "process":
        return spawn("demo")
    with pytest.MonkeyPatch.context() as patch:
        return show(patch, demo.new_simulator(SHORT))


def test_it_succeeds_and_tells_that_nothing_was_refused(whole: Ran) -> None:
    assert whole.code == 0, whole
    assert re.search(r"\n10 requests, never more than 3 in (1|0\.2) s; refused: 0\n$", whole.stdout)


def test_the_picture_of_the_readme_is_what_it_shows(whole: Ran) -> None:
    picture = re.search(r"^```text\n( #   after.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert picture is not None
    shown, printed = (re.sub("·+|─+", "", re.sub(r"\d\.\d\d s", "0.00 s", text)) for text in (picture[1], whole.stdout))
    assert shown in printed


def test_data_goes_to_standard_output_and_progress_to_standard_error(whole: Ran) -> None:
    assert "http://127.0.0.1:" in whole.stderr
    assert "four formats …" in whole.stderr
    assert "http" not in whole.stdout
    assert "МТС" in whole.stdout
    assert "МТС" not in whole.stderr


def test_a_pipe_gets_no_escape_codes_and_at_most_80_columns(whole: Ran) -> None:
    assert "\x1b" not in whole.stdout + whole.stderr
    lines = (whole.stdout + whole.stderr).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []


def test_all_formats_were_asked_for_and_read_back_equal(whole: Ran) -> None:
    told = [line for line in whole.stdout.splitlines() if line.endswith("  yes")]
    assert [line.split()[0] for line in told] == ["0", "1", "2", "3"]


def test_missing_prices_are_dashes_and_prices_end_in_one_column(whole: Ran) -> None:
    lines = {line.split()[0]: line for line in whole.stdout.splitlines() if line.strip()}
    assert lines["53"].split() == ["53", "India", "(promotional,", "DLT", '"P")', "5.00", "–", "–", "0.40", "–"]
    assert len(lines["53"]) == len(lines["62"]) == len(lines["65"])


def test_the_time_line_shows_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = demo.new_simulator(SHORT)
    ran = show(monkeypatch, simulator)
    assert ran.code == 0, ran
    arrivals = simulator.arrivals("boris")
    assert len(arrivals) == demo.BURST
    assert simulator.violations() == []
    marks = [line.index("●") for line in ran.stdout.splitlines() if "●" in line]
    assert len(marks) == demo.BURST
    assert marks == sorted(marks)
    assert marks[3] > marks[0]


def test_a_list_that_is_not_the_one_that_was_served_is_told_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = demo.new_simulator(SHORT)
    other = render(sample_tariffs(Decimal("0.5")), Format.PLAIN)
    simulator.fail(Fault("another list", body=other), times=1)
    ran = show(monkeypatch, simulator)
    assert ran.code == 1
    assert "NO" in ran.stdout
    assert "not equal" in ran.stderr


def test_a_refusal_is_told_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = demo.new_simulator(SHORT)
    simulator.fail(Fault.refusal(9), times=1, login="boris")
    ran = show(monkeypatch, simulator)
    assert ran.code == 1
    assert "error 9" in ran.stdout
    assert "refused 1 of 15 requests" in ran.stderr


def test_a_list_that_does_not_come_ends_it_with_the_code_of_its_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = Simulator([], rules=Rules(per=SHORT))
    ran = show(monkeypatch, simulator)
    assert ran.code == 4
    assert ran.stderr.splitlines()[-1].startswith("smsc-async: the service refused with error 2")
