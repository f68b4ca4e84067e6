"""Many accounts at once, over TLS to a server in a process of its own, with a reply time of 100 ms and of 0 ms."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from benchmarks import server
from benchmarks.pairing import Line, Seconds, duration, in_turns, missing
from smsc_async import Account, Client, MemoryStore, Quota

TITLE = "Fleet: over TLS, 50 in flight, 50 zones each"
AT_ONCE = Client.AT_ONCE
# More passes in a minute than the service's three.
QUOTA = Quota(requests=100)
# How many requests of a first pass are in flight: three of the four places, once the store knows credentials that have worked
# (rule 3 of docs/lockout.md). Four is the number that the service permits.
PLACES = (3, 4)
ROUND_TRIPS = 15
OURS, BARE_HTTPX, BARE_AIOHTTP = "smsc_async", "bare httpx, gather", "bare aiohttp, keep-alive"
# httpx's pool looks at every waiting request for each request that ends. This one never has more than 50.
LIMITED_HTTPX = "bare httpx, 50 at a time"

Fetch = Callable[[server.Server, int], Coroutine[Any, Any, None]]


async def ours(to: server.Server, count: int, *, store: MemoryStore) -> None:
    async with Client(base_url=to.base_url, ssl_context=to.ssl_context(), store=store, quota=QUOTA) as client:
        lists = 0
        # Always a request for each account; and a generator, because 10,000 accounts need not be in memory.
        async for outcome in client.tariffs_for((Account(f"u{number}", "123") for number in range(count)), max_age=0):
            if outcome.error is not None:
                raise outcome.error
            lists += 1
    assert lists == count


def form(number: int) -> dict[str, str]:
    return {"get_price": "1", "login": f"u{number}", "psw": "123", "fmt": "3", "charset": "utf-8"}


async def bare_httpx(to: server.Server, count: int, *, most_at_once: int | None = None) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    places = asyncio.Semaphore(most_at_once or count)
    async with httpx.AsyncClient(limits=limits, timeout=None, verify=to.ssl_context()) as client:

        async def fetch(number: int) -> object:
            async with places:
                return (await client.post(to.base_url + "get.php", data=form(number))).json()

        assert len(await asyncio.gather(*map(fetch, range(count)))) == count


async def bare_aiohttp(to: server.Server, count: int) -> None:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=to.ssl_context())
    async with aiohttp.ClientSession(connector=connector) as session:

        async def fetch(number: int) -> object:
            async with session.post(to.base_url + "get.php", data=form(number)) as response:
                return await response.json()

        assert len(await asyncio.gather(*map(fetch, range(count)))) == count


def peers() -> dict[str, Fetch]:
    bare: dict[str, Fetch] = {BARE_HTTPX: bare_httpx, LIMITED_HTTPX: partial(bare_httpx, most_at_once=AT_ONCE)}
    if find_spec("aiohttp"):
        bare[BARE_AIOHTTP] = bare_aiohttp
    return bare


class Passes:
    """Passes over the accounts of one server, with their wall time and the CPU time of this process."""

    def __init__(self, to: server.Server, count: int, store: MemoryStore) -> None:
        self._server = to
        self._count = count
        self._cpu: dict[str, list[float]] = {}
        self._contenders: dict[str, Fetch] = {OURS: partial(ours, store=store), **peers()}

    def run(self, rounds: int) -> tuple[Seconds, Seconds]:
        """Return the wall times and the CPU times of all contenders."""
        for fetch in self._contenders.values():
            seconds(fetch, self._server, 1)  # imports what it needs
        wall = in_turns({name: partial(self._seconds, name) for name in self._contenders}, rounds)
        return wall, Seconds(self._cpu)

    def _seconds(self, name: str) -> float:
        began_cpu = time.process_time()
        taken = seconds(self._contenders[name], self._server, self._count)
        self._cpu.setdefault(name, []).append(time.process_time() - began_cpu)
        return taken


def seconds(fetch: Fetch, to: server.Server, count: int) -> float:
    began = time.perf_counter()
    asyncio.run(fetch(to, count))
    return time.perf_counter() - began


def run(rounds: int) -> list[Line]:
    small, large = (600, 10_000) if rounds >= 5 else (12, 24)
    lines: list[Line] = []
    with server.running(reply_seconds=0.1) as to:
        lines += first_pass(to, small, rounds, "100 ms", ("≤ 1.15", ""))
        lines += later_passes(to, small, rounds, "100 ms", {BARE_AIOHTTP: "≤ 1.5"})
    with server.running() as to:
        lines += first_pass(to, small, rounds, "0 ms", ("", ""))
        lines += later_passes(to, small, rounds, "0 ms", {BARE_HTTPX: "≤ 0.45"})
    with server.running() as to:
        lines += growth(to, small, large, rounds)
    return lines


def first_pass(to: server.Server, count: int, rounds: int, reply_time: str, aims: tuple[str, ...]) -> list[Line]:
    """A pass of credentials that have not worked yet: a few at a time, because the service blocks an address at the fifth
    wrong password."""
    trips = {places: f"{count // places} round trips, {places} at a time" for places in PLACES}
    contenders: dict[str, Callable[[], float]] = {OURS: lambda: seconds(partial(ours, store=MemoryStore()), to, count)}
    contenders |= {name: partial(round_trips, to, places, count) for places, name in trips.items()}
    taken = in_turns(contenders, rounds)
    what = f"{reply_time}: first pass, {count} accounts"
    return [taken.line(what, OURS, name, aim=aim) for name, aim in zip(trips.values(), aims, strict=True)]


def round_trips(to: server.Server, places: int, count: int) -> float:
    """The time of ``count`` exchanges, each on a connection of its own, with that many in flight; measured on a few of them."""

    async def exchanges(context: ssl.SSLContext, place: int) -> None:
        for number in range(ROUND_TRIPS):
            async with httpx.AsyncClient(verify=context, timeout=None) as client:
                await client.post(to.base_url + "get.php", data=form(number * places + place))

    async def all_places() -> None:
        context = to.ssl_context()
        await asyncio.gather(*(exchanges(context, place) for place in range(places)))

    began = time.perf_counter()
    asyncio.run(all_places())
    return (time.perf_counter() - began) / ROUND_TRIPS * count / places


def later_passes(to: server.Server, count: int, rounds: int, reply_time: str, aims: dict[str, str]) -> list[Line]:
    """Passes of credentials that have worked before."""
    store = MemoryStore()
    seconds(partial(ours, store=store), to, count)
    wall, cpu = Passes(to, count, store).run(rounds)
    what = f"{reply_time}: later passes, {count} accounts"
    lines = [wall.line(what, OURS, name, aim=aims.get(name, "")) for name in peers()]
    lines += [cpu.line(f"{reply_time}: CPU per account", OURS, name, each=count) for name in peers()]
    if BARE_AIOHTTP not in peers():
        lines.append(missing(what, duration(wall.median(OURS)), BARE_AIOHTTP))
    return lines


def growth(to: server.Server, small: int, large: int, rounds: int) -> list[Line]:
    """The cost of an account in a large fleet beside a small one, and the memory."""
    store = MemoryStore()
    fetch = partial(ours, store=store)
    seconds(fetch, to, large)
    taken = in_turns(
        {"few": lambda: seconds(fetch, to, small), "many": lambda: seconds(fetch, to, large) * small / large}, rounds
    )
    few, many = peak_mebibytes(to, small), peak_mebibytes(to, large)
    return [
        Line(
            f"0 ms: an account of {large:,}",
            duration(taken.median("many") / small),
            f"one of {small}",
            duration(taken.median("few") / small),
            taken.ratio("many", "few"),
            "≤ 1.10",
        ),
        Line(
            f"peak memory of {large:,}",
            f"{many:.0f} MiB",
            f"that of {small}",
            f"{few:.0f} MiB",
            None,
            "≤ 64 MiB more",
        ),
    ]


def peak_mebibytes(to: server.Server, count: int) -> float:
    """The peak memory of a process that makes two passes."""
    command = [sys.executable, "-m", "benchmarks.fleet", to.base_url, str(to.ca_file), str(count)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(output) / 1024


def peak_kibibytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage() would return the peak of the parent if that was higher
        return next(int(line.split()[1]) for line in status.read_text("ascii").splitlines() if "VmHWM" in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    base_url, ca_file, accounts = sys.argv[1:]
    lasting = MemoryStore()
    for _ in range(2):
        asyncio.run(ours(server.Server(base_url, Path(ca_file)), int(accounts), store=lasting))
    print(peak_kibibytes())
