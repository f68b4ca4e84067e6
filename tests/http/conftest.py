"""Names that resolve to loopback, certificates for them, and an environment without proxies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest

from smsc_async.fetch import retries

if TYPE_CHECKING:
    import trustme

PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_STEP", 0.02)


@pytest.fixture
def example_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every name under ``.example`` to 127.0.0.1."""
    real: Callable[..., Any] = socket.getaddrinfo

    def resolve(host: object, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name.endswith(".example"):
            flags = args[4] if len(args) > 4 else options.get("flags", 0)
            if flags & socket.AI_NUMERICHOST:  # trio tries a number first
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            host = "127.0.0.1"
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@cache
def authority() -> trustme.CA:
    """Return the authority of all certificates of these tests."""
    import trustme

    return trustme.CA()


def server_context(*names: str, client_authority: trustme.CA | None = None) -> ssl.SSLContext:
    """Return the TLS context of a server with these names, which may demand a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or ("smsc.example", "localhost", "127.0.0.1"))).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]  # of another TLS library as well
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        client_authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]  # likewise
    return context


def client_context() -> ssl.SSLContext:
    """Return a TLS context that trusts the servers of these tests, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)  # pyright: ignore[reportUnknownMemberType]  # likewise
    return context
