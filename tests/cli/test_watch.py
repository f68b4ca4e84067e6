"""``watch``: what changes is reported, once, whatever happens to the service, to whoever is told, and to the process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from inspect import isawaitable
from pathlib import Path
from typing import Any

import anyio
import pytest

from smsc_async import History, Snapshot, StoreError, Tariffs, Update, Zone
from smsc_async.cli import notify
from smsc_async.cli import watch as watching
from smsc_async.cli.webhook import Undelivered
from smsc_async.history.deliveries import Deliveries
from smsc_async.history.watch import Rounds  # pyright: ignore[reportPrivateUsage]
from smsc_async.records import OperatorTariff
from smsc_async.simulator import Fault, SimulatedAccount, Simulator
from tests.cli import watch_process
from tests.cli.running import invoke
from tests.cli.watch_lists import ids_at, list_of, prices_at, put, reports, until
from tests.support.receivers import Receiver

Step = Callable[[], object]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    watch_process.patch(monkeypatch.setattr)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite3")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets something happen before each round; after the last of these the watch is interrupted.

    Each waits for the deliveries of the round before, or for ``ready`` if that is given.
    """

    def script(*steps: Step, ready: Callable[[], bool] | None = None) -> None:
        turns = iter(steps)
        real, real_all = Rounds.next, watching._watch_all  # pyright: ignore[reportPrivateUsage]
        real_run = watching._Delivery.run  # pyright: ignore[reportPrivateUsage]
        scopes: list[anyio.CancelScope] = []
        deliveries: list[Any] = []

        def settled() -> bool:
            return all(not each.woken.is_set() and each.woken.statistics().tasks_waiting for each in deliveries)

        async def run(self: Any) -> None:
            deliveries.append(self)
            try:
                await real_run(self)
            finally:
                deliveries.remove(self)

        async def watch_all(*arguments: Any) -> object:
            # As asyncio has it: the work is cancelled, and the interrupt is raised once it has ended.
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                return await real_all(*arguments)
            raise KeyboardInterrupt

        async def scripted(self: Rounds) -> object:
            await anyio.sleep(0.05)  # for the list of the last round to be too old for this one
            with anyio.fail_after(60):
                while not (ready or settled)():  # noqa: ASYNC110  # no event says it
                    await anyio.sleep(0.01)
            step = next(turns, None)
            if step is None:
                scopes[-1].cancel()
                await anyio.sleep_forever()
            assert step is not None
            waiting = step()
            if isawaitable(waiting):
                await waiting
            return await real(self)

        monkeypatch.setattr(Rounds, "next", scripted)
        monkeypatch.setattr(watching, "_watch_all", watch_all)
        monkeypatch.setattr(watching._Delivery, "run", run)  # pyright: ignore[reportPrivateUsage]

    return script


def nothing() -> None:
    pass


def after(hook: Receiver, count: int, step: Step = nothing) -> Step:
    """Return a step that waits for so many deliveries to begin."""

    async def wait() -> None:
        with anyio.fail_after(60):
            while len(hook.got) < count:  # noqa: ASYNC110  # another thread counts
                await anyio.sleep(0.01)
        step()

    return wait


@pytest.mark.usefixtures("alex")
def test_a_new_user_sees_what_it_does_and_what_has_changed(simulator: Simulator, tmp_path: Path) -> None:
    put(simulator, 2)
    ran = invoke("watch", "--once")
    assert (ran.code, ran.stdout) == (0, "")
    assert ran.stderr.startswith(f"watching env (alex) once; lists are recorded in {tmp_path / 'history.sqlite3'}\n")
    assert ran.stderr.endswith(" env (alex): the first list: what changes from now on is reported\n")
    assert invoke("watch", "--once").stderr.endswith(" env (alex): no changes\n")
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
        "event_id": hashlib.sha256(f"alex\0{after.taken_at.isoformat()}".encode()).hexdigest()[:32],
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
    assert ran.stderr.startswith("watching mine every 0.01s, until Ctrl-C; lists are recorded in ")
    assert reports(ran.stdout) == [("mine", "1", "2"), ("mine", "2", "3")]
    assert [line.partition("mine: ")[2] for line in ran.stderr.splitlines()[1:-1]] == [
        "the first list: what changes from now on is reported",
        "answered with HTTP status 503 and no tariff list: HTTP 503",
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


@pytest.mark.usefixtures("both")
def test_while_it_runs_an_account_that_is_refused_ends_alone(simulator: Simulator, rounds: Callable[..., None]) -> None:
    put(simulator, 1, "boris", "another")
    rounds(*[nothing] * 5)
    ran = invoke("watch", "mine", "theirs", "--every", "0.01")
    assert (ran.code, ran.stderr.count("theirs: ")) == (0, 1)
    before, _, after = ran.stderr.partition("it is not watched any more\n")
    assert "theirs: the service refused with error 2" in before
    assert after.count("mine: no changes") >= 2
    assert after.endswith("ended\n")
    assert [arrival.login for arrival in simulator.log if arrival.code == 2] == ["boris"]


@pytest.mark.usefixtures("alex")
def test_a_refusal_waits_for_the_delivery_in_progress_and_its_record(
    simulator: Simulator, rounds: Callable[..., None], hook: Receiver
) -> None:
    take = hook.take

    def take_until_the_refusal(*request: Any) -> str:
        status = take(*request)
        until(lambda: any(arrival.code == 2 for arrival in simulator.log))
        threading.Event().wait(0.1)  # the watch reads the refusal
        return status

    hook.take = take_until_the_refusal  # type: ignore[method-assign, assignment]
    put(simulator, 1)
    rounds(
        nothing,
        lambda: put(simulator, 2),
        after(hook, 1, lambda: put(simulator, 3, password="changed")),
        lambda: put(simulator, 4),
        ready=lambda: len(simulator.log) < 2 or bool(hook.got),  # the password changes during the delivery
    )
    assert invoke("watch", "--every", "0.01", "--webhook", hook.url).code == 4
    assert prices_at(hook) == ["2"]
    assert invoke("watch", "--once", "--webhook", hook.url).code == 0
    assert prices_at(hook) == ["2", "4"]


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


@pytest.mark.usefixtures("alex")
def test_a_delivery_is_recorded_after_it_and_for_each_receiver(
    simulator: Simulator, history: History, hook: Receiver
) -> None:
    recorded: list[object] = []
    real = hook.take

    def take(*request: Any) -> str:
        mark = anyio.run(history.reported, "alex")
        recorded.append(mark and mark.tariffs.zones[0].api)
        return real(*request)

    hook.take = take  # type: ignore[method-assign, assignment]
    for api in (1, 2, 3):
        put(simulator, api)
        assert invoke("watch", "--once", "--webhook", hook.url).code == 0
    assert prices_at(hook) == ["2", "3"]
    assert recorded[1] in {Decimal(2), Decimal(3)}  # standard output is ahead or not: nobody waits for another
    mark = anyio.run(history.reported, "alex")
    assert mark is not None
    assert mark.tariffs == list_of(3)


@pytest.mark.usefixtures("alex")
def test_a_receiver_that_is_down_gets_everything_later_in_order_and_the_others_get_it_now(
    simulator: Simulator, rounds: Callable[..., None], hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers("503", "503", "200")
    monkeypatch.setenv("SMSC_WEBHOOK", hook.url)
    put(simulator, 1)
    changes = (lambda: put(simulator, 2), after(hook, 1, lambda: put(simulator, 3)))
    rounds(nothing, *changes, after(hook, 2), after(hook, 4))
    ran = invoke("watch", "--every", "0.01", "-o", "json")
    assert prices_at(hook) == ["2", "2", "2", "3"]
    assert len(set(ids_at(hook))) == 2
    assert reports(ran.stdout) == [("alex", "1", "2"), ("alex", "2", "3")]
    assert f"env (alex): not delivered to --webhook: {hook.url[7:]} answered 503; tried again later" in ran.stderr


@pytest.mark.usefixtures("alex")
def test_what_a_single_round_could_not_deliver_the_next_one_does_before_it_asks(
    simulator: Simulator, hook: Receiver
) -> None:
    hook.answers("503", "503", "200")
    put(simulator, 1)
    once = ("watch", "--once", "--webhook", hook.url, "-o", "json")
    assert invoke(*once).code == 0
    put(simulator, 2)
    ran = invoke(*once)
    assert (ran.code, reports(ran.stdout)) == (15, [("alex", "1", "2")])
    simulator.fail(Fault.http_status(503), times=1)
    ran = invoke(*once)
    assert (ran.code, ran.stdout) == (8, "")
    assert prices_at(hook) == ["2"] * 3
    assert invoke(*once).stdout == ""
    assert len(hook.got) == 3


@pytest.mark.usefixtures("alex")
def test_a_permanent_refusal_is_reported_once_and_blocks_no_later_change(simulator: Simulator, hook: Receiver) -> None:
    hook.answers("400", "200")
    once = ("watch", "--once", "--webhook", hook.url)
    codes: list[int] = []
    errors = ""
    for api in (1, 2, 2, 3):
        put(simulator, api)
        ran = invoke(*once)
        codes.append(ran.code)
        errors += ran.stderr
    assert codes == [0, 15, 0, 0]
    assert prices_at(hook) == ["2", "3"]
    assert errors.count(f"refused by --webhook: {hook.url[7:]} answered 400; not sent again") == 1


@pytest.mark.usefixtures("alex")
def test_a_receiver_says_when_it_wants_the_next_attempt_and_gets_none_before(
    simulator: Simulator, hook: Receiver, history: History
) -> None:
    hook.answers("429-9999999", "200")
    once = ("watch", "--once", "--webhook", hook.url)
    for api in (1, 2):
        put(simulator, api)
        code = invoke(*once).code
    assert code == 15
    for _ in range(2):
        ran = invoke(*once, "--quiet")
        assert ran.code == 15
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d UTC .+: --webhook wants no attempt for 3[56]\d\d s; tried again later\n", ran.stderr
        )
    assert len(hook.got) == 1
    with sqlite3.connect(history.path) as connection:
        ((retry_at,),) = connection.execute("SELECT retry_at FROM marks WHERE retry_at IS NOT NULL")
        assert 3500 < retry_at / 1e6 - time.time() <= 3600  # nobody waits for longer than that
        connection.execute("UPDATE marks SET retry_at = 1 WHERE retry_at IS NOT NULL")
    connection.close()
    assert invoke(*once).code == 0
    assert prices_at(hook) == ["2", "2"]


@pytest.mark.usefixtures("alex")
def test_a_notification_service_is_a_receiver_and_its_url_is_nowhere(
    simulator: Simulator, hook: Receiver, history: History
) -> None:
    for api in (1, 2):
        put(simulator, api)
        ran = invoke("watch", "--once", "--notify", f"json://{hook.url[7:]}/T0K3N")
        assert (ran.code, "T0K3N" in ran.stderr) == (0, False)
    ((_, body, _),) = hook.got
    assert json.loads(body)["message"] == "dearer 1 Russia api: 1 → 2 (+100.0 %)"
    for path in history.path.parent.iterdir():
        assert b"T0K3N" not in path.read_bytes()
        assert hashlib.sha256(f"json://{hook.url[7:]}/T0K3N".encode()).digest()[:8] not in path.read_bytes()


@pytest.mark.usefixtures("alex")
def test_another_receiver_begins_with_the_list_of_now(simulator: Simulator, hook: Receiver) -> None:
    for api in (1, 2):
        put(simulator, api)
        invoke("watch", "--once")
    assert invoke("watch", "--once", "--webhook", hook.url).code == 0
    assert hook.got == []
    put(simulator, 3)
    invoke("watch", "--once", "--webhook", hook.url)
    invoke("watch", "--once", "--webhook", f"{hook.url}/another")
    assert prices_at(hook) == ["3"]


@pytest.mark.usefixtures("alex")
def test_filters_and_a_threshold_say_what_is_reported(simulator: Simulator, plain_environment: Path) -> None:
    def put_list(russia: str, latvia: str, mts: str, hlr: str = "1") -> None:
        zones = (
            Zone("1", "Россия", Decimal(russia), hlr=Decimal(hlr)),
            Zone("11", "Latvia 1", Decimal(latvia)),
        )
        tariffs = Tariffs(zones, (OperatorTariff("25001", Decimal(mts)),), Decimal("0.1"))
        simulator.put(SimulatedAccount("alex", "123", tariffs=tariffs))

    variants = {
        "all": (),
        "number": ("--zone", "1"),
        "name": ("--zone", "rossiya"),
        "operator": ("--operator", "mts"),
        "both": ("--zone", "latvia", "--operator", "25001"),
        "service": ("--service", "hlr"),
        "dearer": ("--only", "increases"),
        "cheaper": ("--only", "decreases"),
        "threshold": ("--min-change", "1,5 %"),
    }
    got: dict[str, set[str]] = {name: set() for name in variants}
    for prices in (("100", "100", "100"), ("101", "99", "102", "1.01"), ("102", "99", "102", "1.01")):
        put_list(*prices)
        for name, options in variants.items():
            ran = invoke("watch", "--once", "-o", "json", "--reader", name, *options)
            assert ran.code == 0
            for line in ran.stdout.splitlines():
                for change in json.loads(line)["changes"]:
                    got[name].add(f"{change['id']} {change['old']} {change['new']}")
    russia, latvia, mts, hlr = {"1 100 101", "1 101 102"}, {"11 100 99"}, {"25001 100 102"}, {"1 1 1.01"}
    assert got == {
        "all": russia | latvia | mts | hlr,
        "number": russia | hlr,
        "name": russia | hlr,
        "operator": mts,
        "both": latvia | mts,
        "service": hlr,
        "dearer": russia | mts | hlr,
        "cheaper": latvia,
        "threshold": mts | {"1 100 102"},  # two steps of a percent
    }


@pytest.mark.usefixtures("alex")
def test_a_name_that_nothing_has_yet_is_reported_once_with_a_suggestion(
    simulator: Simulator, rounds: Callable[..., None]
) -> None:
    simulator.put(SimulatedAccount("alex", "123"))
    rounds(nothing, nothing)
    ran = invoke(
        "watch", "--every", "0.01", "--zone", "latvja", "--zone", "32", "--operator", "99999", "--operator", "mts"
    )
    assert ran.stderr.count("(did you mean Latvia?); changes are reported once there is one") == 1
    assert ran.stderr.count("operator '99999'") == 1
    assert "'32'" not in ran.stderr
    assert "'mts'" not in ran.stderr


@pytest.mark.usefixtures("alex")
def test_quiet_means_nothing_but_changes_and_errors(simulator: Simulator, rounds: Callable[..., None]) -> None:
    quiet = ("watch", "--once", "--quiet")
    put(simulator, 1)
    for _ in range(2):
        ran = invoke(*quiet)
        assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")
    put(simulator, 2)
    ran = invoke(*quiet)
    assert ran.stdout.startswith("alex: 1 change between")
    assert ran.stderr == ""
    simulator.fail(Fault.http_status(503), times=1)
    assert invoke(*quiet).stderr.endswith("503 and no tariff list: HTTP 503\n")
    rounds(nothing)
    assert invoke("watch", "-q").stderr == ""  # an interrupted one neither


@pytest.mark.usefixtures("both")
def test_all_accounts_are_those_of_the_file(simulator: Simulator) -> None:
    ran = invoke("watch", "--all", "--once")
    assert ran.code == 0
    assert "watching mine, theirs once" in ran.stderr
    assert {request.login for request in simulator.log} == {"alex", "boris"}


@pytest.mark.usefixtures("alex")
def test_another_password_begins_anew(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for api in (1, 2):
        put(simulator, api)
        invoke("watch", "--once")
    simulator.put(SimulatedAccount("alex", "new", tariffs=list_of(3)))
    monkeypatch.setenv("SMSC_PASSWORD", "wrong")
    ran = invoke("watch", "--once", "--reader", "curious")
    assert (ran.code, ran.stdout) == (4, "")
    monkeypatch.setenv("SMSC_PASSWORD", "new")
    ran = invoke("watch", "--once")
    assert (ran.code, ran.stdout) == (0, "")
    assert "the first list" in ran.stderr


@pytest.mark.usefixtures("alex")
def test_readers_of_one_history_are_each_told_everything(simulator: Simulator) -> None:
    for api in (1, 2):
        put(simulator, api)
        ran = [invoke("watch", "--once", "-o", "json", "--reader", reader) for reader in ("cron", "bot")]
    assert [reports(each.stdout) for each in ran] == [[("alex", "1", "2")]] * 2


@pytest.mark.usefixtures("alex")
def test_a_delivery_that_could_not_be_recorded_is_explained_and_the_change_is_not_lost(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mark(*_: object) -> None:
        raise StoreError("the disk is full")

    put(simulator, 1)
    invoke("watch", "--once")
    put(simulator, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Deliveries, "mark", mark)
        ran = invoke("watch", "--once", "-o", "json")
    assert ran.code == 12
    assert "env (alex): the disk is full; tried again later" in ran.stderr
    assert reports(ran.stdout) == reports(invoke("watch", "--once", "-o", "json").stdout) == [("alex", "1", "2")]


def test_misuse_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    for arguments, said in (
        (("--every", "often"), "'often' is not a duration"),
        (("-o", "csv"), "a watch writes -o table"),
        (("--run", "nothing-like-it"), "no command 'nothing-like-it'"),
        (("nobody",), "no account 'nobody'"),
        (("--all", "nobody"), "Name some of them, or --all"),
        (("--all", "--password-from", "stdin"), "--password-from is for accounts that are named"),
        (("--min-change", "-1%"), "--min-change -1%: must be a percentage such as 1% or 0.5%"),
        (("--min-change", "much"), "must be a percentage"),
        (("--zone", " "), "the name of the zone is empty"),
        (("--operator", "no such network"), "no network is called"),
        (("--webhook", "http://hooks.example/"), "--webhook must be https"),
        (("--notify", "nonsense"), "apprise does not know this URL"),
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


@pytest.mark.usefixtures("alex")
def test_standard_output_that_is_closed_from_the_start_is_no_receiver(
    simulator: Simulator, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = ("watch", "--once", "-o", "json", "--webhook", hook.url)
    put(simulator, 1)
    invoke(*once)
    put(simulator, 2)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "__stdout__", None)
        ran = invoke(*once)
        assert (ran.code, ran.stdout) == (0, "")
    assert prices_at(hook) == ["2"]
    assert reports(invoke(*once).stdout) == [("alex", "1", "2")]


class Unwritable:
    """Standard output whose every write fails."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self.buffer = self
        self._number = number

    def flush(self) -> None:
        raise OSError(self._number, os.strerror(self._number))


BEFORE, AFTER = (Snapshot("alex", datetime(2026, 11, day, tzinfo=UTC), list_of(day)) for day in (1, 2))
UPDATE = Update("alex", BEFORE, AFTER)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
@pytest.mark.parametrize("has_others", [True, False])
def test_without_a_reader_and_without_other_receivers_there_is_nothing_left_to_do(
    number: int, has_others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[OSError] = []
    stdout = notify.stdout_receiver(as_json=True, end=None if has_others else ends.append)
    monkeypatch.setattr(sys, "stdout", Unwritable(number))
    assert anyio.run(stdout.deliver, UPDATE) == Undelivered(os.strerror(number))
    assert len(ends) == (number == errno.EPIPE and not has_others)


@pytest.mark.usefixtures("alex")
def test_the_end_of_standard_output_is_the_end_of_the_command(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receiver(*, end: Callable[[OSError], None], **_: object) -> notify.Receiver:
        async def write(_: Update) -> Undelivered:
            end(BrokenPipeError(errno.EPIPE, "Broken pipe"))
            return Undelivered("Broken pipe")

        return notify.Receiver("standard output", "", write)

    put(simulator, 1)
    invoke("watch", "--once")
    put(simulator, 2)
    monkeypatch.setattr(watching, "stdout_receiver", receiver)
    monkeypatch.setattr("smsc_async.cli.exit.detach_stdout", nothing)
    assert invoke("watch").code == 141


def test_a_delivery_in_progress_is_finished_after_an_interrupt_and_one_that_hangs_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def deliver(seconds: float) -> tuple[list[str], Undelivered | None]:
        steps: list[str] = []
        result: Undelivered | None = Undelivered("nothing came")

        async def work() -> None:
            steps.append("begun")
            await anyio.sleep(seconds)
            steps.append("ended")

        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time() + 0.05
            result = await watching._finished(work)  # pyright: ignore[reportPrivateUsage]
        return steps, result

    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.5)
    assert anyio.run(deliver, 0.1)[0] == ["begun", "ended"]
    assert anyio.run(deliver, 60)[0] == ["begun"]
    assert anyio.run(deliver, 0) == (["begun", "ended"], None)
