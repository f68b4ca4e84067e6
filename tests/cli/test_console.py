from __future__ import annotations

import io
import sys

import pytest

from smsc_async.cli.console import dash, notes, output, progress, show
from smsc_async.cli.table import Column, Table
from tests.cli.running import Terminal


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def table_of(text: str, style: str) -> Table:
    return Table([Column()], [((text, style),)])


def test_a_pipe_has_80_columns_unless_columns_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert output().width == 80
    monkeypatch.setenv("COLUMNS", "123")
    assert output().width == 123


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show(output(), table_of("yes", "green"))
    assert "\x1b[" in terminal.getvalue()


def test_no_color_leaves_no_escape_code_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    show(output(), table_of("yes", "bold green"))
    assert terminal.getvalue() == "yes\n"


def test_a_reader_who_has_gone_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        output().print("anything")


def test_an_encoding_without_a_dash_gets_a_hyphen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert dash(output()) == "-"


def test_progress_is_a_line_in_a_pipe_and_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress(notes(), "lists", 2) as advance:
        advance()
    assert capsys.readouterr() == ("", "lists …\n")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(notes(), "lists", 2) as advance:
        advance()
        advance()
    assert "2/2" in stream.getvalue()
