"""Runs commands in forks of one process: most of the time of a command is the start of Python, which is needed once.

    python -m tests.cli.forked_commands RESULT PORT COMMANDS

The commands are JSON, ``demo`` among them; variables such as ``NAME=value`` may come first. A simulator gets the port, and Ctrl-C once it
answers there. RESULT gets the exit codes as JSON: standard output may be closed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from importlib import import_module
from itertools import dropwhile
from pathlib import Path

import anyio
import typer

from smsc_async.cli.app import COMMANDS, run

# Import here what the commands import lazily, so that no fork has to.
for name in COMMANDS:
    import_module(f"smsc_async.cli.{name}")
for name in ("history.watch", "http.send", "stores.sqlite.store"):
    import_module(f"smsc_async.{name}")
anyio.run(anyio.sleep, 0)
any_command = typer.Typer()


@any_command.command()
def count(number: int) -> int:
    return number


any_command(["1"], standalone_mode=False)  # typer imports pydantic when it reads the first parameter

VARIABLE = re.compile("[A-Z_]+=")


def start(command: list[str]) -> int:
    process = os.fork()
    if process:
        return process
    words = list(dropwhile(VARIABLE.match, command))
    for variable in command[: len(command) - len(words)]:
        name, _, os.environ[name] = variable.partition("=")
    sys.argv[:] = ["smsc-async", *words]
    sys.modules["__main__"].__package__ = ""  # a program of that name, and not a module of a package
    code = 0
    try:
        run()
    except SystemExit as ended:
        code = int(ended.code or 0)
    # As at the end of a process, whose buffers are Python's to write.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def interrupt(process: int, port: int) -> None:
    due = time.monotonic() + 60
    while time.monotonic() < due:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    time.sleep(0.2)  # until it has its handlers
    os.kill(process, signal.SIGINT)


def main(result: str, port: str, commands: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    codes: list[int] = []
    demo = start(["demo"])  # which waits more than it works
    for command in json.loads(commands):
        process = demo if command == ["demo"] else start(command)
        if command[0] == "simulator":
            interrupt(process, int(port))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    Path(result).write_text(json.dumps(codes), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
