from __future__ import annotations

import io
import sys

import pytest

from smsc_async.cli.console import dash, notes, output, progress
from smsc_async.cli.tables import Column, Table, show
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


@pytest.mark.parametrize(
    "variables", [{"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}]
)
def test_a_pipe_has_no_cursor_whatever_its_colours(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with progress(notes(), "lists", 2) as advance:
        advance()
    show(output(), table_of("yes", "green"))
    written = capsys.readouterr()
    assert written.err == "lists …\n"
    assert ("\x1b[32m" in written.out) is ("NO_COLOR" not in variables)


def test_a_dumb_terminal_has_a_line_in_place_of_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with progress(notes(), "lists", 1) as advance:
        advance()
    assert stream.getvalue() == "lists …\n"


@pytest.mark.parametrize(
    ("columns", "width"), [("", 80), ("0", 80), ("-1", 80), ("x", 80), ("²", 80), ("1", 20), ("9" * 30, 1000)]
)
def test_a_width_that_is_none_is_not_taken(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", columns)
    assert output().width == width


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        BrokenPipeError(32, "Broken pipe"),
        ValueError("I/O operation on closed file"),
    ],
)
def test_notes_that_cannot_be_written_are_dropped(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise error

        def flush(self) -> None:
            raise error

    monkeypatch.setattr(sys, "stderr", Full())
    notes().print("anything")
    with progress(notes(), "lists", 1) as advance:
        advance()


@pytest.mark.parametrize("text", ["a\x1b]0;pwn\x07", "a\x9b31m", "a\u202eb", "a\u2028b", "a\nb", "a\rb"])
def test_a_note_is_one_line_that_acts_on_no_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    notes().print(text, soft_wrap=True)
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert written[:-1].isprintable()
