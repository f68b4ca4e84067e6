"""A refusal is its error, in every shape and whatever was asked for."""

import pickle

import pytest

from smsc_async import (
    AddressBlocked,
    ApiError,
    AuthenticationError,
    DecodeError,
    Format,
    ParameterError,
    TooManyRequests,
    decode,
)
from smsc_async.simulator.rendering import render_refusal
from tests.decoder.shapes import FORMATS, fault

CODES = {
    1: ParameterError,
    2: AuthenticationError,
    3: ApiError,
    4: AddressBlocked,
    8: ApiError,
    9: TooManyRequests,
    275: ApiError,
    999999999: ApiError,
}


def refused(body: bytes, asked: Format | None = None) -> tuple[type[ApiError], int, str]:
    with pytest.raises(ApiError) as caught:
        decode(body, format=asked)
    assert caught.value.__context__ is None
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return type(caught.value), caught.value.code, caught.value.description


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251"])
@pytest.mark.parametrize("asked", [None, *FORMATS])
@pytest.mark.parametrize("came", FORMATS)
def test_a_refusal_is_its_error_whatever_was_asked_for(came: Format, asked: Format | None, charset: str) -> None:
    body = render_refusal(2, "ошибка (5)", came, charset=charset)
    assert refused(body, asked) == (AuthenticationError, 2, "" if came is Format.CSV else "ошибка (5)")


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_error(code: int) -> None:
    assert refused(render_refusal(code, "x", Format.JSON)) == (CODES[code], code, "x")


@pytest.mark.parametrize(
    ("body", "code", "description"),
    [
        (b"ERROR = 8 (text), ID - 275", 8, "text"),
        (b"ERROR = 8 (a (b), c), ID - 275", 8, "a (b), c"),
        (b"  error=2\r\n", 2, ""),
        (b"ERROR = 2 (authorise err", 2, "authorise err"),
        (b"ERROR = 2 authorise error", 2, "authorise error"),
        (b"ERROR = -2 (x)", -2, "x"),
        (b"\n\nERROR = 4 (ip is blocked)\nmore\n", 4, "ip is blocked"),
        (b"ERROR = 3 (a\tb\x01)", 3, "a b"),
        (b"ERROR = 3 (" + b"x" * 300 + b")", 3, "x" * 200),
        (b"0,-8,275", 8, ""),
        (b"0,-8,1,2,3,4", 8, ""),
        (b" 0 , -9 \r\n", 9, ""),
        (b'{"error":"duplicate request, wait a minute",\n"error_code":9}', 9, "duplicate request, wait a minute"),
        (b'{"error":"x",\n\n"error_code":"9"}', 9, "x"),
        (b'{"error_code": 7}', 7, ""),
        (b'{"error": null, "error_code": " 7 "}', 7, ""),
        (b'{"error": "\\ud800x", "error_code": 7}', 7, "x"),
        (b'{"error_code": 3, "error": "a", "id": 275, "zones": []}', 3, "a"),
        (b"<result><error>no data</error><error_code> 3 </error_code><id>275</id></result>", 3, "no data"),
        (b"<result>\r\n<error_code>3</error_code>\r\n</result>\r\n", 3, ""),
        (b'<?xml version="1.0" encoding="koi8-r"?>\n<result><error_code>3</error_code></result>', 3, ""),
        (b"<price><error>a &amp; b</error><error_code>-3</error_code></price>", -3, "a & b"),
    ],
)
def test_refusals_as_they_come_are_understood(body: bytes, code: int, description: str) -> None:
    assert refused(body)[1:] == (code, description)


@pytest.mark.parametrize(
    "body",
    [
        b"ERROR = two (x)",
        b"ERROR = 2x",
        b"ERROR = 1234567890",
        b"ERROR",
        b"0,-x",
        b"0,-1234567890",
        b"1,-2",
        b"0,2",
        b'{"error": "x"}',
        b'{"error": "x", "error_code": "two"}',
        b'{"error": "x", "error_code": 2.0}',
        b'{"error": "x", "error_code": true}',
        b'{"error": "x", "error_code": null}',
        b'{"error": "x", "error_code": [2]}',
        b'{"error": "x", "error_code": 1234567890}',
        b'{"error_code": 2, "error_code": 3}',
        b"<result><error>x</error></result>",
        b"<result><error>x</error><error_code>two</error_code></result>",
        b"<result><error_code>2</error_code><error_code>3</error_code></result>",
        b"<results><error_code>2</error_code></results>",
        "ERROR = ٣".encode(),
        "0,-٣".encode(),
        '{"error_code": "٣"}'.encode(),
    ],
)
def test_what_only_resembles_a_refusal_is_a_decoding_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body)


@pytest.mark.parametrize(("code", "shown"), [('"two"', "'two'"), ("true", "'true'"), ("[2]", "'[2]'")])
def test_a_refusal_with_an_odd_code_shows_it(code: str, shown: str) -> None:
    error = fault(f'{{"error_code": {code}}}'.encode())
    assert (error.format, error.position, error.excerpt) == ("JSON", "error_code", shown)


def test_zone_0_with_a_name_like_a_code_is_a_zone() -> None:
    assert decode(b"0,-8,1.5,1,1,1,1\n0.10\n").zone("0").name == "-8"
