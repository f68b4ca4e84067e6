"""The warning about a ``MemoryStore`` in one of several processes: each of them would use the whole quota."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from smsc_async.stores.memory import MemoryStore

_SERVERS: Final = {"fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"}
_WORKERS: Final = re.compile(r"(?<!\S)(?:-w|--workers)[\s=]?(\d+)(?!\S)")

_warned: set[str] = set()


def warn_if_unshared(store: object) -> None:
    """Warn once in a process if its clients use a ``MemoryStore`` although other processes have one as well.

    Args:
        store: The store of a new client.
    """
    count = worker_count(os.environ, sys.argv)
    if not isinstance(store, MemoryStore) or (count == 1 and not store.was_forked_in_use):
        return
    reason = "was forked from one that had used the store" if store.was_forked_in_use else f"is one of {count} workers"
    text = (
        f"MemoryStore is not shared, and this process {reason}: each process counts the quota and the refused passwords by "
        "itself, and together they exceed the limits of the service. Pass SQLiteStore(path) or RedisStore(url) to all clients"
    )
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def worker_count(environment: Mapping[str, str], command: Sequence[str]) -> int:
    """Return how many workers the web server of this process has, as far as its settings show; 1 if they do not.

    Args:
        environment: The environment variables.
        command: ``sys.argv``, which a spawned worker inherits.
    """
    program = Path(command[0] if command else "")
    name = program.parent.name if program.stem == "__main__" else program.stem
    # The command line takes precedence over the environment in all of the servers.
    arguments = " ".join(command[1:]) if name in _SERVERS else ""
    for text in (arguments, environment.get("GUNICORN_CMD_ARGS", ""), f"-w {environment.get('WEB_CONCURRENCY', '')}"):
        if counts := _WORKERS.findall(text):
            return int(counts[-1])
    return 1
