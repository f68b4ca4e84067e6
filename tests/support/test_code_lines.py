from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import code_lines
from tests.support.code_lines import PACKAGE, ROOT, core, count, main, modules, reading_path

SOURCE = '''\
"""A module's docstring
of two lines."""

import os  # a comment beside code


# a comment
def f(
    a,

    b,
):
    """A function's docstring."""
    text = """one

    # three of a text: the second line is blank
    """
    return text, a, b, os


async def g():
    r"""Raw
    docstring."""


class A:
    """A class's docstring."""

    b: int = 1; c = 2
    """An attribute's docstring."""
'''


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (SOURCE, 12),
        ("", 0),
        ("# only a comment\n", 0),
        ('"""Only a docstring."""', 0),
        ("x = 1", 1),
        ("x = (\n    1,\n\n    2,  # why\n    # comment\n)\n", 4),
        ('f("text")\n"text".upper()\nx = "text"\n', 3),
        ('if x:\n    pass\nelse:\n    "text"\n', 3),
    ],
)
def test_docstrings_comments_and_blank_lines_are_no_code(source: str, lines: int) -> None:
    assert code_lines.code_lines(source) == lines


def test_the_core_is_the_package_without_its_applications() -> None:
    names = {str(file.relative_to(PACKAGE)) for file in core()}
    assert {"client.py", "fetch/attempts.py", "stores/memory.py", "__init__.py"} <= names
    applications = ("cli/", "report/", "simulator/", "testing/", "history/", "analysis/", "sync.py")
    assert not [name for name in names if name.startswith(applications)]
    assert set(core()) < set(modules())
    assert 0 < count(core()) < count(modules())


def test_the_reading_path_is_the_block_of_the_page() -> None:
    page = "# Title\n\n```python\nx = 1\n```\n\n```reading-path\nsmsc_async/client.py\nsmsc_async/records.py\n```\n\ntext\n"
    assert reading_path(page) == [PACKAGE / "client.py", PACKAGE / "records.py"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("no block", "0 are present"),
        ("```reading-path\nsmsc_async/client.py\n```\n" * 2, "2 are present"),
        ("```reading-path\n```\n", "is empty"),
        ("```reading-path\nsmsc_async/client.py\nsmsc_async/nothing.py\n```\n", r"\['smsc_async/nothing.py'\]"),
        ("```reading-path\nsmsc_async/client.py\nsmsc_async/client.py\n```\n", "each once"),
    ],
)
def test_a_block_that_lists_no_existing_files_is_an_error(page: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        reading_path(page)


def test_the_script_prints_one_line_for_each_file_and_the_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text("x = 1\ny = 2\n# no code\n")
    main([str(tmp_path)])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]


def test_the_script_prints_the_parts_that_have_a_bound(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert f"{count(modules()):,}  package" in capsys.readouterr().out


def test_the_package_stays_within_its_bound() -> None:
    assert count(modules()) <= 13_642, "delete code, or raise the bound with a reason: see CONTRIBUTING.md"


def test_the_root_is_the_repository() -> None:
    assert (ROOT / "pyproject.toml").is_file()
