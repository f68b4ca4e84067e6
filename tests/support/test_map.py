"""``tests/README.md`` is a map: every module of the package is on it, and every path on it exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.doc_examples import ROOT

MAP = ROOT / "tests" / "README.md"
PACKAGE = ROOT / "smsc_async"


def missing_paths(text: str) -> list[str]:
    paths = re.findall(r"`((?:tests|smsc_async|benchmarks)/[\w./-]*)`", text)
    return sorted({path for path in paths if not (ROOT / path).exists()})


def modules_on(text: str) -> set[str]:
    """The names in the first column of the table of modules."""
    table = text.partition("| module | tests |\n")[2].partition("\n\n")[0]
    return {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def parts_of(package: Path) -> set[str]:
    """The modules and folders at the top of a package."""
    return {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def test_every_path_on_the_map_exists() -> None:
    assert missing_paths(MAP.read_text("utf-8")) == []


def test_every_part_of_the_package_is_on_the_map() -> None:
    assert parts_of(PACKAGE) - modules_on(MAP.read_text("utf-8")) == set()


def test_every_promise_is_on_the_map() -> None:
    assert re.findall(r"^\| (P\d+) .*`", MAP.read_text("utf-8"), re.MULTILINE) == [
        f"P{number}" for number in range(1, 11)
    ]


def test_a_path_that_does_not_exist_and_a_module_that_is_left_out_are_noticed() -> None:
    text = "text `tests/conftest.py`, `tests/nothing/`\n| module | tests |\n|---|---|\n| `cli`, `client` | `tests/cli/` |\n\n`report`"
    assert missing_paths(text) == ["tests/nothing/"]
    assert modules_on(text) == {"cli", "client"}
