"""Random schedules of right and wrong credentials, faults and restarts, judged by the server's log alone.

Each schedule is a number, which decides everything: the accounts, the calls, what the service and the network do, and when
processes are killed. ``lockout_judge.py`` judges; it does not know the rules of the library.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest
import redis
from hypothesis import settings

from smsc_async import Account, Client, MemoryStore, Quota, RedisStore, SmscError, SQLiteStore, StoreError
from smsc_async.fetch import lockout
from smsc_async.fetch.circuit import Circuit
from smsc_async.limiter.clock import now
from smsc_async.stores import Store
from smsc_async.stores.redis.connection import RedisConnections
from smsc_async.stores.redis.scripts import Script
from smsc_async.stores.sqlite.worker_thread import Worker
from tests.faults.lockout_judge import Call, Credentials, Exchange, fifth_errors, long_waits, untimely_trials
from tests.faults.scripted import URL, good, refusal, status
from tests.stores.redis_server import RedisServer
from tests.support import virtual_time
from tests.support.slow import EXHAUSTIVE_CASE, exhaustive_after, on_loops_in_turn
from tests.support.virtual_time import BACKEND_NAMES, BackendName, run_virtual

pytestmark = pytest.mark.no_cover

MINUTE: Final = 60.0
HOUR: Final = 3600.0
# The thorough profile (HYPOTHESIS_PROFILE=thorough) tries a hundred times as many schedules.
MORE: Final = 100 if settings().max_examples > 1_000 else 1
PEPPER: Final = "a long random text"
# Tokens are another rule's: see tests/limiter/test_schedules.py.
QUOTA: Final = Quota(requests=10_000, concurrent=10_000)


class Stores:
    """The stores of one schedule: here one ``MemoryStore``, which dies with its process and is never shared."""

    def __init__(self) -> None:
        self.made: list[Any] = [MemoryStore()]
        self.dead: list[object] = []

    def new(self) -> Store:
        """Return the store of a new process."""
        store: Store = self.made[-1]
        return store

    def kill(self, store: Store) -> bool:
        """Let the store of a killed process write nothing more; return whether that is possible."""
        return False

    async def aclose(self) -> None:
        """Close all stores."""

    def check(self, part: object) -> None:
        """Raise for the part of a dead store."""
        if part in self.dead:
            raise StoreError("the process is dead")


class SQLiteStores(Stores):
    """One file. The stores work in the event loop: the virtual clock does not know their threads."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.made = []
        self._path = path

        async def run(worker: Worker, work: Callable[[], Any], _undo: object = None) -> Any:
            await anyio.lowlevel.checkpoint()
            self.check(worker)
            return work()

        patch.setattr(Worker, "run", run)

    def new(self) -> Store:
        self.made.append(SQLiteStore(self._path, pepper=PEPPER))
        store: Store = self.made[-1]
        return store

    def kill(self, store: Store) -> bool:
        assert isinstance(store, SQLiteStore)
        self.dead.append(store._worker)  # pyright: ignore[reportPrivateUsage]
        return True

    async def aclose(self) -> None:
        for store in self.made:
            store._file.close()  # the worker would close it


class RedisStores(Stores):
    """A real server, whose scripts read the virtual clock; virtual time stands still during a command."""

    def __init__(self, server: RedisServer, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.made = []
        self._url = server.url
        server.ask("FLUSHALL")
        clock = redis.Redis(unix_socket_path=str(server.socket))
        real_call, real_info = RedisConnections.call, RedisConnections.info

        async def call(connections: RedisConnections, script: Script, *arguments: Any) -> Any:
            self.check(connections)
            clock.set("virtual", repr(now()))
            moved = Script(script.text.replace("redis.call('TIME')", "{redis.call('GET', 'virtual'), 0}"))
            assert moved != script
            with virtual_time.standing_still():
                return await real_call(connections, moved, *arguments)

        async def info(connections: RedisConnections) -> Any:
            self.check(connections)
            with virtual_time.standing_still():
                return await real_info(connections)

        patch.setattr(RedisConnections, "call", call)
        patch.setattr(RedisConnections, "info", info)

    def new(self) -> Store:
        self.made.append(RedisStore(self._url, pepper=PEPPER, cold_start="grant"))
        store: Store = self.made[-1]
        return store

    def kill(self, store: Store) -> bool:
        assert isinstance(store, RedisStore)
        self.dead.append(store._redis)  # pyright: ignore[reportPrivateUsage]
        return True

    async def aclose(self) -> None:
        with virtual_time.standing_still():
            for store in self.made:
                await store.aclose()


@attrs.define(eq=False)
class Process(httpx.AsyncBaseTransport):
    """A process that uses the service, and its way there."""

    world: World
    store: Store
    is_killed: bool = False
    in_flight: int = 0
    scopes: list[anyio.CancelScope] = attrs.field(factory=list[anyio.CancelScope])
    client: Client = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = Client(base_url=URL, transport=self, store=self.store, max_age=0, quota=QUOTA)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fields = dict(httpx.QueryParams((await request.aread()).decode()))
        return await self.world.serve(self, fields["login"], fields["psw"])


@attrs.define(eq=False)
class World:
    """The service, the accounts and the processes of one schedule.

    Attributes:
        seed: The number of the schedule.
        stores: Where the processes share what they know.
        exchanges: What arrived at the service.
        calls: What became of the calls.
        wrong: The credentials that the service refuses, with the instant from which it does.
        phases: The ends of the phases, with the share of requests that something happens to.
        processes: Those that run.
        chance: Decides everything.
    """

    seed: int
    stores: Stores
    exchanges: list[Exchange] = attrs.field(factory=list[Exchange])
    calls: list[Call] = attrs.field(factory=list[Call])
    wrong: dict[Credentials, float] = attrs.field(factory=dict[Credentials, float])
    phases: list[tuple[float, float]] = attrs.field(factory=list[tuple[float, float]])
    processes: list[Process] = attrs.field(factory=list[Process])
    chance: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        random.seed(self.seed)  # the library's pauses

    async def serve(self, process: Process, login: str, password: str) -> httpx.Response:
        """Answer a request, late or not at all, as the phase wants it."""
        each = Exchange(now(), (login, password))
        self.exchanges.append(each)
        seconds, fate = self._fate(each.at)
        process.in_flight += 1
        try:
            await anyio.sleep(seconds)
        finally:  # also if the client gives up or dies
            process.in_flight -= 1
            each.ended_at, each.is_killed = now(), process.is_killed
        if fate == "cut":
            raise httpx.ReadError("cut")
        if fate == "gateway":
            return status(504)
        is_wrong = self.wrong.get(each.credentials, math.inf) <= each.at
        each.reply = "error" if is_wrong else "list"
        return refusal(2) if is_wrong else good()

    def _fate(self, instant: float) -> tuple[float, str]:
        share = next((share for until, share in self.phases if instant < until), 0.0)
        # Random, so that no two ends are at the same instant.
        soon = 0.1 + self.chance.random() / 100
        if self.chance.random() >= share:
            return soon, "reply"
        return self.chance.choice(
            (
                (self.chance.uniform(0.1, 25.0), "reply"),
                (self.chance.uniform(0.1, 2.0), "cut"),
                (self.chance.uniform(0.1, 9.0), "cut"),
                (soon, "gateway"),
                (1000.0, "cut"),  # silence, which the client ends
            )
        )

    async def call(self, process: Process, credentials: Credentials, deadline: float) -> None:
        began, error = now(), None
        with anyio.CancelScope() as scope:
            process.scopes.append(scope)
            try:
                await process.client.tariffs(Account(*credentials), deadline=deadline)
            except SmscError as caught:
                error = caught
            seconds = 0.0 if error is None else error.retry_after or 0.0
            self.calls.append(Call(credentials, began, now(), "" if error is None else type(error).__name__, seconds))

    async def run(self) -> World:
        """Run the schedule: forty minutes of calls, in which bad and quiet minutes alternate."""
        chance = self.chance
        known = [(f"known-{n}", "123") for n in range(chance.choice((0, 3, 12)))]
        new = [(f"new-{n}", "123") for n in range(20)]
        typos = [(f"{chance.choice(('new', 'typo'))}-{n}", f"typo {n}") for n in range(chance.choice((1, 4, 12)))]
        self.wrong = dict.fromkeys(typos, -math.inf)
        self.processes = [Process(self, self.stores.new()) for _ in range(chance.randint(1, 3))]
        for each in known:
            await self.call(self.processes[0], each, 90.0)
        await anyio.sleep(HOUR)  # these are proven now, and the first half is confirmed again
        for each in known[: len(known) // 2]:
            await self.call(self.processes[0], each, 90.0)
        began = now()
        restarts = self._new_phases(began)
        end = self.phases[-1][0]
        for each in known:  # passwords are changed at the provider
            if chance.random() < 0.2:
                self.wrong[each] = chance.uniform(began, end)
        everybody = [*known, *new, *typos]
        calls = [(chance.uniform(began, end), chance.choice(everybody)) for _ in range(150)]
        for crowd, instant in [(typos, began), *[(everybody, chance.uniform(began, end)) for _ in range(4)]]:
            calls += [(instant, each) for each in chance.sample(crowd, chance.choice((0, min(len(crowd), 12))))]
        await self._replay(calls, restarts)
        for process in self.processes:
            await process.client.aclose()
        await self.stores.aclose()
        return self

    def _new_phases(self, began: float) -> list[float]:
        """Decide about the bad and the quiet minutes; return when processes are restarted."""
        restarts: list[float] = []
        end = began
        while end < began + 40 * MINUTE:
            for share in (self.chance.choice((0.1, 0.3, 0.9)), 0.0):
                start, end = end, end + self.chance.uniform(30.0, 4 * MINUTE)
                self.phases.append((end, share))
                if share and self.chance.random() < 0.3:
                    restarts.append(self.chance.uniform(start, end))
        return restarts

    async def _replay(self, calls: list[tuple[float, Credentials]], restarts: list[float]) -> None:
        async with anyio.create_task_group() as group:

            def call(each: Credentials) -> None:
                deadline = self.chance.choice((0.05, 0.5, 2.0, 10.0, 30.0, 90.0))
                group.start_soon(self.call, self.chance.choice(self.processes), each, deadline)

            def restart() -> None:
                killed = max(self.processes, key=lambda process: process.in_flight)
                killed.is_killed = self.stores.kill(killed.store)
                for scope in killed.scopes:
                    scope.cancel()
                group.start_soon(killed.client.aclose)
                self.processes[self.processes.index(killed)] = Process(self, self.stores.new())

            events: list[tuple[float, Callable[[], None]]] = [(at, partial(call, each)) for at, each in calls]
            events += [(at, restart) for at in restarts]
            for at, event in sorted(events, key=lambda each: each[0]):
                await anyio.sleep(max(0.0, at - now()))
                event()

    def violations(self) -> list[str]:
        """Return what the judge has to say."""
        return [
            *(f"fifth error: {each}" for each in fifth_errors(self.exchanges)),
            *(f"untimely trial: {each}" for each in untimely_trials(self.exchanges)),
            *(f"long wait: {each}" for each in long_waits(self.exchanges, self.calls, self.wrong)),
        ]


def run(backend: BackendName, seed: int, stores: Stores) -> World:
    """Run one schedule."""
    world = World(seed, stores)
    return run_virtual(backend, world.run)


@cache
def over_a_memory_store(seed: int, backend: BackendName) -> World:
    """Run one schedule over a store of one process; two tests look at it."""
    return run(backend, seed, Stores())


@pytest.mark.parametrize(
    ("seed", "backend"),
    [
        *on_loops_in_turn(range(4)),
        *(pytest.param(seed, loop, marks=EXHAUSTIVE_CASE) for seed in range(4, 8 * MORE) for loop in BACKEND_NAMES),
    ],
)
def test_over_a_memory_store_no_schedule_breaks_a_promise(seed: int, backend: BackendName) -> None:
    assert over_a_memory_store(seed, backend).violations() == []


@pytest.mark.parametrize(("seed", "backend"), on_loops_in_turn(range(2 * MORE)))
def test_over_a_sqlite_file_no_schedule_breaks_a_promise(
    seed: int, backend: BackendName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(backend, seed, SQLiteStores(tmp_path / "store.db", monkeypatch)).violations() == []


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("seed", exhaustive_after(1, range(3 * MORE)))
def test_over_a_redis_no_schedule_breaks_a_promise(
    seed: int, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("asyncio", seed, RedisStores(redis_server, monkeypatch)).violations() == []


def _forget(*_: object) -> None:
    """In place of a function that remembers."""


# What is broken, the violation by which the judge has to see it, and a seed that has shown it.
FAULTS: Final[dict[str, tuple[object, str, object, str, int]]] = {
    "five places": (lockout, "PLACES", 5, "fifth error", 3),
    "errors are forgotten": (lockout, "WINDOW", 900.0, "fifth error", 1),
    "unanswered trials are harmless": (lockout, "_mark_unanswered", _forget, "untimely trial", 0),
    "probes at once": (lockout, "NEXT_PROBE", 0.0, "untimely trial", 0),
    "probes too late": (lockout, "NEXT_PROBE", 60.0, "long wait", 0),
    "one error takes a login's share": (lockout, "ERRORS_PER_LOGIN", 1, "long wait", 1),
    "own trials pause for too long": (lockout, "TRIAL_PAUSE", 5400.0, "long wait", 1),
    "a lease is too short": (lockout, "LEASE", 1.0, "untimely trial", 1),
    "an outage lasts for too long": (Circuit, "WAITS", (60.0,), "long wait", 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_judge_sees_a_planted_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, value, violation, first = FAULTS[fault]
    monkeypatch.setattr(place, name, value)
    worlds = (run("asyncio", seed, Stores()) for seed in (first, *range(30)))
    assert any(each.startswith(violation) for world in worlds for each in world.violations())


def test_the_judge_sees_that_the_place_of_a_killed_process_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "LEASE", 300.0)
    # Few schedules kill a process whose place is missed afterwards.
    for seed in (27, 16):
        world = run("asyncio", seed, SQLiteStores(tmp_path / f"{seed}.db", monkeypatch))
        assert any(each.is_killed for each in world.exchanges)
        if any(each.startswith("long wait") for each in world.violations()):
            return
    pytest.fail("the judge has seen nothing")


def test_the_schedules_press_hard_enough() -> None:
    worlds = [over_a_memory_store(seed, loop) for seed, loop in zip(range(4), BACKEND_NAMES * 2, strict=True)]
    for world in worlds:
        errors = [each.at for each in world.exchanges if each.reply == "error"]
        assert max(sum(at - 30 * MINUTE < other <= at for other in errors) for at in errors) in range(1, 5)
    kinds = {call.error for world in worlds for call in world.calls}
    assert kinds >= {"", "TrialsExhausted", "CircuitOpen", "CredentialsRefused", "DeadlineExceeded", "TransportError"}
    assert sum(each.reply is None for world in worlds for each in world.exchanges) > 50
