"""The exit codes, and the page that documents them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smsc_async import errors
from smsc_async.cli.app import COMMANDS
from smsc_async.cli.cli_error import ExitCode, exit_code

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_every_code_is_documented() -> None:
    table = PAGE.read_text("utf-8").partition("## Exit codes")[2].partition("## Limits")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [code.value for code in ExitCode]


def test_every_command_is_documented() -> None:
    told = re.findall(r"^\| `smsc-async (\w+)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ApiError(3, "no data"), ExitCode.REFUSED),
        (errors.ParameterError(1), ExitCode.REFUSED),
        (errors.AuthenticationError(2), ExitCode.AUTHENTICATION),
        (errors.AddressBlocked(4), ExitCode.ADDRESS_BLOCKED),
        (errors.TooManyRequests(9), ExitCode.TOO_MANY_REQUESTS),
        (errors.IncompleteReply("cut"), ExitCode.DECODE),
        (errors.TlsError("untrusted"), ExitCode.TRANSPORT),
        (errors.DeadlineExceeded("late"), ExitCode.DEADLINE),
        (errors.QuotaExhausted(1.0), ExitCode.QUOTA),
        (errors.CircuitOpen(1.0), ExitCode.BREAKER),
        (errors.CredentialsRefused(), ExitCode.AUTHENTICATION),
        (errors.StoreNotReady("restarted"), ExitCode.STORE),
        (errors.StoreError("gone"), ExitCode.STORE),
        (ValueError("a fault of ours"), ExitCode.FAULT),
    ],
)
def test_every_error_of_the_library_has_a_code(error: Exception, code: ExitCode) -> None:
    assert exit_code(error) is code
