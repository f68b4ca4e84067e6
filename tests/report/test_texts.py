from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async.display import escape_for_display as shown
from smsc_async.report.texts import embedded, escaped, money, time_element

# Halves of letters too, which hypothesis leaves out by itself.
TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["</script>", "</SCRIPT >", "<!--", "-->", "\u2028\u2029", "\ud800", "\x00\x1b", "\ufffe"]
)


@given(st.dictionaries(TEXTS.map(shown), st.lists(TEXTS.map(shown), max_size=3), max_size=3))
def test_whatever_is_embedded_ends_no_script_and_reads_back_equal(document: object) -> None:
    text = embedded(document)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == document
    text.encode()


@given(TEXTS)
def test_whatever_is_escaped_is_text_between_tags_and_in_attributes(text: str) -> None:
    told = escaped(text)
    assert not set(told) & set("<>\"'\x00\r")
    assert html.unescape(told) == shown(text)
    told.encode()


@pytest.mark.parametrize("text", ["Côte d'Ivoire", "Україна", "\u05d0", "\U0001f4e8", "a\\b"])
def test_what_has_no_effect_of_its_own_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "\t",
        "\r",
        "\n",
        "\x1b",
        "\x85",
        "\x9b",
        "\u202e",
        "\u2066",
        "\u2028",
        "\u200b",
        "\ud800",
        "\ufdd0",
        "\uffff",
    ],
)
def test_what_a_page_cannot_hold_or_what_acts_on_other_text_is_escaped(text: str) -> None:
    assert shown(f"a{text}b") == f"a{text.encode('unicode_escape').decode()}b"


@pytest.mark.parametrize("digits", ["2.50", "0", "0.10", "1E+3", "0.00000001", "12345678901234567890.12"])
def test_a_price_has_its_digits(digits: str) -> None:
    assert Decimal(money(Decimal(digits))) == Decimal(digits)
    assert "E" not in money(Decimal(digits))


def test_a_price_that_is_not_there_is_a_dash_or_what_was_asked_for() -> None:
    assert (money(None), money(None, "-")) == ("–", "-")  # noqa: RUF001  # the dash of a missing price


def test_an_instant_is_told_in_utc_wherever_it_is_from() -> None:
    instant = datetime(2026, 11, 24, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert time_element(instant) == time_element(instant.astimezone(UTC))
    assert time_element(instant) == (
        '<time datetime="2026-11-23T22:30:00Z" title="2026-11-23 22:30 UTC">2026-11-23 22:30 UTC</time>'
    )
