"""A list as it is kept: the same to the last digit, whatever it holds."""

from __future__ import annotations

import zlib
from decimal import Decimal

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from smsc_async import DecodeError, Extra, Format, OperatorTariff, Tariffs, Zone, decode
from smsc_async.history.packing import digest, packed, unpacked, written
from smsc_async.simulator import render, sample_tariffs
from tests.decoder.test_decode import lists as answers


def again(tariffs: Tariffs) -> Tariffs | None:
    return unpacked(packed(written(tariffs)))


@settings(max_examples=60)
@given(answers, st.sampled_from(Format))
def test_whatever_an_answer_holds_comes_back(tariffs: Tariffs, reply_format: Format) -> None:
    try:
        tariffs = decode(render(tariffs, reply_format))
    except DecodeError:
        reject()  # what comma-separated text cannot say
    assert repr(again(tariffs)) == repr(tariffs)


@pytest.mark.parametrize("reply_format", Format)
def test_an_answer_of_any_format_comes_back(reply_format: Format) -> None:
    tariffs = decode(render(sample_tariffs(), reply_format))
    assert repr(again(tariffs)) == repr(tariffs)


def test_what_no_answer_holds_comes_back() -> None:
    zone = Zone("", " \ud800\0", Decimal("-0.00"), Decimal("1E+400"), Decimal("0E-9"), Decimal("Infinity"))
    tariffs = Tariffs((zone, zone), (OperatorTariff("", None), OperatorTariff("", Decimal(7))))
    assert repr(again(tariffs)) == repr(tariffs)


def test_a_member_that_hides_behind_a_documented_one_is_kept() -> None:
    tariffs = Tariffs(
        (Zone("1", "", extra=Extra({"api": "trick", "extra": "", "zone": "2"})),), extra=Extra({"mail": "1"})
    )
    assert again(tariffs) == tariffs


def test_the_same_list_is_the_same_text_and_another_digit_another_one() -> None:
    one, same, other = (Tariffs((Zone("1", "x", Decimal(price)),)) for price in ("2.5", "2.5", "2.50"))
    assert digest(written(one)) == digest(written(same)) != digest(written(other))


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"not packed",
        zlib.compress(b"not JSON"),
        zlib.compress(b"[]"),
        zlib.compress(b'[[], [], "x"]'),
        zlib.compress(b"\xff"),
    ],
)
def test_what_is_damaged_is_no_list(kept: bytes) -> None:
    assert unpacked(kept) is None
