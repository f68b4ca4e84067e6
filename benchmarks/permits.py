"""A permit taken and given back, and the cost of a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

from benchmarks.pairing import Line, duration, in_loop, in_turns, missing
from smsc_async import MemoryStore, Quota
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import system_now, use_clock
from tests.support.virtual_time import VirtualTimeLoop, virtual_now

TITLE = "Permit"
TIMES = 2_000
OURS = "token + slot, fresh bucket"


async def ours() -> float:
    queue, quota = MemoryStore().queue, Quota()
    logins = [f"u{number}" for number in range(TIMES)]
    use_clock(system_now)  # as in production: the clock of the tests looks for a virtual event loop at every reading
    began = time.perf_counter()
    for login in logins:
        # As the transport does it: without a coroutine if no other call waits.
        permit = queue.try_acquire(Permit(login, quota, token=True))
        assert permit is not None
        permit.seen = began
        queue.try_release(permit, Completion.COMPLETE)
    taken = time.perf_counter() - began
    use_clock(virtual_now)
    return taken


async def aiolimiter(*, fresh: bool) -> float:
    from aiolimiter import AsyncLimiter

    hot = AsyncLimiter(10**9, 60)
    began = time.perf_counter()
    for _ in range(TIMES):
        await (AsyncLimiter(3, 60) if fresh else hot).acquire()
    return time.perf_counter() - began


async def pyrate() -> float:
    from pyrate_limiter import InMemoryBucket, Limiter, Rate

    # Not a limiter for each login: each would start a thread of its own.
    limiter = Limiter(InMemoryBucket([Rate(10**9, 60_000)]))
    began = time.perf_counter()
    for _ in range(TIMES):
        await limiter.try_acquire_async("alex")
    taken = time.perf_counter() - began
    limiter.close()
    return taken


async def limits() -> float:
    from limits import parse
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter, rule = MovingWindowRateLimiter(MemoryStorage()), parse("3/minute")
    logins = [f"u{number}" for number in range(TIMES)]
    began = time.perf_counter()
    for login in logins:
        await limiter.hit(rule, login)
    return time.perf_counter() - began


async def semaphore() -> float:
    semaphore = asyncio.Semaphore(3)
    began = time.perf_counter()
    for _ in range(TIMES):
        await semaphore.acquire()
        semaphore.release()
    return time.perf_counter() - began


async def queue(waiters: int) -> float:
    """Seconds for that many waiters of one bucket, in virtual time: what is measured is work alone."""
    queue, quota = MemoryStore().queue, Quota()
    order: list[int] = []

    async def wait(number: int) -> None:
        permit = await queue.acquire(Permit("alex", quota, token=True))
        order.append(number)
        permit.seen = asyncio.get_running_loop().time()
        await queue.release(permit, Completion.COMPLETE)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(waiters):
            group.create_task(wait(number))
    assert order == sorted(order)
    return time.perf_counter() - began


def virtual(waiters: int) -> float:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(queue(waiters)) / waiters


PEERS: dict[str, tuple[str, Callable[[], Coroutine[Any, Any, float]], str]] = {
    "aiolimiter, hot": ("aiolimiter", lambda: aiolimiter(fresh=False), "< 1"),
    "aiolimiter, fresh": ("aiolimiter", lambda: aiolimiter(fresh=True), ""),
    "pyrate-limiter, hot": ("pyrate_limiter", pyrate, ""),
    "limits (memory), fresh": ("limits", limits, ""),
    "asyncio.Semaphore": ("asyncio", semaphore, ""),
}


def run(rounds: int) -> list[Line]:
    calls: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {OURS: ours}
    calls |= {name: call for name, (module, call, _) in PEERS.items() if find_spec(module)}
    taken = in_turns({name: in_loop(call) for name, call in calls.items()}, 2 * rounds)
    own = duration(taken.median(OURS) / TIMES)
    lines = [Line(OURS, own, aim="< 2 µs")]
    for name, (_, _, aim) in PEERS.items():
        lines.append(taken.line(OURS, OURS, name, each=TIMES, aim=aim) if name in calls else missing(OURS, own, name))
    many = 2_000 if rounds >= 5 else 300
    queues = in_turns({"100": lambda: virtual(100), "many": lambda: virtual(many)}, rounds)
    per_waiter, few = duration(queues.median("many")), duration(queues.median("100"))
    lines.append(
        Line(f"a waiter of {many:,}, in order", per_waiter, "one of 100", few, queues.ratio("many", "100"), "≤ 40 µs")
    )
    return lines
