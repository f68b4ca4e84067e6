"""What `--help` says of each command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from smsc_async.cli.app import app
from tests.cli.running import invoke

ROOT: Any = get_command(app)


def commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name in getattr(group, "commands", ()):
        yield from commands(group.get_command(None, name), (*path, name))


COMMANDS = dict(commands(ROOT, ()))
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]


def help_of(path: tuple[str, ...]) -> str:
    ran = invoke(*path, "--help", env={"COLUMNS": "80"})
    assert ran.code == 0
    return ran.stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_help_has_examples_that_can_be_typed(path: tuple[str, ...]) -> None:
    examples = re.findall(r"^ *smsc-async (.*)$", help_of(path).partition("Examples:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(re.split(r" [<>|] ", example)[0])
        assert tuple(words[: len(path)]) == path
        command = COMMANDS[path]
        # As it parses them, without what the command does.
        command.make_context(" ".join(path), words[len(path) :])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_flags_are_shown_as_flags_and_options_with_what_they_take(path: tuple[str, ...]) -> None:
    text = help_of(path)
    assert "<bool>" not in text
    assert "BOOLEAN" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_list_of_the_commands_of_a_group_cuts_no_line_off(path: tuple[str, ...]) -> None:
    assert not re.search(r"\.\.\.$", help_of(path).partition("Commands:")[2], re.MULTILINE)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_and_argument_has_a_help_text(path: tuple[str, ...]) -> None:
    # Those of its own are in the docstring of the command.
    assert [each.name for each in COMMANDS[path].params if not getattr(each, "help", None)] == []
    assert "Options:\n        " not in help_of(path)


def test_the_help_says_what_excel_does() -> None:
    for path in (("tariffs",), ("compare",), ("diff",)):
        words = " ".join(help_of(path).split())
        assert "Excel changes 03001 and 1-2 when it opens CSV: import it instead" in words
