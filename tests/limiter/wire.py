"""A network and a server in virtual time, and random calls over them: what the quota is judged by.

The network delays each way; a request that was given up may still arrive, up to ``linger`` seconds later, and the
server works on it though nobody listens. That bound is the one assumption of the proof (see ``docs/concepts.md``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import anyio
import attrs
import httpx

from smsc_async import LimitedTransport, MemoryStore, QuotaExhausted
from smsc_async.limiter.quota import Quota
from tests.support.server_log_checks import Exchange
from tests.support.virtual_time import BackendName, run_virtual

URL = "https://smsc.example/sys/get.php?get_price=1&login=alex&psw=123"
OTHER_URL = "https://smsc.example/sys/balance.php?login=alex&psw=123"


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to a server that logs when each arrives and when it is done with it."""

    def __init__(self, delay: Callable[[], float], service: Callable[[], float], linger: float) -> None:
        self._delay = delay
        self._service = service
        self._linger = linger
        self.log: list[tuple[str, Exchange]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        arrives = anyio.current_time() + self._delay()
        over = arrives + self._service()
        place = len(self.log)
        self.log.append((request.url.path, (arrives, over)))
        try:
            await anyio.sleep(over + self._delay() - anyio.current_time())
        except BaseException:
            latest = anyio.current_time() + self._linger
            self.log[place] = (request.url.path, (min(arrives, latest), min(over, latest)))
            raise
        return httpx.Response(200, content=b"fine")

    def tariff_requests(self) -> list[Exchange]:
        return [exchange for path, exchange in self.log if path.endswith("get.php")]

    def requests(self) -> list[Exchange]:
        return [exchange for _, exchange in self.log]


Limit = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]


def ours(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    return LimitedTransport(inner, store=MemoryStore(), exchange_limit=math.inf)


class ClassicBucket(httpx.AsyncBaseTransport):
    """The token bucket of the books: three at once, then one every twenty seconds, counted at the sending."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._tokens = 3.0
        self._at = 0.0
        self._turn = anyio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._turn:
            while True:
                instant = anyio.current_time()
                self._tokens = min(3.0, self._tokens + (instant - self._at) / 20.0)
                self._at = instant
                if self._tokens >= 1.0:
                    self._tokens -= 1.0
                    break
                await anyio.sleep((1.0 - self._tokens) * 20.0 + 1e-6)
        return await self._inner.handle_async_request(request)


class SendLog(httpx.AsyncBaseTransport):
    """A sliding log of the last three sendings, with the second of guard that we have too."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._sent: list[float] = []
        self._turn = anyio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._turn:
            if len(self._sent) == 3:
                await anyio.sleep(max(0.0, self._sent[0] + 61.0 - anyio.current_time()))
                del self._sent[0]
            self._sent.append(anyio.current_time())
        return await self._inner.handle_async_request(request)


@attrs.frozen
class Call:
    """One call of a schedule: when it begins, when its caller gives up (never: ``None``), and what it asks."""

    at: float
    gives_up_after: float | None
    url: str


def random_schedule(chance: random.Random) -> list[Call]:
    """Between one call and forty, in bursts and alone, some of them cancelled soon, late or never."""
    calls: list[Call] = []
    at = 0.0
    for _ in range(chance.choice([1, 4, 12, 40])):
        at += chance.choice([0.0, 0.0, 0.0, chance.uniform(0, 2), chance.uniform(0, 70)])
        patience = chance.choice([None, None, chance.uniform(0, 15), chance.uniform(0, 300)])
        calls.append(Call(at, patience, URL if chance.random() < 0.6 else OTHER_URL))
    return calls


def run_schedule(backend: BackendName, limit: Limit, calls: list[Call], chance: random.Random) -> Wire:
    """Run calls through a limiter on one event loop in virtual time, and return what the server saw."""
    jitter = chance.choice([0.0, 0.18, 3.0, 12.0])
    work = chance.choice([0.0, 0.5, 10.0, 90.0])
    wire = Wire(lambda: chance.uniform(0, jitter), lambda: chance.uniform(0, work), linger=Quota().linger)

    async def make(transport: httpx.AsyncBaseTransport, call: Call) -> None:
        await anyio.sleep(call.at)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                if call.gives_up_after is not None:
                    group.start_soon(_cancel_after, scope, call.gives_up_after)
                request = httpx.Request("GET", call.url)
                try:
                    response = await transport.handle_async_request(request)
                    await response.aread()
                    await response.aclose()
                except QuotaExhausted:  # never: nobody here has a deadline that anyio knows
                    raise AssertionError from None
                group.cancel_scope.cancel()

    async def main() -> None:
        transport = limit(wire)
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(make, transport, call)

    run_virtual(backend, main)
    return wire


async def _cancel_after(scope: anyio.CancelScope, seconds: float) -> None:
    await anyio.sleep(seconds)
    scope.cancel()
