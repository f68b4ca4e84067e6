"""An answer from memory."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import httpx

from benchmarks.pairing import Line, duration, in_loop, in_turns, missing
from smsc_async import Account, Client, Format, MemoryStore
from smsc_async.simulator.rendering import render
from smsc_async.simulator.sample import make_tariffs

TITLE = "Cached answer"
TIMES = 2_000
OURS = "tariffs() from memory"


async def repeated(call: Callable[[], Awaitable[object]]) -> float:
    await call()
    began = time.perf_counter()
    for _ in range(TIMES):
        await call()
    return time.perf_counter() - began


async def ours() -> float:
    body = render(make_tariffs(zones=50, operators=0), Format.JSON)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    async with Client(Account("alex", "123"), transport=transport, store=MemoryStore()) as client:
        return await repeated(client.tariffs)


async def aiolimiter() -> float:
    from aiolimiter import AsyncLimiter

    return await repeated(AsyncLimiter(10**9, 60).acquire)


async def aiocache() -> float:
    package: Any = import_module("aiocache")  # it has no types

    async def fetch(login: str) -> str:
        return login

    cached: Callable[[str], Awaitable[str]] = package.cached(ttl=60)(fetch)
    return await repeated(lambda: cached("alex"))


async def cashews() -> float:
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://")

    @cache(ttl="1m", key="tariffs:{login}")
    async def fetch(login: str) -> str:
        return login

    taken = await repeated(lambda: fetch("alex"))
    await cache.close()
    return taken


PEERS = {"aiolimiter": (aiolimiter, "≤ 2"), "aiocache": (aiocache, "< 1"), "cashews": (cashews, "< 1")}


def run(rounds: int) -> list[Line]:
    calls: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {OURS: ours}
    calls |= {name: call for name, (call, _) in PEERS.items() if find_spec(name)}
    taken = in_turns({name: in_loop(call) for name, call in calls.items()}, 2 * rounds)
    own = duration(taken.median(OURS) / TIMES)
    return [
        taken.line(OURS, OURS, name, each=TIMES, aim=aim) if name in calls else missing(OURS, own, name)
        for name, (_, aim) in PEERS.items()
    ]
