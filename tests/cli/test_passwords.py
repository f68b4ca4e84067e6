"""Passwords from everywhere: what editors and shells add is not part of them, and what cannot be one is refused."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.passwords import account_of, source_problem
from smsc_async.cli.profiles import Profile


def profile_of(source: str) -> Profile:
    return Profile("main", "alex", "https://smscentre.com/sys/", source)


def saved(path: Path, body: bytes, mode: int = 0o600) -> Profile:
    path.write_bytes(body)
    path.chmod(mode)
    return profile_of(f"file:{path}")


@pytest.mark.parametrize(
    ("body", "password"),
    [
        (b"p w", "p w"),
        (b"p w\n", "p w"),
        (b"p w\r\n", "p w"),
        (b"\xef\xbb\xbfp w\r\n", "p w"),
        ("p w\r\n".encode("utf-16"), "p w"),
        ("пароль\n".encode("utf-16-be").join([b"\xfe\xff", b""]), "пароль"),
        (b" p \n", " p "),
    ],
)
def test_a_file_holds_a_password_as_any_editor_saves_it(body: bytes, password: str, tmp_path: Path) -> None:
    assert account_of(saved(tmp_path / "password", body)).secret.reveal() == password


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\n\n", "a line break, a control character"),
        (b"a\nb", "a line break, a control character"),
        (b"a\x1bb", "a line break, a control character"),
        ("a\u2028b".encode(), "a line break, a control character"),
        (b"\xff", "is not text in UTF-8 or UTF-16"),
        (b"a" * 5000, "too long"),
    ],
)
def test_what_can_be_no_password_is_refused_and_not_shown(body: bytes, said: str, tmp_path: Path) -> None:
    profile = saved(tmp_path / "password", body)
    with pytest.raises(CliError, match=said) as caught:
        account_of(profile)
    assert "aaaa" not in str(caught.value)
    assert source_problem(profile) == str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o777])
def test_a_file_that_others_can_use_is_refused(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = saved(tmp_path / "password", b"p", mode)
    with pytest.raises(CliError, match="others may use it: chmod 600") as caught:
        account_of(profile)
    assert caught.value.code is ExitCode.FILES
    monkeypatch.setattr("smsc_async.environment._MOUNTED", tmp_path)
    assert account_of(profile).secret.reveal() == "p"


def test_a_file_that_is_not_there_and_a_pipe_are_files_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        account_of(profile_of(f"file:{tmp_path / 'none'}"))
    missing = tmp_path / "none"
    assert source_problem(profile_of(f"file:{missing}")) == f"{missing}: No such file or directory"
    assert "there is no home folder for ~" in str(source_problem(profile_of("file:~nobody-of-that-name/x")))
    os.mkfifo(tmp_path / "pipe", 0o600)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"p\n",))
    writer.start()
    assert source_problem(profile_of(f"file:{tmp_path / 'pipe'}")) is None
    assert account_of(profile_of(f"file:{tmp_path / 'pipe'}")).secret.reveal() == "p"
    writer.join()


@pytest.mark.parametrize(("value", "said"), [("a\r", "control character"), ("a\nb", "line break"), ("", "is not set")])
def test_the_environment_is_checked_as_files_are(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", value)
    with pytest.raises(CliError, match=said):
        account_of(profile_of("env:PW"))


def test_a_prompt_or_a_keyring_is_no_problem_before_it_is_asked() -> None:
    assert [source_problem(profile_of(source)) for source in ("prompt", "stdin", "keyring")] == [None, None, None]
