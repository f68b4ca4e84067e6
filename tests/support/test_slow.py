from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.slow import is_exhaustive, is_slow, stale


def test_every_entry_names_a_module_or_a_test_that_exists() -> None:
    assert stale() == [], "rename or remove these entries of tests/support/slow.py"


def test_an_entry_without_a_module_or_a_test_is_stale(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_one() -> None: ...\n")
    entries = [
        "test_it.py",
        "test_it.py::test_one",
        "test_it.py::test_on",
        "test_it.py::test_one_more",
        "test_other.py",
    ]
    assert stale(entries, tests=tmp_path) == ["test_it.py::test_on", "test_it.py::test_one_more", "test_other.py"]


@pytest.mark.parametrize(
    ("nodeid", "slow"),
    [
        ("tests/cli/test_demo.py::test_anything[a::b]", True),
        ("tests/test_docs.py::test_the_tests_of_a_page_pass[docs/testing.md:16]", True),
        ("tests/test_docs.py::test_every_public_name_is_in_the_reference", False),
        ("tests/stores/test_memory.py::test_anything[asyncio]", False),
        ("smsc_async/records.py::smsc_async.records.Tariffs", False),
    ],
)
def test_a_module_a_class_and_a_function_can_be_an_entry(nodeid: str, slow: bool) -> None:
    assert is_slow(nodeid) is slow


def test_the_marker_deselects_the_tests_of_the_table(request: pytest.FixtureRequest) -> None:
    marked = {item.nodeid for item in request.session.items if item.get_closest_marker("slow")}
    assert marked >= {item.nodeid for item in request.session.items if is_slow(item.nodeid)}
    assert request.node.nodeid not in marked


def test_an_exhaustive_test_is_slow_and_runs_only_if_it_is_asked_for(request: pytest.FixtureRequest) -> None:
    nodeid = "tests/http/test_trace_secrets.py::test_a_fault_at_any_line_shows_the_secret_nowhere[list]"
    assert is_exhaustive(nodeid)
    assert is_slow(nodeid)
    assert not is_exhaustive(request.node.nodeid)
    chosen = [item for item in request.session.items if is_exhaustive(item.nodeid)]
    assert not chosen or request.config.option.exhaustive


def _make_project(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers =\n    slow\n    exhaustive\n")
    pytester.makeconftest(
        "from tests.conftest import pytest_addoption, pytest_collection_modifyitems, pytest_configure"
    )


@pytest.mark.parametrize(("arguments", "count"), [((), 4), (("--exhaustive",), 8)])
def test_a_large_matrix_runs_with_each_pair_of_values(
    pytester: pytest.Pytester, arguments: tuple[str, ...], count: int
) -> None:
    _make_project(pytester)
    name = "test_a_second_answer_is_returned_to_nobody"
    decorators = "".join(f"@pytest.mark.parametrize('{each}', [False, True])\n" for each in "abc")
    test = pytester.mkdir("http") / "test_connections.py"
    test.write_text(f"import pytest\n{decorators}def {name}(a, b, c): pass", "utf-8")
    result = pytester.runpytest_inprocess(*arguments, "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=count, deselected=8 - count)


@pytest.mark.parametrize(("arguments", "count"), [((), 3), (("--exhaustive",), 5)])
def test_cases_run_on_one_loop_each_in_turn(pytester: pytest.Pytester, arguments: tuple[str, ...], count: int) -> None:
    _make_project(pytester)
    name = "test_an_exchange_ends_at_its_limit"
    cases = "'asyncio-one', 'trio-one', 'asyncio-two', 'trio-two', 'asyncio-alone'"
    test = pytester.mkdir("http") / "test_limited_transport.py"
    test.write_text(f"import pytest\n@pytest.mark.parametrize('a', [{cases}])\ndef {name}(a): pass", "utf-8")
    result = pytester.runpytest_inprocess("-v", *arguments, "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=count, deselected=5 - count)
    result.stdout.fnmatch_lines(["*asyncio-one*PASSED*", "*trio-two*PASSED*", "*asyncio-alone*PASSED*"])


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [((), {"passed": 1}), (("--exhaustive",), {"passed": 2}), (("test_client.py",), {"passed": 2})],
)
def test_a_run_of_everything_leaves_exhaustive_tests_out(
    pytester: pytest.Pytester, arguments: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    _make_project(pytester)
    name = "test_ten_thousand_callers_of_one_account_make_one_request"
    pytester.makepyfile(test_client=f"def {name}(): pass\ndef test_another(): pass")
    result = pytester.runpytest_inprocess(*arguments, "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes, deselected=2 - outcomes["passed"])
