"""The command transcripts of the pages, run as a reader would run them.

A transcript is a line ``$ command`` in a code block, followed by the command's standard output; with ``2>&1`` in the command,
standard error as well. ``…`` matches anything on its line, and any number of lines on a line of its own. ``^C`` in the last
line ends the command. A command in a block ``sh`` is a transcript without output. A test counts the transcripts, so that none
is left out.

    uv run python -m tests.support.transcripts            # list the transcripts whose output differs from the page
    uv run python -m tests.support.transcripts --write    # write the output to the pages

A page that needs another file or account gets it in ``stage()``.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Final

import anyio
import attrs
import pytest

from smsc_async.analysis.snapshots import Snapshot
from smsc_async.history import History
from smsc_async.records import Format
from smsc_async.simulator import render, sample_tariffs
from smsc_async.testing import SmscServer
from tests.cli.running import Ran, environment, invoke
from tests.support.doc_examples import PAGES, ROOT

__all__ = ["Transcript", "differences_on", "is_as_shown", "rewritten", "run", "stage", "transcripts_of"]

_ANY: Final = "…"
_ENDED: Final = "^C"
_PROMPT: Final = "$ "
_FENCE: Final = re.compile(r"( *)(`{3,}|~{3,}) *(\w*)")
# Characters that a shell interprets. A command without them runs in this process, which is quicker.
_FOR_A_SHELL: Final = re.compile(r"[|&;<>()$`*?\\~#]")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_USUAL_PORT: Final = "8025"
_PATIENCE: Final = 60
_A_MONTH_BEFORE: Final = datetime(2026, 10, 28, tzinfo=UTC)


@attrs.frozen
class Transcript:
    """A command on a page, with the output that the page shows.

    Attributes:
        page: The page.
        line: The line of the command, the first of the page being 1.
        indent: The indentation of the command and of each line of output.
        command: The command.
        shows: The lines of output; ``None`` if the page shows none.
        is_ended: Whether the reader ends the command with Ctrl-C.
    """

    page: Path
    line: int
    indent: str
    command: str
    shows: tuple[str, ...] | None
    is_ended: bool = False

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.command}"

    @property
    def pattern(self) -> str:
        if self.shows is None:
            return "(?s:.*)"
        return "".join(
            "(?:.*\n)*" if line == _ANY else re.escape(line).replace(_ANY, ".*") + "\n" for line in self.shows
        )


def transcripts_of(page: Path, text: str | None = None) -> list[Transcript]:
    """Return the transcripts of a page, or of ``text`` in its place, in order."""
    return [
        transcript
        for first, language, lines in _blocks((page.read_text("utf-8") if text is None else text).splitlines())
        for transcript in _transcripts(page, first, language, lines)
    ]


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each code block: the number of its first line, its language, its lines with their indentation."""
    block: list[str] = []
    fence = language = ""
    for number, line in enumerate([*lines, "the end"], 1):
        found = _FENCE.fullmatch(line) if fence else _FENCE.match(line)
        is_border = found is not None and (not fence or found[2] == fence)
        is_indented = line.startswith("    ") or (bool(block) and not line.strip())
        if not is_border and (fence or is_indented):
            block.append(line)
            continue
        if block:
            yield number - len(block), language, block
        block = []
        fence, language = (found[2], found[3]) if found is not None and not fence else ("", "")


def _transcripts(page: Path, first: int, language: str, lines: Sequence[str]) -> Iterator[Transcript]:
    starts = [place for place, line in enumerate(lines) if line.lstrip().startswith(_PROMPT)]
    for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
        indent, _, command = lines[start].partition(_PROMPT)
        shows = "\n".join(line.removeprefix(indent) for line in lines[start + 1 : end]).rstrip().splitlines()
        is_ended = shows[-1:] == [_ENDED]
        yield Transcript(
            page, first + start, indent, command, tuple(shows[:-1] if is_ended else shows), is_ended=is_ended
        )
    if not starts and language == "sh":
        for place, line in enumerate(lines):
            if line.startswith("smsc-async "):
                yield Transcript(page, first + place, "", line, None)


@contextmanager
def stage(folder: Path) -> Generator[SmscServer]:
    """Set up what the pages assume: an empty home folder, accounts, and a list of yesterday.

    The accounts are those of ``smsc-async simulator``, with the names that the page on commands uses.
    """
    config = folder / "config" / "config.toml"
    config.parent.mkdir()
    dearer = sample_tariffs(Decimal("1.1"))
    work = folder / "work"
    work.mkdir()
    (work / "yesterday.json").write_bytes(render(dearer, Format.JSON))
    with SmscServer() as server, pytest.MonkeyPatch.context() as patch:
        server.add_account("boris", "123", tariffs=dearer)
        config.write_text(
            'default = "main"\n'
            f'[accounts.main]\nlogin = "alex"\npassword_from = "env:SMSC_PASSWORD"\nbase_url = "{server.base_url}"\n'
            f'[accounts.reserve]\nlogin = "boris"\npassword_from = "env:SMSC_PASSWORD"\nbase_url = "{server.base_url}"\n',
            "utf-8",
        )
        plain = environment(**server.env, SMSC_CONFIG=str(config), SMSC_STORE=str(folder / "store.sqlite3"))
        for name in set(os.environ) - set(plain) | {name for name in os.environ if name.startswith("XDG_")}:
            patch.delenv(name)
        for name in ("SMSC_LOGIN", "SMSC_PASSWORD", "SMSC_BASE_URL", "SMSC_CONFIG", "SMSC_STORE", "PYTHONUTF8"):
            patch.setenv(name, plain[name])
        patch.setenv("SMSC_HISTORY", str(folder / "history.sqlite3"))
        patch.setenv("HOME", str(folder))
        patch.setenv("PYTHONWARNINGS", "error")
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.chdir(work)
        # The snapshot that a watch stored and reported yesterday.
        server.set_tariffs(dearer)
        assert invoke("watch", "main", "--once").code == 0
        # It was the same a month before.
        anyio.run(History(folder / "history.sqlite3").add, Snapshot("main", _A_MONTH_BEFORE, dearer))
        server.set_tariffs(sample_tariffs())
        (folder / "store.sqlite3").unlink()
        server.reset()
        yield server


def run(transcript: Transcript) -> Ran:
    """Run a transcript on the stage. A command that runs for a minute is ended as by Ctrl-C."""
    command = transcript.command
    if not transcript.is_ended and not _FOR_A_SHELL.search(_QUOTED.sub("", command)):
        program, *arguments = shlex.split(command)
        if program == "smsc-async":
            with _ended_after(_PATIENCE):
                return invoke(*arguments)
    if re.fullmatch("smsc-async simulator(?!.*--port).*", command):
        # Another test or another program may use the default port.
        command += " --port 0"
    return _run_in_shell(command, lines=max(len(transcript.shows or ()), 1) if transcript.is_ended else None)


@contextmanager
def _ended_after(seconds: int) -> Generator[None]:
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def _run_in_shell(command: str, *, lines: int | None) -> Ran:
    """Run a command until it ends, or until it has written that many lines."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    # As a terminal does: signal the shell and its children.
    interrupt = Timer(_PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    interrupt.start()
    with process:
        assert process.stdout is not None
        first = "".join(process.stdout.readline() for _ in range(lines or 0))
        if lines is not None:
            os.killpg(process.pid, signal.SIGINT)
        rest, stderr = process.communicate()
        interrupt.cancel()
    return Ran(process.returncode, re.sub(r"(?<=//127\.0\.0\.1:)\d+", _USUAL_PORT, first + rest), stderr)


def is_as_shown(transcript: Transcript, ran: Ran) -> bool:
    """Return whether the output is that of the page. A failure that the page does not show is a difference."""
    is_fine = ran.code in {0, 1} or transcript.is_ended or "2>&1" in transcript.command
    return is_fine and re.fullmatch(transcript.pattern, _output(ran)) is not None


def _output(ran: Ran) -> str:
    output = ran.stdout.rstrip("\n")
    return f"{output}\n" if output else ""


def rewritten(text: str, transcript: Transcript, ran: Ran) -> str:
    """Return the text of the page with the command's output in place of the output that the page shows."""
    assert transcript.shows is not None
    lines = text.splitlines()
    output = [f"{transcript.indent}{line}".rstrip() for line in _output(ran).splitlines()]
    lines[transcript.line : transcript.line + len(transcript.shows)] = output
    return "\n".join(lines) + "\n"


def differences_on(page: Path) -> list[tuple[Transcript, Ran]]:
    """Run the transcripts of a page in order, in one folder; return those whose output differs from the page."""
    transcripts = transcripts_of(page)
    if not transcripts:
        return []
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)):
        done = [(transcript, run(transcript)) for transcript in transcripts]
    return [(transcript, ran) for transcript, ran in done if not is_as_shown(transcript, ran)]


def main(arguments: Sequence[str]) -> int:
    """Run the transcripts of all pages, print or write the differences, and return their number."""
    different = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        # From the end of the page, because a replacement moves the lines below it.
        for transcript, ran in reversed(differences_on(page)):
            different += 1
            sys.stdout.write(f"{transcript.name}\n{ran}\n")
            if transcript.shows is not None:
                text = rewritten(text, transcript, ran)
        if "--write" in arguments:
            page.write_text(text, "utf-8")
    return different


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
