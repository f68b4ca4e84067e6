"""Proxies: which connections use one, what a proxy that refuses means, and which settings are an error at once."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from smsc_async import Account, Client, MemoryStore, TlsError, TransportError
from smsc_async.cli import demo
from smsc_async.testing import SmscServer
from tests.cli.running import invoke
from tests.faults.hostile import answer, hostile, refusing_port, says
from tests.http.conftest import authority, client_context, server_context
from tests.http.proxy_server import ProxyServer, proxy_server

pytestmark = pytest.mark.usefixtures("quick_retries", "example_on_loopback")

ALEX: Final = Account("alex", "s3cret-of-alex")
PRICE: Final = Decimal("2.50")


def client_of(port: int, **options: Any) -> Client:
    given: dict[str, Any] = {
        "base_url": f"https://smsc.example:{port}/sys/",
        "store": MemoryStore(),
        "max_age": 0,
        "retries": 0,
    }
    return Client(ALEX, **{**given, **options})


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.mark.anyio
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_of_the_environment_carries_the_request(
    variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_server() as proxy, hostile(says(answer()), tls=server_context()) as server:
        monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{proxy.port}")
        async with client_of(server.port) as client:
            assert (await client.tariffs()).zone("1").api == PRICE
    assert proxy.targets() == [f"smsc.example:{server.port}"]
    assert "s3cret" not in proxy.heads[0]
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_the_proxy_for_plain_http_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_server() as proxy, hostile(says(answer()), tls=server_context()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client_of(server.port) as client:
            assert (await client.tariffs()).zone("1").api == PRICE
    assert proxy.connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bypass", ["smsc.example", ".example", "example", "other.org, smsc.example", "*", "::1/128,fd00::/8,smsc.example"]
)
async def test_a_host_of_no_proxy_is_connected_directly(bypass: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_server() as proxy, hostile(says(answer()), tls=server_context()) as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", bypass)
        async with client_of(server.port) as client:
            assert (await client.tariffs()).zone("1").api == PRICE
    assert proxy.connections == 0


@pytest.mark.anyio
async def test_an_error_names_no_proxy_that_was_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "smsc.example")
    with refusing_port() as port:
        async with client_of(port) as client:
            with pytest.raises(TransportError, match=r"no connection to smsc\.example:\d+ \(Connection refused\)"):
                await client.tariffs()


@pytest.mark.anyio
async def test_no_proxy_holds_for_each_host_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        refusing_port() as port,
        proxy_server() as proxy,
        hostile(says(answer()), tls=server_context("www2.smsc.example")) as server,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", f"smsc.example:{port}")
        reserve = f"https://www2.smsc.example:{server.port}/sys/"
        async with client_of(port, reserve_url=reserve, retries=1) as client:
            assert (await client.tariffs()).zone("1").api == PRICE
    assert proxy.targets() == [f"www2.smsc.example:{server.port}"]


@pytest.mark.anyio
@pytest.mark.parametrize("source", ["environment", "argument"])
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (b"HTTP/1.1 403 Access violation\r\nContent-Length: 0\r\n\r\n", "403 Forbidden"),
        (b"HTTP/1.1 407 user:hunter2 is wrong\r\nContent-Length: 0\r\n\r\n", "407 Proxy Authentication Required"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503 Service Unavailable"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", "599"),
        (b"", "not valid HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP"),
        (None, "Connection refused"),
    ],
    ids=["403", "407", "503", "599", "closed", "banner", "no proxy there"],
)
async def test_a_proxy_that_refuses_is_named_and_costs_no_token(
    refusal: bytes | None, reason: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    with (
        refusing_port() as port,
        proxy_server(refusal) as proxy,
        hostile(says(answer()), tls=server_context()) as server,
    ):
        name = f"127.0.0.1:{port}" if refusal is None else proxy.name
        url = f"http://user:hunter2@{name}"
        if source == "environment":
            monkeypatch.setenv("HTTPS_PROXY", url)
        options: dict[str, Any] = {"store": store, "proxy": url if source == "argument" else None}
        async with client_of(server.port, **options) as client:
            for _ in range(4):
                with pytest.raises(TransportError) as caught:
                    await client.tariffs(deadline=10)
                error = caught.value
                assert f"through the proxy {name} ({reason})" in str(error)
                assert not error.may_have_counted
                assert "hunter2" not in str(error)
        monkeypatch.delenv("HTTPS_PROXY", raising=False)
        async with client_of(server.port, store=store) as client:
            for _ in range(3):  # the whole quota is there
                assert (await client.tariffs(deadline=30)).zones
    if refusal is not None:
        credentials = b64encode(b"user:hunter2").decode()
        assert len(proxy.heads) == 4
        assert all(f"Proxy-Authorization: Basic {credentials}".lower() in each.lower() for each in proxy.heads)


@pytest.mark.anyio
async def test_a_server_behind_a_proxy_still_proves_its_identity() -> None:
    with proxy_server() as proxy, hostile(says(answer()), tls=server_context("other.example")) as server:
        async with client_of(server.port, proxy=proxy.url) as client:
            with pytest.raises(TlsError, match=r"smsc\.example"):
                await client.tariffs()
    assert server.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("through_proxy", [False, True])
async def test_an_authority_and_a_client_certificate_of_ones_own(through_proxy: bool, tmp_path: Path) -> None:
    import trustme

    clients = trustme.CA()
    mine = clients.issue_cert("client@smsc.example")
    with mine.private_key_and_cert_chain_pem.tempfile(dir=str(tmp_path)) as pem:
        context = client_context()
        context.load_cert_chain(pem)
    tls = server_context(client_authority=clients)
    with proxy_server() as proxy, hostile(says(answer()), tls=tls) as server:
        used = proxy.url if through_proxy else None
        async with client_of(server.port, proxy=used, ssl_context=context) as client:
            for _ in range(2):
                assert (await client.tariffs()).zone("1").api == PRICE
        # Without the certificate this server cuts the handshake; in TLS 1.3 it would do so after the form was read.
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        async with client_of(server.port, proxy=used, ssl_context=client_context()) as client:
            with pytest.raises(TransportError, match=r"\(the TLS handshake was cut\): nothing was sent"):
                await client.tariffs()
    assert proxy.connections == (3 if through_proxy else 0)
    assert len(server.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_never_uses_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        proxy_server() as proxy,
        hostile(says(answer())) as plain,
        hostile(says(answer()), tls=server_context()) as tls,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for scheme, server in (("http", plain), ("https", tls)):
            async with client_of(0, base_url=f"{scheme}://{host}:{server.port}/") as client:
                assert (await client.tariffs()).zone("1").api == PRICE
    assert proxy.connections == 0


@pytest.fixture
def proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyServer]:
    with proxy_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        yield proxy


def test_the_demo_sends_nothing_to_a_proxy(
    proxy_of_the_environment: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo.new_simulator
    monkeypatch.setattr(demo, "new_simulator", lambda: real(0.2))
    ran = invoke("demo")
    assert ran.code == 0, ran
    assert proxy_of_the_environment.connections == 0


@pytest.mark.anyio
async def test_the_test_kit_sends_nothing_to_a_proxy(proxy_of_the_environment: ProxyServer) -> None:
    with SmscServer() as server:
        async with server.client() as client:
            assert (await client.tariffs()).zones
    assert proxy_of_the_environment.connections == 0


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("socks5://127.0.0.1:1080", "socksio"),
        ("socks5h://127.0.0.1:1080", "socksio"),
        ("ftp://127.0.0.1:21", "its scheme is not"),
        ("http://127.0.0.1:port", "its URL is malformed"),
        ("http://127.0.0.1:99999", "its URL is malformed"),
        ("http://user:hunter2@:3128", "its URL is malformed"),
        ("http://[::1", "its URL is malformed"),
        ("http://pro xy:3128", "its URL is malformed"),
        ("127.0.0.1:3128:1", "its URL is malformed"),
        ("http://proxy.example:31\x0028", "its URL is malformed"),
    ],
)
def test_a_proxy_setting_that_cannot_be_used_is_an_error_of_the_constructor(
    name: str, url: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {**os.environ, name: url}
    monkeypatch.setattr(os, "environ", environ)  # setenv() takes no NUL
    with pytest.raises(ValueError, match=problem) as caught:
        client_of(443)
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)
    # It does not matter for a client that uses no proxy.
    client_of(443, base_url="http://127.0.0.1/")
    client_of(443, transport=httpx.AsyncHTTPTransport)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"proxy": "socks5://127.0.0.1:1080"}, "proxy names .* socksio"),
        ({"proxy": "127.0.0.1:3128"}, "proxy names .* scheme"),
        ({"proxy": "http://"}, "proxy names .* malformed"),
        ({"proxy": ""}, "proxy names .* scheme"),
        ({"proxy": "http://127.0.0.1:1", "base_url": "http://127.0.0.1/"}, "http:// base_url"),
        ({"proxy": "http://127.0.0.1:1", "transport": httpx.AsyncHTTPTransport}, "transport excludes"),
        ({"ssl_context": ssl.create_default_context(), "transport": httpx.AsyncHTTPTransport}, "transport excludes"),
    ],
)
def test_options_that_exclude_each_other_or_cannot_be_used(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        client_of(443, **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"proxy": 3128}, "proxy must be a URL .* not int"),
        ({"ssl_context": True}, r"ssl_context must be an ssl\.SSLContext, not bool"),
        ({"transport": "httpx"}, "transport must be .* not str"),
        ({"transport": httpx.HTTPTransport()}, "transport must be .* not HTTPTransport"),
    ],
)
def test_options_of_the_wrong_type(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        client_of(443, **options)
