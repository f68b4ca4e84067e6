"""Check that a tag fits the version and the changelog: ``python .ci/check_release.py v1.2.3``. Run by the release workflow."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(tag: str, project: Mapping[str, object], changelog: str) -> list[str]:
    """Return why a tag must not be released, in one sentence each; empty if it may be released."""
    version = str(project["version"])
    found: list[str] = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, and pyproject.toml has version {version}: the tag must be v{version}")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None:
        found.append(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")
    elif not re.search(r"^- ", section[1], re.MULTILINE):
        found.append(f"the section [{version}] of CHANGELOG.md is empty")
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if unreleased is not None and re.search(r"^- ", unreleased[1], re.MULTILINE):
        found.append("CHANGELOG.md has entries under [Unreleased]: move them to the version")
    return found


def main() -> None:
    """Print the problems of the tag that is the only argument, and exit with 1 if there are any."""
    (tag,) = sys.argv[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = problems(tag, project, (ROOT / "CHANGELOG.md").read_text("utf-8"))
    sys.stderr.writelines(f"{each}\n" for each in found)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
