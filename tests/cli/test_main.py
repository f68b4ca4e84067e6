from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from smsc_async.cli import demo, main
from smsc_async.cli.app import run
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.exit import end_once, write_out
from smsc_async.errors import QuotaExhausted
from tests.cli.running import environment, invoke, spawn


def test_without_the_extra_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "smsc_async.cli.app")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert 'need typer: pip install "smsc-async[cli]"' in capsys.readouterr().err


def test_a_module_of_our_own_that_is_missing_is_not_taken_for_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "smsc_async.cli.app")
    monkeypatch.setitem(sys.modules, "smsc_async.cli.cli_error", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_the_package_runs_as_a_module() -> None:
    ran = spawn("--version")
    assert (ran.code, ran.stdout) == (0, f"smsc-async {version('smsc-async')}\n")


def test_the_entry_point_runs_the_command_that_the_arguments_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["smsc-async", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("smsc-async ")


def test_ctrl_c_while_modules_are_imported_shows_no_traceback() -> None:
    code = (
        "import signal, sys\n"
        "from smsc_async.cli import main\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, timeout=300, check=False)
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT if os.name == "posix" else signal.SIGINT, b"")


def test_no_command_shows_the_help_and_is_misuse() -> None:
    ran = invoke()
    assert ran.code == 2
    assert "demo" in ran.stdout + ran.stderr


def test_an_unknown_option_is_misuse() -> None:
    assert invoke("demo", "--nothing-like-it").code == 2


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("parts", r"parts \[OPTIONS\] \W?TEXT\W?"),
        ("compare", r"compare \[OPTIONS\] \W?ACCOUNT\W?"),
        ("diff", r"diff \[OPTIONS\] \W?OLD\W? \W?NEW\W?"),
        ("report", r"report \[OPTIONS\] \W?ACCOUNT\|\[ACCOUNT=\]FILE\W?"),
        ("watch", r"watch \[OPTIONS\] \W?ACCOUNT\W?"),
    ],
)
def test_the_help_calls_arguments_as_the_documentation_does(command: str, usage: str) -> None:
    # Whether an argument that can be repeated has dots is for the version of typer to say.
    assert re.search(rf"Usage: \S+ {usage}(\.\.\.)? *\n", invoke(command, "--help").stdout)


def test_help_does_not_import_what_only_a_command_needs() -> None:
    told = "import sys; sys.argv[1:] = ['--help']\ntry:\n    from smsc_async.cli import main; main()\nfinally:\n"
    heavy = "{'starlette', 'uvicorn', 'sqlite3', 'smsc_async.simulator'} & set(sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", f"{told}    sys.stderr.write(repr({heavy}))"],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert (ran.returncode, ran.stderr) == (0, "set()")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (QuotaExhausted(42.0), 10, "smsc-async: not sent: this login has used its requests"),
        (CliError("what happened: what to do", ExitCode.NO_PRICE), 13, "smsc-async: what happened: what to do\n"),
        (FileNotFoundError(2, "No such file", "list.json"), 14, "smsc-async: list.json: No such file\n"),
        (OSError(28, "No space left on device"), 14, "smsc-async: No space left on device\n"),
        (OSError("of another kind"), 14, "smsc-async: of another kind\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (typer.Abort(), 130, "interrupted\n"),  # Ctrl-C at a question
        (ZeroDivisionError("of ours"), 70, "ZeroDivisionError: of ours\nrun smsc-async --debug"),
    ],
)
def test_trouble_is_a_sentence_and_an_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(error, monkeypatch, "demo") == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_the_first_signal_ends_a_command_and_those_that_follow_are_ignored() -> None:
    numbers = [signal.SIGTERM, signal.SIGINT]
    before = {number: signal.getsignal(number) for number in numbers}
    handled: list[int] = []
    try:
        end_once(lambda number, _: handled.append(number))
        for number in [*numbers, *numbers]:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert handled == [signal.SIGTERM]


@pytest.mark.parametrize("error", [QuotaExhausted(42.0), ZeroDivisionError("of ours")])
def test_debug_shows_the_traceback(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with(error, monkeypatch, "--debug", "demo")
    assert "Traceback" in capsys.readouterr().err


def run_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    def fails() -> None:
        raise error

    monkeypatch.setattr(demo, "new_simulator", fails)
    monkeypatch.setattr(sys, "argv", ["smsc-async", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    return ended.value.code


def test_a_reader_who_has_seen_enough_is_not_told_anything(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_with(BrokenPipeError(32, "Broken pipe"), monkeypatch, "demo") == 141
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_a_disk_that_is_full_has_one_sentence_and_one_code() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "smsc_async", "parts", "a text"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (14, "smsc-async: No space left on device\n")


def test_what_cannot_be_written_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    led_away: list[int] = []

    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

        def fileno(self) -> int:
            return 4711

    def dup2(_: int, descriptor: int) -> None:
        led_away.append(descriptor)

    monkeypatch.setattr(os, "dup2", dup2)
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space"):
        write_out()
    assert led_away == [4711]


@pytest.mark.parametrize(
    ("command", "code"), [(["parts", "a text"], 14), (["parts", "-"], 14), (["accounts", "list"], 0), (["--help"], 14)]
)
def test_streams_that_are_closed_are_opened(command: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smsc-async", *command])
    opened: list[Any] = []
    plain_open: Any = Path.open

    def open_(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(plain_open(path, *arguments, **options))
        return opened[-1]

    monkeypatch.setattr(Path, "open", open_)
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            run()
        assert ended.value.code == code
    for stream in (sys.stdout, *opened):
        stream.close()


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_no_file_gets_the_number_of_a_stream_that_is_closed(stream: str, tmp_path: Path) -> None:
    number = ["stdin", "stdout", "stderr"].index(stream)
    look = "import os; from smsc_async.cli.exit import open_streams; open_streams(); print(os.open(os.devnull, 0) > 2, file=open('seen', 'w'))"
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {number}>&-', "sh", sys.executable, "-c", look], cwd=tmp_path, check=True
    )
    assert (tmp_path / "seen").read_text() == "True\n"


def test_a_name_of_a_file_acts_on_no_terminal(tmp_path: Path) -> None:
    for name in ("x\x1b]0;pwn\x07.json", "a\nb.json", "\u202ex.json", "\x9b31m"):
        ran = invoke("diff", str(tmp_path / name), "a.json")
        assert ran.code in {2, 14}
        assert ran.stderr[:-1].isprintable()


@pytest.mark.parametrize("shape", [["-o", "json"], ["-o", "table"]])
def test_a_reader_who_has_seen_enough_ends_the_process_quietly(shape: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "smsc_async", "parts", "a text", *shape],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=300) == 141
    assert "Traceback" not in told
    assert "Exception ignored" not in told


NO_TEXT = "\udcff"


@pytest.mark.usefixtures("alex")
@pytest.mark.parametrize(
    "arguments",
    [
        ("tariffs", NO_TEXT),
        ("tariffs", "--zone", NO_TEXT),
        ("tariffs", "--password-from", f"env:{NO_TEXT}"),
        ("price", "--operator", NO_TEXT),
        ("compare", NO_TEXT),
        ("diff", NO_TEXT, "now"),
        ("diff", f"{NO_TEXT}@2026-11-01", "now"),
        ("report", NO_TEXT),
        ("watch", "--once", "--reader", NO_TEXT),
        ("watch", "--once", "--run", NO_TEXT),
        ("watch", "--once", "--webhook", f"https://{NO_TEXT}"),
        ("history", NO_TEXT),
        ("history", NO_TEXT, "--prune", "30d"),
        ("status", NO_TEXT),
        ("accounts", "add", NO_TEXT, "--login", "x", "--password-from", "prompt"),
        ("accounts", "add", "x", "--login", NO_TEXT, "--password-from", "prompt"),
        ("accounts", "add", "x", "--login", "x", "--password-from", f"file:{NO_TEXT}"),
        ("accounts", "add", "x", "--api-key-from", f"env:{NO_TEXT}"),
        ("accounts", "check", NO_TEXT),
        ("accounts", "remove", NO_TEXT),
        ("simulator", "--host", NO_TEXT),
        ("parts", NO_TEXT),
    ],
)
def test_an_argument_in_another_encoding_is_misuse_in_every_command(
    arguments: tuple[str, ...], plain_environment: Path
) -> None:
    ran = invoke(*arguments)
    assert ran.code in {2, 13, 14}, ran
    assert plain_environment.read_bytes() == b""
