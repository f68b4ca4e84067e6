"""What a request looks like, whose it is, and what headers say."""

from __future__ import annotations

import math
import string
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsc_async import Client
from smsc_async.protocol import (
    FORM,
    Claim,
    claim_of,
    declared_charset,
    endpoint,
    key_label,
    quota_key,
    retry_after,
)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://smscentre.com/sys/", "https://smscentre.com/sys/get.php"),
        ("https://SMSC.ru/sys", "https://smsc.ru/sys/get.php"),
        ("http://127.0.0.1:8000/sys/", "http://127.0.0.1:8000/sys/get.php"),
        ("http://localhost/", "http://localhost/get.php"),
        ("http://[::1]:80/sys/", "http://[::1]:80/sys/get.php"),
    ],
)
def test_an_endpoint_is_get_php_under_the_base_url(base_url: str, url: str) -> None:
    assert endpoint(base_url) == url


@pytest.mark.parametrize(
    "base_url", ["http://10.0.0.1/", "http://localhost.evil.example/", "http://127.0.0.1.evil/", ""]
)
def test_plain_http_is_for_loopback_alone(base_url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        endpoint(base_url)


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("https://256.1.1.1/sys/", "has a bad host"),
        ("https://1.2.3.04/sys/", "has a bad host"),
        ("https://sms.example.5/sys/", "has a bad host"),
        (f"https://127.0.0.1/{'x' * 70_000}/", "has more than 2,000 characters"),
    ],
    ids=["octet", "zero", "number", "path"],
)
def test_a_url_that_httpx_refuses_is_refused_before_a_call(base_url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"base_url {reason}"):
        Client(base_url=base_url)
    with pytest.raises(ValueError, match=f"reserve_url {reason}"):
        Client(reserve_url=base_url)


@given(
    st.sampled_from(["https://", "http://127.0.0.1:"]),
    st.text(string.ascii_letters + string.digits + ".-_:[]%@/\\?#;,~!$&'()*+=", max_size=30),
)
def test_httpx_takes_every_url_of_an_endpoint(start: str, rest: str) -> None:
    with suppress(ValueError):
        url = endpoint(start + rest)
        parts = urlsplit(url)
        assert (httpx.URL(url).host, httpx.URL(url).port) == (parts.hostname, _unusual_port(parts))


def _unusual_port(parts: SplitResult) -> int | None:
    return None if parts.port == {"https": 443, "http": 80}[parts.scheme] else parts.port


def test_two_spellings_of_a_login_share_a_quota() -> None:
    assert quota_key("smsc", " Alex") == quota_key("smsc", "alex")
    assert quota_key("smsc", "alex") != quota_key("smsc", "alexa")


def test_a_key_has_a_label_of_its_own_that_does_not_show_it() -> None:
    assert key_label("k-1") == key_label("k-1")
    assert key_label("k-1") != key_label("k-2")
    assert "k-1" not in key_label("k-1")


@pytest.mark.parametrize(
    ("path", "query", "content_type", "body", "claim"),
    [
        ("/sys/get.php", "get_price=1&login=alex", "", b"", Claim("alex", token=True)),
        ("/get.php", "login=alex&get_price=1&fmt=3&charset=utf-8", "", b"", Claim("alex", token=True)),
        ("/sys/get.php", "", FORM, b"get_price=1&login=Alex&psw=1", Claim("Alex", token=True)),
        ("/sys/get.php", "", f"{FORM}; charset=utf-8", b"get_price=1&login=alex", Claim("alex", token=True)),
        ("/sys/get.php", "get_operator=1&login=alex", "", b"", Claim("alex", token=False)),
        ("/sys/send.php", "get_price=1&login=alex", "", b"", Claim("alex", token=False)),
        ("/sys/balance.php", "", "application/json", b'{"login": "alex"}', Claim("alex", token=False)),
        ("/sys/get.php", "apikey=k-1&get_price=1", "", b"", Claim(key_label("k-1"), token=True)),
        ("/sys/get.php", "apikey=k-1&get_price=1&login=alex", "", b"", Claim("alex", token=True)),
        ("/sys/get.php", "get_price=1", "", b"", None),
        ("/sys/get.php", "", "text/plain", b"login=alex", None),
        ("/sys/get.php", "", "application/json", b"{" * 100_000, None),
        ("/sys/get.php", "", "application/json", b"[1]", None),
        ("/sys/get.php", "", FORM, b"\xff\xfe", None),
        ("/sys/get.php", "", FORM, b"get_price=1&login=%CF&psw=1", Claim("\N{CYRILLIC CAPITAL LETTER PE}", token=True)),
    ],
)
def test_a_request_is_told_by_its_login_and_what_it_asks_for(
    path: str, query: str, content_type: str, body: bytes, claim: Claim | None
) -> None:
    assert claim_of(path, query, content_type, body) == claim


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/html; charset=windows-1251", "windows-1251"),
        ('application/json; Charset = "UTF-8"', "UTF-8"),
        ("text/plain", None),
        ("", None),
        ("text/plain; charset=", None),
    ],
)
def test_a_charset_is_what_the_content_type_says(content_type: str, charset: str | None) -> None:
    assert declared_charset(content_type) == charset


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1e3", 1000.0),
        ("3601", 3600.0),
        ("1e300", 3600.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Thu, 99 Foo 1970 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_or_nothing_usable(value: str, seconds: float | None) -> None:
    told = retry_after(value, now=100.0)
    assert told == seconds
    assert told is None or math.isfinite(told)
