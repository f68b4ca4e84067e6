"""What the shared stores cost on this machine, also with many stored accounts: a report, which gates nothing.

uv run python -m benchmarks.stores            # in one or two minutes
uv run python -m benchmarks.stores --quick    # small and rough, to see that everything runs
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import attrs
from redis.asyncio import Redis

from smsc_async import Account, Quota, RedisStore, Secret, SQLiteStore
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import Reply
from smsc_async.records import Format
from smsc_async.simulator import render, sample_tariffs
from smsc_async.stores import FetchLease
from smsc_async.stores.keys import Keys
from tests.stores.redis_server import RedisServer

T = TypeVar("T")

PEPPER = "a long random text"
PROCESSES = 4
QUOTA = Quota()
ENDPOINT = "https://smsc.example/sys/get.php"


@attrs.frozen
class Scale:
    """How often each measurement is repeated.

    Attributes:
        stored: The numbers of accounts that a store already has, each on a server or in a file of its own.
        turns: How often each of the Redis servers has its turn.
        permits: Permits that a turn takes from Redis.
        fetches: Whole fetches of a turn.
        pairs: Permits that one process takes from SQLite.
        accounts: Accounts for which each of the processes fetches.
    """

    stored: tuple[int, int, int]
    turns: int
    permits: int
    fetches: int
    pairs: int
    accounts: int


FULL = Scale(stored=(10, 1_000, 100_000), turns=10, permits=200, fetches=400, pairs=5_000, accounts=2_000)
QUICK = Scale(stored=(10, 20, 30), turns=1, permits=10, fetches=20, pairs=20, accounts=20)


def connect(url: str) -> Any:
    """Return a client of redis-py, whose commands are not typed."""
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]  # nor are its keywords


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us"


async def pair(store: SQLiteStore | RedisStore, login: str) -> tuple[float, float]:
    """Seconds for taking and for giving back."""
    began = time.perf_counter()
    permit = await store.acquire(Permit(login, QUOTA, token=True), lease=90.0)
    between = time.perf_counter()
    assert isinstance(permit, Permit)
    permit.seen = now()
    await store.release(permit, Completion.COMPLETE)
    return between - began, time.perf_counter() - between


ROW = bytes(400)
LISTS = ("{smsc}:lists", "{smsc}:lists:old")  # the young ones and the old ones


async def filled(server: RedisServer, stored: int) -> RedisStore:
    """Return a store on a server that has the permits and the lists of so many accounts."""
    client = connect(server.url)
    store = RedisStore(server.url, pepper=PEPPER, cold_start="grant", keep_bytes=2**30)
    await pair(store, "first")
    permit = await client.get(f"{{smsc}}:permits:{Keys(Secret(PEPPER)).login('first')}")
    for first in range(0, stored, 5_000):
        pipe = client.pipeline(transaction=False)
        for number in range(first, min(first + 5_000, stored)):
            pipe.set(f"{{smsc}}:permits:{number:032x}", permit)
            pipe.hset(LISTS[number % 2], f"{number:032x}:00000000", ROW)
        await pipe.execute()
    for lists in LISTS:
        await client.expire(lists, int(RedisStore.LIST_TTL))
    await client.set("{smsc}:lists:bytes", stored * len(ROW) // 2)
    await client.aclose()
    return store


async def redis_with_stored_accounts(servers: list[RedisServer], scale: Scale) -> None:
    """Print the cost of a permit in units of PING, and of a whole fetch in the server's time.

    The servers take turns: one after another, they would differ by what else the machine does.
    """
    stores = [await filled(server, stored) for server, stored in zip(servers, scale.stored, strict=True)]
    pings: list[list[float]] = [[] for _ in stores]
    takes: list[list[float]] = [[] for _ in stores]
    used: list[list[float]] = [[] for _ in stores]
    for turn in range(scale.turns * len(stores)):
        i = turn % len(stores)
        client = connect(servers[i].url)
        await client.ping()
        for number in range(scale.permits):
            began = time.perf_counter()
            await client.ping()
            pings[i].append(time.perf_counter() - began)
            takes[i].append((await pair(stores[i], f"login{turn}.{number}"))[0])
        await client.aclose()
        accounts = [f"account{turn}.{number}" for number in range(scale.fetches)]
        await confirm(stores[i], accounts)
        before = server_seconds(servers[i])
        await fetch_all(stores[i], accounts)
        used[i].append((server_seconds(servers[i]) - before) / len(accounts))
    for i, stored in enumerate(scale.stored):
        await stores[i].aclose()
        ping, take = statistics.median(pings[i]), statistics.median(takes[i])
        print(
            f"Redis, {stored:>7,} stored accounts: token + slot {micro(take)}, PING of redis-py {micro(ping)}: "
            f"{take / ping:.2f} x PING; server time of a fetch {micro(statistics.median(used[i]))}"
        )


def permit_of(login: str) -> Permit:
    """Return the permit that a client wants for an account."""
    return Permit(
        f"smsc.example {login}", QUOTA, token=True, credentials=Credentials("smsc.example", Account(login, "123"))
    )


async def confirm(store: RedisStore, logins: Iterable[str]) -> None:
    """Let the store know that the credentials of these accounts work."""
    for login in logins:
        permit = await store.queue.acquire(permit_of(login), lease=30.0)
        permit.seen = now()
        await store.release(permit, Completion.COMPLETE, Verdict.LIST)


async def fetch_all(store: RedisStore, logins: Iterable[str]) -> None:
    """Do everything that a shared store does for confirmed accounts, 50 at once."""
    body = render(sample_tariffs(), Format.JSON, charset="utf-8")
    reply, tariffs = Reply(200, "application/json; charset=utf-8", None, body), sample_tariffs()
    waiting = iter(logins)

    async def work() -> None:
        for login in waiting:
            permit = permit_of(login)
            lead = await store.lease_or_reply(ENDPOINT, Account(login, "123"), 60.0, permit)
            assert isinstance(lead, FetchLease)
            if lead.permit is None:
                await store.queue.acquire(permit, lease=30.0)
            lead.permit, lead.reply, lead.tariffs = None, reply, tariffs
            permit.seen = now()
            await store.release(permit, Completion.COMPLETE, Verdict.LIST, lead)

    await asyncio.gather(*[work() for _ in range(50)])


def sqlite_with_stored_accounts(path: str, stored: int, pairs: int) -> None:
    """Print the cost of a permit in the worker thread."""
    asyncio.run(sqlite_pairs(path, "first", 1))
    with sqlite3.connect(path) as connection:
        numbers = range(stored)
        connection.executemany(
            "INSERT INTO replies VALUES (?, ?, 1e9, 1e9)", ((f"{number:032x}", ROW) for number in numbers)
        )
        connection.executemany(
            "INSERT INTO lockouts VALUES (?, '{}', 1e9)", ((f"{number:032x}",) for number in numbers)
        )
        connection.executemany(
            "INSERT INTO permits VALUES (?, ?, '', 1e9, 0, 0)", ((number, f"{number:032x}") for number in numbers)
        )
    connection.close()
    work, total = asyncio.run(sqlite_pairs(path, "login", pairs))
    print(
        f"SQLite, {stored:>7,} stored accounts: taken and given back {micro(statistics.median(work))} in the thread, "
        f"{micro(statistics.median(total))} seen from the loop"
    )


def inside(store: SQLiteStore) -> list[float]:
    """Have the seconds of each job in the worker thread written down, its transaction included."""
    seconds: list[float] = []
    worker = store._worker  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    run = worker.run

    async def timed(work: Callable[[], Any], undo: Callable[[Any], object] | None = None) -> Any:
        def timed_work() -> Any:
            began = time.perf_counter()
            try:
                return work()
            finally:
                seconds.append(time.perf_counter() - began)

        return await run(timed_work, undo)

    worker.run = timed  # type: ignore[method-assign]
    return seconds


async def sqlite_pairs(path: str, name: str, count: int) -> tuple[list[float], list[float]]:
    store = SQLiteStore(path, pepper=PEPPER)
    await pair(store, f"{name} first")
    seconds = inside(store)
    total = [sum(await pair(store, f"{name} {i}")) for i in range(count)]
    await store.aclose()
    return [a + b for a, b in zip(seconds[::2], seconds[1::2], strict=True)], total


def sqlite_process(path: str, pairs: int, process: int) -> list[float]:
    """Return the seconds of each permit in the worker thread."""
    return asyncio.run(sqlite_pairs(path, f"process {process}", pairs))[0]


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(share * (len(seconds) - 1))]


def sqlite(path: str, pairs: int) -> None:
    work, total = asyncio.run(sqlite_pairs(path, "alone", pairs))
    print(
        f"SQLite: taken and given back {micro(statistics.median(work))} in the thread, {micro(statistics.median(total))} seen from the loop"
    )
    work = list(chain.from_iterable(together(partial(sqlite_process, path, pairs))))
    print(
        f"SQLite, {PROCESSES} processes at once: median {micro(statistics.median(work))}, p99 {micro(percentile(work, 0.99))}, "
        f"longest {micro(max(work))} in the thread"
    )


def together(work: Callable[[int], T]) -> list[T]:
    """Return the results of processes that start their work at the same time; ``work`` gets the number of its process."""
    context = multiprocessing.get_context("spawn")
    all_ready = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=all_ready.wait) as processes:
        return list(processes.map(work, range(PROCESSES)))


async def confirm_all(url: str, accounts: int) -> None:
    async with RedisStore(url, pepper=PEPPER, cold_start="grant") as store:
        await confirm(store, (f"login{number}" for number in range(accounts)))


def fleet_process(url: str, accounts: int, process: int) -> tuple[float, float]:
    return asyncio.run(fleet(url, process * accounts, accounts))


async def fleet(url: str, first: int, accounts: int) -> tuple[float, float]:
    """Return the seconds, and those of the processor, for what a shared store does for so many accounts."""
    store = RedisStore(url, pepper=PEPPER, cold_start="grant")
    await pair(store, f"process {first}")
    began, used = time.perf_counter(), time.process_time()
    await fetch_all(store, (f"login{number}" for number in range(first, first + accounts)))
    spent = time.perf_counter() - began, time.process_time() - used
    await store.aclose()
    return spent


def server_seconds(server: RedisServer) -> float:
    lines = server.ask("INFO", "cpu").decode().split()
    return sum(float(line.partition(":")[2]) for line in lines if line.startswith(("used_cpu_sys:", "used_cpu_user:")))


def server_bytes(server: RedisServer) -> int:
    return int(server.ask("INFO", "memory").decode().partition("used_memory:")[2].split()[0])


def redis_fleet(server: RedisServer, accounts_each: int) -> None:
    server.ask("FLUSHALL")
    memory = server_bytes(server)
    accounts = PROCESSES * accounts_each
    asyncio.run(confirm_all(server.url, accounts))
    before = server_seconds(server)
    answers = together(partial(fleet_process, server.url, accounts_each))
    seconds = max(each[0] for each in answers)
    mine = sum(each[1] for each in answers)
    server_used = server_seconds(server) - before
    print(
        f"Redis, {PROCESSES} processes of {accounts_each:,} accounts each: {accounts / seconds:,.0f} accounts/s; an account costs "
        f"{micro(mine / accounts)} here and {micro(server_used / accounts)} of the server's core, "
        f"{(server_bytes(server) - memory) / accounts:,.0f} bytes of its memory"
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stores", description="What the shared stores cost on this machine."
    )
    parser.add_argument("--quick", action="store_true", help="small and rough, to see that everything runs")
    scale = QUICK if parser.parse_args(arguments).quick else FULL
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        with RedisServer() as second, RedisServer() as third:
            asyncio.run(redis_with_stored_accounts([server, second, third], scale))
        for stored in scale.stored:
            sqlite_with_stored_accounts(f"{folder}/{stored}.db", stored, scale.pairs)
        sqlite(f"{folder}/store.db", scale.pairs)
        redis_fleet(server, scale.accounts)


if __name__ == "__main__":
    main(sys.argv[1:])
