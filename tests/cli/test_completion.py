"""What the shell offers after the tab key."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import invoke
from tests.cli.terminal import on_terminal
from tests.support.transcripts import stage


def offered(line: str) -> list[str]:
    """What typer offers at the end of the line, by the protocol that its script for bash uses."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    ran = invoke(env={**words, "_SMSC_ASYNC_COMPLETE": "complete_bash"})
    assert (ran.code, ran.stderr) == (0, "")
    return ran.stdout.split()


@pytest.fixture
def accounts(plain_environment: Path) -> None:
    plain_environment.write_text(
        '[accounts.main]\nlogin = "alex"\npassword_from = "prompt"\n[accounts.reserve]\n[accounts."two words"]\n'
        '[accounts."$(reboot)"]\n[accounts."маша"]\n',
        "utf-8",
    )


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("smsc-async tar", ["tariffs"]),
        ("smsc-async tariffs --pass", ["--password-from"]),
        ("smsc-async tariffs -o ", ["table", "json", "csv", "tsv"]),
        ("smsc-async tariffs ", ["main", "reserve", "маша"]),
        ("smsc-async price m", ["main"]),
        ("smsc-async price main", ["main"]),
        ("smsc-async compare main r", ["reserve"]),
        ("smsc-async diff r", ["reserve"]),
        ("smsc-async diff now n", ["now"]),
        ("smsc-async diff ", []),  # the shell offers files
        ("smsc-async diff y", []),
        ("smsc-async report main r", ["reserve"]),
        ("smsc-async report ", []),
    ],
)
def test_commands_options_and_accounts_are_offered(line: str, there: list[str]) -> None:
    assert offered(line) == there


def test_the_account_of_the_environment_is_offered_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("smsc-async tariffs ") == []
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    assert offered("smsc-async tariffs ") == ["env"]


@pytest.mark.parametrize("content", [b"accounts = ", b"\xff", b"accounts = 1", None])
def test_a_file_that_cannot_be_read_offers_nothing_and_says_nothing(
    content: bytes | None, plain_environment: Path
) -> None:
    if content is None:
        plain_environment.unlink()
        plain_environment.mkdir()
    else:
        plain_environment.write_bytes(content)
    assert offered("smsc-async tariffs ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    ran = invoke(env={"_SMSC_ASYNC_COMPLETE": f"source_{shell}"})
    assert f"complete_{shell}" in ran.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "stage").mkdir()
    with stage(tmp_path / "stage"):
        yield


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="there is no bash")
@pytest.mark.usefixtures("reader")
def test_a_tab_in_bash_completes_a_command_and_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PS1", "ready> ")
    typed = [
        ("ready> ", 'eval "$(smsc-async --show-completion)"; echo don""e\n'),
        ("done", "smsc-async tar\t"),
        ("tariffs ", "res\t"),
        ("reserve ", "\x15exit 7\n"),
    ]
    on_terminal("bash", "--norc", "--noprofile", "-i", typed=typed, code=7)
