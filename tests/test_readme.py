"""Every Python example of the README runs as it stands, against the simulated service in place of the real one."""

from __future__ import annotations

import re

import attrs
import pytest

from smsc_async import Tariffs, Zone
from smsc_async.simulator import sample_tariffs
from tests.support.doc_examples import README, Example, examples_of, run

EXAMPLES = examples_of(README)
# The page itself shows no output: it is to be short.
PRINTS = [
    r"3\.85\n3\.42\n",
    r"((alex|boris) \d+ zones\n){2}",
    r"the service refused with error 2 \(.+\): check login and password, .+\n",
    r"2\.50 False\nzone 2\.50\nmail None\n",
]


@pytest.mark.parametrize(
    ("example", "prints"), list(zip(EXAMPLES, PRINTS, strict=True)), ids=[f"line-{each.line}" for each in EXAMPLES]
)
def test_an_example_runs_as_it_stands(example: Example, prints: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(example)
    assert re.fullmatch(prints, capsys.readouterr().out)


def test_the_first_example_works_for_an_account_without_individual_tariffs(capsys: pytest.CaptureFixture[str]) -> None:
    run(EXAMPLES[0], attrs.evolve(sample_tariffs(), codes=()))
    assert capsys.readouterr().out == "3.85\n3.85\n"
    run(EXAMPLES[0], Tariffs((Zone("1", "Russia"),)))
    assert capsys.readouterr().out == "None\nno price\n"


def test_the_first_example_begins_before_line_30() -> None:
    assert EXAMPLES[0].line + EXAMPLES[0].code.count("\n") < 30
