"""Settings and fixtures of every test: both event loops, loopback only, and deterministic Hypothesis settings."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import itertools
import os
import py_compile
import re
import signal
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import certifi
import pytest
from _pytest.assertion.rewrite import PYC_TAIL
from _pytest.doctest import DoctestModule
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.pathlib import import_path
from hypothesis import settings

from tests.support import slow
from tests.support.loopback_only import Forbidden, loopback_only
from tests.support.slow import TESTS

# Needs Chromium and a dependency group of its own: `.ci/run browser` names this folder.
collect_ignore = ["browser"]
pytest_plugins = ["pytester", "smsc_async.testing.plugin"]

# Container images often switch bytecode off. Each of the hundred processes that the tests start would then compile its imports,
# which takes a fifth of the suite's time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Collected tests live until the end, so the garbage collector must not scan them, now or in each of 5,000 tests.
gc.disable()

settings.register_profile("first", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("exhaustive", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("thorough", max_examples=10_000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="run the tests of the table EXHAUSTIVE in tests/support/slow.py as well",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Restore Ctrl-C for the processes that the tests start: a shell ignores SIGINT for its background jobs, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A file or a test that is named is wanted. Worker processes get the option from here.
    config.option.exhaustive |= any(".py" in each for each in config.args)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Select how many examples Hypothesis tries for each property."""
    usual = "exhaustive" if session.config.option.exhaustive else "first"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the tables of ``tests/support/slow.py``, and leave out the exhaustive ones if they are not asked for."""
    slow.mark(items)
    if not config.option.exhaustive:
        exhaustive = {item for item in items if item.get_closest_marker("exhaustive")}
        config.hook.pytest_deselected(items=exhaustive)
        items[:] = [item for item in items if item not in exhaustive]
    # In a mixed order, because tests of one folder wait together or compute together; the tests of a module stay together.
    items.sort(key=lambda item: zlib.crc32(item.nodeid.partition("::")[0].encode()))


def pytest_collection_finish() -> None:
    """Collect garbage from here on, only of the tests' objects, and seldom: some tests keep ten thousand calls alive."""
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _show_where_a_module_hangs(request: pytest.FixtureRequest) -> None:
    """Print all stacks after ten minutes. The setting ``faulthandler_timeout`` starts and joins a thread for each test."""
    faulthandler.dump_traceback_later(600.0, file=request.config.stash[fault_handler_stderr_fd_key])


@pytest.fixture(scope="module", autouse=True)
def _freeze_what_earlier_modules_left() -> None:
    """Exclude the objects of earlier modules from garbage collection: some modules load frameworks, and some tests collect often."""
    gc.collect()
    gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out modules of exhaustive tests alone, if they are not asked for: each process would import them."""
    if config.option.exhaustive or not collection_path.is_relative_to(TESTS):
        return None
    return slow.is_exhaustive(collection_path.relative_to(TESTS).as_posix()) or None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect doctests of the package only: scanning the test files costs each process a third of a second."""
    collectors = yield
    return [each for each in collectors if not isinstance(each, DoctestModule)]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of worker processes: more than cores, because half of the tests' time is waiting for a window.

    Each worker costs two seconds of processor time for its start. A dozen costs more than it saves, and without the slow tests
    one worker beside the cores is enough.
    """
    cores = os.cpu_count() or 1
    return cores + 1 if config.getoption("markexpr") == "not slow" else min(3 * cores, 12)


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """In a fresh clone, compile the tests and what they import once, before each of the worker processes would do it."""
    tests = [each for each in sorted(TESTS.rglob("test_*.py")) if each.parent.name not in collect_ignore]
    missing = [each for each in tests if not _compiled(each).exists()]
    if len(missing) < 20 or not hasattr(os, "fork"):
        return
    for child in [_compile_in_child(missing[half::2], config.rootpath) for half in range(2)]:
        os.waitpid(child, 0)


def _compile_in_child(tests: Iterable[Path], root: Path) -> int:
    """Compile in a forked process, which has pytest and its plugins already; return the id of the process."""
    child = os.fork()
    if not child:
        try:
            _compile(tests, root)
        finally:
            os._exit(0)
    return child


def _compile(tests: Iterable[Path], root: Path) -> None:
    """Import test modules, and compile what this process imported while bytecode was off."""
    for test in tests:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # each worker process reports the same error
            import_path(test, mode="importlib", root=root, consider_namespace_packages=False)
    for module in list(sys.modules.values()):
        source, cached = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if source and cached and not Path(cached).exists():
            py_compile.compile(source)


def _compiled(test: Path) -> Path:
    """Return where pytest caches a test module."""
    return test.parent / "__pycache__" / f"{test.stem}{PYC_TAIL}"


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run every test marked ``anyio`` on both loops in real time; for virtual time see ``tests/support/virtual_time.py``."""
    return request.param


_numbers = itertools.count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for a test. The fixture of pytest lists all earlier folders to number the next one, for a millisecond each."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_numbers)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_loop_unasked() -> None:
    """Stop ``asyncio.get_event_loop()`` from making a loop: pytest-asyncio calls it and never closes that loop."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Name a bundle of one authority, also for the processes that tests start: reading a complete one takes 40 ms for each context."""
    first = Path(certifi.where()).read_text("utf-8").partition("-----END CERTIFICATE-----")
    bundle = tmp_path_factory.mktemp("authorities") / "first.pem"
    bundle.write_text("".join(first[:2]) + "\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        patch.delenv("SSL_CERT_DIR", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[list[Forbidden]]:
    with loopback_only() as attempts:
        yield attempts


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[float]:
    """Let a SQLite store wait longer for a lock, because the machine may be busy; return the time that users have."""
    from smsc_async.stores.sqlite import file as sqlite_file
    from smsc_async.stores.sqlite import worker_thread as worker

    with pytest.MonkeyPatch.context() as patch:
        usual = worker.PATIENCE
        for module in (worker, sqlite_file):
            patch.setattr(module, "PATIENCE", 20.0)
        yield usual


@pytest.fixture(autouse=True)
def forbidden_connections(_loopback_only: list[Forbidden]) -> Iterator[list[Forbidden]]:
    """Fail a test that tried to leave the machine, even if the code under test swallowed the error.

    A test may replace ``socket.getaddrinfo`` with ``monkeypatch``. The replacement also replaces the guard of names for that
    test; the guard of connections stays.
    """
    _loopback_only.clear()
    yield _loopback_only
    attempts, _loopback_only[:] = list(_loopback_only), []
    assert not attempts, f"tried to leave the machine: {attempts}"
