"""The decoder against the first version's, taken from the history: the same lists and the same errors.

Each difference that is meant has an entry in ``INTENDED``, with its reason. The test can go when the first version is of
no interest any more.
"""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Extra, Format, OperatorTariff, Tariffs, Zone, decode
from smsc_async.simulator.rendering import Missing, render, render_refusal
from tests.decoder.shapes import FORMATS

ROOT = Path(__file__).parents[2]
FIRST_VERSION = "0636f66"
# What `decode` needs, and nothing that imports an HTTP library.
PARTS = ["smsc_async/decoder", "smsc_async/errors.py", "smsc_async/records.py"]
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "tests" / "samples").iterdir())]

Decode: TypeAlias = Callable[..., object]


@attrs.frozen
class Outcome:
    """What came of a reply, comparable between two packages: the list to the last digit, or the error."""

    kind: str
    tariffs: str = ""
    code: int = 0
    description: str = ""
    format: str | None = None
    position: str = ""
    excerpt: str = attrs.field(default="", eq=False)
    message: str = attrs.field(default="", eq=False)


@pytest.fixture(scope="session")
def first_decode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    """The first version's ``decode``, as a package of another name."""
    archive = subprocess.run(["git", "archive", FIRST_VERSION, *PARTS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"no history with commit {FIRST_VERSION}: {archive.stderr.decode(errors='replace').strip()}")
    folder = tmp_path_factory.mktemp("first_version")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    package = (folder / "smsc_async").rename(folder / "smsc_async_first_version")
    (package / "__init__.py").touch()
    for source in package.rglob("*.py"):
        source.write_text(source.read_text().replace("smsc_async", package.name))
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(f"{package.name}.decoder").decode
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith(package.name)]:
            del sys.modules[name]


def outcome(decoder: Decode, body: bytes, form: Format | None, charset: str | None) -> Outcome:
    errors = sys.modules[decoder.__module__.replace(".decoder", ".errors")]
    try:
        return Outcome("Tariffs", repr(decoder(body, format=form, charset=charset)))
    except errors.ApiError as error:
        return Outcome(type(error).__name__, code=error.code, description=error.description)
    except errors.DecodeError as error:
        return Outcome(
            type(error).__name__,
            format=error.format,
            position=error.position,
            excerpt=error.excerpt,
            message=error.message,
        )


@attrs.frozen
class Difference:
    """A difference that is meant: when both outcomes and the body match, the two versions may differ."""

    reason: str
    applies: Callable[[Outcome, Outcome, bytes], bool]


BOM = "\ufeff"


def is_damaged_utf8(body: bytes) -> bool:
    text = body.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    return damaged > 0 and sum(not character.isascii() for character in text) > 2 * damaged


INTENDED = [
    Difference(
        "the format of an answer of somebody else is None, and XML or JSON with foreign members is one",
        lambda before, now, _: (
            before.kind in {"DecodeError", "IncompleteReply"}
            and now.message.startswith("not an answer of this service")
        ),
    ),
    Difference(
        "a name or an undocumented member may hold any characters",
        lambda before, _now, _: before.message == "has characters that no text has",
    ),
    Difference(
        "what XML forbids is read as its escape",
        lambda before, _now, _: (
            before.message in {"not well-formed (invalid token)", "reference to invalid character number"}
        ),
    ),
    Difference(
        "a whole text with something behind it is not called cut",
        lambda before, now, _: before.message.startswith("stops before") and now.message == "Extra data",
    ),
    Difference(
        "a name that is no text, such as true in JSON, is its JSON text",
        lambda before, _now, _: before.message == "neither a text nor a number" and before.position.endswith("].name"),
    ),
    Difference(
        "a row or a member that is repeated without a difference is accepted, and so is any undocumented member",
        lambda before, _now, _: before.message.startswith("comes twice"),
    ),
    Difference(
        "a repetition is named although the text is broken further on",
        lambda before, now, _: before.kind != "Tariffs" and now.message == "comes twice with different values",
    ),
    Difference(
        "of the numbers of zones, the first faulty one is named, whatever its fault is",
        lambda before, now, _: (
            before.message in {"a zone without its number", "not a zone's number: too long"}
            and now.message.startswith("the number of a zone")
        ),
    ),
    Difference(
        "an invisible character in the number of a zone is refused",
        lambda _before, now, _: now.message.startswith("the number of a zone") and "\\" in now.excerpt,
    ),
    Difference(
        "a byte without a meaning costs no list, and UTF-8 with few such bytes is still UTF-8",
        lambda before, _now, body: (
            before.message.startswith(("neither UTF-8", "marked as UTF-16")) or is_damaged_utf8(body)
        ),
    ),
    Difference(
        "a refusal that is understood for one of these reasons is understood in place of any format",
        lambda before, now, _: before.message.startswith("looks like") and now.code != 0,
    ),
    Difference(
        "a second byte order mark is no part of the text",
        lambda _before, _now, body: body.decode("utf-8", "ignore").startswith(BOM * 2),
    ),
]


def check(first_decode: Decode, body: bytes, form: Format | None = None, charset: str | None = None) -> None:
    before = outcome(first_decode, body, form, charset)
    now = outcome(decode, body, form, charset)
    if now == before or any(difference.applies(before, now, body) for difference in INTENDED):
        return
    assert now == before


prices = st.none() | st.sampled_from(["0", "7", "2.50", "0.00", "999999999999", "0.000000000001"]).map(Decimal)
names = st.tuples(
    st.text(max_size=5),
    st.sampled_from(
        ["", ", api = 5", "a = b", '"', ", x", ",", "&amp;", "<b>", ":", "\\", "]]>", "\x01", "\u202e", "\x85"]
    ),
).map("".join)
extras = st.dictionaries(
    st.sampled_from(["vat", "x_1", "api "]), st.sampled_from(["", "20", 'a"b: c.']), max_size=2
).map(Extra)
numbers = st.integers(0, 30).map(str) | st.sampled_from(["", "A1", "01", "x" * 65])
operators = st.sampled_from(["25001", "25002", "4017", "250", "x"])
# Not unique, so that rows come twice.
lists = st.builds(
    Tariffs,
    st.lists(st.builds(Zone, numbers, names, prices, prices, prices, prices, prices, extras), max_size=4).map(tuple),
    st.lists(st.builds(OperatorTariff, operators, prices, extras), max_size=3).map(tuple),
    prices,
    extras,
)
formats = st.sampled_from([None, *FORMATS])
charsets = st.sampled_from([None, "utf-8", "windows-1251", "koi8-r", "nonsense"])
pieces = st.sampled_from(
    [
        *("zone", "name", "api", "mms", "call", "mccmnc", "cost", "mail", "zones", "codes", "price", "ERROR", "null"),
        *(" = ", ", ", ",", "=", "\n", " ", "1", "2.50", "0,10", "-", "NaN", "25001", "0,-", "(", ")", '"', ":", "\\"),
        *("{", "}", "[", "]", "\\ud800", "\\u003a", "true", "error_code", "<", ">", "</", "/>", "<a/>", "&", "&#49;"),
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
            "\0",
            "\x85",
        ),
        *('"zone": "1"', ', "api": "1"', '"mail": "1", ', '"x": {"a": 1, "a": 2}, ', ' api="1"', "<br/>", "<center>"),
    ]
)
changes = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8) | st.just(200), pieces.map(str.encode) | st.binary(max_size=4)),
    max_size=3,
)


def changed(body: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for where, length, piece in changes:
        at = int(where * len(body))
        body = body[:at] + piece + body[at + length :]
    return body


def rendered(tariffs: Tariffs, form: Format, missing: Missing) -> bytes:
    try:
        return render(tariffs, form, missing=missing)
    except ValueError:
        return b""


@given(
    tariffs=lists, form=st.sampled_from(FORMATS), missing=st.sampled_from(["empty", "dash", "absent"]), changes=changes
)
def test_a_list_decodes_as_in_the_first_version(
    first_decode: Decode, tariffs: Tariffs, form: Format, missing: Missing, changes: list[tuple[float, int, bytes]]
) -> None:
    body = changed(rendered(tariffs, form, missing), changes)
    check(first_decode, body)
    check(first_decode, body, form)


@given(
    body=st.sampled_from(SAMPLES)
    | st.builds(render_refusal, st.integers(0, 9), st.just("no"), st.sampled_from(FORMATS)),
    changes=changes,
    form=formats,
    charset=charsets,
)
def test_a_damaged_reply_decodes_as_in_the_first_version(
    first_decode: Decode, body: bytes, changes: list[tuple[float, int, bytes]], form: Format | None, charset: str | None
) -> None:
    check(first_decode, changed(body, changes), form, charset)


@given(
    body=st.binary(max_size=200) | st.lists(pieces, max_size=40).map("".join).map(str.encode),
    form=formats,
    charset=charsets,
)
def test_any_bytes_decode_as_in_the_first_version(
    first_decode: Decode, body: bytes, form: Format | None, charset: str | None
) -> None:
    check(first_decode, body, form, charset)
