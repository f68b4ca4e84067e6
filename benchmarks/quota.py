"""The quota as the server sees it: 60 calls at once, three in a window, under a network that delays; virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from unittest import mock

import httpx

from benchmarks.pairing import Line
from smsc_async import LimitedTransport, MemoryStore, Quota
from tests.limiter.wire import URL, Wire
from tests.support.server_log_checks import windows_broken
from tests.support.virtual_time import VirtualTimeLoop

TITLE = "Quota: 60 calls at once, 3 in a window W; violations (mean of the seeds) and span, by the server's arrivals"
CALLS, WINDOW = 60, 60.0
JITTERS = {"no jitter": 0.0, "180 ms each way": 0.18, "20 % of W": 0.2 * WINDOW}
OURS = "smsc_async"

Make = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
Acquire = Callable[[], Awaitable[object]]


class _Limited(httpx.AsyncBaseTransport):
    """A peer as its readme uses it: acquire, then send."""

    def __init__(self, inner: httpx.AsyncBaseTransport, acquire: Acquire) -> None:
        self._inner = inner
        self._acquire = acquire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._acquire()
        return await self._inner.handle_async_request(request)


def ours(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    # Without the second of guard, since no peer has one.
    return LimitedTransport(inner, quota=Quota(guard=1e-6), store=MemoryStore(), exchange_limit=math.inf)


def aiolimiter(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    from aiolimiter import AsyncLimiter

    return _Limited(inner, AsyncLimiter(3, WINDOW).acquire)


def pyrate(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    from pyrate_limiter import InMemoryBucket, Limiter, Rate

    loop = asyncio.get_running_loop()

    class Bucket(InMemoryBucket):
        def now(self) -> int:
            return int(loop.time() * 1000)

    return _Limited(inner, Limiter(Bucket([Rate(3, int(WINDOW * 1000))])).try_acquire_async)


def limits(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    from limits import parse
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter, rule = MovingWindowRateLimiter(MemoryStorage()), parse("3/minute")
    loop = asyncio.get_running_loop()

    async def acquire() -> None:
        while not await limiter.hit(rule, "alex"):
            free_at = (await limiter.get_window_stats(rule, "alex")).reset_time
            await asyncio.sleep(max(free_at - loop.time(), 0.001))

    return _Limited(inner, acquire)


MAKERS: dict[str, tuple[str, Make]] = {
    OURS: ("smsc_async", ours),
    "aiolimiter": ("aiolimiter", aiolimiter),
    "pyrate-limiter": ("pyrate_limiter", pyrate),
    "limits, moving window": ("limits", limits),
}


def arrivals(make: Make, jitter: float, seed: int) -> list[float]:
    """When each of the calls arrived, from the first."""
    chance = random.Random(seed)
    wire = Wire(lambda: chance.uniform(0.0, jitter), lambda: 0.0, linger=Quota().linger)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        # What limits counts by.
        with mock.patch("time.time", loop.time):
            transport = make(wire)
            async with asyncio.TaskGroup() as group:
                for _ in range(CALLS):
                    group.create_task(transport.handle_async_request(httpx.Request("GET", URL)))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    times = sorted(arrived for arrived, _ in wire.tariff_requests())
    return [each - times[0] for each in times]


def judged(make: Make, jitter: float, seeds: int) -> tuple[float, float]:
    """Windows broken, and the span in windows; means over the seeds."""
    runs = [arrivals(make, jitter, seed) for seed in range(seeds)]
    broken = [len(windows_broken([(at, None) for at in run], per=WINDOW)) for run in runs]
    return statistics.mean(broken), statistics.mean(run[-1] for run in runs) / WINDOW


def run(rounds: int) -> list[Line]:
    lines: list[Line] = []
    for what, jitter in JITTERS.items():
        found = {
            name: judged(make, jitter, 2 * rounds if jitter else 1)
            for name, (module, make) in MAKERS.items()
            if find_spec(module)
        }
        own_broken, own_span = found[OURS]
        own = f"{own_broken:.3g} broken, {own_span:.2f} W"
        for name in MAKERS:
            if name == OURS:
                continue
            if name not in found:
                lines.append(Line(what, own, name, "not installed"))
                continue
            broken, span = found[name]
            aim = "0 broken; ≤ 1 where theirs are 0"
            lines.append(Line(what, own, name, f"{broken:.3g} broken, {span:.2f} W", own_span / span, aim))
    return lines
