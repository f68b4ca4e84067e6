"""How the parameters of a request are read: as PHP reads them, in every charset and every kind of form."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Format
from smsc_async.simulator.requests import ParsedRequest, read_request

LOGIN, PASSWORD = "бот", "пароль"
FORM = "application/x-www-form-urlencoded"


def read(
    body: bytes = b"", *, query: bytes = b"", content_type: str = FORM, path: str = "/sys/get.php"
) -> ParsedRequest:
    return read_request(
        method="POST", path=path, address="127.0.0.1", query=query, content_type=content_type, body=body
    )


def multipart(*parts: bytes, end: bytes = b"\r\n--xx--\r\n") -> bytes:
    return (
        b"".join(b"--xx\r\n" + part if number == 0 else b"\r\n--xx\r\n" + part for number, part in enumerate(parts))
        + end
    )


def field(name: bytes, value: bytes, *more: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="' + name + b'"'
    return b"\r\n".join([head, *more]) + b"\r\n\r\n" + value


@pytest.mark.parametrize("escaped", [True, False], ids=["percent", "raw"])
@pytest.mark.parametrize("kind", ["query", "form", "multipart"])
@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", b"utf-8"),
        ("utf-8", None),
        ("utf-8", b"windows-1251"),
        ("windows-1251", None),
        ("windows-1251", b"windows-1251"),
        ("windows-1251", b"utf-8"),
        ("koi8-r", b"koi8-r"),
    ],
)
def test_a_login_in_any_charset_is_the_same_login(
    encoding: str, charset: bytes | None, kind: str, escaped: bool
) -> None:
    fields = {b"login": LOGIN.encode(encoding), b"psw": PASSWORD.encode(encoding), b"get_price": b"1"}
    if charset is not None:
        fields[b"charset"] = charset
    if kind == "multipart":
        request = read(
            multipart(*(field(*each) for each in fields.items())), content_type="multipart/form-data; boundary=xx"
        )
    else:
        pairs = (
            name + b"=" + (quote_from_bytes(value).encode() if escaped else value) for name, value in fields.items()
        )
        encoded = b"&".join(pairs)
        request = read(encoded) if kind == "form" else read(query=encoded)
    assert (request.login, request.password) == (LOGIN, PASSWORD)
    assert request.is_understood
    assert request.charset == (charset or b"windows-1251").decode()


def test_bytes_that_no_charset_has_are_replaced() -> None:
    assert read(b"login=%98").login == "\ufffd"


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=xx",
        'Multipart/Form-Data; charset=utf-8; Boundary="xx"',
        "multipart/form-data;boundary=xx",
    ],
)
def test_a_multipart_form_is_read(content_type: str) -> None:
    body = multipart(
        field(b"login", b"alex", b"Content-Type: text/plain; charset=utf-8"),
        b"content-disposition: form-data; name=psw\r\n\r\n1\r\n2",
        field(b"get_price", b"1"),
        field(b'a\\"b\\\\', b"odd"),
        field(b"empty", b""),
    )
    request = read(body, content_type=content_type)
    assert request.parameters == {"login": "alex", "psw": "1\r\n2", "get_price": "1", 'a"b\\': "odd", "empty": ""}


def test_a_file_is_no_parameter_and_neither_is_a_part_without_a_name() -> None:
    body = multipart(
        b'Content-Disposition: form-data; name="login"; filename="login"\r\n\r\nalex',
        b"Content-Type: text/plain\r\n\r\nalex",
        b"Content-Disposition: form-data\r\n\r\nalex",
        b"no head",
    )
    assert read(body, content_type="multipart/form-data; boundary=xx").parameters == {}


def test_text_before_the_first_and_after_the_last_boundary_is_no_part() -> None:
    body = b"preamble\r\n" + multipart(field(b"a", b"1")) + field(b"b", b"2")
    assert read(body, content_type="multipart/form-data; boundary=xx").parameters == {"a": "1"}


def test_a_multipart_form_without_its_end_or_its_boundary_is_read_as_far_as_it_goes() -> None:
    body = multipart(field(b"a", b"1"), end=b"")
    assert read(body, content_type="multipart/form-data; boundary=xx").parameters == {"a": "1"}
    assert read(body, content_type="multipart/form-data").parameters == {}
    assert read(b"", content_type="multipart/form-data; boundary=xx").parameters == {}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_another_body_is_no_form(content_type: str) -> None:
    assert read(b"login=alex", content_type=content_type, query=b"fmt=3").parameters == {"fmt": "3"}


def test_the_form_takes_precedence_over_the_query_and_a_later_value_over_an_earlier_one() -> None:
    query = b"login=a&login=b&psw=c&fmt=2"
    assert read(b"login=d&login=e", query=query).parameters == {"login": "e", "psw": "c", "fmt": "2"}
    request = read(multipart(field(b"login", b"f")), query=query, content_type="multipart/form-data; boundary=xx")
    assert (request.login, request.password, request.format) == ("f", "c", Format.XML)


KINDS = st.sampled_from(["multipart/form-data; boundary=xx", 'multipart/form-data; boundary="', FORM, "; ;", "\xff"])


@given(st.binary(), st.binary(), KINDS | st.text(st.characters(max_codepoint=255)))
def test_any_bytes_are_parameters_or_none(query: bytes, body: bytes, content_type: str) -> None:
    request = read(b"--xx\r\n" + body, query=query, content_type=content_type)
    assert request.is_understood in {True, False}
    for value in request.parameters.values():
        value.encode()


def test_no_credential_shows_in_a_repr() -> None:
    request = read(b"login=alex&psw=s3cret&apikey=k-4711")
    assert "s3cret" not in repr(request)
    assert "k-4711" not in repr(request)
