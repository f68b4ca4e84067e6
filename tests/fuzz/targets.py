"""What is fuzzed: bytes from anywhere give a tariff list or an error of ours, and the same whoever reads them.

uv run --group fuzz python -m tests.fuzz.atheris_run json 600    # coverage-guided, ten minutes
FUZZ_SECONDS=60 uv run pytest tests/fuzz                         # mutations of the samples, a minute for each target
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from smsc_async import DecodeError, Format, SmscError, Tariffs, decode
from smsc_async.decoder.text import recognise
from smsc_async.fetch.interpret import interpret_reply
from smsc_async.protocol import Reply, claim_of, retry_after

SAMPLES: Final = Path(__file__).parent.parent / "samples"
SEEDS: Final = [path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.is_file()] + [
    b"ERROR = 2 (authorise error)",
    b"0,-9",
    b"<result><error>no</error><error_code>4</error_code></result>",
    b'{"error": "no", "error_code": 9}',
]


def _decodes(body: bytes, format: Format | None) -> None:  # noqa: A002
    outcome = _outcome(body, format)
    if isinstance(outcome, Tariffs):
        _check(outcome)
        return
    assert str(outcome).isprintable()
    assert outcome.__cause__ is None
    assert not isinstance(outcome, DecodeError) or len(outcome.excerpt) <= 60


def _outcome(body: bytes, format: Format | None) -> Tariffs | SmscError:  # noqa: A002
    try:
        return decode(body, format=format)
    except SmscError as error:
        return error


def _check(tariffs: Tariffs) -> None:
    assert tariffs.zones
    prices = [tariffs.mail, *(each.cost for each in tariffs.codes)]
    prices += [price for zone in tariffs.zones for price in (zone.api, zone.mass, zone.mms, zone.hlr, zone.call)]
    for price in prices:
        assert price is None or (type(price) is Decimal and price.is_finite() and price >= 0)


def plain(body: bytes) -> None:
    _decodes(body, Format.PLAIN)


def comma(body: bytes) -> None:
    _decodes(body, Format.CSV)


def xml(body: bytes) -> None:
    _decodes(body, Format.XML)


def json(body: bytes) -> None:
    _decodes(body, Format.JSON)


def recogniser(body: bytes) -> None:
    _decodes(body, None)
    assert recognise(body.decode("latin-1")) in (None, *Format)


def wire(body: bytes) -> None:
    """What comes with a body: headers, and the requests of others that pass the limiter."""
    text = body.decode("latin-1")
    wait = retry_after(text[:40], 1e9)
    assert wait is None or wait >= 0
    claim_of("/sys/get.php", text[:200], text[:60], body)
    for kind in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded"):
        claim_of("/sys/get.php", "", kind, body)
    interpret_reply(Reply(200 + len(body) % 400, text[:80], wait, body))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "plain": plain,
    "comma": comma,
    "xml": xml,
    "json": json,
    "recogniser": recogniser,
    "wire": wire,
}

_PIECES: Final = [
    b"", b"0", b"-", b",", b"\n", b"\r\n", b"{", b"[", b"}", b"]", b'"', b"<", b">", b"&amp;", b"<!DOCTYPE a [", b"null",
    b"NaN", b"1e999999", b"1_0", b" 1 ", "\u0661".encode(), b"9" * 5000, b"zone = ", b"mccmnc = ", b"mail", b"\\u0000",
    b"\xff", b"\xef\xbb\xbf", b"\x00", b"ERROR = ", b"0,-", b"[" * 2000, b"<a>" * 50, "Россия".encode("koi8-r"),
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """A sample with a few random changes, each a cut, a repetition, a piece put in, or another byte."""
    body = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 6)):
        at, length = chance.randint(0, len(body)), chance.choice([0, 1, 2, 8, 64])
        match chance.randrange(5):
            case 0:
                del body[at : at + length]
            case 1:
                body[at:at] = body[at : at + length]
            case 2:
                body[at : at + length] = chance.choice(_PIECES)
            case 3:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                del body[at:]
    return bytes(body)
