"""The receivers of a watch: standard output, a command, a webhook, a notification service.

Invariant: none of them gets a credential of an account. A command gets the environment without the variables that hold
passwords, as far as the environment and the configuration file say which those are.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import select
import shlex
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final

import anyio
import anyio.to_thread
import attrs

from smsc_async.cli.cli_error import CliError, ExitCode, checked
from smsc_async.cli.console import output
from smsc_async.cli.diff import change_lines, change_table, changes_document, counted
from smsc_async.cli.durations import shown
from smsc_async.cli.tables import Table, table_lines
from smsc_async.cli.webhook import Undelivered, checked_webhook, is_final_status, post_document
from smsc_async.display import escape_for_display as displayed
from smsc_async.history.watch import Update

# A command that hangs must not keep later changes from it for ever.
RUN_SECONDS: Final = 300.0
# Seconds before another attempt at a webhook, within a round.
PAUSES: Final = (1.0, 5.0)
# Changes in the text of a notification: services cut or refuse longer ones.
_MOST_LINES: Final = 30
_STDERR: Final = 2
# A pipe that is writable takes as much at once.
_PIECE: Final = getattr(select, "PIPE_BUF", 512)
# Two deliveries at once would read each other's log.
_one_at_a_time: Final = threading.Lock()


@attrs.frozen
class Receiver:
    """Where changes are delivered.

    Attributes:
        option: The option that names it.
        target: What it is, and whose state of delivery it has: another target begins with the list of now.
        deliver: Delivers a change; returns why it could not, or ``None``.
    """

    option: str
    target: str = attrs.field(repr=False)
    deliver: Callable[[Update], Awaitable[Undelivered | None]]


def command_receiver(command: str, secret_variables: Collection[str]) -> Receiver:
    """Return what runs a command with the document on its standard input; its output goes to standard error.

    Args:
        command: Words, separated as in a shell; no shell runs it.
        secret_variables: The variables that it does not get.

    Raises:
        CliError: There is no such command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CliError(f"--run {command!r}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise CliError(f"--run: no command {command!r}; no shell is used: name a script for more")

    async def deliver(update: Update) -> Undelivered | None:
        inherited = {name: value for name, value in os.environ.items() if name not in secret_variables}
        assert update.snapshot is not None
        variables = {
            # With an escape for each letter that the encoding of the locale does not have.
            "SMSC_ACCOUNT": os.fsdecode(update.account.encode(sys.getfilesystemencoding(), "backslashreplace")),
            "SMSC_CHANGES": str(len(update.changes)),
            "SMSC_EVENT_ID": update.event_id,
            "SMSC_TAKEN_AT": update.snapshot.taken_at.isoformat(),
        }
        return await _run(words, changes_document(update), {**inherited, **variables})

    return Receiver("--run", command, deliver)


def webhook_receiver(url: str) -> Receiver:
    """Return what posts the document to a URL, three times at most.

    Raises:
        CliError: It is not an HTTPS URL.
    """
    checked(ExitCode.USAGE, checked_webhook, url)

    async def deliver(update: Update) -> Undelivered | None:
        document = changes_document(update)
        problem = await post_document(url, document, update.event_id)
        for pause in PAUSES:
            if problem is None or problem.is_final or (problem.retry_after or 0) > pause:
                break
            await anyio.sleep(pause)
            problem = await post_document(url, document, update.event_id)
        return problem

    return Receiver("--webhook", url, deliver)


def notification_receiver(url: str) -> Receiver:
    """Return what sends a text to a service that apprise knows: Telegram, Slack, mail and others.

    Raises:
        CliError: The extra is not installed, or apprise does not know the URL.
    """
    try:
        # What apprise imports warns of modules that a later Python drops.
        with warnings.catch_warnings(action="ignore"), _apprise_log():
            apprise: Any = import_module("apprise")
            service: Any = apprise.Apprise()
            known = service.add(url)
    except ModuleNotFoundError:
        reason = 'it needs an extra: pip install "smsc-async[notify]"'
    else:
        if known:
            return Receiver("--notify", url, partial(_notify, service, url.partition(":")[0]))
        # Not the URL, which holds a token.
        reason = "apprise does not know this URL; see its list of services"
    raise CliError(f"--notify: {reason}")


async def _notify(service: Any, scheme: str, update: Update) -> Undelivered | None:
    lines = change_lines(update.changes[:_MOST_LINES])
    more = len(update.changes) - len(lines)
    body = "\n".join([*lines, *([f"and {more} more"] if more else [])])

    def send() -> Undelivered | None:
        with _apprise_log() as log:
            title = f"{update.account}: {counted(update.changes)}"
            # As text: a service that wants HTML or Markdown gets it escaped.
            if service.notify(title=title, body=body, body_format="text"):
                return None
        # apprise returns whether it delivered, and only logs why not. A status that is logged in another way is no final refusal.
        statuses = re.findall(r"\berror=(\d{3})\b", log.getvalue())
        reason = f"{scheme}:… did not take it"
        if not statuses:
            return Undelivered(reason)
        return Undelivered(f"{reason} (status {statuses[-1]})", is_final_status(int(statuses[-1])))

    return await anyio.to_thread.run_sync(send)


@contextlib.contextmanager
def _apprise_log() -> Generator[io.StringIO]:
    """Give what apprise logs meanwhile, which is not shown, since it may quote the URL."""
    log = io.StringIO()
    handler, logger = logging.StreamHandler(log), logging.getLogger("apprise")
    with _one_at_a_time:
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield log
        finally:
            logger.propagate = True
            logger.removeHandler(handler)


async def _run(words: Sequence[str], document: bytes, environment: Mapping[str, str]) -> Undelivered | None:
    # A file in place of a pipe: a command that does not read it, or reads half of it, is none the worse.
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(document)
            stdin.seek(0)
            process = await anyio.open_process(words, stdin=stdin, stdout=_STDERR, stderr=_STDERR, env=environment)
    except OSError as error:
        return Undelivered(f"{words[0]} could not be started ({error.strerror})")
    with anyio.move_on_after(RUN_SECONDS):
        async with process:  # ends the process if time is over
            code = await process.wait()
            return None if code == 0 else Undelivered(f"{words[0]} ended with {code}")
    return Undelivered(f"{words[0]} took more than {RUN_SECONDS:.0f} s and was ended")


def stdout_receiver(*, as_json: bool, end: Callable[[OSError], None] | None) -> Receiver:
    """Return what writes changes to standard output, each whole before that of another account.

    Args:
        as_json: Whether changes are written as lines of JSON.
        end: Ends the command if the reader has ended.
    """
    lock = anyio.Lock()

    async def deliver(update: Update) -> Undelivered | None:
        data = changes_document(update) if as_json else await anyio.to_thread.run_sync(_table_of, update)
        try:
            async with lock:
                sys.stdout.flush()
                raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
                while data:
                    # A full pipe must not block the rounds. Files cannot be waited for, and never block.
                    with contextlib.suppress(OSError, NotImplementedError):
                        await anyio.wait_writable(sys.stdout.fileno())
                    data = data[raw.write(data[:_PIECE]) or 0 :]
        except OSError as error:
            if end is not None and isinstance(error, BrokenPipeError):
                end(error)
            return Undelivered(f"{error.strerror or error}")
        return None

    return Receiver("standard output", "", deliver)


def _table_of(update: Update) -> bytes:
    assert update.before is not None
    assert update.snapshot is not None
    out = output()
    since, until = shown(update.before.taken_at), shown(update.snapshot.taken_at)
    title = Table([], title=f"{displayed(update.account)}: {counted(update.changes)} between {since} and {until} UTC")
    lines = [*table_lines(out, title), "", *table_lines(out, change_table(update.changes, out)), "", ""]
    return "\n".join(lines).encode(sys.stdout.encoding, "replace")
