"""The sentences of a Markdown page, for the limits on their lengths. ``python -m tests.support.prose`` lists the longest.

Code, headings, pictures and comments are no sentences. A cell of a table is a sentence of its own, but only sentences of
the running text count for the average: cells are short, and would hide long sentences.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.support.doc_examples import PAGES, ROOT, RUSSIAN_README

TEXTS = [*PAGES, RUSSIAN_README, ROOT / "ARCHITECTURE.md", ROOT / "SECURITY.md"]

_FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2[^\n]*$|<!--.*?-->", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')*»])|(?<=[.!?]\*\*))\s+(?=[\"'(\[`*«]*[A-ZА-ЯЁ0-9`])")  # noqa: RUF001  # pages are in Russian, too


@attrs.frozen
class Sentence:
    """A sentence of a page.

    Attributes:
        page: The page.
        text: The sentence, without line breaks.
        words: The number of its words; a piece of code is one word.
        in_table: Whether it is a cell of a table.
    """

    page: Path
    text: str
    words: int
    in_table: bool = False

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.words} words: {self.text}"


def _paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each paragraph, list item and table cell, and whether it is a cell."""
    lines: list[str] = []
    for line in [*_FENCED.sub("", text).splitlines(), ""]:
        is_code = not lines and re.match(r" {4}(?!\s*(?:[-*]|\d+\.)\s)", line) is not None
        is_break = not line.strip() or line.startswith(("#", ":::", "![", "--8<--"))
        is_row = line.startswith("|")
        if (is_break or is_row or _ITEM.match(line)) and lines:
            yield " ".join(lines), False
            lines = []
        if is_row:
            yield from ((cell.strip(), True) for cell in re.split(r"(?<!\\)\|", line) if re.search(r"\w", cell))
        elif not is_break and not is_code:
            lines.append(_ITEM.sub("", line).strip() if _ITEM.match(line) else line.strip())


def words(sentence: str) -> int:
    """Return the number of words: a piece of code is one, and the target of a link is none."""
    plain = re.sub(r"`[^`]+`", "code", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", sentence))
    return sum(1 for word in plain.split() if re.search(r"\w", word))


def sentences(page: Path, text: str | None = None) -> list[Sentence]:
    """Return the sentences of a page.

    Args:
        page: The page.
        text: Its text, or ``None`` to read it.
    """
    return [
        Sentence(page, each, words(each), in_table)
        for paragraph, in_table in _paragraphs(page.read_text("utf-8") if text is None else text)
        for each in _END.split(paragraph)
        if words(each)
    ]


def average(found: list[Sentence]) -> float:
    """Return the average number of words of the sentences that are not in tables."""
    return statistics.fmean([each.words for each in found if not each.in_table] or [0])


if __name__ == "__main__":
    every = [each for page in TEXTS for each in sentences(page)]
    longest = sorted(every, key=lambda each: -each.words)[: int(sys.argv[1]) if sys.argv[1:] else 20]
    sys.stdout.writelines(f"{each}\n" for each in longest)
    for page in TEXTS:
        sys.stdout.write(f"{average(sentences(page)):5.1f} words on average: {page.relative_to(ROOT)}\n")
