"""Every Python example of the documentation runs as it stands, and every public name has one."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import smsc_async
from smsc_async import simulator, testing
from smsc_async.stores import Store
from tests.support.doc_examples import DOCS, PAGES, README, ROOT, Example, examples_of, run

EXAMPLES = [each for page in PAGES if page != README for each in examples_of(page)]
PROGRAMS = [each for each in EXAMPLES if not each.is_test and each.includes is None]
TESTS = [each for each in EXAMPLES if each.is_test]
INCLUDED = [each for each in EXAMPLES if each.includes is not None]


@pytest.mark.parametrize("example", PROGRAMS, ids=lambda example: example.name)
def test_an_example_prints_what_the_page_says(
    example: Example, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(example)
    assert re.fullmatch(example.pattern, capsys.readouterr().out)


@pytest.mark.parametrize("example", TESTS, ids=lambda example: example.name)
def test_the_tests_of_a_page_pass(example: Example, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # pyright: ignore[reportUnknownMemberType]
    # Plugins are found and loaded as in a stranger's project, though in this process some have been imported before.
    warnings = "error\n    ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings =\n    {warnings}\n")
    pytester.makepyfile(example.code)
    result = pytester.runpytest("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}, result.stdout.str()
    assert outcomes["passed"] >= len(re.findall(r"^(?:async )?def test_", example.code, re.MULTILINE))


@pytest.mark.parametrize("example", INCLUDED, ids=lambda example: example.name)
def test_a_file_on_a_page_is_one_that_the_tests_run(example: Example) -> None:
    assert example.includes is not None
    assert example.includes.is_file()
    assert example.includes.is_relative_to(ROOT / "examples")  # tests/examples/ sees to it that each of them is run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_example_of_a_page_is_left_out(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(re.findall(r"^\s*(?:`{3,}|~{3,})\s*\{?\s*\.?py", text, re.MULTILINE)) == len(examples_of(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_name_that_a_page_imports_is_public(page: Path) -> None:
    for names in re.findall(r"^from smsc_async import (.+)$", page.read_text("utf-8"), re.MULTILINE):
        assert set(names.split(", ")) <= set(smsc_async.__all__)


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    missing = [name for name in smsc_async.__all__ if f"\n::: smsc_async.{name}\n" not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *((smsc_async, name) for name in smsc_async.__all__),
        *((simulator, name) for name in simulator.__all__ if name != "Latency"),  # a union, which holds no docstring
        *((testing, name) for name in testing.__all__),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_public_name_has_a_docstring_with_an_example(module: ModuleType, name: str) -> None:
    doc = getattr(module, name).__doc__
    assert doc
    assert "\nExample:\n" in inspect.cleandoc(doc)
    assert ">>> " in doc


def members() -> list[tuple[str, object]]:
    """The public functions, and the methods and properties of the public classes that are not between the library and
    its stores."""
    found: list[tuple[str, object]] = []
    for name in smsc_async.__all__:
        value = getattr(smsc_async, name)
        found.append((name, value))
        if inspect.isclass(value):
            found += [
                (f"{name}.{member}", getattr(value, member))
                for member, raw in vars(value).items()
                if not (member.startswith("_") or hasattr(Store, member))
                and isinstance(raw, classmethod | property) | inspect.isfunction(raw)
            ]
    return found


def floats_of(member: object) -> list[str]:
    if member is smsc_async.SmscError or member is smsc_async.NotSent or not callable(member):
        return []  # a signature of the language's own, or none
    parameters = inspect.signature(member).parameters.values()
    return [each.name for each in parameters if re.search(r"\bfloat\b", str(each.annotation))]


@pytest.mark.parametrize(("name", "member"), members(), ids=[name for name, _ in members()])
def test_what_is_public_is_told_with_its_seconds(name: str, member: object) -> None:
    doc = inspect.getdoc(member)
    assert doc
    # An error has the fields of the one above it.
    told = doc + "".join(base.__doc__ or "" for base in getattr(member, "__mro__", ()))
    for each in floats_of(member):  # every float of the library is a time
        said = re.search(rf"^ +{each}: (.*(?:\n {{8,}}.*)*)", told, re.MULTILINE)
        assert said, f"{name} does not tell what {each} is"
        assert each == "seconds" or re.search(r"[Ss]econds|As in ``", said[1]), f"{name} tells no unit of {each}"
