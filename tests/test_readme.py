"""Every Python example of the README runs as it stands, against the simulated service in place of the real one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import smsc_async
from smsc_async.simulator import SimulatedAccount, Simulator, serve

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")
# Each with the line on which it begins.
EXAMPLES = [
    (TEXT[: found.start()].count("\n") + 2, found[1])
    for found in re.finditer(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
]
PRINTS = [
    r"3\.85\n3\.42\n",
    r"((alex|boris) \d+ zones\n){2}",
    r"the service refused with error 2 \(.+\): check login and password, .+\n",
    r"2\.50 False\nzone 2\.50\nmail None\n",
]


@pytest.mark.parametrize(
    ("line", "example", "prints"),
    [(line, example, prints) for (line, example), prints in zip(EXAMPLES, PRINTS, strict=True)],
    ids=[f"line-{line}" for line, _ in EXAMPLES],
)
def test_an_example_runs_as_it_stands(
    line: int, example: str, prints: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = [SimulatedAccount("alex", "123"), SimulatedAccount("boris", "456")]
    with serve(Simulator(accounts)) as server:
        # What is not the reader's: where the service is, and a store that no other test has used up.
        here = partial(smsc_async.Client, base_url=server.base_url, store=smsc_async.MemoryStore())
        monkeypatch.setattr(smsc_async, "Client", here)
        # As many lines before it as in the README, so that a traceback names the line there.
        exec(compile("\n" * (line - 1) + example, README, "exec"), {"__name__": "__main__"})
    assert re.fullmatch(prints, capsys.readouterr().out)


def test_the_first_example_begins_before_line_30() -> None:
    assert EXAMPLES[0][0] + EXAMPLES[0][1].count("\n") < 30


def test_every_name_of_the_library_that_the_readme_imports_is_public() -> None:
    for names in re.findall(r"^from smsc_async import (.+)$", TEXT, re.MULTILINE):
        assert set(names.split(", ")) <= set(smsc_async.__all__)
