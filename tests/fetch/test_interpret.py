"""What an answer means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smsc_async import Tariffs, TransportError
from smsc_async.accounts import Secret
from smsc_async.fetch.interpret import interpret_redacted, interpret_reply
from smsc_async.http.redaction import Redactor
from smsc_async.protocol import Reply

BODY = '{"zones": [{"zone": "1", "name": "Россия", "api": "2.50"}], "mail": "0.10"}'


def reply(body: bytes, content_type: str = "") -> Reply:
    return Reply(200, content_type, None, body)


def test_a_list_has_the_instant_at_which_its_reply_came() -> None:
    before = datetime.now(UTC)
    tariffs = interpret_reply(reply(BODY.encode()))
    assert isinstance(tariffs, Tariffs)
    assert tariffs.fetched_at is not None
    assert before <= tariffs.fetched_at <= datetime.now(UTC)
    assert not tariffs.stale


def test_the_same_bytes_in_another_charset_are_another_list() -> None:
    body = BODY.encode("koi8-r")
    in_koi8, in_1251 = (
        interpret_reply(reply(body, "text/plain; charset=koi8-r")),
        interpret_reply(reply(body, "text/plain")),
    )
    assert isinstance(in_koi8, Tariffs)
    assert isinstance(in_1251, Tariffs)
    assert in_koi8.zone("1").name == "Россия"
    assert in_1251.zone("1").name == "тПУУЙС"


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"", "", ""),
        (b"upstream connect error", "text/plain", "upstream connect error"),
        (
            b"<html><head><title>502 Bad Gateway</title><style>p {color: red}</style></head>\r\n<body><!-- ray 1 --><h1>502 Bad Gateway</h1>nginx",
            "text/html",
            "502 Bad Gateway nginx",
        ),
        ("<p>Сервис временно недоступен &mdash; ждите".encode("cp1251"), "text/html; charset=windows-1251", "Сервис временно недоступен — ждите"),
        (b"down\x1b[2J for \xe2\x80\xaework", "", "down\\x1b[2J for \\u202ework"),
        (b"down", "text/html; charset=no-such", "down"),
        (b"xn--\xc3\xa9", "text/html; charset=idna", "xn--é"),
        (b"x" * 500, "", "x" * 80 + "…"),
        (b"<" * 100_000, "", ""),
    ],
    ids=["nothing", "text", "page", "cyrillic", "escaped", "no charset", "odd charset", "long", "markup"],
)  # fmt: skip
@pytest.mark.parametrize("status", [404, 502])
def test_an_http_error_quotes_the_first_words_of_its_page(
    status: int, body: bytes, content_type: str, words: str
) -> None:
    error = interpret_reply(Reply(status, content_type, None, body))
    assert isinstance(error, TransportError)
    assert error.excerpt == words
    message = f"answered with HTTP status {status} and no tariff list"
    assert str(error) == (f"{message}: {words}" if words else message)


@pytest.mark.asyncio
async def test_the_first_words_do_not_show_the_secret() -> None:
    page = Reply(403, "", None, b"<p>no access for psw=q7Zp4711 today")
    error = await interpret_redacted(page, Redactor(Secret("q7Zp4711")))
    assert str(error).endswith(": no access for psw=... today")
    encoded = Reply(403, "", None, b"<p>no access for cTdacDQ3MTE= today")
    assert "cTda" not in str(await interpret_redacted(encoded, Redactor(Secret("q7Zp4711"))))
