"""What has to hold before a version is published: the release check, the steps of ``.ci/run`` and the workflows that use them."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping

import pytest

from tests.support.doc_examples import ROOT

problems: Callable[[str, Mapping[str, object], str], list[str]] = runpy.run_path(
    str(ROOT / ".ci" / "check_release.py")
)["problems"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-24\n\n### Added\n\n- A thing.\n\n## [1.2.2] - 2026-01-01\n\n- Old.\n"

needs_bash = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="there is no bash")


def ci(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / ".ci" / "run", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_a_version_with_its_tag_and_its_section_may_be_released() -> None:
    assert problems("v1.2.3", {"version": "1.2.3"}, CHANGELOG) == []


@pytest.mark.parametrize(
    ("tag", "changelog", "problem"),
    [
        ("v1.2.4", CHANGELOG, "the tag must be v1.2.3"),
        ("1.2.3", CHANGELOG, "the tag must be v1.2.3"),
        ("v1.2.3", CHANGELOG.replace(" - 2026-11-24", ""), "has no section"),
        ("v1.2.3", CHANGELOG.replace("[1.2.3]", "[1.2.30]"), "has no section"),
        ("v1.2.3", CHANGELOG.replace("- A thing.\n", ""), "is empty"),
        ("v1.2.3", CHANGELOG.replace("## [1.2.3]", "### Fixed\n\n- More.\n\n## [1.2.3]"), "has entries under"),
    ],
)
def test_what_does_not_fit_stops_a_release(tag: str, changelog: str, problem: str) -> None:
    found = problems(tag, {"version": "1.2.3"}, changelog)
    assert len(found) == 1
    assert problem in found[0]


@needs_bash
def test_workflows_and_pages_name_only_steps_that_exist() -> None:
    steps = {line.split()[0] for line in ci("--list").stdout.splitlines() if line}
    assert {"tests", "pythons", "lint", "types"} <= steps
    pages = [ROOT / "CONTRIBUTING.md", ROOT / "tests" / "README.md", ROOT / ".pre-commit-config.yaml"]
    pages += (ROOT / ".github" / "workflows").glob("*.yml")
    named: set[str] = set()
    for page in pages:
        text = page.read_text("utf-8")
        for words in re.findall(r"\.ci/run((?: [a-z]+\b)+)", text) + re.findall(
            r"^ +step: \[(.+)\]$", text, re.MULTILINE
        ):
            named |= set(words.replace(",", " ").split())
    assert named - steps == set()
    assert steps - named == set(), "no page and no workflow names these steps"


@needs_bash
def test_an_unknown_step_ends_before_any_step_runs() -> None:
    run = ci("lint", "nothing")
    assert (run.returncode, run.stdout) == (2, "")
    assert "no step nothing" in run.stderr


def test_the_workflow_tries_every_version_that_the_package_accepts() -> None:
    tried = re.search(
        r"^ +python: \[(.+)\]$", (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"), re.MULTILINE
    )
    assert tried
    versions = re.findall(r"3\.\d+", tried[1])
    claimed = [each for classifier in PROJECT["classifiers"] for each in re.findall(r":: (3\.\d+)$", classifier)]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert claimed == versions[: len(claimed)]


def test_every_action_is_pinned_by_its_commit() -> None:
    lines = [
        line
        for page in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in page.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert lines
    assert [line for line in lines if not re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
