"""What a server says, in an error of a call, is without the secret."""

from __future__ import annotations

import base64
import gc
import hashlib
import html
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pytest

from smsc_async import DecodeError, ParameterError
from smsc_async.accounts import Secret
from smsc_async.fetch.interpret import interpret_redacted
from smsc_async.http.redaction import Redactor
from smsc_async.protocol import Reply

PASSWORD = "s3cret/Ж+ пароль"
REDACTOR = Redactor(Secret(PASSWORD))


def test_the_reply_of_an_error_is_without_the_secret() -> None:
    error = Redactor(Secret("s3cret")).error(DecodeError("no list", body=b"you sent s3cret, S3CRET"))
    assert isinstance(error, DecodeError)
    assert error.body == b"you sent ..., ..."


def test_quotes_are_omitted_as_a_whole_and_no_word_of_the_library_is_changed() -> None:
    error = Redactor(Secret("list")).error(
        DecodeError("no list", None, "list[1]", "a list", b"list"), omits_quotes=True
    )
    assert isinstance(error, DecodeError)
    assert (error.message, error.position, error.excerpt, error.body) == ("no list", "", "", b"")
    assert error.args == ("no list", None, "", "", b"")


ENCODINGS: Final[list[Callable[[str], str]]] = [
    lambda text: "".join(f"&#{ord(each)};" for each in text),
    lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    lambda text: "".join(f"%{each:02x}" for each in text.encode()),
    lambda text: "".join(f"%{each:02X}" for each in text.encode("cp1251")),
    lambda text: quote(quote(text)),
    lambda text: html.escape("".join(f"&#{ord(each)};" for each in text)),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(f"alex:{text}".encode()).decode(),
    lambda text: base64.b64encode(f"1alex:{text}".encode("cp1251")).decode(),
    lambda text: base64.b64encode(f"12alex:{text}!".encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: hashlib.md5(text.encode()).hexdigest().upper(),
]


@pytest.mark.parametrize("encoded", ENCODINGS)
def test_an_encoded_secret_is_seen(encoded: Callable[[str], str]) -> None:
    assert REDACTOR.is_hidden_in(f"you sent {encoded(PASSWORD)}, sir".encode())
    assert not REDACTOR.is_hidden_in(f"you sent {encoded('another password')}, sir".encode())


def test_a_page_of_percent_signs_takes_no_longer_than_another() -> None:
    began = time.thread_time()  # not the time that a busy machine takes for others
    assert not Redactor(Secret("p&ss wörd")).is_hidden_in(b"%" * 2**19)
    assert time.thread_time() - began < 1.0


def test_a_gap_in_a_word_shows_a_short_secret() -> None:
    assert Redactor(Secret("one")).is_hidden_in(b"none")
    assert not Redactor(Secret("one")).is_hidden_in(b"no")
    assert not Redactor(Secret("none")).is_hidden_in(b"none")


def test_a_text_that_grows_in_lower_case_is_dropped() -> None:
    assert REDACTOR.text(f"İ {PASSWORD}") == "…"
    assert REDACTOR.text("İ and nothing else") == "İ and nothing else"


def _reply(text: str) -> Reply:
    return Reply(200, "text/plain", None, f"ERROR = 1 ({text})".encode())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("password", "text", "description"),
    [
        ("s3cret", "you sent s3cret", "you sent …"),
        ("s3cret", f"you sent {base64.b64encode(b's3cret').decode()}", ""),
        ("one", "none", ""),
        ("s3cret", "bad parameters " + "x" * 300_000 + "s3cret", "bad parameters " + "x" * 185),
    ],
)
async def test_the_description_of_a_refusal_is_without_the_secret(password: str, text: str, description: str) -> None:
    error = await interpret_redacted(_reply(text), Redactor(Secret(password)))
    assert isinstance(error, ParameterError)
    assert error.description.replace("...", "…") == description


def _is_cached(text: str) -> bool:
    """Return whether a cache of the modules that handle texts contains it, in a key or a value."""
    seen: list[Any] = [each for module in (re, urllib.parse, json, html, base64) for each in vars(module).values()]
    for _ in range(4):  # a dictionary or a cached function, its entries, their parts
        parts: list[Any] = [each for each in seen if type(each) in {dict, tuple, list} or hasattr(each, "cache_info")]
        seen = gc.get_referents(*parts)
        if any(text.lower() in repr(each).lower() for each in seen if type(each) in {str, bytes, re.Pattern}):
            return True
    return False


@pytest.mark.asyncio
async def test_no_cache_of_the_interpreter_contains_the_secret_afterwards() -> None:
    re.purge()
    for text in ("you sent q7Zp4711", "you sent Q7ZP4711", "nothing"):
        await interpret_redacted(_reply(text), Redactor(Secret("q7Zp4711")))
    assert not _is_cached("q7Zp4711")
    re.compile("q7Zp4711")
    assert _is_cached("q7Zp4711")
    re.purge()
    assert not _is_cached("q7Zp4711")
    urllib.parse.urlsplit("https://example/q7Zp4711")
    assert _is_cached("q7Zp4711")
