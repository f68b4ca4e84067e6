"""A list as it is kept: the same to the last digit, whatever it holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from smsc_async import DecodeError, Extra, Format, OperatorTariff, Tariffs, Zone, decode
from smsc_async.history.packing import digest, packed, text_of, unpacked
from smsc_async.simulator import render, sample_tariffs
from tests.decoder.test_decode import lists as answers


def again(tariffs: Tariffs) -> Tariffs | None:
    text = text_of(tariffs)
    return unpacked(packed(text), digest(text))


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
    zone = Zone("", " \ud800\0", Decimal("-0.00"), Decimal("1E+40"), Decimal("0E-9"))
    tariffs = Tariffs((zone, zone), (OperatorTariff("", None), OperatorTariff("", Decimal(7))))
    assert again(tariffs) == tariffs


@pytest.mark.parametrize("price", ["Infinity", "NaN", "sNaN", "1E+400", "1E-400"])
def test_a_price_that_no_reader_would_take_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        text_of(Tariffs((Zone("1", "", Decimal(price)),)))


def test_a_list_that_no_reader_would_take_is_refused() -> None:
    with pytest.raises(ValueError, match="stores at most"):
        text_of(Tariffs((Zone("1", "x" * 2**23),)))


def test_a_member_that_hides_behind_a_documented_one_is_kept() -> None:
    tariffs = Tariffs(
        (Zone("1", "", extra=Extra({"api": "trick", "extra": "", "zone": "2"})),), extra=Extra({"mail": "1"})
    )
    assert again(tariffs) == tariffs


def test_the_same_list_is_the_same_text_and_another_digit_another_one() -> None:
    one, same, other = (Tariffs((Zone("1", "x", Decimal(price)),)) for price in ("2.5", "2.5", "2.50"))
    assert digest(text_of(one)) == digest(text_of(same)) != digest(text_of(other))


def stored(text: bytes) -> Tariffs | None:
    """A planted list, whose digest fits."""
    return unpacked(packed(text), digest(text))


@pytest.mark.parametrize(
    "text",
    [
        b"not JSON",
        b"[]",
        b"{}",
        b"7",
        b'[[],[],"x"]',
        b"[[],[],1.5]",
        b'[[],[],"NaN"]',
        b'[[],[],"Infinity"]',
        b'[[],[],"1e999999"]',
        b'[[],[],"1_0"]',
        b'[[],[],"\xd9\xa1"]',
        b"[[],[],[]]",
        b'[[["1"]],[],null]',
        b'[[["1",7,null,null,null,null,null]],[],null]',
        b'[[[["1"],"x",null,null,null,null,null]],[],null]',
        b'[[],[["25001","2",["extra"]]],null]',
        b'[[],[["25001","2",{"a":1}]],null]',
        b'[[],[["25001","2",{},{}]],null]',
        b'[[],[],null,{"a":null}]',
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b"\xff",
        b"[[],[],null]" + b" " * 2**23,
    ],
)
def test_a_planted_list_of_another_shape_is_no_list(text: bytes) -> None:
    assert stored(text) is None


BODIES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "not packed": lambda: b"not packed",
    "cut": lambda: packed(b"[[],[],null]")[:-6],
    "64 MiB, twice what the test allows": lambda: packed(b" " * 2**26),
}


@pytest.mark.parametrize("kind", BODIES)
def test_bytes_that_are_damaged_or_inflate_without_end_are_no_list(kind: str) -> None:
    body = BODIES[kind]()
    tracemalloc.start()
    assert unpacked(body, digest(b"[[],[],null]")) is None
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_a_list_under_the_address_of_another_one_is_no_list() -> None:
    one, other = (text_of(Tariffs((Zone("1", "x", Decimal(price)),))) for price in ("2.5", "3.5"))
    assert unpacked(packed(one), digest(other)) is None
