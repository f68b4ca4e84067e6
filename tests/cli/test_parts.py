from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async.cli.parts import parts_of
from tests.cli.running import invoke


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts", "left"),
    [
        ("", "GSM-7", 0, 1, 160),
        ("a" * 160, "GSM-7", 160, 1, 0),
        ("a" * 161, "GSM-7", 161, 2, 145),
        ("a" * 306, "GSM-7", 306, 2, 0),
        ("a" * 307, "GSM-7", 307, 3, 152),
        ("€" * 80, "GSM-7", 160, 1, 0),
        ("[€]", "GSM-7", 6, 1, 154),
        ("я" * 70, "UCS-2", 70, 1, 0),
        ("я" * 71, "UCS-2", 71, 2, 63),
        ("я" * 134, "UCS-2", 134, 2, 0),
        ("😀" * 35, "UCS-2", 70, 1, 0),
        ("Ç", "GSM-7", 1, 1, 159),
        ("ç", "UCS-2", 1, 1, 69),
        ("`", "UCS-2", 1, 1, 69),
    ],
)
def test_a_text_takes_what_the_standard_says(text: str, encoding: str, units: int, parts: int, left: int) -> None:
    told = parts_of(text)
    assert (told.encoding, told.units, told.parts, told.left) == (encoding, units, parts, left)


@pytest.mark.parametrize(
    ("text", "parts", "left"),
    [
        # 152 septets, then one of two that no longer fits into the first part of 153.
        ("a" * 152 + "€" + "a" * 152, 3, 152),
        # 66 code units, then a pair that no longer fits into the first part of 67.
        ("я" * 66 + "😀" + "я" * 66, 3, 66),
    ],
)
def test_a_letter_of_two_units_is_not_torn_apart(text: str, parts: int, left: int) -> None:
    assert (parts_of(text).parts, parts_of(text).left) == (parts, left)


def test_the_letters_that_need_the_other_alphabet_are_told_once() -> None:
    assert parts_of("aяbяcё").outside == "яё"


@given(st.text(st.sampled_from("a€я😀\n"), max_size=320))
def test_more_text_never_takes_fewer_parts_and_what_is_left_is_less_than_a_part(text: str) -> None:
    told = parts_of(text)
    assert parts_of(text + "a").parts >= told.parts
    assert 0 <= told.left <= (160 if told.encoding == "GSM-7" else 70)
    assert told.parts * (153 if told.encoding == "GSM-7" else 67) >= told.units - 7


def test_the_command_tells_it_as_a_table_and_as_json() -> None:
    assert invoke("parts", "Привет").stdout.splitlines()[:2] == ["parts     1", "encoding  UCS-2"]
    told = json.loads(invoke("parts", "Привет", "-o", "json").stdout)
    assert told == {"parts": 1, "encoding": "UCS-2", "letters": 6, "units": 6, "left": 64, "outside": "Привет"}


def test_the_text_can_come_from_standard_input() -> None:
    assert (
        invoke("parts", "-", "-o", "csv", "--columns", "parts,units", stdin="a" * 161).stdout == "parts,units\n2,161\n"
    )


@pytest.mark.parametrize(
    ("stdin", "letters"),
    [
        (b"text\n", 4), (b"text\r\n", 4), (b"text\n\n", 5), (b"", 0), (b"text", 4), (b"a\r\nb\n", 3),
        (b"\xef\xbb\xbfhello\r\n", 5), ("hello\r\n".encode("utf-16"), 5), (b"a" * 160 + b"\r\n", 160),
    ],
)  # fmt: skip
def test_what_editors_and_shells_add_does_not_count(stdin: bytes, letters: int) -> None:
    ran = invoke("parts", "-", "-o", "csv", "--columns", "letters,encoding,parts", stdin=stdin)
    assert ran.stdout == f"letters,encoding,parts\n{letters},GSM-7,1\n"


@pytest.mark.parametrize(("stdin", "code"), [(b"\xff\xfea", 14), (b"ab\x80", 14), ("я".encode("cp1251"), 14)])
def test_bytes_that_are_no_text_are_not_counted(stdin: bytes, code: int) -> None:
    ran = invoke("parts", "-", stdin=stdin)
    assert (ran.code, ran.stdout) == (code, "")
    assert "standard input is not text in UTF-8 or UTF-16" in ran.stderr
    ran = invoke("parts", "a\udcff")
    assert (ran.code, ran.stdout, "letter 2 is not text" in ran.stderr) == (2, "", True)


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("a\u00a0b", "U+00A0 NO-BREAK SPACE"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\u200cя\ufeff", "я, U+200C ZERO WIDTH NON-JOINER, U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("e\u0301", "U+0301 COMBINING ACUTE ACCENT"),
        ("\x85", "U+0085"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
    ],
)
def test_a_letter_that_cannot_be_seen_is_shown_by_its_name(text: str, outside: str) -> None:
    assert " ".join(invoke("parts", text).stdout.split()).endswith(f"outside {outside}")
    data = json.loads(invoke("parts", text, "-o", "json").stdout)["outside"]
    assert set(data) <= set(text)
