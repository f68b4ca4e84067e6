"""Every command, as a process of its own, in every environment: its documented exit code, and never a traceback."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from smsc_async.records import Format
from smsc_async.simulator import render, sample_tariffs
from smsc_async.testing import SmscServer
from tests.cli.running import environment
from tests.support.doc_examples import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc, /dev/full and users without an entry in passwd")

# A user of a namespace of its own: it can use what we can, and has no entry in passwd.
AS_NOBODY = "unshare --user --map-user=54321"
PORT = "PORT"
FIRST = ("watch", "--once")
PRICES = ("history", "alex", "--zone", "1")
ADD = ("accounts", "add", "other", "--login", "boris", "--password-from", "prompt")
REMOVE = ("accounts", "remove", "other")
# What each command ends with if nothing is wrong. `watch` comes first: it fetches the list that the others take.
CODES: Mapping[tuple[str, ...], int] = {
    ("tariffs",): 0,
    ("tariffs", "-o", "json"): 0,
    ("tariffs", "-o", "csv"): 0,
    ("price", "--operator", "mts ru"): 0,
    ("parts", "Привет"): 0,
    ("parts", "-"): 0,
    ("compare", "env", "--mix", "latvia=10"): 0,
    ("diff", "new.json", "old.json"): 1,
    ("report", "new.json", "-o", "page.html"): 0,
    ("report", "new.json", "-o", "-"): 0,
    ("history", "alex"): 0,
    PRICES: 0,
    ("status",): 0,
    ("status", "-o", "json"): 0,
    ("status", "-o", "csv"): 0,
    ("accounts", "list"): 0,
    ("accounts", "list", "-o", "json"): 0,
    ADD: 0,
    REMOVE: 0,
    ("accounts", "check", "env"): 0,
    ("accounts", "remove", "nobody"): 2,
    ("simulator", "--port", PORT): 0,
    ("_SMSC_ASYNC_COMPLETE=source_bash",): 0,
    ("_SMSC_ASYNC_COMPLETE=complete_bash", "COMP_WORDS=smsc-async st", "COMP_CWORD=1"): 0,
    ("--help",): 0,
    ("price", "--help"): 0,
    ("no-such-command",): 2,
    ("demo",): 0,
}
WRITES_NO_DATA = {("report", "new.json", "-o", "page.html"), ("simulator", "--port", PORT), ADD, REMOVE}
NO_DATA_CODES = {
    command: 14 if code in {0, 1} and command not in WRITES_NO_DATA else code for command, code in CODES.items()
}
# Without a store nothing is sent; the others work.
SENDS = {
    FIRST, ("tariffs",), ("tariffs", "-o", "json"), ("tariffs", "-o", "csv"), ("price", "--operator", "mts ru"),
    ("compare", "env", "--mix", "latvia=10"), ("accounts", "check", "env"),
}  # fmt: skip


@attrs.frozen
class Environment:
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])
    redirections: str = ""
    codes: Mapping[tuple[str, ...], int] = CODES
    first: int = 0
    is_homeless: bool = False
    program: str = ""


ENVIRONMENTS = {
    "plain": Environment(),
    "ascii": Environment({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "cp1251": Environment({"PYTHONIOENCODING": "cp1251", "PYTHONUTF8": "0"}),
    "dumb terminal": Environment({"TERM": "dumb"}),
    "40 columns": Environment({"COLUMNS": "40"}),
    "200 columns": Environment({"COLUMNS": "200"}),
    "columns that are no number": Environment({"COLUMNS": "²"}),
    "no colour": Environment({"NO_COLOR": "1"}),
    "forced colour": Environment({"FORCE_COLOR": "1", "TERM": "xterm-256color"}),
    "matplotlib's settings": Environment({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "no HOME": Environment({"HOME": ""}),
    "stdin closed": Environment(redirections="<&-"),
    "stdout closed": Environment(redirections=">&-", codes=NO_DATA_CODES),
    "stderr closed": Environment(redirections="2>&-"),
    "all closed": Environment(redirections="<&- >&- 2>&-", codes=NO_DATA_CODES),
    "stdout full": Environment(redirections=">/dev/full", codes=NO_DATA_CODES),
    "stderr full": Environment(redirections="2>/dev/full"),
    "read-only HOME": Environment(
        {"HOME": "/proc"},
        codes={**CODES, **dict.fromkeys(SENDS, 12), ADD: 14, REMOVE: 2, ("history", "alex"): 2, PRICES: 2},
        first=12,
        is_homeless=True,
    ),
    "no entry in passwd": Environment(
        codes={**CODES, **dict.fromkeys(SENDS, 12), ADD: 14, REMOVE: 14, ("history", "alex"): 12, PRICES: 12, ("accounts", "remove", "nobody"): 14},
        first=12,
        is_homeless=True,
        program=AS_NOBODY,
    ),
}  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to which its owner alone can write: a store refuses another."""
    path = Path(tempfile.mkdtemp())
    tariffs = sample_tariffs()
    (path / "new.json").write_bytes(render(tariffs, Format.JSON))
    (path / "old.json").write_bytes(render(attrs.evolve(tariffs, mail=Decimal(9)), Format.JSON))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_command_ends_with_its_code_and_without_a_traceback(name: str, folder: Path) -> None:
    here = ENVIRONMENTS[name]
    if here.program and subprocess.run(["/bin/sh", "-c", f"{here.program} true"], check=False).returncode:
        pytest.skip("this system has no namespaces of users")
    with SmscServer() as server:
        variables = environment(**{**server.env, **here.variables, "PYTHONPATH": str(ROOT)})
        variables = {key: value for key, value in variables.items() if not key.startswith("XDG_")}
        if here.program:
            del variables["HOME"]
        if not here.is_homeless:
            for key, file in (("CONFIG", "config.toml"), ("STORE", "store.db"), ("HISTORY", "history.db")):
                variables[f"SMSC_{key}"] = str(folder / file)
            (folder / "config.toml").touch()
        codes, written = run(here, variables, folder)
    assert codes == {FIRST: here.first, **here.codes}, written
    for sign in ("Traceback", "should not have happened", "Exception ignored", "Warning:", "\x1b[?25", "\x1b[2K"):
        assert sign not in written
    assert "~" not in {path.name for path in folder.iterdir()}, "a folder was made for a home that is not known"


def run(here: Environment, variables: Mapping[str, str], folder: Path) -> tuple[dict[tuple[str, ...], int], str]:
    """Return the exit code of each command, and all that they wrote."""
    # Not among those that the system gives to connections.
    port = str(random.randint(10_000, 30_000))
    commands = [[port if word == PORT else word for word in command] for command in (FIRST, *here.codes)]
    result = folder / "codes"
    arguments = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.cli.forked_commands",
        str(result),
        port,
        json.dumps(commands),
    ]
    process = subprocess.run(
        ["/bin/sh", "-c", f'exec {here.program} "$@" {here.redirections}', "sh", *arguments],
        env=dict(variables),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )
    written = (process.stdout + process.stderr).decode("utf-8", "replace")
    assert process.returncode == 0, written
    return dict(zip((FIRST, *here.codes), json.loads(result.read_text("utf-8")), strict=True)), written
