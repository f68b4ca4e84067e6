"""Every command that a page shows does what the page says, against the simulated service."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from smsc_async.cli.app import COMMANDS
from tests.cli.running import Ran
from tests.support.doc_examples import DOCS, PAGES, README, RUSSIAN_README
from tests.support.transcripts import Transcript, differences_on, is_as_shown, rewritten, run, stage, transcripts_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pages show a shell of POSIX")

WITH_TRANSCRIPTS = [page for page in [*PAGES, RUSSIAN_README] if transcripts_of(page)]
PAGE = """\
Text, and `$ smsc-async` in it.

    $ smsc-async one
    a

      b
    $ smsc-async two | head

1.  A list.

    ```console
    $ smsc-async three
    ```

~~~text
$ smsc-async four
c …
^C
~~~

```sh
pip install smsc-async
smsc-async five
```

```python
smsc-async = "six"
```
"""


@pytest.mark.parametrize("page", WITH_TRANSCRIPTS, ids=lambda page: page.name)
def test_the_commands_of_a_page_print_what_it_shows(page: Path) -> None:
    different = differences_on(page)
    report = "\n".join(f"{transcript.name}\n{ran}" for transcript, ran in different)
    assert not different, f"see tests/support/transcripts.py\n{report}"


def test_no_transcript_of_a_page_is_left_out() -> None:
    commands = "|".join(COMMANDS)
    command = re.compile(rf"^[^`\n]*\$ *smsc-async|^\s*smsc-async (?:{commands})\b", re.MULTILINE)
    shown = {str(page): len(command.findall(page.read_text("utf-8"))) for page in PAGES}
    found = {
        str(page): len([each for each in transcripts_of(page) if each.command.startswith("smsc-async")])
        for page in PAGES
    }
    assert shown == found


def test_the_pages_that_show_commands_are_among_them() -> None:
    assert {README, DOCS / "commands.md"} <= set(WITH_TRANSCRIPTS)


def test_transcripts_are_found_in_every_kind_of_block() -> None:
    found = transcripts_of(README, PAGE)
    assert [(each.line, each.command, each.shows, each.is_ended) for each in found] == [
        (3, "smsc-async one", ("a", "", "  b"), False),
        (7, "smsc-async two | head", (), False),
        (12, "smsc-async three", (), False),
        (16, "smsc-async four", ("c …",), True),
        (23, "smsc-async five", None, False),
    ]


@pytest.mark.parametrize(
    ("shows", "stdout", "is_shown"),
    [
        (("a",), "a\n", True),
        (("a",), "a\n\n", True),
        (("a",), "a\nb\n", False),
        ((), "", True),
        ((), "a\n", False),
        (None, "a\n", True),
        (("a … c",), "a b c\n", True),
        (("a … c",), "a\nc\n", False),
        (("a", "…", "c"), "a\nb\nb\nc\n", True),
        (("a.",), "ab\n", False),
    ],
)
def test_what_is_printed_has_to_be_what_is_shown(shows: tuple[str, ...] | None, stdout: str, is_shown: bool) -> None:
    transcript = Transcript(README, 1, "", "smsc-async parts a", shows)
    assert is_as_shown(transcript, Ran(0, stdout, "")) is is_shown


def test_trouble_that_the_page_does_not_show_is_a_difference() -> None:
    assert not is_as_shown(Transcript(README, 1, "", "smsc-async tariffs > file", ()), Ran(4, "", "refused"))
    assert is_as_shown(Transcript(README, 1, "", "smsc-async tariffs 2>&1", ("refused",)), Ran(4, "refused\n", ""))


def test_what_is_printed_can_be_put_on_the_page() -> None:
    text = PAGE
    for transcript in reversed(transcripts_of(README, PAGE)[:4]):
        text = rewritten(text, transcript, Ran(0, f"of {transcript.line}\n\n  more\n", ""))
    assert [each.shows for each in transcripts_of(README, text)] == [
        *((f"of {line}", "", "  more") for line in (3, 7, 12, 16)),
        None,
    ]
    assert text.splitlines()[0] == PAGE.splitlines()[0]
    assert text.splitlines()[-4:] == PAGE.splitlines()[-4:]


def test_a_command_runs_as_a_reader_runs_it(tmp_path: Path) -> None:
    with stage(tmp_path):
        seen = [
            run(Transcript(README, 1, "", command, ()))
            for command in (
                'smsc-async parts "a b"',
                'smsc-async parts "a b" -o json > parts.json',
                "cat parts.json | wc -l",
            )
        ]
    assert [(ran.code, ran.stdout.splitlines()[-1:]) for ran in seen] == [
        (0, ["left      157"]),
        (0, []),
        (0, ["8"]),
    ]
