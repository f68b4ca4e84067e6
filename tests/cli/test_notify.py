"""The receivers of a watch: a command in a process of its own, a webhook and a notification service on this machine."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from smsc_async import Change, ChangeKind, Snapshot, Tariffs, Update
from smsc_async.cli import notify
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.diff import changes_document
from smsc_async.cli.notify import command_receiver, notification_receiver, webhook_receiver
from smsc_async.cli.webhook import Undelivered
from tests.cli.running import environment
from tests.support.doc_examples import ROOT
from tests.support.receivers import Receiver, receiver_server

pytestmark = pytest.mark.anyio

TOKEN = "T0K3N-4711"


def update_of(*changes: Change) -> Update:
    before, after = (Snapshot("main", datetime(2026, 11, day, tzinfo=UTC), Tariffs(())) for day in (1, 2))
    return Update("main", before, after, changes or (dearer("1"),), event_id="e-1")


def dearer(zone: str, name: str = "Russia") -> Change:
    return Change(ChangeKind.DEARER, "zone", zone, name, "api", Decimal("2.50"), Decimal("2.75"))


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver_server() as receiver:
        yield receiver


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "a script.py"
    path.write_text(code, "utf-8")
    return f"'{sys.executable}' '{path}' 'one word' $HOME;"


async def test_a_command_gets_document_and_variables_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    code = (
        "import json, os, sys; print(json.dumps([json.load(sys.stdin), sys.argv[1:], "
        "{name: os.environ.get(name) for name in ('SMSC_PASSWORD', 'SMSC_LOGIN', 'SMSC_ACCOUNT', 'SMSC_CHANGES', 'SMSC_EVENT_ID', 'SMSC_TAKEN_AT')}]))"
    )
    assert await command_receiver(script(tmp_path, code), {"SMSC_PASSWORD"}).deliver(update_of()) is None
    written = capfd.readouterr()
    assert written.out == ""  # which is for data
    assert json.loads(written.err) == [
        json.loads(changes_document(update_of())),
        ["one word", "$HOME;"],
        {
            "SMSC_PASSWORD": None,
            "SMSC_LOGIN": "alex",
            "SMSC_ACCOUNT": "main",
            "SMSC_CHANGES": "1",
            "SMSC_EVENT_ID": "e-1",
            "SMSC_TAKEN_AT": "2026-11-02T00:00:00+00:00",
        },
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="locales with letters of ASCII alone")
async def test_a_command_gets_an_account_whose_letters_the_locale_does_not_have() -> None:
    program = """
import anyio, attrs
from smsc_async.cli.notify import command_receiver
from tests.cli.test_notify import update_of
print(anyio.run(command_receiver("printenv SMSC_ACCOUNT", ()).deliver, attrs.evolve(update_of(), account="\\u0438\\u043c\\u044f")))
"""
    for utf8, shown in ("0", b"\\u0438\\u043c\\u044f"), ("1", "имя".encode()):
        variables = environment(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8=utf8)
        ran = await anyio.run_process([sys.executable, "-c", program], env=variables, cwd=ROOT)
        assert (ran.stdout, ran.stderr) == (b"None\n", shown + b"\n")


async def test_a_command_may_leave_the_document_unread(tmp_path: Path) -> None:
    receiver = command_receiver(script(tmp_path, "import sys; sys.stdin.close()"), ())
    assert await receiver.deliver(update_of(dearer("1", "x" * 2_000_000))) is None


async def test_a_command_that_fails_or_hangs_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = command_receiver(script(tmp_path, "raise SystemExit(3)"), ())
    assert await failing.deliver(update_of()) == Undelivered(f"{sys.executable} ended with 3")
    monkeypatch.setattr(notify, "RUN_SECONDS", 0.2)
    hanging = command_receiver(script(tmp_path, "import time; time.sleep(600)"), ())
    with anyio.fail_after(60):
        problem = await hanging.deliver(update_of())
    assert problem == Undelivered(f"{sys.executable} took more than 0 s and was ended")


async def test_a_command_that_went_away_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "command"
    path.write_text("#!/no/such/shell\n", "utf-8")
    path.chmod(0o700)
    problem = await command_receiver(str(path), ()).deliver(update_of())
    assert problem == Undelivered(f"{path} could not be started (No such file or directory)")


async def test_a_disk_without_room_for_the_document_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    problem = await command_receiver(script(tmp_path, ""), ()).deliver(update_of())
    assert problem == Undelivered(f"{sys.executable} could not be started (No space left on device)")


@pytest.mark.parametrize(
    ("command", "why"), [("nothing-like-it", "no command"), ("'", "No closing"), ("  ", "no command")]
)
def test_what_is_no_command_is_refused_at_once(command: str, why: str) -> None:
    with pytest.raises(CliError, match=why):
        command_receiver(command, ())


def test_what_is_no_webhook_is_refused_at_once() -> None:
    with pytest.raises(CliError, match="--webhook must be an https:// URL"):
        webhook_receiver("nonsense")


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        (["204"], None),
        (["503", "200"], None),
        (["503", "503", "503"], Undelivered("answered 503")),
        (["404"], Undelivered("answered 404", is_final=True)),
        (["429-30"], Undelivered("answered 429", retry_after=30.0)),
        (["429-0", "200"], None),
    ],
)
async def test_a_webhook_is_tried_again_if_that_may_help_now(
    server: Receiver, statuses: list[str], problem: Undelivered | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PAUSES", (0.0, 0.0))
    server.answers(*statuses)
    came = await webhook_receiver(f"{server.url}/{TOKEN}").deliver(update_of())
    assert [body for _, body, _ in server.got] == [changes_document(update_of())] * len(statuses)
    assert (came is None) == (problem is None)
    if came is not None and problem is not None:
        assert came.reason.endswith(problem.reason)
        assert (came.is_final, came.retry_after) == (problem.is_final, problem.retry_after)


def json_service(server: Receiver) -> str:
    return f"{server.url.replace('http', 'json', 1)}/{TOKEN}"


async def test_a_notification_is_a_text_for_people(server: Receiver) -> None:
    server.answers("200")
    changes = [
        dearer("1"),
        Change(ChangeKind.CHEAPER, "operator", "25001", "", "cost", Decimal("2.00"), Decimal("1.85")),
        Change(ChangeKind.RENAMED, "zone", "32", "Lat\u202evija", old_name="Latvia"),
        Change(ChangeKind.UNPRICED, "mail", "", "", "mail", Decimal("0.1")),
        Change(ChangeKind.REMOVED, "zone", "9", "<b>x</b>"),
    ]
    assert await notification_receiver(json_service(server)).deliver(update_of(*changes)) is None
    ((path, body, _),) = server.got
    assert path == f"/{TOKEN}"
    document = json.loads(body)
    assert document["title"] == "main: 5 changes"
    assert document["message"].splitlines() == [
        "dearer 1 Russia api: 2.50 → 2.75 (+10.0 %)",
        "cheaper 25001 MTS · RU: 2.00 → 1.85 (-7.5 %)",
        "renamed 32 Lat\\u202evija (Latvia)",
        "unpriced e-mail: 0.1 → no price",
        "removed 9 <b>x</b>",
    ]


async def test_a_notification_of_many_changes_is_short(server: Receiver) -> None:
    server.answers("200")
    changes = [dearer(str(number)) for number in range(100)]
    assert await notification_receiver(json_service(server)).deliver(update_of(*changes)) is None
    lines = json.loads(server.got[0][1])["message"].splitlines()
    assert (len(lines), lines[-1]) == (31, "and 70 more")


@pytest.mark.parametrize(("status", "is_final"), [("401", True), ("404", True), ("429", False), ("500", False)])
async def test_a_service_that_refuses_a_notification_is_a_problem_without_its_url(
    server: Receiver, status: str, *, is_final: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(*[status] * 9)
    problem = await notification_receiver(json_service(server)).deliver(update_of())
    assert problem == Undelivered(f"json:… did not take it (status {status})", is_final)
    assert caplog.records == []
    assert logging.getLogger("apprise").propagate
    server.close()
    problem = await notification_receiver(json_service(server)).deliver(update_of())
    assert problem == Undelivered("json:… did not take it")


def test_what_apprise_does_not_know_is_refused_at_once_without_its_url() -> None:
    with pytest.raises(CliError, match="--notify: apprise does not know this URL") as caught:
        notification_receiver(f"nonsense://{TOKEN}")
    assert TOKEN not in str(caught.value)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(CliError, match=r"pip install \"smsc-async\[notify\]\""):
        notification_receiver("json://localhost/")


def test_no_repr_of_a_receiver_shows_its_target() -> None:
    assert TOKEN not in repr(webhook_receiver(f"https://hooks.example/{TOKEN}"))
