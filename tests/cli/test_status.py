"""``status``: what it shows of accounts, quotas, lockouts and files, and that it changes nothing."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smsc_async import Account, Client, SQLiteStore
from smsc_async.simulator import Simulator
from tests.cli.running import environment, invoke
from tests.stores.redis_server import RedisServer


def status(*arguments: str) -> Any:
    ran = invoke("status", *arguments, "-o", "json")
    assert (ran.code, ran.stderr) == (0, ""), ran
    return json.loads(ran.stdout)


def of_accounts(member: str) -> dict[str, Any]:
    return {each["account"]: each[member] for each in status()["accounts"]}


def files_in(folder: Path) -> dict[Path, tuple[int, bytes]]:
    # Memory that the users of a database share is no content.
    paths = (path for path in folder.iterdir() if not path.name.endswith("-shm"))
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def configure(config: Path, **accounts: str) -> None:
    tables = (f"[accounts.{name}]\n{members}\n" for name, members in accounts.items())
    config.write_text("\n".join(tables), "utf-8")


def test_status_shows_where_everything_is_and_never_a_password(
    plain_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PW", "s3cret")
    configure(
        plain_environment,
        main='login = "alex"\npassword_from = "env:PW"',
        other='login = "boris"\npassword_from = "env:NOT_SET"',
    )
    (tmp_path / "history.sqlite3").write_bytes(b"12345")
    document = status()
    assert [(each["account"], each["password_from"]) for each in document["accounts"]] == [
        ("main", "env:PW"),
        ("other", "env:NOT_SET"),
    ]
    assert document["accounts"][1]["problem"] == "NOT_SET is not set: it is to hold the password of 'other'"
    assert document["store"] == {"path": str(tmp_path / "store.sqlite3"), "bytes": None, "problem": None}
    assert document["history"] == {"path": str(tmp_path / "history.sqlite3"), "bytes": 5, "problem": None}
    for arguments in (("status",), ("status", "main", "-o", "json"), ("accounts", "list", "-o", "csv")):
        ran = invoke(*arguments)
        assert ran.code == 0
        assert "s3cret" not in ran.stdout + ran.stderr
    assert "does not exist yet" in invoke("status").stdout
    assert "no accounts" in invoke("status", env={"SMSC_CONFIG": "/dev/null"}).stdout
    assert invoke("status", "--columns", "acount").code == 2
    assert invoke("status", "--columns", "login", "-o", "tsv").stdout == "login\nalex\nboris\n"
    assert not (tmp_path / "store.sqlite3").exists()


def test_a_store_that_does_not_exist_yet_means_the_full_quota_and_is_not_created(
    both: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_in(tmp_path)
    assert of_accounts("remaining") == {"mine": 3, "theirs": 3}
    monkeypatch.setenv("SMSC_STORE", str(tmp_path / "no" / "such" / "folder" / "store"))
    monkeypatch.setenv("SMSC_HISTORY", str(tmp_path / "neither" / "history"))
    assert of_accounts("next_in") == {"mine": 0, "theirs": 0}
    assert files_in(tmp_path) == before


def test_what_other_commands_have_used_is_shown_and_nothing_is_taken(
    both: None, simulator: Simulator, tmp_path: Path
) -> None:
    for _ in range(3):
        assert invoke("tariffs", "mine", "--fresh", "-o", "csv").code == 0
    before, sent = files_in(tmp_path), len(simulator.log)
    for _ in range(3):
        assert of_accounts("remaining") == {"mine": 0, "theirs": 3}
    in_seconds = of_accounts("next_in")
    assert 30 < in_seconds["mine"] <= 61
    assert in_seconds["theirs"] == 0
    table = invoke("status").stdout.splitlines()
    assert table[0].split() == ["account", "login", "base_url", "password_from", "remaining", "next_in"]
    assert [line.split()[-2] for line in table[2:4]] == ["0", "3"]
    rows = invoke("status", "-o", "csv", "--columns", "account,remaining,next_in").stdout.splitlines()
    assert (rows[0], rows[2]) == ("account,remaining,next_in", "theirs,3,0")
    assert files_in(tmp_path) == before
    assert len(simulator.log) == sent


def test_a_store_in_use_is_read_with_what_is_not_in_its_file_yet(both: None, base_url: str, tmp_path: Path) -> None:
    async def look_during_the_use() -> dict[str, int]:
        path = tmp_path / "store.sqlite3"
        async with SQLiteStore(path) as store, Client(Account("alex", "123"), base_url=base_url, store=store) as client:
            await client.tariffs()
            assert path.with_name("store.sqlite3-wal").stat().st_size
            before = files_in(tmp_path)
            remaining = await asyncio.to_thread(of_accounts, "remaining")
            assert files_in(tmp_path) == before
        return remaining

    assert asyncio.run(look_during_the_use()) == {"mine": 2, "theirs": 3}


def test_what_a_killed_command_has_left_is_shown(both: None, base_url: str, tmp_path: Path) -> None:
    program = """
import asyncio, os, signal, sys
from smsc_async import Account, Client, SQLiteStore
async def main():
    async with Client(Account("alex", "123"), base_url=sys.argv[1], store=SQLiteStore(sys.argv[2])) as client:
        await client.tariffs()
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    path = tmp_path / "store.sqlite3"
    killed = subprocess.run([sys.executable, "-c", program, base_url, path], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("store.sqlite3-wal").stat().st_size
    assert of_accounts("remaining") == {"mine": 2, "theirs": 3}


def test_files_that_cannot_be_written_are_enough(both: None, tmp_path: Path) -> None:
    assert invoke("tariffs", "mine", "-o", "csv").code == 0
    before = files_in(tmp_path)
    try:
        for path in before:
            path.chmod(0o400)
        tmp_path.chmod(0o500)
        assert of_accounts("remaining") == {"mine": 2, "theirs": 3}
    finally:
        tmp_path.chmod(0o700)
    assert files_in(tmp_path) == before


def test_a_lockout_comes_with_its_cause_and_its_end(
    both: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("A", "wrong")
    assert invoke("tariffs", "mine").code == 4
    ((refused,), theirs) = of_accounts("lockouts").values()
    assert theirs == []
    assert (refused["cause"], refused["login"]) == ("credentials", "alex")
    assert 2600 < refused["seconds"] <= 2700
    end = datetime.fromisoformat(refused["until"])
    assert abs(end - datetime.now(UTC) - timedelta(seconds=2700)) < timedelta(seconds=60)
    sentence = f"not sent until {end:%Y-%m-%d %H:%M} UTC: the service refused these credentials"
    assert sentence in invoke("status", "-o", "csv", "--columns", "lockouts").stdout
    assert f"mine  {sentence}" in " ".join(invoke("status", env={"COLUMNS": "200"}).stdout.splitlines())
    # A copy has lost what came after it.
    shutil.copy(tmp_path / "store.sqlite3", tmp_path / "copy.sqlite3")
    shutil.copy(tmp_path / "store.sqlite3.key", tmp_path / "copy.sqlite3.key")
    monkeypatch.setenv("SMSC_STORE", str(tmp_path / "copy.sqlite3"))
    assert {name: [each["cause"] for each in found] for name, found in of_accounts("lockouts").items()} == {
        "mine": ["credentials", "store"],
        "theirs": ["store"],
    }
    assert of_accounts("remaining") == {"mine": 0, "theirs": 0}


def test_an_account_whose_password_cannot_be_read_has_its_row_and_nobody_is_asked(
    both: None, plain_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert invoke("tariffs", "mine", "-o", "csv").code == 0

    def fails(*_: object) -> str:
        raise AssertionError("status asked for a password")

    monkeypatch.setattr(getpass, "getpass", fails)
    base_url = os.environ["SMSC_BASE_URL"]
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "open").write_text("123", "utf-8")
    sources = {
        "prompt": None,
        "stdin": None,
        "keyring": None,
        "env:NOWHERE": "NOWHERE is not set: it is to hold the password of 'a3'",
        f"file:{tmp_path / 'nothing'}": f"{tmp_path / 'nothing'}: No such file or directory",
        f"file:{tmp_path / 'pipe'}": None,
    }
    tables = {
        f"a{number}": f'login = "alex"\nbase_url = "{base_url}"\npassword_from = "{source}"'
        for number, source in enumerate(sources)
    }
    keys = {"k0": "prompt", "k1": "env:NOWHERE"}
    configure(plain_environment, **tables, **{name: f'api_key_from = "{source}"' for name, source in keys.items()})
    assert of_accounts("remaining") == {**dict.fromkeys(tables, 2), **dict.fromkeys(keys)}
    problems = list(of_accounts("problem").values())
    assert problems[:-2] == list(sources.values())
    assert problems[-2:] == [
        "without the key, its quota is unknown",
        "NOWHERE is not set: it is to hold the API key of 'k1'",
    ]


def test_a_store_that_cannot_be_used_is_a_problem_of_the_store_alone(both: None, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite3") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    (tmp_path / "store.sqlite3").chmod(0o600)
    document = status()
    assert [each["remaining"] for each in document["accounts"]] == [None, None]
    assert "a database of another program" in document["store"]["problem"]
    (tmp_path / "store.sqlite3").write_bytes(b"")
    assert of_accounts("remaining") == {"mine": 3, "theirs": 3}
    for name, value in (("SMSC_STORE", "x" * 300), ("SMSC_PEPPER", "short"), ("SMSC_HISTORY", "x" * 300)):
        document = json.loads(invoke("status", "-o", "json", env={name: value}).stdout)
        assert bool(document["store"]["problem"]) == (name != "SMSC_HISTORY")
    broken = {"ALL_PROXY": "http://[", "SMSC_BASE_URL": "https://example.invalid/", "SMSC_LOGIN": "alex"}
    assert "ALL_PROXY" in json.loads(invoke("status", "-o", "json", env=broken).stdout)["store"]["problem"]
    assert invoke("status", env={"SMSC_LOGIN": "  ", "SMSC_PASSWORD": "1"}).code == 0
    (tmp_path / "store.sqlite3").chmod(0o644)
    assert "other users can open the file" in status()["store"]["problem"]


def test_a_store_on_a_server_is_shown_by_its_address(both: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        monkeypatch.setenv("SMSC_STORE", server.url)
        monkeypatch.setenv("SMSC_PEPPER", "a long random text")
        assert status()["store"] == {"path": str(server.socket), "bytes": None, "problem": None}
        waiting = of_accounts("lockouts")
        assert [each["cause"] for each in waiting["mine"]] == ["store"], "a new server waits for a minute"
    monkeypatch.setenv("SMSC_STORE", "redis://:hunter2@127.0.0.1:1/0")
    document = status()
    assert document["store"]["path"] == "127.0.0.1:1"
    assert document["store"]["problem"]
    assert [each["remaining"] for each in document["accounts"]] == [None, None]
    ran = invoke("status")
    assert "127.0.0.1:1; " in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr + str(document)
