"""Permits that are rows, in Python and in Lua, against the buckets of one process: the same answers to the same story."""

from __future__ import annotations

import asyncio
import math

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from smsc_async import RedisStore
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Row, refusal_of
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.quota import Quota
from smsc_async.stores.redis import shards as redis_shards
from smsc_async.stores.redis import store as redis_store
from smsc_async.stores.redis.scripts import Script
from smsc_async.stores.rows import released, taken
from tests.stores.redis_server import RedisServer

QUOTA = Quota(concurrent=5)
LEASE = 1_000_000.0  # nobody dies here


class Rows:
    """The way of a SQLite store, without a file."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._next = 0

    def acquire(self, now: float, *, token: bool) -> int | Refusal:
        why = refusal_of(list(self._rows.values()), now, QUOTA, token=token)
        if why is not None:
            return why
        self._next += 1
        self._rows[self._next] = taken(now, QUOTA, token=token, lease=LEASE)
        return self._next

    def release(self, now: float, number: int, ending: Completion, *, token: bool, seen: float | None) -> None:
        row = released(now, QUOTA, ending, token=token, seen=seen)
        del self._rows[number]
        if row is not None:
            self._rows[number] = row

    def drain_tokens(self, now: float) -> None:
        for _ in range(QUOTA.requests):
            self._next += 1
            self._rows[self._next] = Row(now + QUOTA.window, 0.0, in_flight=False)


class InRedis:
    """The way of a Redis store, over a server whose clock is told by the test."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        server.ask("FLUSHALL")
        self._store = RedisStore(server.url, pepper="a long random text", cold_start="grant")
        self._permits: dict[int, Permit] = {}
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.run(self._store.aclose())
        self._runner.close()

    def acquire(self, now: float, *, token: bool) -> int | Refusal:
        self._at(now)
        answer = self._runner.run(self._store.acquire(Permit("alex", QUOTA, token=token), lease=LEASE))
        if isinstance(answer, Refusal):
            return answer
        self._permits[len(self._permits)] = answer
        return len(self._permits) - 1

    def release(self, now: float, number: int, ending: Completion, *, token: bool, seen: float | None) -> None:
        self._at(now)
        permit = self._permits[number]
        permit.seen = seen
        self._runner.run(self._store.release(permit, ending))

    def drain_tokens(self, now: float) -> None:
        self._at(now)
        self._runner.run(self._store.drain_tokens("alex", QUOTA))

    def _at(self, now: float) -> None:
        _virtual.now = now
        self._server.ask("SET", "now", str(math.floor(now * 1_000_000)))


class _Virtual:
    now = 0.0


_virtual = _Virtual()


@attrs.frozen
class Held:
    number: int
    permit: Permit
    at: float


class Story(RuleBasedStateMachine):
    """One story, told to the buckets and to what is to do the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.model = Buckets()
        self.subject = self.made()
        self.held: list[Held] = []

    def made(self) -> Rows | InRedis:
        return Rows()

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 20.0, 61.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(token=st.booleans())
    def acquire(self, *, token: bool) -> None:
        permit = Permit("alex", QUOTA, token)
        expected = self.model.acquire(permit, self.now)
        answer = self.subject.acquire(self.now, token=token)
        if expected is None:
            assert isinstance(answer, int)
            self.held.append(Held(answer, permit, self.now))
            return
        assert isinstance(answer, Refusal)
        assert answer.tokens_in == pytest.approx(expected.tokens_in, abs=1e-4)
        assert answer.retry_in <= expected.retry_in + 1e-4
        assert answer.retry_in > 0

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(Completion), was_seen=st.booleans())
    def release(self, data: st.DataObject, ending: Completion, *, was_seen: bool) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        seen = max(held.at, self.now - 0.5) if was_seen or ending is Completion.COMPLETE else None
        held.permit.seen = seen
        self.model.release(held.permit, self.now, ending)
        self.subject.release(self.now, held.number, ending, token=held.permit.token, seen=seen)

    @rule()
    def drain_tokens(self) -> None:
        self.model.drain_tokens("alex", self.now, QUOTA)
        self.subject.drain_tokens(self.now)

    @invariant()
    def holds_no_more_than_slots(self) -> None:
        assert len(self.held) <= QUOTA.concurrent

    def teardown(self) -> None:
        if isinstance(self.subject, InRedis):
            self.subject.close()


TestRows = Story.TestCase
TestRows.settings = settings(stateful_step_count=40)


def test_the_script_tells_the_same_story(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "{0, redis.call('GET', 'now') or 0}"
    for module, name in ((redis_shards, "CALL"), (redis_shards, "OPEN")):
        script: Script = getattr(module, name)
        monkeypatch.setattr(module, name, Script(script.text.replace("redis.call('TIME')", told)))
    for module in (redis_store, redis_shards):
        monkeypatch.setattr(module, "now", lambda: _virtual.now)

    class InRedisStory(Story):
        def made(self) -> InRedis:
            return InRedis(redis_server)

    run_state_machine_as_test(InRedisStory, settings=settings(max_examples=25, stateful_step_count=25))
