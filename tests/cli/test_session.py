"""Where commands keep what they share."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import platformdirs
import pytest

import smsc_async
from smsc_async.cli import session
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.session import new_history, new_store
from smsc_async.records import Format
from smsc_async.simulator import Fault, Simulator, render, sample_tariffs
from tests.cli.running import invoke


def test_commands_share_a_file_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SMSC_STORE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert repr(new_store()) == f"SQLiteStore({str(tmp_path / 'smsc-async' / 'store.sqlite3')!r})"


def test_the_history_is_beside_it_unless_another_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert new_history(None).path == tmp_path / "smsc-async" / "history.sqlite3"
    assert new_history(tmp_path / "another.db").path == tmp_path / "another.db"


def test_a_variable_may_name_the_home_folder_as_a_shell_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for name in ("SMSC_STORE", "SMSC_HISTORY", "SMSC_CONFIG"):
        monkeypatch.setenv(name, f"~/{name}")
    assert repr(new_store()) == f"SQLiteStore({str(home / 'SMSC_STORE')!r})"
    assert new_history(Path("~/SMSC_HISTORY")).path == home / "SMSC_HISTORY"
    added = invoke("accounts", "add", "main", "--login", "alex", "--password-from", "prompt")
    assert (added.code, (home / "SMSC_CONFIG").exists()) == (0, True)
    client = smsc_async.Client.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD": "1", "SMSC_STORE": "~/store"})
    assert str(home / "store") in repr(client._calls.fetcher.store)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setenv("SMSC_STORE", "~nobody-of-that-name/store")
    with pytest.raises(CliError, match="there is no home folder for ~"):
        new_store()
    assert not (tmp_path / "~").exists()


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
        "no answer yet: the service is slow, or the fourth list of a login within a minute waits for its turn"
    )


def test_the_package_can_be_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["smsc-async", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(Path(smsc_async.__file__).with_name("__main__.py")), run_name="__main__")
    assert caught.value.code == 0
    assert "tariffs" in capsys.readouterr().out


def test_without_a_home_folder_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    for name in ("user_state_path", "user_config_path"):
        monkeypatch.setattr(platformdirs, name, fails)
    for name in ("SMSC_STORE", "SMSC_HISTORY", "SMSC_CONFIG"):
        monkeypatch.setenv(name, "")
    with pytest.raises(CliError, match="set SMSC_STORE to the path of a file"):
        new_store()
    with pytest.raises(CliError, match="set SMSC_HISTORY to the path of a file"):
        new_history(Path())
    assert not new_history(None, is_needed=False).path.exists()
    assert invoke("accounts", "list").code == 0
    ran = invoke("status")
    assert (ran.code, "set SMSC_STORE to the path of a file" in " ".join(ran.stdout.split())) == (0, True)
    ran = invoke("accounts", "add", "main", "--login", "alex", "--password-from", "prompt")
    assert (ran.code, "set SMSC_CONFIG to the path of a file" in ran.stderr) == (14, True)
    assert "SMSC_CONFIG is not set" in invoke("tariffs", "main").stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "config.toml"]


def test_nothing_is_made_before_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SMSC_STORE", "SMSC_HISTORY", "SMSC_CONFIG"):
        monkeypatch.delenv(name)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "list.json").write_bytes(render(sample_tariffs(), Format.JSON))
    for arguments in (
        ("parts", "a"), ("status",), ("accounts", "list"), ("history",), ("tariffs", "nobody"),
        ("diff", str(tmp_path / "list.json"), str(tmp_path / "list.json")), ("price", "--operator", "nobody"),
    ):  # fmt: skip
        assert invoke(*arguments).code in {0, 2}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("XDG")]


def test_a_store_may_be_a_server_as_for_clients_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_STORE", "redis://:hunter2@127.0.0.1/0")
    with pytest.raises(CliError, match="SMSC_PEPPER must have 16 characters") as caught:
        new_store()
    assert caught.value.code is ExitCode.STORE
    monkeypatch.setenv("SMSC_PEPPER", "a long random text")
    assert repr(new_store()) == "RedisStore('127.0.0.1:6379')"


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize("command", [("tariffs",), ("watch", "--once"), ("accounts", "check")])
def test_a_store_whose_extra_is_missing_is_explained(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.setenv("SMSC_STORE", "redis://127.0.0.1")
    monkeypatch.setenv("SMSC_PEPPER", "a long random text")
    monkeypatch.setitem(sys.modules, "smsc_async.stores.redis.nodes", None)
    ran = invoke(*command)
    assert (ran.code, simulator.log) == (2, [])
    assert ran.stderr.endswith('smsc-async: RedisStore needs redis-py: pip install "smsc-async[redis]"\n')
