"""How a client opens connections: httpx's own, or those of a user's transport.

Invariants: plain HTTP and loopback never use a proxy, because a proxy would see the password; the connector decides which
proxy a connection uses, so an error cannot name another one; a transport that the user shares is used in one event loop of
one process, because its connections belong to it.
"""

from __future__ import annotations

import os
import ssl
import urllib.request
from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx

from smsc_async.errors import TlsError
from smsc_async.http.limited_transport import LimitedTransport
from smsc_async.http.threads import run_in_own_thread
from smsc_async.limiter.waiter import running_loop
from smsc_async.protocol import is_loopback
from smsc_async.records import checked_type

TransportOption: TypeAlias = httpx.AsyncBaseTransport | Callable[[], httpx.AsyncBaseTransport]

_UNUSABLE: Final = "names a proxy that cannot be used"
_PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")

# httpx parses a URL for 10 µs, and a client even an empty base URL, which no request of the library uses.
parsed_url: Final = lru_cache(httpx.URL)
_UNUSED_BASE: Final = "http://localhost/"


class Connector:
    """Opens an ``httpx.AsyncClient`` for each exchange.

    Args:
        endpoint: The URL of the service, for the checks.
        transport: A factory, called once for each exchange, or an instance, which the connector borrows and never closes.
        proxy: The URL of a proxy, or ``None`` for the proxies of the environment.
        ssl_context: The TLS context, or ``None`` for the certificates that httpx uses.

    Raises:
        ValueError: The options exclude each other, or the environment names a proxy that httpx cannot use.
        TypeError: An option has the wrong type.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        transport: TransportOption | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        # The URL of a proxy may contain a password, and error reporters show the locals of every frame.
        self._proxy = proxy
        del proxy
        _check_types(transport, ssl_context, has_proxy=self._proxy is not None)
        self._is_of_environment = self._proxy is None and transport is None and _may_use_proxy(endpoint)
        if self._proxy is not None:
            if not isinstance(self._proxy, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # of callers without a type checker
                name = type(self._proxy).__name__
                raise TypeError(f"proxy must be a URL such as 'http://proxy.example:3128', not {name}")
            if endpoint.startswith("http:"):
                raise ValueError("proxy: not with an http:// base_url, because the proxy would see the password")
            problem = _proxy_problem(self._proxy)
            if problem is not None:
                raise ValueError(f"proxy {_UNUSABLE}: {problem}")
        elif self._is_of_environment:
            self._proxy = _environment_proxy()
        self._new_transport = transport if not isinstance(transport, httpx.AsyncBaseTransport) else None
        self._borrowed = _Borrowed(transport) if isinstance(transport, httpx.AsyncBaseTransport) else None
        self._context = ssl_context

    def check_owner(self) -> None:
        """Check that a borrowed transport may be used here, before a permit is acquired for it.

        Raises:
            RuntimeError: The transport belongs to another event loop or process.
        """
        if self._borrowed is not None:
            self._borrowed.check_owner()

    async def open(self, endpoint: str) -> httpx.AsyncClient:
        """Return a client for one exchange; the caller closes it.

        Raises:
            TlsError: The certificates cannot be loaded.
            TypeError: The factory of the user returned no transport.
        """
        transport: httpx.AsyncBaseTransport | None = self._borrowed
        if self._new_transport is not None:
            transport = self._new_transport()
            if not isinstance(transport, httpx.AsyncBaseTransport):  # pyright: ignore[reportUnnecessaryIsInstance]  # of callers without a type checker
                raise TypeError(f"transport() must return an httpx.AsyncBaseTransport, not {type(transport).__name__}")
            if isinstance(transport, LimitedTransport):
                raise TypeError("transport() must not return a LimitedTransport: it would take a second permit")
        # A client with a transport of its own never uses the context, and plain HTTP has no certificates.
        needs_tls = transport is None and endpoint.startswith("https:")
        context = await self._load_context() if needs_tls else _unused_context()
        proxy = self._proxy_of(endpoint)
        return httpx.AsyncClient(
            transport=transport,
            verify=context,
            proxy=None
            if proxy is None
            else httpx.Proxy(proxy, ssl_context=context if proxy.lower().startswith("https:") else None),
            trust_env=False,  # the proxy is chosen here
            base_url=parsed_url(_UNUSED_BASE),
            follow_redirects=False,
        )

    async def _load_context(self) -> ssl.SSLContext:
        """Return the TLS context that all exchanges share, loaded in a thread of the library's own."""
        context = self._context
        return await run_in_own_thread(self._loaded_context) if context is None else context

    def _loaded_context(self) -> ssl.SSLContext:
        # Two threads at most load at the same time, and either context will do, so no lock is needed.
        context = self._context or _new_context()
        self._context = context
        return context

    def proxy_name(self, endpoint: str) -> str | None:
        """Return host and port of the proxy that a connection to a URL uses, or ``None``."""
        proxy = self._proxy_of(endpoint)
        return None if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]

    def _proxy_of(self, endpoint: str) -> str | None:
        is_bypassed = self._is_of_environment and urllib.request.proxy_bypass(urlsplit(endpoint).netloc)
        return self._proxy if _may_use_proxy(endpoint) and not is_bypassed else None


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport of the user's, which outlives the exchanges."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._owner: tuple[int, Hashable] | None = None
        self._may_keep_connections = False

    def check_owner(self) -> None:
        user = os.getpid(), running_loop()
        self._owner = self._owner or user
        if self._owner[0] != user[0]:
            raise RuntimeError(f"{_NOT_SHARED}: this process was forked after its first use. {_ADVICE}")
        if self._owner != user:
            raise RuntimeError(f"{_NOT_SHARED}: it was first used in another event loop. {_ADVICE}")
        if self._may_keep_connections:
            raise RuntimeError(f"{_NOT_SHARED}: it may have kept a connection open, for another account. {_ADVICE}")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.check_owner()  # again, because the request may have waited for its permit
        response = await self._transport.handle_async_request(request)
        self._may_keep_connections = self._may_keep_connections or _may_keep_connection(response)
        return response

    async def aclose(self) -> None:
        """Leave the transport open: it belongs to the user."""


def _may_keep_connection(response: httpx.Response) -> bool:
    """Return whether the next request may use the connection of this reply, and so get a late second answer on it.

    The request demanded ``Connection: close``. httpx's own connections obey that by themselves, and are known by their
    extension ``network_stream``. aiohttp obeys only the server. A reply without a version came over no connection.
    """
    extensions, fields = response.extensions, response.headers.get("connection", "").lower()
    is_foreign = extensions.get("http_version", b"").startswith(b"HTTP/1") and "network_stream" not in extensions
    return is_foreign and "close" not in fields


_NOT_SHARED: Final = "the transport of this client cannot be used here"
_ADVICE: Final = "Pass a factory, such as transport=lambda: httpx.AsyncHTTPTransport(), or make a client for each loop"


def _check_types(transport: TransportOption | None, ssl_context: ssl.SSLContext | None, *, has_proxy: bool) -> None:
    if isinstance(transport, LimitedTransport):
        raise TypeError("the client limits its transport by itself: pass the one inside the LimitedTransport")
    if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport) and not callable(transport):
        raise TypeError(
            "transport must be an httpx.AsyncBaseTransport or a function that returns one, "
            f"not {type(transport).__name__}"
        )
    if ssl_context is not None:
        checked_type("ssl_context", ssl_context, ssl.SSLContext, "an ssl.SSLContext")
    if transport is not None and (has_proxy or ssl_context is not None):
        raise ValueError("transport excludes proxy and ssl_context: set them in the transport")


@cache
def _unused_context() -> ssl.SSLContext:
    """Return a context that verifies nothing: it keeps httpx from loading certificates that no connection needs."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _new_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        reason = error.strerror or error
    names = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
    source = " and ".join(names) or "the package certifi"
    raise TlsError(f"the certificates cannot be loaded ({reason}): check {source}: nothing was sent")


@lru_cache  # for each request
def _may_use_proxy(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme == "https" and not is_loopback(parts.hostname or "")


def _environment_proxy() -> str | None:
    """Return the URL of the proxy for HTTPS that the environment names, or on macOS and Windows the system."""
    proxies = urllib.request.getproxies()
    for kind in ("https", "all"):
        if url := proxies.get(kind):
            variables = [name for name in os.environ if name.lower() == f"{kind}_proxy"]
            url = url if "://" in url else f"http://{url}"
            problem = _proxy_problem(url)
            if problem is None:
                return url
            del proxies, url  # as in Connector()
            raise ValueError(f"{' or '.join(variables) or 'the system'} {_UNUSABLE}: {problem}")
    return None


def _proxy_problem(url: str) -> str | None:
    """Return what is wrong with a proxy's URL, without its credentials, or ``None``."""
    if url.partition("://")[0].lower() not in _PROXY_SCHEMES:
        return f"its scheme is not {', '.join(_PROXY_SCHEMES[:-1])} or {_PROXY_SCHEMES[-1]}"
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
        httpx.AsyncHTTPTransport(proxy=url, verify=_unused_context())
    except ImportError:
        return 'a SOCKS proxy needs the package socksio: pip install "httpx[socks]"'
    except (ValueError, httpx.InvalidURL):
        is_valid = False
    return None if is_valid else "its URL is malformed"
