"""Every Python example of the READMEs runs as it stands, against the simulated service in place of the real one."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from smsc_async import Tariffs, Zone
from smsc_async.simulator import sample_tariffs
from tests.support.doc_examples import README, RUSSIAN_README, Example, examples_of, run

# The pages show no output, because they are short.
ZONES = r"1 .+ 3\.85\n2 .+ 4\.10\n3 .+ 3\.99\n"
PRINTS = {
    README: [ZONES, r"((alex|boris) \d+ zones\n){2}", r"Price\(cost=Decimal\('3\.42'\), .+\)\n"],
    RUSSIAN_README: [ZONES, r"3\.42\n", r"Зон в списке: 66\n"],
}
EXAMPLES = [
    (example, prints)
    for page, patterns in PRINTS.items()
    for example, prints in zip(examples_of(page), patterns, strict=True)
]


@pytest.mark.parametrize(("example", "prints"), EXAMPLES, ids=[example.name for example, _ in EXAMPLES])
def test_an_example_runs_as_it_stands(example: Example, prints: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(example)
    assert re.fullmatch(prints, capsys.readouterr().out)


@pytest.mark.parametrize("page", PRINTS, ids=lambda page: page.name)
def test_the_first_example_works_for_every_account(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = examples_of(page)[0]
    run(example, attrs.evolve(sample_tariffs(), codes=()))
    assert re.fullmatch(ZONES, capsys.readouterr().out)
    run(example, Tariffs((Zone("7", "Russia"),)))
    assert capsys.readouterr().out == "7 Russia None\n"


def test_the_first_example_begins_before_line_30() -> None:
    example = examples_of(README)[0]
    assert example.line + example.code.count("\n") < 30


@pytest.mark.parametrize("page", PRINTS, ids=lambda page: page.name)
def test_a_readme_is_short(page: Path) -> None:
    assert len(page.read_text("utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", PRINTS, ids=lambda page: page.name)
def test_the_links_of_a_readme_work_on_the_page_of_a_package_index(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]*)\)", page.read_text("utf-8"))
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("page", PRINTS, ids=lambda page: page.name)
def test_the_files_that_a_readme_names_exist(page: Path) -> None:
    names = re.findall(r"`((?:docs/|README)[\w./-]*)`", page.read_text("utf-8"))
    assert names
    assert [name for name in names if not (page.parent / name).exists()] == []
