"""The command ``watch`` in processes that may be killed, all forked from one that has everything imported.

    python -m tests.cli.watch_process

Reads lines of JSON: a process id, or a list of output, errors, variables and arguments. For a list it forks a process, which runs the
command with these variables and with its standard streams in the two files, and writes the process id. For a process id it writes the exit code.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

from smsc_async import Client, MemoryStore, Quota, client
from smsc_async.cli import app, notify, session
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
    put(client, "Client", eager_client)
    put(session, "new_store", FleetingStore)
    put(notify, "PAUSES", (0.0,))


def _run(output: str, errors: str, variables: dict[str, str], *arguments: str) -> None:
    os.environ.update(variables)
    for path, stream in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, _FLAGS, 0o600), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv[1:] = ["watch", *arguments]
    app.run()


if __name__ == "__main__":
    patch(setattr)
    notify.notification_receiver("json://localhost/")
    # What a command imports when it runs, once for all.
    for name in (
        "httpcore",
        "trio",
        "anyio._backends._asyncio",
        "smsc_async.decoder.json_format",
        "smsc_async.history.file",
    ):
        import_module(name)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.suppress(SystemExit):
        app.app(["parts", "a text"])
    gc.freeze()  # the end of a process would otherwise collect all that was imported, for a quarter of a second
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            result = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
        else:
            result = os.fork()
            if not result:
                _run(*request)
        os.write(1, f"{result}\n".encode())
