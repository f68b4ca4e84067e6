"""The guard of the ``smsc_server`` fixture: no client reaches another host than this machine while a test uses it.

Invariant: everything is patched through the fixture's ``MonkeyPatch``, so that the end of the test restores it.
"""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from smsc_async.client import Client
from smsc_async.protocol import is_loopback
from smsc_async.simulator.serving import SERVICE_DOMAINS


def forbid_other_hosts(patch: pytest.MonkeyPatch) -> None:
    """Let a ``Client`` of another host raise when it is made, and every look-up of a host name of the service fail.

    The second rule covers clients that were made before the test. A client with its own ``transport`` may have any
    ``base_url``, because a mock transport sends nothing.

    Args:
        patch: Restores everything at the end of the test.
    """
    patch.setattr(Client, "__init__", _guarded_init(Client.__init__))
    patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))


def _guarded_init(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def guarded(*args: Any, **options: Any) -> None:
        init(*args, **options)  # first: wrong arguments have an error of their own
        given = signature.bind(*args, **options)
        given.apply_defaults()
        host = urlsplit(str(given.arguments["base_url"])).hostname or ""
        if given.arguments["transport"] is None and not is_loopback(host):
            raise _error(f"this client would reach {host}")

    return guarded


def _guarded_lookup(lookup: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(lookup)
    def guarded(host: object, *args: Any, **options: Any) -> object:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if f".{name.rstrip('.').lower()}".endswith(tuple(f".{domain}" for domain in SERVICE_DOMAINS)):
            raise _error(f"something in this test looks up {name}")
        return lookup(host, *args, **options)

    return guarded


def _error(what: str) -> RuntimeError:
    return RuntimeError(
        f"{what}, and the test uses smsc_server: use smsc_server.client(), or Client(..., base_url=smsc_server.base_url)"
    )
