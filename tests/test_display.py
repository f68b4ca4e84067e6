"""What is shown of the text of others is printable and on one line."""

# ruff: noqa: RUF001  # Cyrillic names are the point

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async.display import escape_for_display
from tests.support.slow import exhaustive_after


@pytest.mark.parametrize("text", ["", "Russia", "Россия, МТС", "C:\\new", "e\u0301", "\N{GRINNING FACE}"])
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert escape_for_display(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\rd", r"a\tb\nc\rd"),
        ("\x00\x1b[2J\x7f", r"\x00\x1b[2J\x7f"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\u202etxt\u2066\u200f", r"\u202etxt\u2066\u200f"),
        ("\u200b\u00ad\ufeff", r"\u200b\xad\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800\udfff", r"\ud800\udfff"),
        ("\ue000\uffff\U000e0001", r"\ue000\uffff\U000e0001"),
        ("a\u00a0b\u3000c", "a b c"),
    ],
)
def test_what_is_invisible_or_has_an_effect_is_escaped(text: str, shown: str) -> None:
    assert escape_for_display(text) == shown


# Above the third plane are few characters but private ones.
@pytest.mark.parametrize("end", exhaustive_after(1, [0x30000, sys.maxunicode + 1]))
def test_every_character_is_shown_printable(end: int) -> None:
    assert escape_for_display("".join(map(chr, range(end)))).isprintable()


@given(st.text())
def test_a_text_that_was_shown_is_not_changed_again(text: str) -> None:
    shown = escape_for_display(text)
    shown.encode()
    assert escape_for_display(shown) == shown
