"""Bytes that a login costs, while its quota is in use and after."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.pairing import Line, missing
from smsc_async import Quota
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.buckets import Buckets

TITLE = "Memory of a login"
LOGINS = [f"login-{number:06}" for number in range(10_000)]


def bytes_each(make: Callable[[], object]) -> float:
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return held / len(LOGINS)


def in_use() -> Buckets:
    buckets, quota = Buckets(), Quota()
    for number, login in enumerate(LOGINS):
        permit = Permit(login, quota, token=True)
        assert buckets.acquire(permit, number / 1000) is None
        permit.seen = number / 1000
        buckets.release(permit, permit.seen, Completion.COMPLETE)
    return buckets


def idle() -> Buckets:
    buckets, quota = in_use(), Quota()
    # The first acquire after a minute removes what is free.
    assert buckets.acquire(Permit("another", quota, token=True), len(LOGINS) / 1000 + quota.window) is None
    return buckets


def by_aiolimiter() -> object:
    from aiolimiter import AsyncLimiter

    return {login: AsyncLimiter(3, 60) for login in LOGINS}


def by_limits() -> object:
    import asyncio

    from limits import parse
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    async def hit() -> object:
        storage = MemoryStorage()
        limiter, rule = MovingWindowRateLimiter(storage), parse("3/minute")
        for login in LOGINS:
            await limiter.hit(rule, login)
        return storage

    return asyncio.run(hit())


PEERS = {"aiolimiter": by_aiolimiter, "limits": by_limits}


def run(rounds: int) -> list[Line]:  # noqa: ARG001  # counted, not timed
    used, unused = bytes_each(in_use), bytes_each(idle)
    own = f"{used:.0f} bytes"
    lines = [Line("a bucket in use", own, aim="≤ 200 bytes"), Line("idle", f"{unused:.0f} bytes", aim="0")]
    for name, make in PEERS.items():
        if find_spec(name):
            theirs = bytes_each(make)
            lines.append(Line("a bucket in use", own, name, f"{theirs:.0f} bytes", used / theirs))
        else:
            lines.append(missing("a bucket in use", own, name))
    return lines
