# ruff: noqa: RUF001  # Cyrillic letters are the subject
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async.analysis import networks
from smsc_async.analysis.networks import country_of, label_of, name_of, search, suggest

ALL = networks._networks()  # pyright: ignore[reportPrivateUsage]


def test_all_networks_of_the_source_are_there() -> None:
    assert len(ALL) == 818
    assert all(each.code.isdigit() and len(each.code) in {5, 6} and each.name for each in ALL.values())
    assert {len(each.country) for each in ALL.values()} == {0, 2}


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("25001", "25001 MTS · RU"),
        ("250010", "250010 MTS · RU"),  # an MNC of two digits with a filler
        ("310260", "310260 T-Mobile · US"),
        ("25032", "25032 Win Mobile"),  # the source has a wrong country
        ("25077", "25077 · RU"),
        ("23499", "23499"),  # four countries share this MCC
        ("99999", "99999"),
        ("", ""),
        ("x", "x"),
    ],
)
def test_a_code_is_shown_with_what_is_known_of_it(code: str, label: str) -> None:
    assert label_of(code) == label


def test_a_code_of_six_digits_is_never_named_after_a_longer_part_of_another_code() -> None:
    six = next(code for code in ALL if len(code) == 6 and code[:5] in ALL and ALL[code].name != ALL[code[:5]].name)
    assert name_of(six) == ALL[six].name != name_of(six[:5])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("МТС ru", ("25001",)),
        ("mts by", ("25702",)),
        ("Мегафон", ("25002",)),
        ("24701", ("24701",)),
        ("2470", ("24701", "24702", "24705")),
        ("", ()),
        ("  ", ()),
        ("no such network", ()),
    ],
)
def test_a_network_is_found_by_its_code_name_and_country(text: str, codes: tuple[str, ...]) -> None:
    assert set(codes) <= set(search(text))
    assert bool(codes) is bool(search(text))


def test_a_country_alone_finds_its_networks() -> None:
    assert {country_of(code) for code in search("KZ")} >= {"KZ"}
    assert "25001" not in search("KZ")


@given(st.text(max_size=20))
def test_any_text_can_be_looked_up(text: str) -> None:
    assert set(search(text)) <= set(ALL)
    assert label_of(text).startswith(text)
    assert suggest(text) == "" or suggest(text).endswith("?)")


def test_digits_get_no_suggestion() -> None:
    assert suggest("25001", ["2000"]) == ""
    assert suggest("Megafonn").startswith(" (did you mean Megafon")
