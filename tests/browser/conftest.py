"""A real Chromium, opened on reports: offline, with nobody's settings, and every word that it logs noted.

Not among the tests of the README's command, which needs Python and pip alone: `.ci/run` runs them where Chromium is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from smsc_async import Snapshot, render_report

FLAGS = (
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Open: TypeAlias = Callable[..., Page]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the figures, also those of the workers of pytest-xdist: they come with the reports of the tests."""
    terminalreporter.section("report in Chromium")
    reports: Iterable[object] = chain.from_iterable(terminalreporter.stats.values())
    figures = dict[str, None]()
    for report in reports:
        if isinstance(report, pytest.TestReport):
            figures |= {str(value): None for name, value in report.user_properties if name == "figure"}
    for figure in figures:
        terminalreporter.write_line(figure)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell a figure at the end of the run."""
    return partial(record_property, "figure")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "no Chromium on the path: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def folder_of_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def pictures(folder_of_pictures: Path, tell: Callable[[str], None]) -> Path:
    tell(f"pictures: {folder_of_pictures}")
    return folder_of_pictures


@contextmanager
def watched(page: Page, address: str) -> Generator[None]:
    """See to it that a page asks for nothing but itself, and has nothing to say to its console."""
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    yield
    assert page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)") == []
    assert (asked, said) == ([address], [])


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path, tell: Callable[[str], None]) -> Iterator[Open]:
    """Open a report of lists in a browser with settings of its own, such as ``color_scheme="dark"``."""
    tell(f"Chromium {chromium.version}")
    with ExitStack() as stack:

        def open_report(
            snapshots: Iterable[Snapshot], *, title: str = "Tariffs", service: str = "api", **settings: Any
        ) -> Page:
            path = tmp_path / "report.html"
            path.write_text(render_report(snapshots, title=title, service=service), "utf-8")
            given: dict[str, Any] = {"timezone_id": "Europe/Berlin", "locale": "en-GB", **settings}
            context = chromium.new_context(**given)
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            page = context.new_page()
            stack.enter_context(watched(page, path.as_uri()))
            page.goto(path.as_uri())
            if settings.get("java_script_enabled", True):
                # Not wait_for_function(), which wants eval() where it has to wait: the page forbids that.
                expect(page.locator("#changed")).not_to_be_empty(timeout=10_000)
            return page

        yield open_report
