"""The servers of a store that has several: the masters of a cluster, or the master that Sentinel names.

Invariants:

- A call follows its keys to another node within its own deadline, with the same words: so with the same permit id.
- A node whose answer does not come is never the only source about its own slots: the others are asked.
- The table of the masters is looked up again when a node fails or says that a key has moved. Sentinel cannot say that, so
  its answer is used for a few seconds only: a master that was replaced while nobody looked may still answer.
"""

from __future__ import annotations

import asyncio
import math
import random
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError
from smsc_async.limiter.clock import now
from smsc_async.protocol import is_loopback
from smsc_async.stores.private_files import misconfigured
from smsc_async.stores.redis.connection import ONE_TAG, SECONDS, ElsewhereError, RedisConnections, Word
from smsc_async.stores.redis.event_loop import drop_closed_loops
from smsc_async.stores.redis.scripts import Script
from smsc_async.stores.redis.topology import (
    SHARDS,
    Address,
    Kind,
    Topology,
    masters,
    named_master,
    shard_tag,
    slot_of,
    topology_of,
)

T = TypeVar("T")

# For how long the answer of Sentinel is used.
_NAMED_SECONDS: Final = 5.0
# For how long the first answer of a Sentinel waits for those of the others.
_VOTE_SECONDS: Final = 0.2
# The pause before a key that is on its way is looked for again, and between two looks for the masters.
_PAUSE: Final = 0.05
# So many nodes of a cluster are asked for the masters at once.
_CANDIDATES: Final = 5
# So many redirections are followed without a pause.
_QUICK_REDIRECTS: Final = 2


class RedisNodes:
    """Calls to the masters of a store, with the interface of ``RedisConnections``."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.name: str = topology.name
        hosts = (each.host for each in topology.seeds)
        is_encrypted = topology.url(topology.seeds[0]).reveal().startswith("rediss:")
        self.is_open_to_listeners: bool = not is_encrypted and not all(map(is_loopback, hosts))
        self._in_cluster: bool = topology.kind is Kind.CLUSTER
        self.tags: tuple[str, ...] = tuple(map(shard_tag, range(SHARDS))) if self._in_cluster else ONE_TAG
        # With Sentinel all keys are in one slot, of one master.
        self._slots = [slot_of(tag) for tag in self.tags]
        self._masters: dict[int, Address] = {}
        self._looked_up_at = -math.inf
        self._nodes: dict[tuple[Address, bool], RedisConnections] = {}
        self._lookups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]]
        self._lookups = weakref.WeakKeyDictionary()
        for seed in topology.seeds:
            self._node(seed)  # with its checks of the URL
            self._node(seed, is_seed=True)

    async def call(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Callable[[str | None], Iterable[Word]],
        read: Callable[[Any], T],
        spent: float = 0.0,
    ) -> T:
        """Return what ``read`` makes of a script's answer, as ``RedisConnections.call``."""
        key, began, node, asking, redirects, has_failed = keys[0], now() - spent, None, False, 0, False
        while True:
            try:
                node = node or await self.owner(key)
                return await node.call(script, keys, arguments, read, now() - began, asking=asking)
            except ElsewhereError as error:
                if now() - began > SECONDS - _PAUSE:
                    raise StoreError("the cluster is moving keys of this login: try again", self.name) from None
                node = None if error.node is None else self._node(error.node)
                asking = node is not None and not error.moved
                if error.moved and error.node is not None:
                    self._masters = {**self._masters, slot_of(key): error.node}
                    self._lookup()
                redirects += 1
                if node is None or redirects > _QUICK_REDIRECTS:
                    await asyncio.sleep(_PAUSE)
            except StoreError as error:
                if node is None or not error.retryable or has_failed or not await self._has_moved(key, node, began):
                    raise
                node, asking, has_failed = None, False, True

    async def owner(self, key: str) -> RedisConnections:
        """Return the master of a key."""
        slot = slot_of(key)
        if slot not in self._masters:
            await asyncio.shield(self._lookup())
        elif not self._in_cluster and now() - self._looked_up_at > _NAMED_SECONDS:
            # If no Sentinel answers, the master that they named last may still be the master.
            await asyncio.wait([self._lookup()], timeout=_VOTE_SECONDS)
        if slot not in self._masters:
            raise StoreError("the cluster has no master for a slot at present: try again", self.name)
        return self._node(self._masters[slot])

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        lookup = self._lookups.pop(asyncio.get_running_loop(), None)
        if lookup is not None:
            lookup.cancel()
            await asyncio.wait([lookup], timeout=_VOTE_SECONDS)
        await asyncio.gather(*(node.aclose() for node in list(self._nodes.values())))

    def after_fork(self) -> None:
        """Forget the connections in a forked child: they are the parent's."""
        for node in self._nodes.values():
            node.after_fork()
        self._lookups = weakref.WeakKeyDictionary()

    async def _has_moved(self, key: str, node: RedisConnections, began: float) -> bool:
        """Whether another node than the one that failed is the master of a key, if that is known in time."""
        await asyncio.wait([self._lookup(besides=node)], timeout=max(SECONDS - (now() - began), 0.0))
        master = self._masters.get(slot_of(key))
        return master is not None and self._node(master) is not node

    def _node(self, address: Address, *, is_seed: bool = False) -> RedisConnections:
        # A Sentinel is not a server of the store, even with the same address.
        is_seed = is_seed and not self._in_cluster
        node = self._nodes.get((address, is_seed))
        if node is None:
            url = self._topology.url(address, is_seed=is_seed)
            mode = "cluster" if self._in_cluster else "sentinel" if is_seed else ""
            node = self._nodes[address, is_seed] = RedisConnections(url, mode)
        return node

    def _lookup(self, besides: RedisConnections | None = None) -> asyncio.Task[None]:
        """Return the task that looks for the masters, all calls of an event loop share it."""
        loop = asyncio.get_running_loop()
        task = self._lookups.get(loop)
        if task is None or (task.done() and now() - self._looked_up_at > _PAUSE):
            drop_closed_loops(self._lookups)
            task = self._lookups[loop] = loop.create_task(self._look_up(besides))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
        return task

    async def _look_up(self, besides: RedisConnections | None) -> None:
        """Find the masters: as one node of the cluster says, or more than half of the Sentinels."""
        seeds = self._topology.seeds
        if self._in_cluster:
            known = [each for each in {*self._masters.values(), *seeds} if self._node(each) is not besides] or [*seeds]
            seeds = tuple(random.sample(known, min(len(known), _CANDIDATES)))
        needed = 1 if self._in_cluster else len(seeds) // 2 + 1
        votes, failure = Counter[tuple[tuple[int, Address], ...]](), None
        waiting = {asyncio.ensure_future(self._masters_by(each)) for each in seeds}
        try:
            while waiting and max(votes.values(), default=0) < needed:
                timeout = _VOTE_SECONDS if votes else None
                done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                failure = failure or next(filter(None, (each.exception() for each in done)), None)
                votes.update(tuple(each.result().items()) for each in done if each.exception() is None)
        finally:
            for each in waiting:
                each.cancel()
            # Connections that they open are closed with the others only if they are known by then.
            await asyncio.gather(*waiting, return_exceptions=True)
            self._looked_up_at = now()
        if not votes:
            assert failure is not None, "each seed has answered or failed"
            raise failure
        self._masters = dict(votes.most_common(1)[0][0])

    async def _masters_by(self, asked: Address) -> dict[int, Address]:
        """Return the masters by one Sentinel or one node."""
        node = self._node(asked, is_seed=True)
        if self._in_cluster:
            return await node.ask(("CLUSTER", "SLOTS"), read=lambda answers: masters(answers[0], self._slots, asked))
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._topology.master)
        answer = await node.ask(command, read=lambda answers: answers[0] and named_master(answers[0]))
        if answer is None:
            raise misconfigured("Sentinel knows no master of the name that ends the URL", node.name)
        return dict.fromkeys(self._slots, answer)


def connections_to(url: Secret) -> RedisConnections | RedisNodes:
    """Return the way to the servers of a URL.

    Raises:
        ValueError: The URL is wrong.
    """
    topology = topology_of(url)
    return RedisConnections(url) if topology is None else RedisNodes(topology)
