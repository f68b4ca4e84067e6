"""Blocking work in threads that the library owns.

The application's pool may be full of threads that wait for calls of this library (P2), so the library never borrows one.
On trio that pool also resolves host names, so the exchanges of the library bring a resolver of their own. On asyncio names
are resolved in the default executor of the event loop, which is another pool.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

import anyio

from smsc_async.limiter.waiter import in_trio

if TYPE_CHECKING:
    from trio.abc import HostnameResolver

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Decoding holds the interpreter lock, and a history has one writer, so more threads gain nothing.
_THREADS: Final = 2
_is_exchange: Final[ContextVar[bool]] = ContextVar("smsc_async name lookups", default=False)


@cache
def _run_var(name: str) -> anyio.lowlevel.RunVar[Any]:
    """Return a variable of the running event loop; made at its first use, because anyio imports half of itself for it."""
    return anyio.lowlevel.RunVar(name)


async def run_in_own_thread(
    func: Callable[[*Ts], T], *args: *Ts, pool: str = "threads", abandon_on_cancel: bool = True
) -> T:
    """Return ``func(*args)``, computed in a thread that counts towards no limit of the application.

    Args:
        func: What to compute.
        args: Its arguments.
        pool: The name of the threads: work that waits for a disk must not delay the decoder.
        abandon_on_cancel: Whether a cancelled caller leaves the thread to itself.
    """
    of_loop = _run_var(f"smsc_async {pool}")
    limiter = of_loop.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_THREADS)
        of_loop.set(limiter)
    return await anyio.to_thread.run_sync(func, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)


@contextmanager
def own_name_lookups() -> Generator[None]:
    """Resolve the host names of the running task in threads of the library's own while the block runs."""
    if not in_trio():
        yield
        return
    from trio.socket import set_custom_hostname_resolver  # noqa: PLC0415  # only for users of trio

    exchanges = _run_var("smsc_async exchanges")
    others = exchanges.get(0)
    exchanges.set(others + 1)
    if not others:
        before = set_custom_hostname_resolver(None)
        # A resolver of the application's own has its own way to wait.
        set_custom_hostname_resolver(_new_resolver() if before is None else before)
    token = _is_exchange.set(True)
    try:
        yield
    finally:
        _is_exchange.reset(token)
        exchanges.set(exchanges.get() - 1)
        if not exchanges.get():
            before = set_custom_hostname_resolver(None)
            if before is not None and not hasattr(before, "of_smsc_async"):
                set_custom_hostname_resolver(before)


def _new_resolver() -> HostnameResolver:
    from trio import to_thread  # noqa: PLC0415  # only for users of trio
    from trio.abc import HostnameResolver  # noqa: PLC0415  # likewise

    async def resolve(call: Callable[..., Any], *args: object) -> Any:
        if _is_exchange.get():
            # Not the limiter above: names that hang must not delay the decoder.
            limiter = anyio.CapacityLimiter(1)
            return await anyio.to_thread.run_sync(call, *args, abandon_on_cancel=True, limiter=limiter)
        return await to_thread.run_sync(call, *args, abandon_on_cancel=True)

    class Resolver(HostnameResolver):
        of_smsc_async = True

        async def getaddrinfo(self, *args: Any, **_: Any) -> Any:
            return await resolve(socket.getaddrinfo, *args)

        async def getnameinfo(self, *args: Any, **_: Any) -> Any:
            return await resolve(socket.getnameinfo, *args)

    return Resolver()
