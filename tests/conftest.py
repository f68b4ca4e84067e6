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
import tempfile
import zlib
from collections.abc import Generator, Iterable
from pathlib import Path

import certifi
import pytest
from _pytest.assertion.rewrite import PYC_TAIL
from _pytest.doctest import DoctestModule
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.pathlib import import_path
from _pytest.runner import runtestprotocol
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


class _State:
    """What the hooks know about this process: the module that runs, forbidden attempts, and a user's patience with a lock."""

    def __init__(self) -> None:
        self.module = ""
        self.forbidden: list[Forbidden] = []
        self.patience = 0.0


_state = _State()


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


# What each test needs is prepared by hooks: pytest looks a fixture up for each of 5,000 tests, even one of the session.
@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the tests on this machine, and prepare what is slow or would fail on a busy one."""
    if session.config.pluginmanager.hasplugin("dsession"):  # the tests run in the worker processes
        return (yield)
    # Stops asyncio.get_event_loop() from making a loop: pytest-asyncio calls it and never closes that loop.
    asyncio.set_event_loop(None)
    with _forbid_all_but_loopback(), _one_authority(), _patient_stores():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Watch over the first test of a module, and send only reports that say something to the process that prints them.

    Five messages for a test that passes would take as much processor time as a short test.
    """
    if (module := item.nodeid.partition("::")[0]) != _state.module:
        _state.module = module
        # The setting faulthandler_timeout would start and join a thread for each test.
        faulthandler.dump_traceback_later(600.0, file=item.config.stash[fault_handler_stderr_fd_key])
        # Excludes the objects of earlier modules: some modules load frameworks, and some tests collect often.
        gc.collect()
        gc.freeze()
    if not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        if report.when == "call" or not report.passed or report.duration > 0.01:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail a test that tried to leave the machine, even if the code under test swallowed the error."""
    yield
    attempts, _state.forbidden[:] = list(_state.forbidden), []
    assert not attempts, f"tried to leave the machine: {attempts}"


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


@contextlib.contextmanager
def _one_authority() -> Generator[None]:
    """Name a bundle of one authority, also for the processes that tests start: reading a complete one takes 40 ms for each context."""
    first = Path(certifi.where()).read_text("utf-8").partition("-----END CERTIFICATE-----")
    with tempfile.TemporaryDirectory(prefix="authorities-") as folder, pytest.MonkeyPatch.context() as patch:
        bundle = Path(folder) / "first.pem"
        bundle.write_text("".join(first[:2]) + "\n", "utf-8")
        patch.setenv("SSL_CERT_FILE", str(bundle))
        patch.delenv("SSL_CERT_DIR", raising=False)
        yield


@contextlib.contextmanager
def _forbid_all_but_loopback() -> Generator[None]:
    with loopback_only() as _state.forbidden:
        yield


@contextlib.contextmanager
def _patient_stores() -> Generator[None]:
    """Let a SQLite store wait longer for a lock, because the machine may be busy."""
    from smsc_async.stores.sqlite import file as sqlite_file
    from smsc_async.stores.sqlite import worker_thread as worker

    with pytest.MonkeyPatch.context() as patch:
        _state.patience = worker.PATIENCE
        for module in (worker, sqlite_file):
            patch.setattr(module, "PATIENCE", 20.0)
        yield


@pytest.fixture
def patience() -> float:
    """Return the time for which the SQLite store of a user waits for a lock."""
    return _state.patience


@pytest.fixture
def forbidden_connections() -> list[Forbidden]:
    """Return the attempts of the test to leave the machine. Those that are still in the list at its end fail it.

    A test may replace ``socket.getaddrinfo`` with ``monkeypatch``. The replacement also replaces the guard of names for that
    test; the guard of connections stays.
    """
    return _state.forbidden
