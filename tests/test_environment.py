"""Clients and accounts of the environment: each variable, each mistake, and no credential in a traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from smsc_async import Account, Client, sync
from smsc_async.testing import SmscServer

LOGIN = {"SMSC_LOGIN": "alex", "SMSC_PASSWORD": "hunter2"}
PEPPER = "a long random text"


def saved(path: Path, body: bytes, mode: int = 0o600) -> str:
    path.write_bytes(body)
    path.chmod(mode)
    return str(path)


@pytest.mark.anyio
async def test_a_client_of_the_environment_asks_the_service_that_it_names(
    smsc_server: SmscServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {**smsc_server.env, "SMSC_STORE": str(tmp_path / "store.db"), "SMSC_PEPPER": PEPPER}
    async with Client.from_env(env) as client:
        assert (await client.tariffs()).zones
    assert (tmp_path / "store.db").exists()
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    async with Client.from_env() as client:
        await client.tariffs()
    assert sync.Client.from_env().tariffs(max_age=600).zones
    assert len(smsc_server.log) == 1


@pytest.mark.parametrize("body", [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\n"])
def test_a_password_or_a_key_may_be_in_a_file(body: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path / "password", body)
    assert Account.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD_FILE": path}) == Account("alex", "hunter2")
    key = Account.from_env({"SMSC_API_KEY_FILE": path, **LOGIN})
    assert key == Account.with_api_key("hunter2", name="alex")


def test_a_mounted_secret_may_be_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"SMSC_LOGIN": "alex", "SMSC_PASSWORD_FILE": saved(tmp_path / "password", b"hunter2", 0o444)}
    with pytest.raises(ValueError, match="others may use it: chmod 600"):
        Account.from_env(env)
    monkeypatch.setattr("smsc_async.environment._MOUNTED", tmp_path)
    assert Account.from_env(env).secret.reveal() == "hunter2"


MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "no account": ({}, "SMSC_LOGIN and SMSC_PASSWORD not set"),
    "both": ({**LOGIN, "SMSC_PASSWORD_FILE": "x"}, "SMSC_PASSWORD and SMSC_PASSWORD_FILE are both set"),
    "password": ({**LOGIN, "SMSC_PASSWORD": "hunter2\n"}, "the password has a line break"),
    "host": ({**LOGIN, "SMSC_BASE_URL": "http://example.com/"}, "SMSC_BASE_URL"),
    "look-alike": ({**LOGIN, "SMSC_BASE_URL": "https://smscеntre.com/sys/"}, "SMSC_BASE_URL must be printable ASCII"),  # noqa: RUF001
    "store": ({**LOGIN, "SMSC_STORE": "mysql://u:hunter2@h/0", "SMSC_PEPPER": PEPPER}, "SMSC_STORE must be a path"),
    "no pepper": ({**LOGIN, "SMSC_STORE": "redis://:hunter2@127.0.0.1/0"}, "SMSC_PEPPER must have 16 characters"),
    "short pepper": ({**LOGIN, "SMSC_STORE": "x.db", "SMSC_PEPPER": "hunter2"}, "SMSC_PEPPER must have 16 characters"),
}


@pytest.mark.parametrize("kind", [Client, sync.Client], ids=["async", "sync"])
@pytest.mark.parametrize(("env", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_names_its_variable_and_shows_no_credential(
    env: dict[str, str], message: str, kind: type[Client | sync.Client]
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        kind.from_env(env)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    assert "hunter2" not in f"{caught.value!r} {[frame.locals for frame in frames]}"


@pytest.mark.parametrize("body", [b"hunter2\xff", b"hunter2" * 1000, b"hunter2\nhunter2"])
def test_a_file_that_holds_no_password_is_refused_and_not_shown(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not text|too long|line break") as caught:
        Account.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD_FILE": saved(tmp_path / "password", body)})
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    assert "hunter2" not in f"{caught.value!r} {[frame.locals for frame in frames]}"
    with pytest.raises(FileNotFoundError):
        Account.from_env({"SMSC_API_KEY_FILE": str(tmp_path / "none")})


def test_a_url_is_a_redis_store() -> None:
    client = Client.from_env({**LOGIN, "SMSC_STORE": "redis://:hunter2@127.0.0.1/0", "SMSC_PEPPER": PEPPER})
    assert repr(client._calls.fetcher.store) == "RedisStore('127.0.0.1:6379')"  # pyright: ignore[reportPrivateUsage]
