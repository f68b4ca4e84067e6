"""What a command ends with: the exit codes, and the sentence for each kind of trouble."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import ParamSpec, TypeVar

import attrs
import typer

from smsc_async.errors import (
    AddressBlocked,
    ApiError,
    AuthenticationError,
    DeadlineExceeded,
    DecodeError,
    NotSent,
    QuotaExhausted,
    StoreError,
    TooManyRequests,
    TransportError,
)

P = ParamSpec("P")
T = TypeVar("T")


class ExitCode(IntEnum):
    """What the process ends with; ``docs/commands.md`` has the table."""

    OK = 0
    DIFFERENT = 1
    USAGE = 2
    REFUSED = 3
    AUTHENTICATION = 4
    ADDRESS_BLOCKED = 5
    TOO_MANY_REQUESTS = 6
    DECODE = 7
    TRANSPORT = 8
    DEADLINE = 9
    QUOTA = 10
    BREAKER = 11
    STORE = 12
    NO_PRICE = 13
    FILES = 14
    NOTIFY_FAILED = 15
    FAULT = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


# The more special before what it is a kind of.
_BY_ERROR: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (AuthenticationError, ExitCode.AUTHENTICATION),
    (AddressBlocked, ExitCode.ADDRESS_BLOCKED),
    (TooManyRequests, ExitCode.TOO_MANY_REQUESTS),
    (ApiError, ExitCode.REFUSED),
    (DecodeError, ExitCode.DECODE),
    (DeadlineExceeded, ExitCode.DEADLINE),
    (TransportError, ExitCode.TRANSPORT),
    (QuotaExhausted, ExitCode.QUOTA),
    (StoreError, ExitCode.STORE),
    (NotSent, ExitCode.BREAKER),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (typer.Abort, ExitCode.INTERRUPTED),  # Ctrl-C at a question
    (BrokenPipeError, ExitCode.BROKEN_PIPE),
    (OSError, ExitCode.FILES),
)


@attrs.define(eq=False, slots=False)
class CliError(Exception):
    """A command cannot go on, and the caller can do something about it.

    Attributes:
        message: What happened, then what to do.
        code: The exit code of the process; misuse unless something else happened.
    """

    message: str
    code: ExitCode = ExitCode.USAGE

    def __str__(self) -> str:
        return self.message


def checked(code: ExitCode, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of a function that raises ``ValueError`` for what a user can correct.

    Raises:
        CliError: It raised one.
    """
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        message = str(error)
    # Not in the handler: the frames of the first error may hold a credential.
    raise CliError(message, code)


def sentence_of(error: BaseException) -> str:
    """Return what happened, without the number that Python puts in front of an error of the system."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


def exit_code(error: BaseException) -> ExitCode:
    """Return what the process ends with for an error."""
    if isinstance(error, CliError):
        return error.code
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAULT)
