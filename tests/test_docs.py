"""Every Python example of the documentation runs as it stands, and every public name has one."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import smsc_async
from smsc_async import simulator, testing
from smsc_async.stores import Store
from tests.support.doc_examples import DOCS, PAGES, README, ROOT, RUSSIAN_README, Example, examples_of, run
from tests.support.slow import on_loops_in_turn

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


def test_no_example_sends_a_made_up_password_to_the_service() -> None:
    # The service blocks an address at the fifth wrong password, so five readers who try an example would block their office.
    names_a_password = re.compile(r"""Account\(\s*["'][^"']*["'],\s*["']""")
    dangerous = [
        example.name
        for example in [*PROGRAMS, *examples_of(README), *examples_of(RUSSIAN_README)]
        if names_a_password.search(example.code) and re.search(r"\bClient\(", example.code)
        if "SmscServer()" not in example.code
    ]
    assert dangerous == []


@pytest.mark.parametrize(("example", "loop"), on_loops_in_turn(TESTS, lambda example: example.name))
def test_the_tests_of_a_page_pass(
    example: Example, loop: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # pyright: ignore[reportUnknownMemberType]
    # Plugins are found and loaded as in a stranger's project, though in this process some have been imported before.
    warnings = "error\n    ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings =\n    {warnings}\n")
    pytester.makeconftest(f"import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return {loop!r}\n")
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


def test_no_example_of_a_page_is_left_out() -> None:
    fence = re.compile(r"^\s*(?:`{3,}|~{3,})\s*\{?\s*\.?py", re.MULTILINE)
    counts = {page: len(fence.findall(page.read_text("utf-8"))) for page in PAGES}
    assert counts == {page: len(examples_of(page)) for page in PAGES}


# A search ranks headings first.
SEARCHES = {
    "circuit breaker": "concepts",
    "single flight": "concepts",
    "TTL": "concepts",
    "backoff": "concepts",
    "jitter": "concepts",
    "lockout": "lockout",
    "readiness": "kubernetes",
    "Docker": "kubernetes",
    "Kubernetes": "kubernetes",
    "Prometheus": "metrics",
    "proxy": "proxy",
}


@pytest.mark.parametrize(("term", "page"), SEARCHES.items())
def test_a_heading_has_the_term_that_readers_search_for(term: str, page: str) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    assert [each for each in headings if re.search(rf"\b{term}\b", each, re.IGNORECASE)]


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", ["../README", "index", "concepts", "bots", "kubernetes", "several-workers"])
def test_a_page_that_mentions_stores_shows_which_deployment_needs_which(name: str) -> None:
    rows = [line for line in (DOCS / f"{name}.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row for row in rows if "SQLiteStore(" in row]
    assert [row for row in rows if "RedisStore(" in row]


def test_every_name_that_a_page_imports_is_public() -> None:
    lines = re.compile(r"^from smsc_async import (.+)$", re.MULTILINE)
    imported = {
        (page.name, name)
        for page in PAGES
        for names in lines.findall(page.read_text("utf-8"))
        for name in names.split(", ")
    }
    assert imported
    assert [(page, name) for page, name in imported if name not in smsc_async.__all__] == []


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    missing = [name for name in smsc_async.__all__ if f"\n::: smsc_async.{name}\n" not in text]
    assert missing == []


def test_every_public_name_is_in_the_overview() -> None:
    text = (DOCS / "reference" / "overview.md").read_text("utf-8")
    assert sorted(re.findall(r"\[`(\w+)`\]\(\w+\.md#smsc_async\.\1\)", text)) == sorted(smsc_async.__all__)


def lacks_example(doc: str | None) -> bool:
    return not doc or "\nExample:\n" not in inspect.cleandoc(doc) or ">>> " not in doc


def test_every_public_name_has_a_docstring_with_an_example() -> None:
    public = [
        *((smsc_async, name) for name in smsc_async.__all__),
        *((simulator, name) for name in simulator.__all__ if name != "Latency"),  # a union, which holds no docstring
        *((testing, name) for name in testing.__all__),
    ]
    assert [name for module, name in public if lacks_example(getattr(module, name).__doc__)] == []


@pytest.mark.parametrize("doc", [None, "", "Return it.", "Return it.\n\nExample:\n    f()", "Return it. >>> f()"])
def test_a_docstring_without_an_example_is_noticed(doc: str | None) -> None:
    assert lacks_example(doc)


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


def undocumented(name: str, member: object) -> list[str]:
    doc = inspect.getdoc(member)
    if not doc:
        return [f"{name} has no docstring"]
    # An error has the fields of its base class.
    texts = doc + "".join(base.__doc__ or "" for base in getattr(member, "__mro__", ()))
    found: list[str] = []
    for each in floats_of(member):  # every float of the library is a time
        entry = re.search(rf"^ +{each}: (.*(?:\n {{8,}}.*)*)", texts, re.MULTILINE)
        if not entry:
            found.append(f"{name} does not describe {each}")
        elif each != "seconds" and not re.search(r"[Ss]econds|As in ``", entry[1]):
            found.append(f"{name} names no unit for {each}")
    return found


def test_every_public_member_has_a_docstring_that_describes_its_seconds() -> None:
    assert [text for name, member in members() for text in undocumented(name, member)] == []


def test_seconds_without_a_description_or_a_unit_are_noticed() -> None:
    def bare(wait: float) -> None: ...

    def vague(wait: float) -> None:
        """Wait.

        Args:
            wait: How long.
        """

    def exact(wait: float) -> None:
        """Wait.

        Args:
            wait: The time,
                in seconds.
        """

    def silent(wait: float) -> None:
        """Wait."""

    assert undocumented("bare", bare) == ["bare has no docstring"]
    assert undocumented("vague", vague) == ["vague names no unit for wait"]
    assert undocumented("silent", silent) == ["silent does not describe wait"]
    assert undocumented("exact", exact) == []
