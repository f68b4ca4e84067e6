"""What an import costs, in a fresh interpreter each time."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from benchmarks.pairing import Line, in_turns

TITLE = "Import, interpreter included"
# httpx loads these for its command where it finds them; most who import it have not got them.
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments'))); "
THEIRS = "import httpx"
OURS = {"from smsc_async import Client": "≤ 1.15", "from smsc_async import decode": ""}


def seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", WITHOUT + statement], check=True)
    return time.perf_counter() - began


def run(rounds: int) -> list[Line]:
    statements = [*OURS, THEIRS]
    taken = in_turns({each: partial(seconds, each) for each in statements}, 2 * rounds if rounds >= 5 else 1)
    return [taken.line(each, each, THEIRS, aim=aim) for each, aim in OURS.items()]
