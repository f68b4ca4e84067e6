"""``watch`` in processes of its own, which are killed, interrupted, or write to what takes nothing."""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from smsc_async import History, Period, Tariffs, Zone
from smsc_async.history.watch import _event_id  # pyright: ignore[reportPrivateUsage]
from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator, serve
from tests.cli.running import environment
from tests.cli.watch_lists import ids_at, list_of, prices_at, put, reports, until
from tests.support.receivers import Receiver, receiver_server

ROOT = Path(__file__).parents[2]
KILLS = 12


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3")


@pytest.fixture(scope="module")
def forking_process() -> Iterator[subprocess.Popen[str]]:
    """The process that forks the watches; see ``watch_process.py``."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.cli.watch_process"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    ) as process:
        yield process


class Processes:
    """Watches in processes of their own."""

    def __init__(self, forking_process: subprocess.Popen[str], errors: Path, **variables: str) -> None:
        self._process = forking_process
        self._errors = errors
        self._errors.touch()
        self._variables = variables
        self._running: set[int] = set()

    def _request(self, request: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def start(self, output: Path, *options: object) -> int:
        arguments = map(str, ("--every", "0.02", "-o", "json", *options))
        pid = self._request([str(output), str(self._errors), self._variables, *arguments])
        self._running.add(pid)
        return pid

    def end(self, pid: int, number: signal.Signals) -> int:
        os.kill(pid, number)
        return self.wait(pid)

    def wait(self, pid: int) -> int:
        code = self._request(pid)
        self._running.remove(pid)
        return code

    def close(self) -> str:
        """End what a failed test has left; return what all wrote to standard error."""
        for pid in list(self._running):
            self.end(pid, signal.SIGKILL)
        return self.errors()

    def errors(self) -> str:
        """Return what all have written to standard error until now."""
        return self._errors.read_text("utf-8")


@pytest.fixture
def service() -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator([SimulatedAccount("alex", "123", tariffs=list_of(0))], rules=Rules(requests=100_000))
    with serve(simulator) as server:
        yield simulator, server.base_url


@pytest.fixture
def processes(
    service: tuple[Simulator, str], forking_process: subprocess.Popen[str], history: History, tmp_path: Path
) -> Iterator[Processes]:
    processes = Processes(
        forking_process,
        tmp_path / "errors",
        SMSC_BASE_URL=service[1],
        SMSC_LOGIN="alex",
        SMSC_PASSWORD="123",
        SMSC_HISTORY=str(history.path),
        SMSC_CONFIG=str(tmp_path / "config.toml"),
    )
    try:
        yield processes
    finally:
        processes.close()


def asked_again(simulator: Simulator) -> None:
    before = len(simulator.log)
    until(lambda: len(simulator.log) > before)


def without_repetitions(ids: Sequence[str]) -> list[str]:
    return [each for place, each in enumerate(ids) if place == 0 or each != ids[place - 1]]


@pytest.mark.skipif(os.name != "posix", reason="processes are forked")
def test_killed_twelve_times_with_a_receiver_down_and_one_refusing_it_loses_nothing_and_repeats_at_most_the_last(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History, hook: Receiver
) -> None:
    simulator, _ = service
    chance = random.Random(4711)
    script, ran = tmp_path / "script", tmp_path / "ran.jsonl"
    script.write_text(f"#!/bin/sh\nexec cat >> '{ran}'\n", "utf-8")
    script.chmod(0o700)
    ran.touch()
    output = tmp_path / "out.jsonl"
    with receiver_server() as refusing:
        refusing.answers("401")
        options = ("--run", script, "--webhook", hook.url, "--notify", f"json://{refusing.url[7:]}/")
        for number in range(KILLS):
            hook.answers("503" if 2 <= number < 5 else "200")  # down for three runs
            pid = processes.start(output, *options)
            asked_again(simulator)
            if number == 0:
                # A new reader begins with the last list: on a slow disk all could be killed before the first.
                until(lambda: len(marks_in(history)) == 4)
            if number == KILLS // 2:
                simulator.fail(Fault.http_status(503), times=3)
            for step in range(1, 4):
                put(simulator, number * 10 + step)
                asked_again(simulator)
                time.sleep(chance.uniform(0.0, 0.08))
            assert processes.end(pid, signal.SIGKILL) == -signal.SIGKILL
        pid = processes.start(output, *options)
        until(lambda: everybody_has(history, (KILLS - 1) * 10 + 3))
        assert processes.end(pid, signal.SIGINT) == 0
        received = {
            "stdout": [json.loads(line)["event_id"] for line in output.read_text("utf-8").splitlines()],
            "--run": [json.loads(line)["event_id"] for line in ran.read_text("utf-8").splitlines()],
            "--webhook": [each for each, status in zip(ids_at(hook), hook.statuses, strict=True) if status == "200"],
            "--notify, refused": [json.loads(body)["message"] for _, body, _ in refusing.got],
        }
    periods = anyio.run(history.periods)
    events = [_event_id("alex", period.since) for period in periods[1:]]
    texts = [f"dearer 1 Russia api: {old} → {new}" for old, new in pairwise(prices_of(periods))]
    for name, ids in received.items():
        if name == "--notify, refused":
            assert [text.partition(" (")[0] for text in without_repetitions(ids)] == texts
        else:
            assert without_repetitions(ids) == events, name
        # Only a kill between delivery and record repeats a change, and it repeats the last one.
        assert len(ids) <= len(events) + KILLS, name
    assert len(events) >= KILLS  # something did change in each run


@pytest.mark.skipif(os.name != "posix", reason="processes are forked")
def test_two_watches_of_one_history_report_each_change_once(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History, hook: Receiver
) -> None:
    simulator, _ = service
    outputs = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    pids = [processes.start(output, "--webhook", hook.url) for output in outputs]
    until(lambda: len(marks_in(history)) == 2)
    for api in range(1, 6):
        put(simulator, api)
        asked_again(simulator)
        asked_again(simulator)
    until(lambda: everybody_has(history, 5))
    assert [processes.end(pid, signal.SIGTERM) for pid in pids] == [0, 0]
    events = [_event_id("alex", period.since) for period in anyio.run(history.periods)[1:]]
    lines = [line for output in outputs for line in output.read_text("utf-8").splitlines()]
    assert sorted(json.loads(line)["event_id"] for line in lines) == sorted(events)
    assert ids_at(hook) == events
    assert len(events) > 1


def prices_of(periods: Sequence[Period]) -> list[Decimal | None]:
    return [period.tariffs.zones[0].api for period in periods]


def everybody_has(history: History, api: int) -> bool:
    """Return whether the list with this price is recorded, and has reached each reader with everything before it."""
    periods = anyio.run(history.periods)
    return bool(periods) and prices_of(periods)[-1] == api and set(marks_in(history)) == {len(periods) - 1}


def marks_in(history: History) -> list[int]:
    """For each reader, the place of the period that it has reported last."""
    rows: list[tuple[int]] = []
    with contextlib.closing(sqlite3.connect(history.path)) as connection, contextlib.suppress(sqlite3.OperationalError):
        rows = connection.execute("SELECT taken_at FROM marks").fetchall()  # once there is such a table
    sinces = [period.since.timestamp() for period in anyio.run(history.periods)]
    return [bisect.bisect(sinces, at / 1e6 + 1e-7) - 1 for (at,) in rows]


@pytest.mark.skipif(os.name != "posix", reason="processes are forked")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_delivery_in_progress_and_its_record_if_it_is_repeated_too(  # noqa: PLR0917  # fixtures
    service: tuple[Simulator, str],
    processes: Processes,
    tmp_path: Path,
    history: History,
    hook: Receiver,
    number: signal.Signals,
) -> None:
    simulator, _ = service
    options = ("--webhook", hook.url)
    pid = processes.start(tmp_path / "out", *options)
    until(lambda: len(marks_in(history)) == 2)  # what a new reader begins with is no change
    hook.delay = 0.5
    put(simulator, 1)
    until(lambda: hook.got)
    os.kill(pid, number)
    time.sleep(0.1)  # as a user presses Ctrl-C again
    assert processes.end(pid, number) == 0
    hook.delay = 0.0
    put(simulator, 2)
    pid = processes.start(tmp_path / "out", *options)
    until(lambda: len(hook.got) == 2)
    assert processes.end(pid, number) == 0
    assert prices_at(hook) == ["1", "2"]
    output = processes.close()
    assert output.count("ended\n") == 2
    assert "unhandled" not in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk at hand")
def test_output_that_cannot_be_written_ends_nothing_and_does_not_count_as_delivered(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History, hook: Receiver
) -> None:
    simulator, _ = service
    pid = processes.start(Path("/dev/full"), "--webhook", hook.url)
    until(lambda: len(marks_in(history)) == 2)
    for api in (1, 2):
        put(simulator, api)
        asked_again(simulator)
        until(lambda api=api: len(hook.got) == api)  # type: ignore[misc]
    # No receiver waits for another one: on a busy disk, the webhook gets both changes before standard output is tried.
    until(lambda: "not delivered to standard output: No space left on device; tried again later" in processes.errors())
    assert processes.end(pid, signal.SIGINT) == 0
    (tmp_path / "out").touch()
    pid = processes.start(tmp_path / "out", "--webhook", hook.url)
    until(lambda: (tmp_path / "out").read_text("utf-8").count("\n") == 2)
    assert processes.end(pid, signal.SIGINT) == 0
    assert reports((tmp_path / "out").read_text("utf-8")) == [("alex", "0", "1"), ("alex", "1", "2")]
    assert prices_at(hook) == ["1", "2"]


@pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")
def test_without_a_reader_it_ends_if_there_is_no_other_receiver(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History
) -> None:
    simulator, _ = service
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    pid = processes.start(tmp_path / "pipe")
    until(lambda: len(marks_in(history)) == 1)
    os.close(reading)
    put(simulator, 1)
    assert processes.wait(pid) == 141


@pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")
def test_a_reader_that_reads_nothing_blocks_no_round_and_no_other_receiver(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History, hook: Receiver
) -> None:
    simulator, _ = service
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    pid = processes.start(tmp_path / "pipe", "--webhook", hook.url)
    until(lambda: len(marks_in(history)) == 2)
    for api in range(1, 4):
        zones = tuple(Zone(str(number), "x" * 200, Decimal(api)) for number in range(400))
        simulator.put(SimulatedAccount("alex", "123", tariffs=Tariffs(zones)))
        until(lambda api=api: len(hook.got) >= api)  # type: ignore[misc]
    asked_again(simulator)
    os.close(reading)
    assert processes.end(pid, signal.SIGINT) == 0


def test_if_it_is_asked_to_end_it_ends_well(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        pid = processes.start(tmp_path / "out")
        asked_again(service[0])
        assert processes.end(pid, number) == 0
    output = processes.close()
    assert output.count("ended\n") == 2
    assert "Traceback" not in output
