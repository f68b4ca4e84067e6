"""Many accounts at once, over loopback to a server in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx

from benchmarks import server
from benchmarks.pairing import Line, Seconds, duration, in_turns, missing
from smsc_async import Account, Client, MemoryStore, Quota

TITLE = "BulkFetch: 50 in flight, 50 zones each"
AT_ONCE = 50
# More rounds in a minute than the service's three.
QUOTA = Quota(requests=100)
OURS, EXTRA, BARE_HTTPX, BARE_AIOHTTP = (
    "smsc_async",
    "smsc_async[aiohttp]",
    "bare httpx, gather",
    "bare aiohttp, gather",
)

KINDS: dict[server.Kind, str] = {"same": "", "own": ", a list each", "new": ", new lists"}

Fetch = Callable[[str, int], Awaitable[None]]


# What has worked once is known to: credentials that never have go four at a time, since the service blocks an address at
# the fifth wrong password. So a first pass, which is not measured, and a store that lasts.
STORE = MemoryStore()


async def ours(base_url: str, count: int, *, aiohttp: bool = False) -> None:
    async with Client(base_url=base_url, store=STORE, transport="aiohttp" if aiohttp else None, quota=QUOTA) as client:
        came = 0
        # Always fresh lists, and a generator, since nobody has ten thousand accounts in a list.
        async for outcome in client.tariffs_for((Account(f"u{number}", "123") for number in range(count)), max_age=0):
            if outcome.error is not None:
                raise outcome.error
            came += 1
    assert came == count


def form(number: int) -> dict[str, str]:
    return {"get_price": "1", "login": f"u{number}", "psw": "123", "fmt": "3", "charset": "utf-8"}


async def bare_httpx(base_url: str, count: int) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:

        async def fetch(number: int) -> object:
            return (await client.post(base_url + "get.php", data=form(number))).json()

        assert len(await asyncio.gather(*map(fetch, range(count)))) == count


async def bare_aiohttp(base_url: str, count: int) -> None:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def fetch(number: int) -> object:
            async with session.post(base_url + "get.php", data=form(number)) as response:
                return await response.json()

        assert len(await asyncio.gather(*map(fetch, range(count)))) == count


def contenders() -> dict[str, Fetch]:
    both: dict[str, Fetch] = {OURS: ours, BARE_HTTPX: bare_httpx}
    if find_spec("aiohttp"):
        both[BARE_AIOHTTP] = bare_aiohttp
        if find_spec("httpx_aiohttp"):
            both[EXTRA] = partial(ours, aiohttp=True)
    return both


def seconds(fetch: Fetch, base_url: str, count: int) -> float:
    began = time.perf_counter()
    asyncio.run(fetch(base_url, count))
    return time.perf_counter() - began


def measured(base_url: str, count: int, rounds: int) -> Seconds:
    return in_turns({name: partial(seconds, fetch, base_url, count) for name, fetch in contenders().items()}, rounds)


def run(rounds: int) -> list[Line]:
    small, large = (600, 10_000) if rounds >= 5 else (100, 400)
    lines: list[Line] = []
    for kind, lists in KINDS.items():
        with server.running(kind=kind) as base_url:
            seconds(ours, base_url, small)
            lines += lines_of(measured(base_url, small, rounds), f"{small} accounts{lists}")
    # Not with a list each: of ten thousand the store keeps a part, so that those are new lists too.
    for kind in ("same", "new"):
        with server.running(kind=kind) as base_url:
            lines += growth(base_url, small, large, rounds, KINDS[kind])
    return lines


def growth(base_url: str, small: int, large: int, rounds: int, lists: str) -> list[Line]:
    """What an account costs in a large fleet beside a small one, and the memory."""
    seconds(ours, base_url, large)
    pairs = in_turns(
        {
            "few": partial(seconds, ours, base_url, small),
            "many": lambda: seconds(ours, base_url, large) * small / large,
        },
        rounds,
    )
    few, many = peak_mebibytes(base_url, small), peak_mebibytes(base_url, large)
    return [
        Line(
            f"an account of {large:,}{lists}",
            duration(pairs.median("many") / small),
            f"one of {small}",
            duration(pairs.median("few") / small),
            pairs.ratio("many", "few"),
            "≤ 1.10",
        ),
        Line(
            f"peak memory of {large:,}{lists}",
            f"{many:.0f} MiB",
            f"that of {small}",
            f"{few:.0f} MiB",
            None,
            "≤ 64 MiB more",
        ),
    ]


def lines_of(taken: Seconds, what: str) -> list[Line]:
    lines = [taken.line(what, OURS, BARE_HTTPX, aim="≤ 0.25")]
    if BARE_AIOHTTP not in contenders():
        return [*lines, missing(what, duration(taken.median(OURS)), BARE_AIOHTTP)]
    lines.append(taken.line(what, OURS, BARE_AIOHTTP, aim="≤ 3.0"))
    if EXTRA in contenders():
        lines.append(taken.line(f'{what}, transport="aiohttp"', EXTRA, BARE_AIOHTTP, aim="≤ 1.8"))
    return lines


def peak_mebibytes(base_url: str, count: int) -> float:
    """The most memory that a process of its own had."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet", base_url, str(count)], check=True, capture_output=True, text=True
    )
    return int(told.stdout) / 1024


def peak_kibibytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # where the other way tells the peak of the parent, if that was higher
        return next(int(line.split()[1]) for line in status.read_text("ascii").splitlines() if "VmHWM" in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    for _ in range(2):
        asyncio.run(ours(sys.argv[1], int(sys.argv[2])))
    print(peak_kibibytes())
