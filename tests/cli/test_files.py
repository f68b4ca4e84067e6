from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from smsc_async.cli import files
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.files import (
    check_output,
    checked_text,
    decoded_text,
    expanded,
    read_bounded,
    replace_file,
    user_folder,
)
from smsc_async.environment import without_line_break


@pytest.fixture
def plain_environment() -> None:
    """No configuration: the folder of a test holds its own files alone."""


@pytest.mark.parametrize(
    "body",
    [b"a\nb", b"a\r\nb", b"\xef\xbb\xbfa\nb", "a\r\nb".encode("utf-16"), b"\xfe\xff" + "a\nb".encode("utf-16-be")],
)
def test_text_is_the_same_however_it_was_saved(body: bytes) -> None:
    assert decoded_text(body, "it") == "a\nb"


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(CliError, match=r"^list\.txt is not text in UTF-8 or UTF-16 \(byte 2\)$"):
        decoded_text(b"a\xff", "list.txt")


@pytest.mark.parametrize(("text", "without"), [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), ("", "")])
def test_the_last_line_break_alone_is_taken_away(text: str, without: str) -> None:
    assert without_line_break(text) == without


@pytest.mark.parametrize("text", ["\udcff", "a\ud800"])
def test_an_argument_that_is_no_text_is_named_and_nothing_else_is_changed(text: str) -> None:
    with pytest.raises(CliError, match=r"^--reader '.*' is not text$") as caught:
        checked_text(text, "--reader")
    assert caught.value.code is ExitCode.USAGE
    assert checked_text("Привет \u202e", "it") == "Привет \u202e"


def test_an_input_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LONGEST", 1 << 20)
    with Path("/dev/zero").open("rb") as endless, pytest.raises(CliError, match=r"^it has more than 1 MiB$"):
        read_bounded(endless, "it")
    assert read_bounded(io.BytesIO(b"x" * (1 << 20)), "it") == b"x" * (1 << 20)


def test_a_home_folder_that_is_not_known_is_an_error_of_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/secret") == tmp_path / "secret"
    with pytest.raises(CliError, match=r"^~nobody-of-that-name/x: there is no home folder for ~$"):
        expanded("~nobody-of-that-name/x")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660])
def test_a_file_that_is_replaced_keeps_its_mode_and_its_links(mode: int, tmp_path: Path) -> None:
    path, link = tmp_path / "page", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(mode)
    link.symlink_to(path)
    replace_file(link, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777, link.is_symlink()) == (b"new", mode, True)
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    replace_file(tmp_path / "page", b"new")
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page"
    path.write_bytes(b"old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


def test_a_device_is_written_to(tmp_path: Path) -> None:
    replace_file(Path(os.devnull), b"new")
    assert not Path(os.devnull).is_file()


def test_an_input_is_no_output_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.touch()
    (tmp_path / "link").symlink_to(path)
    os.link(path, tmp_path / "hard")
    for name in ("list.json", "link", "hard", "../" + tmp_path.name + "/list.json"):
        with pytest.raises(CliError, match="is what this command reads"):
            check_output(tmp_path / name, [tmp_path / "none", path])
    check_output(tmp_path / "new", [path])


def test_without_a_home_there_is_no_folder_of_the_user() -> None:
    def fails(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    assert user_folder(fails) is None
    assert user_folder(lambda name: Path("~") / name) is None
    assert user_folder(lambda name: Path("/home") / name) == Path("/home/smsc-async")
