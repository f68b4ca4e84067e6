"""Whole replies: recorded ones, cut ones, damaged ones, and any bytes at all."""

# ruff: noqa: RUF001  # Cyrillic names are the point

import copy
import pickle
import time
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsc_async import (
    ApiError,
    DecodeError,
    Extra,
    Format,
    IncompleteReply,
    OperatorTariff,
    SmscError,
    Tariffs,
    Zone,
    decode,
)
from smsc_async.simulator.rendering import Missing, render
from tests.decoder.shapes import FORMATS, fault

SAMPLES = Path(__file__).parent.parent / "samples"
LISTS = {path.name: path.read_bytes() for path in sorted(SAMPLES.glob("tariffs*"))}
REFUSALS = {path.name: path.read_bytes() for path in sorted(SAMPLES.glob("refusal*"))}
SUFFIXES = {".txt": Format.PLAIN, ".csv": Format.CSV, ".xml": Format.XML, ".json": Format.JSON}


def tariff(number: str, title: str, *prices: str | None) -> Zone:
    return Zone(number, title, *[None if each is None else Decimal(each) for each in prices])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # five of them


RECORDED = Tariffs(
    (
        tariff("1", "Россия", "2.50", "2.40", "8.00", "0.30", "1.20"),
        tariff("2", "Украина (МТС, Киевстар)", "3.10", "3.00", None, "0.45", None),
        tariff("3", "Казахстан = Beeline, Kcell", "4.00", "3.95", "11.50", "0.50", "2.75"),
        tariff("12", 'Прочие "страны", api = 1', "5.125", "5", "12", "0.6", "3"),
    ),
    (OperatorTariff("25001", Decimal("1.85")), OperatorTariff("25002", Decimal("1.90")), OperatorTariff("40177")),
    Decimal("0.10"),
)


def asked(name: str) -> Format:
    return SUFFIXES[Path(name).suffix]


@pytest.mark.parametrize("name", LISTS)
def test_a_recorded_list_is_read_told_or_not(name: str) -> None:
    assert decode(LISTS[name]) == RECORDED
    assert decode(LISTS[name], format=asked(name), charset="windows-1251") == RECORDED
    assert repr(decode(LISTS[name])) == repr(RECORDED)


@pytest.mark.parametrize("name", LISTS)
def test_a_recorded_list_may_have_a_mark_other_line_ends_and_blank_lines(name: str) -> None:
    assert decode(LISTS[name].replace(b"\n", b"\r\n")) == RECORDED
    assert decode(b"\r\n" + LISTS[name] + b"\r\n\r\n") == RECORDED
    if "1251" not in name:
        assert decode(b"\xef\xbb\xbf" + LISTS[name]) == RECORDED


@pytest.mark.parametrize("name", LISTS)
def test_a_list_in_another_format_than_was_asked_for_is_refused(name: str) -> None:
    for other in set(FORMATS) - {asked(name)}:
        error = fault(LISTS[name], other)
        assert "looks like" in error.message
        assert not isinstance(error, IncompleteReply)


def test_a_broken_answer_in_another_format_is_refused_like_a_whole_one() -> None:
    assert "looks like XML" in fault(b"<price>", Format.JSON).message


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_cut_anywhere_is_never_a_short_list(name: str, *, told: bool) -> None:
    # Layout after the last value is no loss, and of the two digits after the point a cut takes one unseen.
    body = LISTS[name].rstrip()
    unseen = {".txt": {len(body) - 3, len(body) - 1}, ".csv": {len(body) - 1}}.get(Path(name).suffix, set[int]())
    for length in range(len(body)):
        if length not in unseen:
            with pytest.raises(IncompleteReply):
                decode(body[:length], format=asked(name) if told else None)
            continue
        tariffs = decode(body[:length], format=asked(name) if told else None)
        assert (tariffs.zones, tariffs.codes) == (RECORDED.zones, RECORDED.codes)
        assert str(tariffs.mail) in {"0", "0.1"}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_recorded_refusal_is_its_error_and_nothing_when_cut(name: str) -> None:
    body = REFUSALS[name].rstrip()
    with pytest.raises(ApiError) as caught:
        decode(body)
    assert caught.value.code == 9
    for length in range(len(body)):
        with pytest.raises((DecodeError, ApiError)) as caught_cut:
            decode(body[:length])
        # The number comes before its text here, and is whole once anything follows it.
        assert isinstance(caught_cut.value, IncompleteReply) or body[:length].startswith(b"ERROR = 9")


@pytest.mark.parametrize("asked_for", [None, *FORMATS])
@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xff\xfe", "\u00a0".encode()])
def test_an_empty_answer_is_incomplete(body: bytes, asked_for: Format | None) -> None:
    with pytest.raises(IncompleteReply, match="empty"):
        decode(body, format=asked_for)


@pytest.mark.parametrize("form", [None, *FORMATS])
@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>502 Bad Gateway</body></html>",
        b"<!DOCTYPE html>\n<html></html>",
        b"<!-- waf --><html></html>",
        b'<?xml version="1.0"?>\n<!doctype html><html/>',
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
        b"<br />\n<b>Fatal error</b>",
        b"<center>nginx</center>",
        b"<script>location = 1</script>",
        b'{"message": "Bad gateway"}',
        b'{"status":502,"zone":"eu"}',
        b"SSH-2.0-OpenSSH_8.9p1 Ubuntu-3\r\n",
        b"Bad Gateway",
        b"\x1f\x8b\x08\x00",
        b"\0\0\0\0",
        "Сервис временно недоступен".encode("cp1251"),
    ],
)
def test_what_is_no_answer_of_the_service_is_refused(body: bytes, form: Format | None) -> None:
    error = fault(body, form)
    assert not isinstance(error, IncompleteReply)
    assert (error.format, error.position) == (None, "")
    assert error.excerpt
    assert "not an answer of this service" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>" + bytes(2**17), b'{"zones": [' + b" " * 2**17, b"zone = 1\n" * 10])
def test_an_error_has_the_beginning_of_the_reply_for_a_report(body: bytes) -> None:
    error = fault(body)
    assert error.body == body[: 64 * 1024]
    assert "body" not in repr(error)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (copied.body, str(copied)) == (error.body, str(error))


def test_an_excerpt_is_short_escaped_and_on_one_line() -> None:
    error = fault(b"<html>\n" + "я\u202e".encode() * 100)
    assert error.excerpt.startswith(r"'<html>\nя\u202eя\u202e")
    assert error.excerpt.endswith("...")
    assert len(error.excerpt) <= 60


# One list in four formats. What a format cannot say is left out for that format alone; see the modules' first lines.
PRICES = ["0", "7", "2.50", "2.5", "0.00", "999999999999", "0.000000000001", "123456789012.123456789012"]
price = (
    st.none()
    | st.sampled_from(PRICES).map(Decimal)
    | st.integers(0, 10**7).map(lambda cents: Decimal(cents).scaleb(-2))
)
words = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=6)
tricks = st.sampled_from(
    [
        "",
        ", api = trick",
        ", api = 5, mass = 6",
        "a = b",
        '"',
        "'",
        "(x, y)",
        ", x",
        ",",
        "&amp;",
        "<b>",
        ":",
        "\\",
        "]]>",
    ]
)
name = st.tuples(words, tricks, tricks).map("".join).map(str.strip)
extra = st.dictionaries(
    st.sampled_from(["vat", "x_1", "since"]), st.sampled_from(["", "20", 'a"b: c.']), max_size=2
).map(Extra)
ids = st.integers(0, 999).map(str) | st.sampled_from(["A1", "x", "01"])


def some(record: st.SearchStrategy[Zone], key: Callable[[Zone], str]) -> st.SearchStrategy[tuple[Zone, ...]]:
    return st.lists(record, min_size=1, max_size=4, unique_by=key).map(tuple)


zones = some(st.builds(Zone, ids, name, price, price, price, price, price, extra), lambda zone: zone.zone)
codes = st.lists(
    st.builds(OperatorTariff, st.integers(1000, 9_999_999).map(str), price, extra),
    max_size=2,
    unique_by=lambda code: code.mccmnc,
).map(tuple)
lists = st.builds(Tariffs, zones, codes, price, extra)


def bare(tariffs: Tariffs) -> Tariffs:
    """The list without what comma-separated text has no place for."""
    zones = tuple(
        Zone(zone.zone, zone.name, zone.api, zone.mass, zone.mms, zone.hlr, zone.call) for zone in tariffs.zones
    )
    return Tariffs(zones, tuple(OperatorTariff(code.mccmnc, code.cost) for code in tariffs.codes), tariffs.mail)


def exact(tariffs: Tariffs) -> str:
    """The list to the last digit: equal decimals may differ in their zeros."""
    return repr(tariffs)


@given(tariffs=lists, missing=st.sampled_from(["empty", "dash", "absent"]), told=st.booleans())
@example(tariffs=Tariffs((Zone("1", "odd, api = trick"),)), missing="empty", told=True)
@pytest.mark.no_cover
def test_one_list_written_in_any_format_is_read_as_that_list(tariffs: Tariffs, missing: Missing, *, told: bool) -> None:
    for form in (Format.XML, Format.JSON):
        body = render(tariffs, form, missing=missing)
        assert exact(decode(body, format=form if told else None)) == exact(tariffs)
    # Without a price nothing tells the name from what follows it.
    if missing != "absent" or not any("=" in zone.name or zone.extra for zone in tariffs.zones):
        body = render(tariffs, Format.PLAIN, missing=missing)
        assert exact(decode(body, format=Format.PLAIN if told else None)) == exact(tariffs)
    body = render(tariffs, Format.CSV, missing=missing)
    try:
        assert exact(decode(body, format=Format.CSV if told else None)) == exact(bare(tariffs))
    except DecodeError as error:
        # Refused, and rightly: a name that ends in a comma and something like a price.
        assert "it is ambiguous" in error.message  # noqa: PT017
        assert any(zone.name.rpartition(",")[2].strip("0123456789.") in {"", "-"} for zone in tariffs.zones)


@given(lists, st.sampled_from(FORMATS), st.data())
@pytest.mark.no_cover
def test_a_written_list_that_is_cut_is_never_a_short_list(tariffs: Tariffs, form: Format, data: st.DataObject) -> None:
    tariffs = Tariffs(tariffs.zones, tariffs.codes, tariffs.mail)
    body = render(tariffs, form)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        found = decode(cut, format=form)
    except DecodeError:
        return
    expected = bare(tariffs) if form is Format.CSV else tariffs
    assert (found.zones, found.codes) == (expected.zones, expected.codes)


def survives(body: bytes, form: Format | None, charset: str | None) -> None:
    """Decode, and look at what comes: a list that can be written down again, or an error of the library."""
    error: SmscError | None = None
    try:
        tariffs = decode(body, format=form, charset=charset)
    except SmscError as caught:
        error = caught
    else:
        assert tariffs.zones
        repr(tariffs).encode()
        assert pickle.loads(pickle.dumps(tariffs)) == tariffs
    if error is not None:
        assert error.__context__ is None
        assert str(error).isprintable()
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    if isinstance(error, DecodeError):
        assert len(error.excerpt) <= 60


formats = st.sampled_from([None, *FORMATS])
charsets = st.sampled_from([None, "utf-8", "windows-1251", "koi8-r", "utf-16", "nonsense"])


@given(st.binary(max_size=200), formats, charsets)
@pytest.mark.no_cover
def test_any_bytes_are_a_list_or_one_of_our_errors(body: bytes, form: Format | None, charset: str | None) -> None:
    survives(body, form, charset)


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "zone",
                    "name",
                    "api",
                    "mass",
                    "mms",
                    "hlr",
                    "call",
                    "mccmnc",
                    "cost",
                    "mail",
                    "zones",
                    "codes",
                    "price",
                ),
                *(
                    " = ",
                    ", ",
                    ",",
                    "=",
                    "\n",
                    "\r",
                    " ",
                    "1",
                    "2.50",
                    "0,10",
                    "-",
                    "NaN",
                    "25001",
                    "ERROR",
                    "0,-",
                    "(",
                    ")",
                ),
                *("{", "}", "[", "]", '"', ":", "\\", "\\ud800", "null", "true", "error_code", "<", ">", "</", "/>"),
                *(
                    "<zones>",
                    "</zones>",
                    "<zone ",
                    "</zone>",
                    "<!--",
                    "-->",
                    "<![CDATA[",
                    "<!DOCTYPE",
                    "<?",
                    "?>",
                    "&",
                    "\0",
                ),
            ]
        ),
        max_size=40,
    ).map("".join),
    formats,
)
def test_any_tokens_are_a_list_or_one_of_our_errors(text: str, form: Format | None) -> None:
    survives(text.encode(), form, None)


@given(
    st.sampled_from(list(LISTS.values()) + list(REFUSALS.values())),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=8)), min_size=1, max_size=4),
    formats,
    charsets,
)
def test_a_damaged_reply_is_a_list_or_one_of_our_errors(
    body: bytes,
    damages: list[tuple[float, int, bytes]],
    form: Format | None,
    charset: str | None,
) -> None:
    for where, length, put in damages:
        start = int(where * len(body))
        body = body[:start] + put + body[start + length :]
    survives(body, form, charset)


HUGE = 4 * 2**20


# For each format the head of a reply, and pieces of which a long reply may be made.
PIECES: Final[dict[bytes, tuple[bytes, ...]]] = {
    b'{"zones":[': (
        *(b"[", b"[]", b"{", b"{}", b"]", b'"', b"\\", b'{"', b'{"a":', b'{"a":[', b"[1,", b'["","', b'{"":0},', b"0,"),
    ),
    b"<price>": (
        *(
            b"<",
            b"<a>",
            b"<a/>",
            b"<a",
            b'<zone a="">',
            b' a=""',
            b"<!--",
            b"<?",
            b"&#1;",
            b"&",
            b"\0",
            b"\xff",
            b"\x98",
        ),
    ),
    b"zone = 1, name = x": (
        *(
            b"zone = 1\n",
            b"zone = 1, a = , ",
            b", a =",
            b"zone",
            b"mccmnc = 1",
            b"1\n",
            b"1,",
            b",",
            b",0.0,1",
            b"\n",
            b"=",
        ),
    ),
}


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        # The pieces of another format are so much text.
        pytest.param(head, piece, marks=[] if piece in PIECES[head] else [pytest.mark.exhaustive])
        for head in PIECES
        for pieces in PIECES.values()
        for piece in pieces
    ],
)
def test_garbage_is_refused_quickly(head: bytes, piece: bytes) -> None:
    body = (head + piece * (HUGE // len(piece) + 1))[:HUGE]
    started = time.process_time()
    fault(body)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("piece", [b"[],", b'{"":0},', b'"":0,', b"0,", b"<a/>", b'<a b=""/>', b"zone = 1\n", b", a ="])
@pytest.mark.parametrize("head", [b'{"zones":[', b'{"":', b"<price>", b"zone = 1, name = x"])
def test_garbage_is_refused_in_bounded_memory(head: bytes, piece: bytes) -> None:
    body = head + piece * (HUGE // len(piece))
    tracemalloc.start()
    fault(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(body)


@pytest.mark.parametrize("body", ['{"zones": []}', {"zones": []}, None])
def test_what_is_no_bytes_is_told(body: Any) -> None:
    with pytest.raises(TypeError, match=f"such as response.content, not {type(body).__name__}"):
        decode(body)
