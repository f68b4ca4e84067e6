"""What an answer means, and that one which has not changed is not read again."""

from __future__ import annotations

import gc

import pytest

from smsc_async import DecodeError, Tariffs
from smsc_async.fetch import interpret
from smsc_async.fetch.interpret import (
    _known as known,  # pyright: ignore[reportPrivateUsage]
)
from smsc_async.fetch.interpret import interpret_reply
from smsc_async.protocol import Reply

BODY = '{"zones": [{"zone": "1", "name": "Россия", "api": "2.50"}], "mail": "0.10"}'


def reply(body: bytes, content_type: str = "") -> Reply:
    return Reply(200, content_type, None, body)


def test_an_answer_that_has_not_changed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = interpret_reply(reply(BODY.encode()))
    assert isinstance(first, Tariffs)
    monkeypatch.setattr(interpret, "decode", None)  # which would fail
    again = interpret_reply(reply(BODY.encode()))
    assert isinstance(again, Tariffs)
    assert again is not first
    assert again.zones is first.zones
    assert again == first
    assert not again.stale
    assert first.fetched_at is not None
    assert again.fetched_at is not None
    assert again.fetched_at > first.fetched_at


def test_a_byte_makes_it_another() -> None:
    first = interpret_reply(reply(BODY.encode()))
    other = interpret_reply(reply(BODY.replace("2.50", "2.51").encode()))
    assert isinstance(first, Tariffs)
    assert isinstance(other, Tariffs)
    assert str(other.zone("1").api) == "2.51"


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


def test_a_list_that_nobody_keeps_is_forgotten() -> None:
    gc.collect()
    before = len(known)
    kept = interpret_reply(reply(BODY.encode(), "text/x-forgotten"))
    assert len(known) == before + 1
    del kept
    gc.collect()
    assert len(known) == before


def test_what_cannot_be_read_is_read_again() -> None:
    first, again = (interpret_reply(reply(b'{"zones": 1}')) for _ in range(2))
    assert isinstance(first, DecodeError)
    assert isinstance(again, DecodeError)
    assert first is not again
