"""The commands as they look on a terminal of 80 columns, and in a pipe beside it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from smsc_async.testing import Fault, SmscServer
from tests.cli.running import invoke
from tests.cli.terminal import COLUMNS, commands_on_terminal, on_terminal, shown
from tests.support.transcripts import stage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")

COMMANDS = [
    ("tariffs",),
    ("tariffs", "--columns", "zone,name,api"),
    ("price", "--zone", "1", "--operator", "25001", "--count", "1000000"),
    ("compare", "main", "reserve", "--mix", "1=1000"),
    ("diff", "yesterday.json", "yesterday.json"),
    ("diff", "yesterday.json", "today.json"),
    ("parts", "Здравствуйте!"),
    ("price", "--zone", "Atlantis"),
]
HELP = [("--help",), *((name, "--help") for name in ("tariffs", "price", "compare", "diff", "parts", "simulator"))]
PROGRESS = re.compile(r"\x1b\[\?25l.*\x1b\[\?25h\r\x1b\[1A\x1b\[2K", re.DOTALL)
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[34][0-8]")


@pytest.fixture
def cheap_digests() -> None:
    """As they are, since commands in this process and in others share a store."""


@pytest.fixture(autouse=True)
def server(tmp_path: Path) -> Iterator[SmscServer]:
    with stage(tmp_path) as server:
        yield server


def test_a_terminal_shows_what_a_pipe_gets_in_colour_and_nothing_is_cut() -> None:
    Path("today.json").write_text(invoke("tariffs", "-o", "json").stdout, "utf-8")
    for command, written in zip(COMMANDS, commands_on_terminal(*COMMANDS), strict=True):
        piped = invoke(*command)
        screen = shown(written)
        notes = piped.stderr.splitlines()
        assert [line for line in screen if line and line not in notes] == list(filter(None, piped.stdout.splitlines()))
        assert max(map(cell_len, screen)) <= COLUMNS, command
        assert "…" not in "".join(screen), command  # of a price that is cut, or of a progress that is left over
        assert "\x1b" not in piped.stdout + piped.stderr
        assert ("\x1b[" in re.sub(PROGRESS, "", written)) is bool(piped.stdout), command
        assert COLOUR.search(re.sub(PROGRESS, "", written)) or command[0] not in {"compare", "diff"} or not piped.stdout


def test_the_help_fits_the_terminal() -> None:
    for command, written in zip(HELP, commands_on_terminal(*HELP), strict=True):
        screen = shown(written)
        assert "Usage: smsc-async" in screen[0]
        assert max(map(cell_len, screen)) <= COLUMNS, command
        assert "\x1b" not in invoke(*command).stdout


def test_no_color_is_heard_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tariffs, compare, told = commands_on_terminal(("tariffs",), ("compare", "main", "reserve"), ("--help",))
    assert not re.search(r"\x1b\[[0-9;]*m", tariffs + compare)
    assert not COLOUR.search(told)


def test_progress_is_for_the_terminal_alone_and_goes_away() -> None:
    written = on_terminal("/bin/sh", "-c", "smsc-async tariffs > list.txt", code=0)
    assert "fetching the list of env" in written
    left = shown(written)
    assert re.fullmatch("env, fetched at .{19} UTC", left[0])
    assert left[1:] == [""]
    assert Path("list.txt").read_text("utf-8") == invoke("tariffs").stdout


def test_a_password_is_asked_for_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMSC_PASSWORD")
    written = on_terminal(
        "/bin/sh", "-c", "smsc-async price --zone 1 > price.txt", typed=[("password of alex: ", "123\n")], code=0
    )
    assert "123" not in written
    assert "3.85" in Path("price.txt").read_text("utf-8")


def test_ctrl_c_ends_a_command_that_waits_with_a_word(server: SmscServer) -> None:
    server.fail(Fault.hang())
    written = on_terminal("smsc-async", "tariffs", typed=[("fetching the list of env", "\x03")], code=130)
    assert [line.removeprefix("^C") for line in shown(written) if line] == ["interrupted"]
