"""Cancelled anywhere, a call loses nothing: no token, slot, connection or task, and no answer of anybody else."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from smsc_async import Account, Client, MemoryStore, Quota, SmscError
from smsc_async.simulator import Rules, SimulatedAccount, Simulator, serve
from tests.limiter.counts import usage_counts, waiter_count
from tests.support.slow import exhaustive_after

LOGINS: Final = [f"login-{n}" for n in range(10)]
BRIEF: Final = Quota(per=0.05, guard=0.01, linger=0.02)
LAX: Final = Rules(per=0.05)


@pytest.fixture  # one for each test, since none knows what the store of another has just sent
def service() -> Iterator[tuple[Simulator, str]]:
    accounts = [SimulatedAccount(login, "123") for login in LOGINS]
    simulator = Simulator(accounts, rules=LAX, latency=(0.0, 0.004), seed=1)
    with serve(simulator) as server:
        yield simulator, server.base_url


async def _nothing_is_lost(client: Client, store: MemoryStore) -> None:
    """All is given back, as soon as what was under way has ended."""
    tasks = client._calls.tasks  # pyright: ignore[reportPrivateUsage]
    with anyio.fail_after(20):
        while len(tasks):  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]  # it has no event for this
            await anyio.sleep(0.01)
    counts = usage_counts(store._buckets)  # pyright: ignore[reportPrivateUsage]
    assert (counts["slots"], counts["tokens_out"]) == (0, 0)
    assert waiter_count(store.queue) == 0
    assert len(store.flights) == 0


async def _cancelled_after(ticks: int, client: Client, account: Account) -> None:
    async with anyio.create_task_group() as group:

        async def call() -> None:
            await client.tariffs(account, max_age=0)
            group.cancel_scope.cancel()

        group.start_soon(call)
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


def _tasks() -> int:
    if "trio" in sys.modules:
        from trio import lowlevel

        if lowlevel.in_trio_task():
            return lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


async def _no_task_is_left(most: int) -> None:
    with anyio.fail_after(20):
        while _tasks() > most:  # noqa: ASYNC110  # no event says it
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_call_cancelled_at_any_tick_loses_nothing(service: tuple[Simulator, str]) -> None:
    simulator, base_url = service
    store = MemoryStore()
    async with Client(base_url=base_url, store=store, quota=BRIEF) as client:
        await client.tariffs(Account(LOGINS[0], "123"))
        tasks = _tasks()
        for ticks in range(1, 201):
            await _cancelled_after(ticks, client, Account(LOGINS[ticks % len(LOGINS)], "123"))
        await _nothing_is_lost(client, store)
        await _no_task_is_left(tasks + 1)
        assert (await client.tariffs(Account(LOGINS[0], "123"), max_age=0)).zones
    assert max(simulator.peak(login) for login in LOGINS) <= 14


@pytest.mark.anyio
async def test_a_client_closed_at_any_tick_of_a_call_loses_nothing(service: tuple[Simulator, str]) -> None:
    _, base_url = service
    store = MemoryStore()
    for ticks in range(1, 61):
        client = Client(base_url=base_url, store=store, quota=BRIEF)
        async with anyio.create_task_group() as group:

            async def call(client: Client, login: str) -> None:
                # It may have ended before the closing, or not have begun.
                with suppress(SmscError, RuntimeError):
                    await client.tariffs(Account(login, "123"), max_age=0)

            group.start_soon(call, client, LOGINS[ticks % len(LOGINS)])
            for _ in range(ticks):
                await anyio.lowlevel.checkpoint()
            await client.aclose()
        counts = usage_counts(store._buckets)  # pyright: ignore[reportPrivateUsage]
        assert (counts["slots"], counts["tokens_out"]) == (0, 0)
        assert len(store.flights) == 0


@pytest.mark.anyio
@pytest.mark.no_cover
@pytest.mark.parametrize("half", exhaustive_after(1, (1, 2)))
async def test_three_thousand_random_cancellations_lose_nothing(service: tuple[Simulator, str], half: int) -> None:
    simulator, base_url = service
    chance = random.Random(half)
    store = MemoryStore()
    done = 0
    async with Client(base_url=base_url, store=store, quota=BRIEF) as client:
        tasks = _tasks()

        async def caller(seed: float) -> None:
            nonlocal done
            mine = random.Random(seed)
            for _ in range(30):  # 50 callers, in two halves
                with anyio.move_on_after(mine.uniform(0.0, 0.02)):
                    await client.tariffs(Account(mine.choice(LOGINS), "123"), max_age=mine.choice([0, 0, 0.01]))
                    done += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(caller, chance.random())
        await _nothing_is_lost(client, store)
        await _no_task_is_left(tasks + 1)
        for login in LOGINS:
            assert (await client.tariffs(Account(login, "123"), max_age=0)).zones
    assert done > 0
    assert max(simulator.peak(login) for login in LOGINS) <= 14
    assert simulator.violations() == []
