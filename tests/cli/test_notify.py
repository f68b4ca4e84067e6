"""Whom a watch tells: a command in a process of its own, a webhook on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from smsc_async.cli import notify as telling
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.notify import command_of, webhook_of
from smsc_async.errors import TransportError

pytestmark = pytest.mark.anyio


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "a script.py"
    path.write_text(code, "utf-8")
    return f"'{sys.executable}' '{path}' 'one word' $HOME;"


async def test_a_command_gets_document_and_variables_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    code = "import os, sys; print(sys.stdin.read(), sys.argv[1:], sorted({'SMSC_PASSWORD', 'SMSC_LOGIN', 'SMSC_ACCOUNT'} & {*os.environ}))"
    tell = command_of(script(tmp_path, code), {"SMSC_PASSWORD"})
    assert await tell(b'{"a": 1}', {"SMSC_ACCOUNT": "main"}) is None
    told = capfd.readouterr()
    assert told.out == ""  # which is for data
    assert told.err.strip() == "{\"a\": 1} ['one word', '$HOME;'] ['SMSC_ACCOUNT', 'SMSC_LOGIN']"


async def test_a_command_may_leave_the_document_unread(tmp_path: Path) -> None:
    tell = command_of(script(tmp_path, "import sys; sys.stdin.close()"), ())
    assert await tell(b"x" * 2_000_000, {}) is None


async def test_a_command_that_fails_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await command_of(script(tmp_path, "raise SystemExit(3)"), ())(b"", {}) == f"{sys.executable} ended with 3"
    monkeypatch.setattr(telling, "RUN_SECONDS", 0.2)
    hanging = command_of(script(tmp_path, "import time; time.sleep(600)"), ())
    with anyio.fail_after(60):
        assert await hanging(b"", {}) == f"{sys.executable} took more than 0 s and was ended"


async def test_a_command_that_went_away_is_told(tmp_path: Path) -> None:
    path = tmp_path / "command"
    path.write_text("#!/no/such/shell\n", "utf-8")
    path.chmod(0o700)
    assert await command_of(str(path), ())(b"", {}) == f"{path} could not be started (No such file or directory)"


@pytest.mark.parametrize(("told", "why"), [("nothing-like-it", "no command"), ("'", "No closing"), ("  ", "empty")])
def test_what_is_no_command_is_told_at_once(told: str, why: str) -> None:
    with pytest.raises(CliError, match=why):
        command_of(told, ())


def test_what_is_no_webhook_is_told_at_once() -> None:
    with pytest.raises(CliError, match="--webhook: a webhook is an https:// URL"):
        webhook_of("nonsense")


@pytest.mark.parametrize(
    ("outcomes", "asked", "said"),
    [
        ([None], 1, None),
        ([TransportError("busy"), None], 2, None),
        ([TransportError("busy")] * 3, 3, "busy"),
        ([TransportError("not found", retryable=False)], 1, "not found"),
    ],
)
async def test_a_webhook_is_tried_again_where_that_may_help(
    outcomes: list[TransportError | None], asked: int, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[bytes] = []

    async def post(_: str, document: bytes) -> None:
        posted.append(document)
        outcome = outcomes[len(posted) - 1]
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(telling, "post_document", post)
    monkeypatch.setattr(telling, "PAUSES", (0.0, 0.0))
    assert await webhook_of("https://hooks.example/")(b"{}", {}) == said
    assert posted == [b"{}"] * asked
