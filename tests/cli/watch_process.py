"""The command ``watch`` in processes that may be killed, all forked from one that has everything imported.

    python -m tests.cli.watch_process BASE_URL

Reads lines ``OUTPUT ARGUMENTS``, forks a process for each, which runs the command with its standard output in that file,
and says its pid; a line ``wait PID`` says how it has ended.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

from smsc_async import Client, MemoryStore, Quota
from smsc_async.cli import app, notify, watch
from smsc_async.stores import Store

_FLAGS: Final = os.O_CREAT | os.O_WRONLY | os.O_APPEND


def eager_client(base_url: str, store: Store, deadline: float) -> Client:
    """As many requests as there are rounds, of a service that does not mind."""
    return Client(base_url=base_url, store=store, deadline=deadline, quota=Quota(requests=100_000), retries=0)


class FleetingStore(MemoryStore):
    """A store of one command, which is closed as that of a file is."""

    async def aclose(self) -> None:
        pass


def patch(put: Callable[[object, str, object], None]) -> None:
    """Let a watch send as many requests as it likes, and not wait between the attempts at a webhook."""
    put(watch, "new_client", eager_client)
    put(watch, "new_store", FleetingStore)
    put(notify, "PAUSES", (0.0,))


def _run(output: str, *arguments: str) -> None:
    os.dup2(os.open(output, _FLAGS, 0o600), 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv[1:] = ["watch", *arguments]
    app.run()


if __name__ == "__main__":
    patch(setattr)
    notify.notification_receiver("json://localhost/")
    # What a command imports when it runs, once for all.
    for name in ("httpcore", "trio", "anyio._backends._asyncio", "smsc_async.history.file"):
        import_module(name)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.suppress(SystemExit):
        app.app(["parts", "a text"])
    for line in sys.stdin:
        words = line.split()
        if words[0] == "wait":
            told = os.waitstatus_to_exitcode(os.waitpid(int(words[1]), 0)[1])
        else:
            told = os.fork()
            if not told:
                _run(*words)
        os.write(1, f"{told}\n".encode())
