"""The CPU time of an import, in a fresh interpreter each time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import attrs

from benchmarks.pairing import Line, in_turns

TITLE = "Import: CPU time, interpreter included"
HTTPX = "import httpx"
CLIENT = "from smsc_async import Client"
STATEMENTS = {
    CLIENT: "≤ 1.5",
    "from smsc_async import decode": "≤ 0.5",
    # What no change of this library can save, because a program that makes a call needs all four.
    "import httpx, attrs, anyio, asyncio": "",
}
# httpx imports these for its command if they are installed. Most programs do not have them.
WITHOUT_COMMAND = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))\n"
COMMAND = ("click", "rich", "pygments")


def cpu_seconds(code: str, cache: str) -> float:
    # An installed package has byte code, whatever this environment says about a checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "PYTHONPYCACHEPREFIX": cache})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(rounds: int) -> list[Line]:
    turns = 3 * rounds if rounds >= 5 else 1
    with TemporaryDirectory() as cache:
        lines = beside_httpx(WITHOUT_COMMAND, "", cache, turns)
        if all(map(find_spec, COMMAND)):
            lines += beside_httpx("", ", with click and rich", cache, turns)
    return lines


def beside_httpx(first: str, note: str, cache: str, turns: int) -> list[Line]:
    statements = [*STATEMENTS, HTTPX]
    for statement in statements:
        cpu_seconds(first + statement, cache)  # writes the byte code
    taken = in_turns({each: partial(cpu_seconds, first + each, cache) for each in statements}, turns)
    return [attrs.evolve(taken.line(each, each, HTTPX, aim=aim), peer=HTTPX + note) for each, aim in STATEMENTS.items()]
