"""Where commands keep what they share."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import smsc_async
from smsc_async.cli import session
from smsc_async.cli.session import new_history, new_store
from smsc_async.simulator import Fault, Simulator
from tests.cli.running import invoke


def test_commands_share_a_file_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SMSC_STORE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert repr(new_store()) == f"SQLiteStore({str(tmp_path / 'smsc-async' / 'store.sqlite3')!r})"


def test_the_history_is_beside_it_unless_another_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert new_history(None).path == tmp_path / "smsc-async" / "history.sqlite3"
    assert new_history(tmp_path / "another.db").path == tmp_path / "another.db"


@pytest.mark.usefixtures("base_url")
def test_a_list_that_another_command_has_just_fetched_is_taken(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    for arguments in (["tariffs"], ["tariffs"], ["price", "--zone", "1"], ["tariffs", "--fresh"]):
        assert invoke(*arguments).code == 0
    assert len(simulator.log) == 2


@pytest.mark.usefixtures("alex")
def test_whoever_waits_is_told_what_it_can_be(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    assert "no answer yet" not in invoke("tariffs").stderr
    monkeypatch.setattr(session, "PATIENCE", 0.05)
    simulator.fail(Fault.stalled(0.5))
    ran = invoke("tariffs", "--fresh", "--zone", "32")
    assert ran.code == 0
    assert ran.stderr.splitlines()[1] == (
        "no answer yet: the fourth list of a login within a minute waits for its turn"
    )


def test_the_package_can_be_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["smsc-async", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(Path(smsc_async.__file__).with_name("__main__.py")), run_name="__main__")
    assert caught.value.code == 0
    assert "tariffs" in capsys.readouterr().out
