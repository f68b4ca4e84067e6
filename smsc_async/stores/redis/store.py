"""The store of many machines: a Redis, or a Valkey, that all their processes share.

Scripts on the server make the decisions, each over the keys of one login. This side sends the arguments, checks the
server's clock, and checks that a permit is still valid when it arrives.

``shards.py`` runs them. On a cluster the state of a service and that of credentials are in different shards:
``cluster_lockouts.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.attempt import LONGEST_EXCHANGE
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage, free_at
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import in_trio
from smsc_async.stores.base import KEEP_BYTES, ColdStart
from smsc_async.stores.keys import Keys, Pepper, checked_pepper, wrapped_pepper
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.redis.cluster_lockouts import ChangedError, ClosedError, ClusterLockouts
from smsc_async.stores.redis.event_loop import StoreTasks
from smsc_async.stores.redis.server_lockouts import ServerLockouts
from smsc_async.stores.redis.shards import MICRO, NO_PART, Part, Shards
from smsc_async.stores.rows import polled
from smsc_async.stores.sealed_reply import SEALED_BYTES
from smsc_async.stores.shared import Ended, Lookup, PermitId, SharedStore, permit_id_of

T = TypeVar("T")

_SCAN_COUNT: Final = "1000"
# The generations of lists, as in flight.lua.
_YOUNG, _OLD = "1", "2"


class RedisStore(SharedStore):
    """Stores quota, lists and lockouts in a Redis, for all processes of all machines.

    Redis 6.2 or later, or Valkey, with the default configuration; asyncio only. The server contains logins and passwords as
    digests only. A permit takes one round trip. If the server does not answer, no permit is granted: a call ends with a
    ``StoreError`` within a second. A server that may have lost granted permits (it was restarted, emptied or replaced, or
    is used for the first time) grants none for a window and a lease, counted from the loss (``StoreNotReady``). A server
    that evicts keys is refused. A store can be pickled and copied; the pickle contains the URL and the pepper.

    A process that dies without the release of a permit (a crash, SIGKILL) holds the permit for the 30 s that an exchange
    lasts at most, and then a window longer.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and database if there are any; redis-py
            reads it. ``redis+sentinel://HOST:PORT,HOST:PORT/NAME`` for the master that Sentinel knows by that name, and
            ``redis+cluster://HOST:PORT,HOST:PORT`` for a cluster; with TLS ``rediss+sentinel://`` and ``rediss+cluster://``.
        pepper: Your secret for digests and seals, at least 16 characters, the same for all processes that share the store.
        keep_bytes: Bytes of packed lists in the server, and a quarter of it for lists in this process; lists that are not
            used are dropped first. The state of the quota is never dropped.
        lease: The most seconds that a request lasts: for a request without a limit, and for the requests that may be in
            flight when the store is lost. Raise it to the ``exchange_limit`` of a ``LimitedTransport``.
        cold_start: ``"wait"`` trusts an empty store only if the server shows that it lost nothing for a window and a lease.
            ``"grant"`` trusts every empty store, unless this process has used it before.

    Raises:
        ValueError: An argument is out of its range.
        ImportError: redis-py is missing.

    Example:
        >>> from smsc_async import RedisStore
        >>> RedisStore("rediss://user:password@redis.example/0", pepper="a long random text")
        RedisStore('redis.example:6379')
    """

    def __init__(
        self,
        url: str,
        *,
        pepper: Pepper | None = None,
        keep_bytes: int = KEEP_BYTES,
        lease: float = 30.0,
        cold_start: ColdStart = "wait",
    ) -> None:
        # The URL may contain a password, and error reporters show the locals of every frame.
        hidden, wrapped = Secret(url), wrapped_pepper(pepper)
        del url, pepper
        if not isinstance(hidden.reveal(), str):  # pyright: ignore[reportUnnecessaryIsInstance]  # of callers without a type checker
            raise TypeError("url must be a str, such as rediss://redis.example:6379/0")
        try:
            # An extra, whose import takes half a second: better here than in the first call.
            from smsc_async.stores.redis.nodes import connections_to  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError('RedisStore needs redis-py: pip install "smsc-async[redis]"') from error
        self._address, self._pepper = hidden, checked_pepper(wrapped)
        self._redis = connections_to(hidden)
        super().__init__(self._redis.name, keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        self._key_ring = Keys(self._pepper)
        self._tasks = StoreTasks()
        self._shards = Shards(
            self._redis,
            self._key_ring.pepper_name,
            trusts=cold_start == "grant",
            tasks=self._tasks,
        )
        kind = ClusterLockouts if len(self._shards.tags) > 1 else ServerLockouts
        self._lockouts: ServerLockouts | ClusterLockouts = kind(self._shards, self._tasks, self._lockout_view)

    async def aclose(self) -> None:
        """Close the connections of this event loop, within a second. The store can be used again."""
        if in_trio():
            return  # where no connection was opened, so that the error of the first call is the only one
        if isinstance(self._lockouts, ClusterLockouts):
            self._tasks.begin(self._lockouts.aclose())
        await self._tasks.aclose()
        await self._redis.aclose()

    async def _acquire(self, permit: Permit, lease: float) -> Refusal | None:
        answer: list[Any] | Refusal
        try:
            if permit.credentials is None:
                answer = await self._shards.run(self._acquire_part(permit, lease))
            elif isinstance(self._lockouts, ServerLockouts):
                _, answer = await self._begin_request(self._lockouts, permit, lease)
            else:
                answer = await self._begin_on_cluster(self._lockouts, permit, lease)
        except (asyncio.CancelledError, StoreError):
            # The server may have granted the permit, which nobody will use.
            self._tasks.begin(self._finish(permit, Completion.NOT_SENT, Verdict.NOT_SENT), is_awaited=False)
            raise
        if not isinstance(answer, Refusal) and answer[0] == b"granted":
            return None
        if permit.place is not None:  # on a cluster: a place without a permit
            await self._release(permit, Completion.NOT_SENT, Verdict.NOT_SENT, None)
        return answer if isinstance(answer, Refusal) else self._refusal(answer, permit.quota)

    async def _begin_request(
        self, lockouts: ServerLockouts, permit: Permit, lease: float, look: Part = NO_PART
    ) -> tuple[list[Any], list[Any] | Refusal]:
        """Acquire place, token and slot, and look for a list, in one step: return both answers."""
        acquire, permit_id = self._acquire_part(permit, lease), permit_id_of(permit)
        found: list[Any] = []
        answer: list[Any] = []

        async def send(change: Part) -> list[Any]:
            nonlocal found, answer
            _, *parts = await self._shards.run(_step("begin", change, acquire, look))
            found, answer = parts or ([b"leads"], [b"granted"])
            kind, *values = answer
            return [b"saved" if kind == b"granted" else kind, *values]

        assert permit_id.names is not None, "the lockout rules guard credentials alone"
        place = await lockouts.change(permit_id.names, lambda states: states.take(permit_id.request), send)
        if isinstance(place, Refusal):
            return found, place
        permit.place = place if answer[0] == b"granted" else None
        return found, answer

    async def _begin_on_cluster(self, cluster: ClusterLockouts, permit: Permit, lease: float) -> list[Any] | Refusal:
        """Take a place, then token and slot: they are on different nodes."""
        permit_id = permit_id_of(permit)
        assert permit_id.names is not None, "the lockout rules guard credentials alone"
        try:
            place = await cluster.take(permit_id.names, permit_id.request, self._closed_for(permit.quota))
        except ClosedError as error:
            return error.answer
        if isinstance(place, Refusal):
            return place
        permit.place = place
        answer = await self._shards.run(self._acquire_part(permit, lease))
        if answer[0] == b"granted":
            try:
                await cluster.saved(permit_id.request)
            except ChangedError:
                return Refusal(0.0)
        return answer

    def _refusal(self, answer: list[Any], quota: Quota) -> Refusal:
        """Return the refusal in an answer.

        Raises:
            StoreError: Other processes use the login with another quota.
        """
        match answer:
            case [b"closed", wait, event]:
                return self._closed(wait / MICRO, event.decode(), quota)
            case [b"quota", other]:
                raise self._other_quota(other.decode(), quota)
            case _:
                _, retry_in, in_flight, *tokens = answer
        refusal = Refusal(retry_in / MICRO, tuple(each / MICRO for each in tokens))
        return polled(refusal, quota) if in_flight else refusal

    async def _release(self, permit: Permit, completion: Completion, verdict: Verdict, ended: Ended | None) -> None:
        await asyncio.shield(self._tasks.begin(self._finish(permit, completion, verdict, ended)))

    async def _finish(
        self, permit: Permit, completion: Completion, verdict: Verdict, ended: Ended | None = None
    ) -> None:
        """Release a permit, settle its place, and end the lease of its fetch: in one step, except on a cluster."""
        names, request = permit_id_of(permit).names, permit_id_of(permit).request
        release = self._release_part(permit, completion)
        share = NO_PART if ended is None else self._share_part(ended)
        was_in_flight = is_sent = False

        def settle(states: LoadedStates) -> None:
            nonlocal was_in_flight
            known = states.place_of(request)
            place = permit.place or known
            # A repeated change, whose first answer was lost, counts no second error.
            if place is not None and (known is not None or not was_in_flight):
                states.settle(place, verdict)
            was_in_flight = known is not None

        async def send(change: Part) -> list[Any]:
            nonlocal is_sent
            if is_sent:
                return await self._shards.run(Part(change.keys, change.numbers, ("lockout", *change.words)))
            is_sent = True
            return await self._shards.run(_step("finish", change, release, share))

        if names is None:
            await self._run_all(release, share)
            return
        # If the server does not answer, the place ends by itself.
        with contextlib.suppress(StoreError):
            if isinstance(self._lockouts, ServerLockouts):
                await self._lockouts.change(names, settle, send, is_late=True)
            else:
                # Beside one another, since they are on different nodes.
                await asyncio.gather(
                    self._run_all(release, share), self._lockouts.settle(names, request, verdict, settle)
                )

    async def _run_all(self, *parts: Part) -> None:
        """Run these parts one after another; if the server does not answer, permit and lease end by themselves."""
        with contextlib.suppress(StoreError):
            for part in parts:
                if part is not NO_PART:
                    await self._shards.run(part)

    async def _change_states(self, names: CredentialNames, change: Callable[[LoadedStates], object]) -> None:
        await self._lockouts.change(names, change)

    async def _load_states(self, names: CredentialNames) -> None:
        # With a refusal, nothing is saved.
        await self._lockouts.change(names, lambda _: Refusal(0.0))

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota.

        Raises:
            StoreError: The server does not answer.
        """
        permit = Permit(login, quota, token=False, lease=PermitId(self._key_ring.login(login)))
        answer = await self._shards.run(self._acquire_part(permit, 0.0, "usage"))
        if answer[0] != b"usage":
            return Usage(self._refusal(answer, quota).tokens_in)
        _, _, slots, *tokens = answer
        return Usage(tuple(each / MICRO for each in tokens), slots)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        permit = Permit(login, quota, token=True, lease=PermitId(self._key_ring.login(login)))
        await self._shards.run(self._permit_part(permit, "drain", quota.window, quota.requests, quota.window * MICRO))

    def _acquire_part(self, permit: Permit, lease: float, action: str = "acquire") -> Part:
        quota, lasts = permit.quota, permit.quota.absence + self._lease + lease
        rule = (quota.requests, quota.window * MICRO, quota.linger * MICRO, quota.concurrent, permit.token)
        return self._permit_part(permit, action, lasts, *rule, lease * MICRO, self._closed_for(quota) * MICRO)

    def _release_part(self, permit: Permit, completion: Completion) -> Part:
        instant = now()
        instants = free_at(instant, permit.quota, completion, token=permit.token, seen=permit.seen)
        in_use_for = [max(at - instant, 0.0) * MICRO for at in instants]
        return self._permit_part(permit, "release", permit.quota.absence, *in_use_for)

    def _permit_part(self, permit: Permit, action: str, *numbers: float) -> Part:
        """Return an action on the permits of a login; the first number is the seconds for which the written row matters."""
        permit_id = permit_id_of(permit)
        key = f"{self._shards.tag_of(permit_id.login)}:permits:{permit_id.login}"
        return Part((key,), numbers, (action, permit_id.request, permit.quota.stated))

    async def _keys(self) -> Keys:
        return self._key_ring

    async def _look(self, key: str, fresh: float, holder: int, permit: Permit | None, *, with_last: bool) -> Lookup:
        look = self._list_part(key, "look", str(holder), numbers=(fresh * MICRO, SEALED_BYTES, with_last))
        ended = Ended(key, holder, None)
        found: list[Any] = []
        answer: list[Any] | Refusal = []
        undo = partial(self._unlease, ended)
        try:
            if permit is not None and isinstance(self._lockouts, ServerLockouts):
                await self._name(permit)
                undo = partial(self._finish, permit, Completion.NOT_SENT, Verdict.NOT_SENT, ended)
                found, answer = await self._begin_request(self._lockouts, permit, LONGEST_EXCHANGE, look)
            kind, *values = found or await self._shards.run(look)
        except (asyncio.CancelledError, StoreError):
            self._tasks.begin(undo(), is_awaited=False)
            raise
        leads = kind == b"leads"
        has_permit = leads and not isinstance(answer, Refusal) and answer[:1] == [b"granted"]
        age, stored = values or (-1, None)
        return Lookup(leads, stored, age / MICRO if age >= 0 else math.inf, has_permit)

    async def _renew(self, key: str, holder: int) -> None:
        await self._shards.run(self._list_part(key, "renew", str(holder)))

    async def _unlease(self, ended: Ended) -> None:
        await asyncio.shield(self._tasks.begin(self._run_all(self._share_part(ended))))

    def _share_part(self, ended: Ended) -> Part:
        return self._list_part(ended.key, "release", str(ended.holder), ended.shared or b"")

    def _list_part(
        self, key: str, action: str, *words: str | bytes, numbers: Sequence[float] = (), tag: str = ""
    ) -> Part:
        """Return an action on a list, or with ``tag`` on those of a shard whose keys begin with ``key``."""
        tag = tag or self._shards.tag_of(key.rpartition(":")[2])
        keys = [f"{tag}:{each}" for each in (f"lease:{key}", "lists", "lists:old", "lists:bytes")]
        bounds = (self.LEASE_SECONDS * MICRO, self.LIST_TTL * MICRO, self._keep_bytes / len(self._shards.tags) / 2)
        return Part(keys, (*bounds, *numbers), (action, key, *words))

    async def _delete_lists(self, prefix: str) -> None:
        # An account has a login for each service. A list that is old, used and old again is found the second time.
        for tag, lists in itertools.product(self._shards.tags, (_OLD, _YOUNG, _OLD)):
            cursor = b""
            while cursor != b"0":
                words = (cursor or b"0", _SCAN_COUNT, lists)
                _, cursor = await self._shards.run(self._list_part(prefix, "forget", *words, tag=tag))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._redis.after_fork()
        self._tasks.after_fork()
        self._lockouts.after_fork()


def _step(name: str, change: Part, permit: Part, shared: Part) -> Part:
    """Return the begin or the finish of a request: a change of the states, and what happens to its permit and its list."""
    keys = (*permit.keys, *change.keys, *shared.keys)
    numbers = (*change.numbers, *permit.numbers, *shared.numbers)
    return Part(keys, numbers, (name, *change.words, *permit.words, *shared.words))
