"""The lockout states of a shared store: changed by several workers at once, and with answers that are lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smsc_async import Account, Quota, RedisStore, StoreError
from smsc_async.fetch.lockout import Cause, Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.credentials import Credentials
from smsc_async.stores.redis.shards import Part
from tests.stores.redis_server import RedisServer

pytestmark = pytest.mark.asyncio

QUOTA = Quota()


def _credentials(number: int) -> Credentials:
    return Credentials("smsc", Account(f"login{number}", "123"))


def _open(server: RedisServer) -> RedisStore:
    return RedisStore(server.url, pepper="a long random text", cold_start="grant")


async def _take(store: RedisStore, number: int) -> Permit | Refusal:
    return await store.acquire(
        Permit(f"smsc login{number}", QUOTA, token=True, credentials=_credentials(number)), lease=5.0
    )


async def test_workers_that_change_the_states_at_once_take_four_places_together(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    stores = [_open(redis_server) for _ in range(4)]
    answers = await asyncio.gather(*[_take(stores[number % 4], number) for number in range(12)])
    granted = [(number, each) for number, each in enumerate(answers) if isinstance(each, Permit)]
    assert len(granted) == 4
    for number, permit in granted:
        await stores[number % 4].release(permit, Completion.COMPLETE, Verdict.REFUSED)
    refused = await _take(stores[0], 20)
    assert isinstance(refused, Refusal)
    assert refused.locked_out is not None
    assert {each.cause for each in stores[0].lockouts("smsc")}
    await stores[1].reset_lockouts("smsc", None)
    for store in stores:
        await store.aclose()


async def test_a_place_whose_first_answer_was_lost_is_taken_once(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    store = _open(redis_server)
    shards: Any = store._shards  # pyright: ignore[reportPrivateUsage]
    real: Any = shards.run
    calls: list[str] = []

    async def run(part: Part) -> Any:
        answer = await real(part)
        calls.append(str(part.words[0]))
        # The states are not those of the first one any more.
        return await real(part) if calls.count("begin") == 1 and part.words[0] == "begin" else answer

    shards.run = run
    assert isinstance(await _take(store, 1), Permit)
    shards.run = real
    assert [isinstance(await _take(store, number), Permit) for number in range(2, 6)] == [True, True, True, False]
    await store.aclose()


async def test_a_place_is_returned_if_there_is_no_token_or_no_answer(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    store = _open(redis_server)
    await store.drain_tokens("smsc login1", QUOTA)
    for _ in range(6):
        refused = await _take(store, 1)
        assert isinstance(refused, Refusal)
        assert refused.locked_out is None
    shards: Any = store._shards  # pyright: ignore[reportPrivateUsage]
    real: Any = shards.run

    async def fail(part: Part) -> Any:
        answer = await real(part)
        if part.words[0] == "begin":
            raise StoreError("down")
        return answer

    shards.run = fail
    for _ in range(6):
        with pytest.raises(StoreError, match="down"):
            await _take(store, 2)
        await asyncio.gather(*store._tasks.of_loop(asyncio.get_running_loop()))  # pyright: ignore[reportPrivateUsage]
    shards.run = real
    assert isinstance(await _take(store, 2), Permit)
    await store.aclose()


async def test_a_worker_knows_errors_and_confirmed_credentials_after_the_server_lost_them(
    redis_server: RedisServer,
) -> None:
    quota = Quota(per=0.2, guard=0.01, linger=0.02)

    async def take(store: RedisStore, number: int) -> Permit | Refusal:
        permit = Permit(f"smsc login{number}", quota, token=True, credentials=_credentials(number))
        return await store.acquire(permit, lease=5.0)

    async def answered(store: RedisStore, number: int, verdict: Verdict) -> Permit:
        permit = await take(store, number)
        if isinstance(permit, Refusal):  # the store has lost its state
            await asyncio.sleep(permit.retry_in + 0.05)
            permit = await take(store, number)
        assert isinstance(permit, Permit)
        await store.release(permit, Completion.COMPLETE, verdict)
        return permit

    redis_server.ask("FLUSHALL")
    here, there = (
        RedisStore(redis_server.url, pepper="a long random text", cold_start="grant", lease=0.05) for _ in range(2)
    )
    await answered(here, 1, Verdict.LIST)
    for number in (2, 3, 4):
        await answered(here, number, Verdict.REFUSED)
    redis_server.ask("FLUSHALL")
    permit = await answered(here, 1, Verdict.LIST)
    assert permit.place is not None
    assert permit.place.fast, "the credentials are confirmed"
    # Credentials that were refused count as untested: another process may have reset them.
    for store, number in ((here, 2), (there, 5)):
        refused = await take(store, number)
        assert isinstance(refused, Refusal)
        assert refused.locked_out is not None
        assert refused.locked_out.cause is Cause.TRIALS
    for store in (here, there):
        await store.aclose()
