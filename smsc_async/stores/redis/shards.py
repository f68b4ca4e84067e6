"""Scripts on the servers of a Redis store: with the time that a server must have, in a store that has lost nothing.

All keys of a single server have one hash tag, those of a cluster one of 64 (``_Shard``). A shard has a record of the state
that the processes share (``clock.lua``), without TTL: if it is missing, the store was flushed. Each process knows when it
was last certain that a shard was whole (``certain_at``); a shard that was closed before that, on a server to which the
process comes back, is an old copy and closes again (``open.lua``).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import secrets
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from smsc_async.errors import StoreError
from smsc_async.limiter.clock import now
from smsc_async.stores.private_files import misconfigured
from smsc_async.stores.redis.event_loop import StoreTasks
from smsc_async.stores.redis.scripts import CALL, OPEN, StoreLostError
from smsc_async.stores.shared import OTHER_PEPPER

if TYPE_CHECKING:
    from smsc_async.stores.redis.connection import RedisConnections
    from smsc_async.stores.redis.nodes import RedisNodes

MICRO: Final = 1_000_000
# Version 1 had no number. A change of any key, or of what is in one, needs the next one.
_FORMAT: Final = "3"
# A store that is flushed or restarted in the middle of a call is opened again so often.
_TRIES: Final = 3
_POLICY_SECONDS: Final = 60.0
# The commands after which a running server may lack what it had.
_LOSSES: Final = tuple(
    f"cmdstat_{command}" for command in ("flushall", "flushdb", "swapdb", "replicaof", "slaveof", "debug", "restore")
)
# The server's clock counts as stepped if it differs from the expected time by more than the last round trip, plus this
# slack, plus the drift of two clocks (twenty times the drift of a crystal).
_SLACK: Final = 0.25
_DRIFT: Final = 0.001
_calls: Final = itertools.count()
_LOG: Final = logging.getLogger("smsc_async")


class Part(NamedTuple):
    """A part of what a call does on a server.

    Attributes:
        keys: Its keys.
        numbers: Its numbers.
        words: Its words.
    """

    keys: Sequence[str]
    numbers: Sequence[float]
    words: Sequence[str | bytes]


NO_PART: Final = Part((), (), ())


class _ClockSample(NamedTuple):
    """What the last answer said about the server's clock.

    Attributes:
        ahead: Seconds by which the server's clock is ahead of this process's clock.
        at: The instant of the answer.
        round_trip: Seconds from the request to the answer.
        era: The number of corrections of the server's clock so far.
    """

    ahead: float
    at: float
    round_trip: float
    era: int


class _Identity(NamedTuple):
    """The identity of the store: a flush changes the id, a restart changes the run."""

    id: str
    run: str


@attrs.define(eq=False)
class _Shard:
    """What this process knows about the keys with one hash tag.

    Attributes:
        tag: The hash tag.
        identity: The identity of the store, as this process uses it; ``None`` if it must be read.
        certain_at: The instant of the last answer.
        clock_sample: What the last answer said about the server's clock.
        policy_read_at: When the server's policy was read.
        node: The server that was used last.
        run: Its ``run`` at that time.
    """

    tag: str
    identity: _Identity | None = None
    certain_at: float | None = None
    clock_sample: _ClockSample | None = None
    policy_read_at: float = -math.inf
    node: RedisConnections | None = None
    run: str = ""


class Shards:
    """The keys of a store on its servers.

    Attributes:
        tags: The hash tags of the keys.

    Args:
        redis: The connections to the servers.
        pepper_name: What the store contains of the pepper.
        trusts: Whether an empty store is trusted.
        tasks: The tasks of the store.
    """

    def __init__(
        self,
        redis: RedisConnections | RedisNodes,
        pepper_name: str,
        *,
        trusts: bool,
        tasks: StoreTasks,
    ) -> None:
        self._redis = redis
        self._pepper_name = pepper_name
        self._trusts = trusts
        self._tasks = tasks
        self.tags: tuple[str, ...] = redis.tags
        self._shards: dict[str, _Shard] = {tag: _Shard(tag) for tag in redis.tags}
        # The runs of the nodes of a cluster all of whose shards this process has opened.
        self._opened: set[str] = set()
        self._warned = False

    def tag_of(self, digest: str) -> str:
        """Return the hash tag of the keys that belong to a digest."""
        return self.tags[int(digest[:8], 16) % len(self.tags)]

    def instant(self, key: str, *, is_late: bool) -> float | None:
        """Return the time of the server of a key, by the last answer; ``None`` before the first one.

        Args:
            key: The key.
            is_late: Whether the instant is not too early, rather than not too late.
        """
        sample = self._of(key).clock_sample
        if sample is None:
            return None
        uncertain = sample.round_trip / 2 + (now() - sample.at) * _DRIFT
        return now() + sample.ahead + (uncertain if is_late else -uncertain)

    async def run(self, part: Part) -> list[Any]:
        """Return the answer of the script: its first word, and what follows; again if the store was lost."""
        shard = self._of(part.keys[0])
        for _ in range(_TRIES):
            identity = shard.identity
            try:
                if identity is None or now() - shard.policy_read_at >= _POLICY_SECONDS:
                    identity = await self._identified(shard)
                return await self._run_in(shard, identity, part)
            except StoreLostError:
                if shard.identity is identity:
                    shard.identity = None
        raise StoreError("Redis was flushed or restarted several times during the call: try again", self._redis.name)

    def _of(self, key: str) -> _Shard:
        return self._shards[key.partition("}")[0] + "}"]

    async def _run_in(self, shard: _Shard, identity: _Identity, part: Part) -> list[Any]:
        """Return the answer of the script, which gets the expected time of the server; again if the clock has stepped."""
        spent = step = longest = sent_at = expected = slack = 0.0
        call = ""

        def arguments(run: str | None) -> tuple[str | bytes, ...]:
            nonlocal sent_at, expected, slack, call
            _check_run(run, identity.run)
            sent_at = now()
            sample = shard.clock_sample
            expected = slack = 0.0
            era, call = 0, str(next(_calls))
            if sample is not None:
                expected = sent_at + sample.ahead
                slack = _SLACK + max(sample.round_trip, longest) + (sent_at - sample.at) * _DRIFT
                era = sample.era
            numbers = (expected * MICRO, slack * MICRO, era, step * MICRO, *part.numbers)
            return (identity.id, struct.pack(f">{len(numbers)}d", *numbers), call, *part.words)

        def read(answer: bytes | list[Any]) -> tuple[bytes, int, float, list[Any]]:
            first, *values = [answer] if isinstance(answer, bytes) else answer
            kind, era, number, seconds, micros, correction = first.split(b" ")
            if number.decode() != call:
                raise ValueError(number)
            return kind, int(era), int(seconds) + (int(micros) + int(correction)) / MICRO, values

        while True:  # until the connections find that the call is overdue
            kind, era, server_time, values = await self._redis.call(
                CALL, (f"{shard.tag}:store", *part.keys), arguments, read, spent
            )
            answered_at = now()
            if kind == b"lost":
                raise StoreLostError
            longest = max(longest, answered_at - sent_at)
            spent += answered_at - sent_at
            if kind != b"stepped":
                break
            # The server read its clock between the two instants. If its time lies outside of what they allow, its clock
            # was set; else the command was only slow.
            allowed = expected - slack <= server_time <= expected + (answered_at - sent_at) + slack
            step = 0.0 if allowed else server_time - expected - (answered_at - sent_at) / 2
        shard.certain_at = answered_at
        ahead = server_time - (sent_at + answered_at) / 2
        shard.clock_sample = _ClockSample(ahead, answered_at, answered_at - sent_at, era)
        return [kind, *values]

    async def _identified(self, shard: _Shard) -> _Identity:
        node = await self._redis.owner(f"{shard.tag}:store")
        async with node.opening():
            is_checked = now() - shard.policy_read_at < _POLICY_SECONDS
            if shard.identity is None or not is_checked:
                info = await node.info()
                self._check_policy(info)
                shard.policy_read_at = now()
                shard.identity = shard.identity or await self._identify(shard, node, info)
            if len(self._shards) > 1 and shard.run not in self._opened:
                # All at once: the loss of a node counts from now, and not from the first use of each shard.
                self._opened.add(shard.run)
                self._tasks.begin(self._open_shards(node), is_awaited=False)
            return shard.identity

    async def _open_shards(self, node: RedisConnections) -> None:
        with contextlib.suppress(StoreError, StoreLostError):
            for shard in self._shards.values():
                if await self._redis.owner(f"{shard.tag}:store") is not node:
                    continue
                if shard.identity is not None and shard.identity.run != node.run:
                    shard.identity = None
                await self._identified(shard)

    def _check_policy(self, info: dict[str, str]) -> None:
        policy = info.get("maxmemory_policy", "")
        if policy.startswith(("volatile-", "allkeys-")):
            raise misconfigured(
                f"maxmemory-policy is {policy}, so Redis may drop granted permits: set noeviction on a server of its own",
                self._redis.name,
            )

    async def _identify(self, shard: _Shard, node: RedisConnections, info: dict[str, str]) -> _Identity:
        """Open the store: create its record, or check it, and close a store that may have lost granted permits."""
        if shard.certain_at is None and self._redis.is_open_to_listeners and not self._warned:
            self._warned = True
            _LOG.warning(
                "%s: Redis is reached without TLS, so others can read prices and digests: use rediss://",
                self._redis.name,
            )
        run, lossless_for = info["run_id"], _seconds_without_loss(info) * MICRO
        moved_from = await self._moved_from(shard, node, info)

        def arguments(actual: str | None) -> Sequence[str]:
            _check_run(actual, run)
            certain_for = -1.0 if shard.certain_at is None else (now() - shard.certain_at) * MICRO
            words = (_FORMAT, self._pepper_name, run, secrets.token_hex(16))
            return [str(word) for word in (*words, int(self._trusts), lossless_for, certain_for, moved_from)]

        def read(answer: list[bytes]) -> tuple[str, str]:
            return answer[0].decode(), answer[-1].decode()

        status, value = await self._redis.call(OPEN, (f"{shard.tag}:store",), arguments, read)
        if status == "pepper":
            raise misconfigured(OTHER_PEPPER, self._redis.name)
        if status == "format":
            raise misconfigured(
                f"the store has format {value}, and this version needs {_FORMAT}: stop all workers, delete the keys "
                "{smsc*, wait two minutes, and start the workers with one version",
                self._redis.name,
            )
        shard.node, shard.run = node, run
        if not moved_from:  # else the next script corrects the difference between the clocks of the two nodes
            shard.clock_sample = None
        return _Identity(value, run)

    @staticmethod
    async def _moved_from(shard: _Shard, node: RedisConnections, info: dict[str, str]) -> str:
        """Return the run of the node of a cluster that gave the shard to this one, if nothing was lost; else nothing.

        Nothing was lost if both have run since this process was last certain of the shard.
        """
        former, certain_at = shard.node, shard.certain_at
        if former is None or former is node or certain_at is None:
            return ""
        # The keys came with this command.
        own = {name: value for name, value in info.items() if name != "cmdstat_restore-asking"}
        with contextlib.suppress(StoreError):
            theirs = await former.info()
            runs_on = theirs["run_id"] == shard.run and theirs["role"] == "master"
            if runs_on and _seconds_without_loss(own) > now() - certain_at:
                return shard.run
        return ""


def _check_run(run: str | None, expected: str) -> None:
    """Acquire nothing in a store that was restarted: its connection is new. ``None`` is the run of no matter which server."""
    if run not in {None, expected}:
        raise StoreLostError


def _seconds_without_loss(info: dict[str, str]) -> float:
    """Return for how long a server is certain to have lost nothing: since its start, or -1e-6 if that is not certain."""
    lost = info.get("role") != "master" or info.get("master_replid2", "").strip("0") or info.get("evicted_keys") != "0"
    lost = lost or info.get("second_repl_offset") != "-1" or any(name.startswith(_LOSSES) for name in info)
    # The server subtracts whole seconds, so the difference may be almost a second too large.
    return -1 / MICRO if lost else max(float(info["uptime_in_seconds"]) - 1.0, 0.0)
