"""A guard that forbids network access: only loopback and unix sockets, and no name look-ups.

The guard covers this process only. A test that starts another process is responsible for that process.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import cast

import pytest


class Forbidden(AssertionError):
    """A test tried to leave the machine. Not an ``OSError``, so that no code handles it as a network fault."""


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_allowed(family: int, address: object) -> bool:
    if family == socket.AF_UNIX:
        return True
    return isinstance(address, tuple) and _is_loopback(next(iter(cast("tuple[object, ...]", address)), ""))


@contextmanager
def loopback_only() -> Generator[list[Forbidden]]:
    """Forbid everything but loopback while the block runs, and yield the list of forbidden attempts."""
    attempts: list[Forbidden] = []

    def forbid(what: str) -> Forbidden:
        attempts.append(Forbidden(f"{what}: tests stay on this machine"))
        return attempts[-1]

    def guard_address(name: str, position: int) -> None:
        real = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: object) -> object:
            address = args[position] if len(args) > abs(position) - (position < 0) else None
            if address is not None and not _is_allowed(self.family, address):
                raise forbid(f"{name}() to {address!r}")
            return real(self, *args)

        patch.setattr(socket.socket, name, guarded)

    def guard_name(name: str) -> None:
        real: Callable[..., object] = getattr(socket, name)

        def guarded(host: object, *args: object, **kwargs: object) -> object:
            if not _is_loopback(host):
                raise forbid(f"{name}() of {host!r}")
            return real(host, *args, **kwargs)

        patch.setattr(socket, name, guarded)

    with pytest.MonkeyPatch.context() as patch:
        guard_address("connect", 0)
        guard_address("connect_ex", 0)
        guard_address("sendto", -1)
        guard_address("sendmsg", 3)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            guard_name(name)
        yield attempts
