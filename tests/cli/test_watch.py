"""``watch``: what changes is reported, once, whatever happens to the service, to whoever is told, and to the process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from smsc_async import History, Snapshot, StoreError, Tariffs, Zone
from smsc_async.cli import watch as watching
from smsc_async.cli.notify import Tell
from smsc_async.history.watch import Rounds
from smsc_async.records import OperatorTariff
from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator, serve
from tests.cli import watch_process
from tests.cli.running import environment, invoke

ROOT = Path(__file__).parents[2]
Step = Callable[[], object]
KILLS = 8


def list_of(api: int) -> Tariffs:
    return Tariffs((Zone("1", "Russia", Decimal(api)),), (OperatorTariff("25001", Decimal("1.85")),), Decimal("0.10"))


def put(simulator: Simulator, api: int, login: str = "alex", password: str = "123") -> None:
    simulator.put(SimulatedAccount(login, password, tariffs=list_of(api)))


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    watch_process.patch(monkeypatch.setattr)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets something happen before each round; after the last of these the watch is interrupted."""

    def script(*steps: Step) -> None:
        turns = iter(steps)
        real = Rounds.next

        async def scripted(self: Rounds) -> object:
            step = next(turns, None)
            if step is None:
                raise KeyboardInterrupt
            step()
            await anyio.sleep(0.006)  # a list that came less than half of the time between rounds ago would do
            return await real(self)

        monkeypatch.setattr(Rounds, "next", scripted)

    return script


def reports(stdout: str) -> list[tuple[str, str, str]]:
    """The account, the old and the new price of each line."""
    documents: list[dict[str, Any]] = [json.loads(line) for line in stdout.splitlines()]
    return [(each["account"], each["changes"][0]["old"], each["changes"][0]["new"]) for each in documents]


def nothing() -> None:
    pass


@pytest.mark.usefixtures("alex")
def test_a_new_user_sees_what_it_does_and_what_has_changed(simulator: Simulator, tmp_path: Path) -> None:
    put(simulator, 2)
    ran = invoke("watch", "--once")
    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr.startswith(f"watching alex once; lists are kept in {tmp_path / 'history.sqlite3'}\n")
    assert ran.stderr.endswith(" alex: the first list: what changes from now on is reported\n")
    assert invoke("watch", "--once").stderr.endswith(" alex: no changes\n")
    put(simulator, 3)
    ran = invoke("watch", "--once")
    assert ran.code == 0
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("alex: 1 change between 20")
    assert lines[4].split() == ["dearer", "1", "Russia", "api", "2", "3", "1", "50.0"]
    assert max(map(len, lines)) <= 80
    assert invoke("watch", "--once", "-o", "json").stdout == ""


@pytest.mark.usefixtures("alex")
def test_a_report_is_a_line_of_json_where_asked_for(simulator: Simulator, history: History) -> None:
    for api in (2, 3):
        put(simulator, api)
        ran = invoke("watch", "--once", "-o", "json")
    before, after = anyio.run(history.snapshots)
    assert json.loads(ran.stdout) == {
        "account": "alex",
        "before": before.taken_at.isoformat(),
        "taken_at": after.taken_at.isoformat(),
        "changes": [
            {
                "change": "dearer",
                "line": "zone",
                "id": "1",
                "name": "Russia",
                "old_name": None,
                "price": "api",
                "old": "2",
                "new": "3",
                "difference": "1",
                "percent": "50.0",
            }
        ],
    }


@pytest.mark.usefixtures("both")
def test_it_goes_on_through_an_outage_until_it_is_interrupted(
    simulator: Simulator, rounds: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(
        nothing,
        lambda: simulator.fail(Fault.http_status(503), times=1),
        lambda: put(simulator, 2),
        nothing,
        lambda: put(simulator, 3),
    )
    put(simulator, 1)
    ran = invoke("watch", "mine", "--every", "0.01s", "-o", "json")
    assert ran.code == 0
    assert ran.stderr.startswith("watching mine every 0.01 s, until Ctrl-C; lists are kept in ")
    assert reports(ran.stdout) == [("mine", "1", "2"), ("mine", "2", "3")]
    assert [line.partition("mine: ")[2] for line in ran.stderr.splitlines()[1:-1]] == [
        "the first list: what changes from now on is reported",
        "answered with HTTP status 503 and no tariff list",
        "no changes",
    ]
    assert ran.stderr.endswith("ended\n")


@pytest.mark.usefixtures("both")
def test_an_account_that_only_the_user_can_help_ends_and_the_others_go_on(simulator: Simulator) -> None:
    put(simulator, 1, "boris", "another")
    ran = invoke("watch", "mine", "theirs", "--once")
    assert ran.code == 4
    assert "theirs: the service refused with error 2" in ran.stderr
    assert "it is not watched any more" in ran.stderr
    assert "mine: the first list" in ran.stderr
    ran = invoke("watch", "theirs")  # not once: there is nothing left to watch
    assert ran.code == 4


@pytest.mark.usefixtures("alex")
def test_a_round_that_fails_is_the_exit_code_of_a_single_one(simulator: Simulator) -> None:
    simulator.fail(Fault.http_status(503))
    assert invoke("watch", "--once").code == 8


@pytest.mark.usefixtures("both")
def test_a_command_gets_the_report_and_no_password(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMSC_PASSWORD", "of somebody")
    got = tmp_path / "got"
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os, sys\n"
        f"told = [json.load(sys.stdin)['changes'][0]['new'], dict(os.environ)]\nopen({str(got)!r}, 'w').write(json.dumps(told))",
        "utf-8",
    )
    for api in (1, 2):
        put(simulator, api)
        assert invoke("watch", "mine", "--once", "--run", f"'{sys.executable}' '{script}'").code == 0
    new, variables = json.loads(got.read_text("utf-8"))
    assert new == "2"
    assert (variables["SMSC_ACCOUNT"], variables["SMSC_CHANGES"]) == ("mine", "1")
    assert {"A", "B", "SMSC_PASSWORD", "SMSC_API_KEY"} & set(variables) == set()


def telling(monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[str | None]) -> list[str]:
    """Have ``--run`` and ``--webhook`` call something of ours; return the new prices that they are told."""
    told: list[str] = []
    turns = iter(outcomes)

    def teller(kind: str, *_: object) -> Tell:
        async def tell(document: bytes, _: object) -> str | None:
            told.append(f"{kind} {json.loads(document)['changes'][0]['new']}")
            return next(turns)

        return tell

    monkeypatch.setattr("smsc_async.cli.notify.command_of", partial(teller, "run"))
    monkeypatch.setattr("smsc_async.cli.notify.webhook_of", partial(teller, "post"))
    return told


@pytest.mark.usefixtures("alex")
def test_a_report_counts_once_everybody_was_told(
    simulator: Simulator, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Decimal | None] = []

    async def tell(*_: object) -> None:
        mark = await history.reported("alex")
        assert mark is not None
        noted.append(mark.tariffs.zones[0].api)

    def webhook_of(_: str) -> object:
        return tell

    monkeypatch.setattr("smsc_async.cli.notify.webhook_of", webhook_of)
    for api in (1, 2, 3):
        put(simulator, api)
        assert invoke("watch", "--once", "--webhook", "https://hooks.example/").code == 0
    assert noted == [1, 2]
    mark = anyio.run(history.reported, "alex")
    assert mark is not None
    assert mark.tariffs == list_of(3)


@pytest.mark.usefixtures("alex")
def test_what_could_not_be_told_is_told_again_in_its_order_and_nobody_twice(
    simulator: Simulator, rounds: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = telling(monkeypatch, [None, "down", "still down", None, None, None])
    monkeypatch.setenv("SMSC_WEBHOOK", "https://hooks.example/")
    put(simulator, 1)
    rounds(nothing, lambda: put(simulator, 2), lambda: put(simulator, 3), nothing)
    ran = invoke("watch", "--every", "0.01", "--run", "x", "-o", "json")
    assert told == ["run 2", "post 2", "post 2", "post 2", "run 3", "post 3"]
    assert reports(ran.stdout) == [("alex", "1", "2"), ("alex", "2", "3")]
    assert ran.stderr.count("not told: ") == 2
    assert "alex: not told: still down; the next round tries again" in ran.stderr


@pytest.mark.usefixtures("alex")
def test_what_a_single_round_could_not_tell_is_told_by_the_next_before_it_asks(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = telling(monkeypatch, ["down", "down", None])
    put(simulator, 1)
    once = ("watch", "--once", "--webhook", "https://hooks.example/", "-o", "json")
    assert invoke(*once).code == 0
    put(simulator, 2)
    assert invoke(*once).code == 15
    simulator.fail(Fault.http_status(503), times=1)
    assert invoke(*once).code == 8
    ran = invoke(*once)
    assert ran.code == 0
    assert told == ["post 2"] * 3
    assert reports(ran.stdout) == [("alex", "1", "2")]
    assert invoke(*once).stdout == ""


@pytest.mark.usefixtures("alex")
def test_readers_of_one_history_are_each_told_everything(simulator: Simulator) -> None:
    for api in (1, 2):
        put(simulator, api)
        ran = [invoke("watch", "--once", "-o", "json", "--reader", reader) for reader in ("cron", "bot")]
    assert [reports(each.stdout) for each in ran] == [[("alex", "1", "2")]] * 2


@pytest.mark.usefixtures("alex")
def test_a_report_that_could_not_be_noted_is_told_and_not_lost(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mark_reported(self: History, snapshot: Snapshot, *, reader: str) -> None:
        raise StoreError("the disk is full")

    put(simulator, 1)
    invoke("watch", "--once")
    put(simulator, 2)
    with monkeypatch.context() as patch:
        patch.setattr(History, "mark_reported", mark_reported)
        ran = invoke("watch", "--once", "-o", "json")
    assert "alex: the disk is full; the next round tries again" in ran.stderr
    assert reports(ran.stdout) == reports(invoke("watch", "--once", "-o", "json").stdout) == [("alex", "1", "2")]


@pytest.mark.usefixtures("both")
def test_where_nothing_can_be_written_any_more_all_of_it_ends(
    simulator: Simulator, rounds: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watching, "write_line", full)
    put(simulator, 1)
    rounds(nothing, nothing, lambda: put(simulator, 2), *[nothing] * 99)
    ran = invoke("watch", "mine", "theirs", "--every", "0.01", "-o", "json")
    assert ran.code == 14
    assert ran.stderr.endswith("No space left on device\n")


def test_misuse_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    for arguments, said in (
        (("--every", "often"), "'often' is not a duration"),
        (("-o", "csv"), "a watch writes -o table"),
        (("--run", "nothing-like-it"), "no command 'nothing-like-it'"),
        (("nobody",), "no account 'nobody'"),
    ):
        ran = invoke("watch", *arguments)
        assert (ran.code, ran.stdout) == (2, "")
        assert said in ran.stderr
    assert simulator.log == []


@pytest.mark.usefixtures("alex")
def test_what_a_supervisor_sends_is_as_good_an_end_as_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(anyio, "run", wait)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ran = invoke("watch")
    assert (ran.code, ran.stdout, ran.stderr.splitlines()[-1]) == (0, "", "ended")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


class Processes:
    """Watches in processes of their own; see ``watch_process.py``."""

    def __init__(self, base_url: str, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.cli.watch_process", base_url],
            env=environment(SMSC_BASE_URL=base_url, SMSC_LOGIN="alex", SMSC_PASSWORD="123", **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=ROOT,
            bufsize=1,
        )
        self._running: set[int] = set()

    def _say(self, *words: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def start(self, output: Path) -> int:
        pid = self._say(output, "--every", "0.005", "-o", "json")
        self._running.add(pid)
        return pid

    def end(self, pid: int, number: signal.Signals) -> int:
        os.kill(pid, number)
        told = self._say("wait", pid)
        self._running.remove(pid)
        return told

    def close(self) -> str:
        for pid in self._running:  # of a test that has failed: it would go on for good
            os.kill(pid, signal.SIGKILL)
        return self._process.communicate(timeout=300)[1]


@pytest.fixture
def service() -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator([SimulatedAccount("alex", "123", tariffs=list_of(0))], rules=Rules(requests=100_000))
    with serve(simulator) as server:
        yield simulator, server.base_url


@pytest.fixture
def processes(service: tuple[Simulator, str], history: History, tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(service[1], SMSC_HISTORY=str(history.path), SMSC_CONFIG=str(tmp_path / "none"))
    try:
        yield processes
    finally:
        processes.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def asked_again(simulator: Simulator) -> None:
    before = len(simulator.log)
    until(lambda: len(simulator.log) > before)


def test_killed_again_and_again_it_loses_nothing_and_repeats_at_most_the_last(
    service: tuple[Simulator, str], processes: Processes, tmp_path: Path, history: History
) -> None:
    simulator, _ = service
    chance = random.Random(4711)
    reported = partial(history.reported, "alex", reader="watch")
    outputs = [tmp_path / f"{number}.jsonl" for number in range(KILLS)]
    kept = 0
    for number, output in enumerate(outputs):
        pid = processes.start(output)
        asked_again(simulator)
        if number == 0:
            # What a reader without a mark finds is where it begins: on a slow disk all could be killed before the first.
            until(lambda: anyio.run(reported))
        if number == KILLS // 2:
            simulator.fail(Fault.http_status(503), times=3)
        for step in range(1, 4):
            put(simulator, number * 10 + step)
            time.sleep(chance.uniform(0.0, 0.02))
        assert processes.end(pid, signal.SIGKILL) == -signal.SIGKILL
        # What was kept is still there.
        before, kept = kept, len(anyio.run(history.snapshots))
        assert kept >= before
    pid = processes.start(tmp_path / "last.jsonl")
    last = str(KILLS * 10 - 7)
    until(lambda: f'"new": "{last}"' in "".join(each.read_text("utf-8") for each in tmp_path.glob("*.jsonl")))
    asked_again(simulator)
    assert processes.end(pid, signal.SIGINT) == 0
    kept_prices = [str(period.tariffs.zones[0].api) for period in anyio.run(history.periods)]
    told: list[tuple[str, str]] = []
    for output in [*outputs, tmp_path / "last.jsonl"]:
        for place, (_, old, new) in enumerate(reports(output.read_text("utf-8"))):
            # After a kill the last report may come again; but for that each goes on where the one before ended.
            if place == 0 and told and (old, new) == told[-1]:
                continue
            assert old == (told[-1][1] if told else kept_prices[0])
            told.append((old, new))
    assert [new for _, new in told] == kept_prices[1:]
    assert told[-1][1] == last


def test_told_to_end_it_ends_well(service: tuple[Simulator, str], processes: Processes, tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        pid = processes.start(tmp_path / "out")
        asked_again(service[0])
        assert processes.end(pid, number) == 0
    told = processes.close()
    assert told.count("ended\n") == 2
    assert "Traceback" not in told
