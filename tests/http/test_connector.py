"""What a connector does after a fork, and which base URLs a client accepts."""

from __future__ import annotations

import os
import ssl

import httpx
import pytest

from smsc_async import Account, Client, MemoryStore
from smsc_async.http.connector import Connector

URL = "https://smsc.example/get.php"


@pytest.mark.anyio
async def test_after_a_fork_certificates_are_loaded_and_a_shared_transport_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Connector(URL)
    shared = Connector(URL, transport=httpx.AsyncHTTPTransport())
    shared.check_owner()
    shared.check_owner()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    async with await own.open(URL) as client:
        assert not client.is_closed
    with pytest.raises(RuntimeError, match="this process was forked"):
        shared.check_owner()


@pytest.mark.anyio
async def test_a_context_of_ones_own_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: pytest.fail("not needed"))
    context = ssl.create_default_context()
    async with await Connector(URL, ssl_context=context).open(URL) as client:
        assert not client.is_closed
    async with await Connector("http://127.0.0.1/get.php").open("http://127.0.0.1/get.php") as client:
        assert not client.is_closed


@pytest.mark.anyio
async def test_an_https_proxy_proves_its_identity_by_the_same_certificates() -> None:
    connector = Connector(URL, proxy="https://user:secret@proxy.example:3128")
    async with await connector.open(URL) as client:
        assert not client.is_closed
    assert connector.proxy_name(URL) == "proxy.example:3128"
    assert connector.proxy_name("https://127.0.0.1/get.php") is None


@pytest.mark.parametrize(
    "base_url",
    [
        "https://smscentre.com:44E3/sys/",
        "https://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://[::1]x/",
        "https://[::1/",
        "https://smscentre.com\t.evil.example/",
        "https://smscentre.com/sys/\r\n",
        "https://smscentre.com/\x00",
        " https://smscentre.com/",
        "https://sms centre.com/",
        "https://smsc\u0435ntre.com/",
        "https://-bad-.example/",
        "https://a..b/",
        "https://" + "a" * 64 + ".example/",
        "https://\u2488com/",
        "https://smscentre\u3002com/",
        "https://\u043f\u0440\u0438\u043c\u0435\u0440.example/",
        "https://smscentre.com/sys/get.php",
        "https://smscentre.com/sys/get.php/",
        "https://smscentre.com/sys/?get_price=1",
        "https://user@smscentre.com/",
        "ftp://smscentre.com/",
        "smscentre.com",
        "https:///sys/",
        "",
    ],
)
def test_a_base_url_that_cannot_work_is_an_error_of_the_constructor(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client(Account("alex", "123"), base_url=base_url, store=MemoryStore())


@pytest.mark.parametrize("base_url", [None, 5, b"https://smscentre.com/", httpx.URL("https://smscentre.com/")])
def test_a_base_url_of_another_type_is_a_type_error(base_url: object) -> None:
    with pytest.raises(TypeError, match="base_url must be a str"):
        Client(base_url=base_url)  # type: ignore[arg-type]  # on purpose


@pytest.mark.anyio
@pytest.mark.parametrize(
    "base_url",
    [
        "https://smscentre.com:8443/sys/",
        "http://[::1]:8025/",
        "https://smsc.example./sys",
    ],
)
async def test_httpx_reads_every_base_url_that_is_accepted(base_url: str) -> None:
    seen: list[httpx.URL] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(500)

    transport = httpx.MockTransport(handle)
    async with Client(
        Account("alex", "123"), base_url=base_url, store=MemoryStore(), retries=0, transport=transport
    ) as client:
        with pytest.raises(Exception, match="500"):
            await client.tariffs()
    assert seen[0].path.endswith("/get.php")
    assert seen[0].host.rstrip(".") == httpx.URL(base_url).host.rstrip(".")
