"""Threads of the library's own, and the host names that they resolve on trio."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest
import trio

from smsc_async.http.threads import own_name_lookups, run_in_own_thread


@pytest.mark.anyio
async def test_work_in_a_thread_counts_towards_no_limit_of_the_application() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    assert await run_in_own_thread(lambda: limiter.borrowed_tokens) == 0


class _Users(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 7))]

    async def getnameinfo(self, *args: Any, **options: Any) -> Any:
        return ("localhost", "echo")


def test_a_resolver_of_the_application_stays_in_place() -> None:
    async def main() -> None:
        mine = _Users()
        trio.socket.set_custom_hostname_resolver(mine)
        with own_name_lookups():
            assert (await trio.socket.getaddrinfo("localhost", 7))[0][4] == ("127.0.0.1", 7)
        assert trio.socket.set_custom_hostname_resolver(None) is mine

    trio.run(main)


def test_names_of_other_tasks_are_resolved_as_ever_and_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def resolve(*args: Any) -> Any:
        if args[5] & socket.AI_NUMERICHOST:  # trio tries a number first
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        used.append(int(limiters[0].borrowed_tokens))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 7))]

    limiters: list[trio.CapacityLimiter] = []

    async def main() -> None:
        limiters.append(trio.to_thread.current_default_thread_limiter())
        entered, left, resolved = trio.Event(), trio.Event(), trio.Event()

        async def exchange() -> None:
            with own_name_lookups(), own_name_lookups():
                entered.set()
                await left.wait()
                await trio.socket.getaddrinfo("localhost", 7)
                resolved.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange)
            await entered.wait()
            with monkeypatch.context() as patch:
                patch.setattr(socket, "getaddrinfo", resolve)
                await trio.socket.getaddrinfo("localhost", 7)
                named = await trio.socket.getnameinfo(("127.0.0.1", 7), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
                assert named == ("127.0.0.1", "7")
                left.set()
                await resolved.wait()
        assert used == [1, 0]
        assert trio.socket.set_custom_hostname_resolver(None) is None

    trio.run(main)
