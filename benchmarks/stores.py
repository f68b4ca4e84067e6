"""What the shared stores cost, as ratios on this machine: a report, which gates nothing.

uv run python benchmarks/stores.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from smsc_async import Account, Quota, RedisStore, SQLiteStore
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.protocol import Reply
from smsc_async.records import Format
from smsc_async.simulator import render, sample_tariffs
from smsc_async.stores import FetchLease
from tests.stores.redis_server import RedisServer

PEPPER = "a long random text"
PROCESSES = 4
ACCOUNTS = 5_000
QUOTA = Quota()
ENDPOINT = "https://smsc.example/sys/get.php"


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us"


async def pair(store: SQLiteStore | RedisStore, login: str) -> tuple[float, float]:
    """Seconds for taking and for giving back."""
    began = time.perf_counter()
    permit = await store.acquire(login, QUOTA, token=True, lease=90.0)
    between = time.perf_counter()
    assert isinstance(permit, Permit)
    permit.seen = time.monotonic()
    await store.release(permit, Completion.COMPLETE)
    return between - began, time.perf_counter() - between


async def redis_against_ping(url: str) -> None:
    client = Redis.from_url(url)
    store = RedisStore(url, pepper=PEPPER, cold_start="grant")
    await pair(store, "first")
    pings: list[float] = []
    takes: list[float] = []
    for i in range(4_000):
        began = time.perf_counter()
        await client.ping()
        pings.append(time.perf_counter() - began)
        takes.append((await pair(store, f"login{i}"))[0])
    await client.aclose()
    await store.aclose()
    ping, take = statistics.median(pings), statistics.median(takes)
    print(f"Redis: token + slot {micro(take)}, PING of redis-py {micro(ping)}: {take / ping:.2f} x PING")


def inside(store: SQLiteStore) -> list[float]:
    """Have the seconds of each job in the worker thread written down."""
    seconds: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: object) -> object:
            began = time.perf_counter()
            try:
                return work(*args)
            finally:
                seconds.append(time.perf_counter() - began)

        return run

    store._acquire = timed(store._acquire)  # type: ignore[method-assign]  # noqa: SLF001  # the work itself, without the way to the thread
    store._release = timed(store._release)  # type: ignore[method-assign]  # noqa: SLF001
    return seconds


async def sqlite_pairs(path: str, name: str, count: int) -> tuple[list[float], list[float]]:
    store = SQLiteStore(path, pepper=PEPPER)
    await pair(store, f"{name} first")
    seconds = inside(store)
    total = [sum(await pair(store, f"{name} {i}")) for i in range(count)]
    await store.aclose()
    return [a + b for a, b in zip(seconds[::2], seconds[1::2], strict=True)], total


def sqlite_process(path: str, name: str, go: Any, told: Any) -> None:
    go.wait()
    told.put(asyncio.run(sqlite_pairs(path, name, 2_000)))


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(share * (len(seconds) - 1))]


def sqlite(path: str) -> None:
    work, total = asyncio.run(sqlite_pairs(path, "alone", 5_000))
    print(
        f"SQLite: taken and given back {micro(statistics.median(work))} in the thread, {micro(statistics.median(total))} seen from the loop"
    )
    answers = together(sqlite_process, lambda i: (path, f"process {i}"))
    work = [each for answer in answers for each in answer[0]]
    print(
        f"SQLite, {PROCESSES} processes at once: median {micro(statistics.median(work))}, p99 {micro(percentile(work, 0.99))}, "
        f"longest {micro(max(work))} in the thread"
    )


def together(work: Callable[..., None], arguments: Callable[[int], tuple[object, ...]]) -> list[Any]:
    """What processes that start at the same time tell."""
    context = multiprocessing.get_context("spawn")
    go, told = context.Event(), context.Queue()
    processes = [context.Process(target=work, args=(*arguments(i), go, told)) for i in range(PROCESSES)]
    for process in processes:
        process.start()
    threading.Timer(3.0, go.set).start()
    answers = [told.get() for _ in processes]
    for process in processes:
        process.join()
    return answers


def fleet_process(url: str, first: int, go: Any, told: Any) -> None:
    go.wait()
    told.put(asyncio.run(fleet(url, first)))


async def fleet(url: str, first: int) -> tuple[float, float]:
    """Seconds, and of the processor, for everything that a shared store does for so many accounts."""
    store = RedisStore(url, pepper=PEPPER, cold_start="grant")
    body = render(sample_tariffs(), Format.JSON, charset="utf-8")
    reply, tariffs = Reply(200, "application/json; charset=utf-8", None, body), sample_tariffs()
    await store.reset_lockouts("smsc", None)
    numbers = iter(range(first, first + ACCOUNTS))

    async def work() -> None:
        for number in numbers:
            account = Account(f"login{number}", "123")
            lead = await store.lease_or_reply(ENDPOINT, account, 60.0, 90.0)
            assert isinstance(lead, FetchLease)
            await pair(store, account.login)
            await store.release_lease(ENDPOINT, account, lead, reply, tariffs)

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*[work() for _ in range(50)])
    spent = time.perf_counter() - began, time.process_time() - used
    await store.aclose()
    return spent


def server_seconds(server: RedisServer) -> float:
    told = server.ask("INFO", "cpu").decode()
    return sum(
        float(line.partition(":")[2]) for line in told.split() if line.startswith(("used_cpu_sys:", "used_cpu_user:"))
    )


def server_bytes(server: RedisServer) -> int:
    return int(server.ask("INFO", "memory").decode().partition("used_memory:")[2].split()[0])


def redis_fleet(server: RedisServer) -> None:
    server.ask("FLUSHALL")
    memory, before = server_bytes(server), server_seconds(server)
    answers = together(fleet_process, lambda i: (server.url, i * ACCOUNTS))
    accounts = PROCESSES * ACCOUNTS
    seconds = max(each[0] for each in answers)
    mine = sum(each[1] for each in answers)
    server_used = server_seconds(server) - before
    print(
        f"Redis, {PROCESSES} processes of {ACCOUNTS:,} accounts each: {accounts / seconds:,.0f} accounts/s; an account (4 round trips) costs "
        f"{micro(mine / accounts)} here and {micro(server_used / accounts)} of the server's core, "
        f"{(server_bytes(server) - memory) / accounts:,.0f} bytes of its memory"
    )


def main() -> None:
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        asyncio.run(redis_against_ping(server.url))
        sqlite(f"{folder}/store.db")
        redis_fleet(server)


if __name__ == "__main__":
    main()
