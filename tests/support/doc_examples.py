"""The Python examples of the README and the documentation, and a way to run one as a reader would.

A block that prints is followed by a block ``text`` with what it prints; ``…`` there stands for anything. A block with
tests in it is run by pytest. None is left out: a test counts them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

import smsc_async
from smsc_async.testing import Rules, SmscServer

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
RUSSIAN_README = ROOT / "README.ru.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(r"^( *)```python\b[^\n]*\n(.*?)^\1```$(?:\n+^\1```text\n(.*?)^\1```$)?", re.MULTILINE | re.DOTALL)
_INCLUDED = re.compile(r'--8<-- "(?P<path>[^"]+)"\n')


@attrs.frozen
class Example:
    """A block of Python on a page.

    Attributes:
        page: The page.
        line: The line on which the code begins.
        code: The code.
        prints: What the page says that it prints; ``""`` where it says nothing.
    """

    page: Path
    line: int
    code: str
    prints: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def includes(self) -> Path | None:
        """The file that stands there in its place, if any."""
        found = _INCLUDED.fullmatch(self.code)
        return None if found is None else ROOT / found["path"]

    @property
    def is_test(self) -> bool:
        return re.search(r"^(async )?def test_", self.code, re.MULTILINE) is not None

    @property
    def pattern(self) -> str:
        return re.escape(self.prints).replace("…", ".*")


def examples_of(page: Path) -> list[Example]:
    text = page.read_text("utf-8")
    return [
        Example(
            page, text[: found.start(2)].count("\n") + 1, textwrap.dedent(found[2]), textwrap.dedent(found[3] or "")
        )
        for found in _BLOCK.finditer(text)
    ]


@contextmanager
def service(tariffs: smsc_async.Tariffs | None = None) -> Generator[None]:
    """Let ``smsc_async.Client`` find the simulated service where the reader's finds the real one."""
    with SmscServer(rules=Rules()) as server, pytest.MonkeyPatch.context() as patch:
        if tariffs is not None:
            server.set_tariffs(tariffs)
        server.add_account("boris", "456")
        for name, value in {**server.env, "BORIS_PASSWORD": "456"}.items():  # what Account.from_env() reads
            patch.setenv(name, value)
        # A store that no other test has used up, and one for all clients of the example.
        defaults: dict[str, Any] = {"base_url": server.base_url, "store": smsc_async.MemoryStore()}

        class Client(smsc_async.Client):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **{**defaults, **options})

        patch.setattr(smsc_async, "Client", Client)
        yield


def run(example: Example, tariffs: smsc_async.Tariffs | None = None) -> None:
    """Run it against the simulated service, which answers with this list or with the sample list."""
    with service(tariffs):
        # As many lines before it as on the page, so that a traceback names the line there.
        exec(compile("\n" * (example.line - 1) + example.code, example.page, "exec"), {"__name__": "__main__"})
