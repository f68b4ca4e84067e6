"""The pages are plain English: sentences of a bounded length, and field terms in place of a language of the project's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.doc_examples import README, ROOT
from tests.support.prose import TEXTS, average, sentences, words

LONGEST = 45
AVERAGE = 20
# What earlier pages said in place of a term, and names that no longer exist.
OLD = re.compile(
    r"\b(?:whoever|(?:is|are|was|were|be|been|being) told|told to|anew|shall|leave an address|"
    r"BreakerOpen|OpenBreaker|on_outage|reset_breakers|transport=\"aiohttp\"|(?<!circuit[ -])breakers?)\b|\b[Nn]o end:",
)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    found = sorted(sentences(page), key=lambda each: -each.words)
    worst = "\n".join(map(str, found[:3]))
    assert [each for each in found if each.words > LONGEST] == [], worst
    assert average(found) <= AVERAGE, worst


def test_no_page_uses_a_word_of_the_old_language() -> None:
    assert [str(each) for page in TEXTS for each in sentences(page) if OLD.search(each.text)] == []


def test_code_headings_and_comments_are_no_sentences() -> None:
    text = """\
# A heading of five words

One two. Three, [four](https://a.example/long) `five six seven`!
The sentence goes on
over two lines. **Bold.** It ends.

    $ a command of six words

- An item. With two.
  And one more.
    - nested

1. A number: UTF-8. `code` begins.

```python
not = "a sentence"
```

<!-- a comment of five words -->

| head | of |
|---|---|
| a cell. | A cell of two. Sentences |

::: smsc_async.Client
"""
    found = sentences(README, text)
    assert [(each.text, each.words) for each in found if not each.in_table] == [
        ("One two.", 2),
        ("Three, [four](https://a.example/long) `five six seven`!", 3),
        ("The sentence goes on over two lines.", 7),
        ("**Bold.**", 1),
        ("It ends.", 2),
        ("An item.", 2),
        ("With two.", 2),
        ("And one more.", 3),
        ("nested", 1),
        ("A number: UTF-8.", 3),
        ("`code` begins.", 2),
    ]
    assert [each.text for each in found if each.in_table] == ["head", "of", "a cell.", "A cell of two.", "Sentences"]
    assert str(found[0]) == "README.md: 2 words: One two."


def test_the_average_is_that_of_the_running_text() -> None:
    assert average(sentences(README, "One two three. Four five.\n\n| a | b |\n|---|---|\n")) == 2.5
    assert average(sentences(README, "| a | b |\n")) == 0
    assert words("a ![picture of it](x.png) — b") == 5
