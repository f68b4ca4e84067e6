"""Whom a watch tells of changes beside standard output: a command, a webhook.

Invariant: neither is handed a credential. A command gets the environment without the variables that hold passwords, as
far as the environment and the configuration file say which those are.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

import anyio

from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.webhook import checked_webhook, post_document
from smsc_async.errors import TransportError

__all__ = ["Tell", "command_of", "webhook_of"]

Tell: TypeAlias = Callable[[bytes, Mapping[str, str]], Awaitable[str | None]]
"""Tells a document, with a few variables that say what it is about; returns why it could not, or ``None``."""

# A command that hangs must not keep the prices from being watched.
RUN_SECONDS: Final = 300.0
# Seconds before another try of a webhook, within a round.
PAUSES: Final = (1.0, 5.0)
_STDERR: Final = 2


def command_of(told: str, secret_variables: Collection[str]) -> Tell:
    """Return what runs a command with the document on its standard input; what it writes goes to standard error.

    Args:
        told: The command, its words told apart as a shell does; no shell runs it.
        secret_variables: The variables that it does not get.

    Raises:
        CliError: There is no such command.
    """
    words = _words(told)
    if shutil.which(words[0]) is None:
        raise CliError(
            f"--run: there is no command {words[0]!r}; no shell is used: name a script for more", ExitCode.USAGE
        )

    async def tell(document: bytes, variables: Mapping[str, str]) -> str | None:
        inherited = {name: value for name, value in os.environ.items() if name not in secret_variables}
        return await _run(words, document, {**inherited, **variables})

    return tell


def webhook_of(url: str) -> Tell:
    """Return what posts the document to a URL, three times at most.

    Raises:
        CliError: It is not an HTTPS URL.
    """
    try:
        checked_webhook(url)
    except ValueError as error:
        refused = str(error)
    else:

        async def tell(document: bytes, _: Mapping[str, str]) -> str | None:
            return await _post(url, document)

        return tell
    raise CliError(f"--webhook: {refused}", ExitCode.USAGE)


def _words(told: str) -> list[str]:
    try:
        words = shlex.split(told)
    except ValueError as error:
        refused = str(error)
    else:
        if words:
            return words
        refused = "it is empty"
    raise CliError(f"--run {told!r}: {refused}", ExitCode.USAGE)


async def _run(words: Sequence[str], document: bytes, environment: Mapping[str, str]) -> str | None:
    # A file in place of a pipe: a command that does not read it, or reads half of it, is none the worse.
    with tempfile.TemporaryFile() as stdin:
        stdin.write(document)
        stdin.seek(0)
        try:
            code = await _ended(words, stdin.fileno(), environment)
        except OSError as error:
            return f"{words[0]} could not be started ({error.strerror})"
    if code is None:
        return f"{words[0]} took more than {RUN_SECONDS:.0f} s and was ended"
    return None if code == 0 else f"{words[0]} ended with {code}"


async def _ended(words: Sequence[str], stdin: int, environment: Mapping[str, str]) -> int | None:
    with anyio.move_on_after(RUN_SECONDS):
        async with await anyio.open_process(
            words, stdin=stdin, stdout=_STDERR, stderr=_STDERR, env=environment
        ) as process:
            return await process.wait()
    return None


async def _post(url: str, document: bytes) -> str | None:
    problem = await _posted(url, document)
    for pause in PAUSES:
        if problem is None or not problem.retryable:
            break
        await anyio.sleep(pause)
        problem = await _posted(url, document)
    return None if problem is None else str(problem)


async def _posted(url: str, document: bytes) -> TransportError | None:
    try:
        await post_document(url, document)
    except TransportError as error:
        return error
    return None
