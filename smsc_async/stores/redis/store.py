"""The store of many machines: a Redis, or a Valkey, that all their processes share.

Scripts on the server make the decisions, each over the keys of one login. This side sends the arguments, checks the
server's clock, and checks that a permit is still valid when it arrives.

``shards.py`` runs them. On a cluster the state of a service and that of credentials are in different shards:
``cluster_lockouts.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.errors import StoreError
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import Place, Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota
from smsc_async.stores.keys import Keys, Pepper, checked_pepper
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.redis.cluster_lockouts import ChangedError, ClosedError, ClusterLockouts, milliseconds_of
from smsc_async.stores.redis.scripts import FLIGHT, LOCKOUT, PERMIT
from smsc_async.stores.redis.shards import MICRO, Shards
from smsc_async.stores.rows import poll_pause, quota_text, released
from smsc_async.stores.sealed_reply import SEALED_BYTES
from smsc_async.stores.shared import KEEP_BYTES, Closed, ColdStart, Lookup, OtherQuota, SharedStore

__all__ = ["RedisStore"]

T = TypeVar("T")

_LIST_KEYS: Final = ("lists", "lists:used", "lists:bytes")
_SCAN_COUNT: Final = 1_000
# The longest wait for a turn; a call fails within a second if the server does not answer.
_TURN_SECONDS: Final = 0.1


@attrs.frozen
class _PermitId:
    """The identifier of a permit in the server."""

    id: str
    login: str


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
        keep_bytes: Bytes of packed lists in the server, and a quarter of it for lists in this process; the least recently
            used lists are dropped first. The state of the quota is never dropped.
        lease: The most seconds that a request lasts: for a permit without a deadline, and for the requests that may be in
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
        hidden = Secret(url)  # it may contain a password, and error reporters show the locals of every frame
        del url
        try:
            # An extra, whose import takes half a second: better here than in the first call.
            from smsc_async.stores.redis.nodes import connections_to  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError('RedisStore needs redis-py: pip install "smsc-async[redis]"') from error
        self._pepper = checked_pepper(pepper)
        del pepper
        self._url = hidden
        self._redis = connections_to(hidden)
        super().__init__(self._redis.name, keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        self._key_ring = Keys(self._pepper)
        self._unfinished: set[asyncio.Task[None]] = set()
        # Those of them that no call waits for.
        self._background: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()
        self._shards = Shards(
            self._redis,
            self._key_ring.pepper_name,
            trusts=cold_start == "grant",
            begin=self._begin,
            background=self._background,
        )
        self._cluster: ClusterLockouts | None = None
        if len(self._redis.tags) > 1:
            self._cluster = ClusterLockouts(
                self._shards.run,
                self._lockout_key,
                turn=self._turn,
                begin=self._begin,
                background=self._background,
                view=self._lockout_view,
            )
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        name = getattr(self, "name", None)  # error reporters also show a store whose constructor has failed
        return f"RedisStore({'' if name is None else repr(name)})"

    def __reduce__(self) -> tuple[Callable[..., SharedStore], tuple[object, ...]]:
        return self._reduced(self._url.reveal(), self._pepper)

    async def aclose(self) -> None:
        """Close the connections of this event loop, within a second. The store can be used again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _UNFINISHED_SECONDS
        if self._cluster is not None:
            self._begin(self._cluster.aclose())
        # Again for what they begin meanwhile: after the closing it would open connections that nobody closes.
        while mine := [task for task in list(self._unfinished) if task.get_loop() is loop]:
            for task in self._background.intersection(mine):
                task.cancel()
            if (seconds := until - loop.time()) <= 0:
                break
            # gather() would cancel them together with this task. A permit that they do not release ends with its lease.
            await asyncio.wait(mine, timeout=seconds)
        await self._redis.aclose()

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit, or when to try again.

        Raises:
            StoreNotReady: The store lost its state, and grants nothing for longer than ``patience``.
            StoreError: The server does not answer, or must not be used.
            RuntimeError: The event loop is not asyncio's.
        """
        credentials = permit.credentials
        if credentials is None:
            return await self._acquire(permit, lease, lease if patience is None else patience)
        # The place first. If token or slot is missing, the place is returned at once.
        place = await self._take_place(credentials, permit.quota, lease if patience is None else patience)
        if isinstance(place, Refusal):
            return place
        permit.place = place
        try:
            answer = await self._acquire(permit, lease, lease if patience is None else patience)
            if self._cluster is not None and isinstance(answer, Permit):
                answer = await self._with_place(permit, place)
        except BaseException:
            self._begin(self._return_place(credentials, place.request))
            raise
        if isinstance(answer, Refusal):
            await asyncio.shield(self._begin(self._return_place(credentials, place.request)))
        return answer

    async def _with_place(self, permit: Permit, place: Place) -> Permit | Refusal:
        """Return a permit when the state of its credentials has the place too; else release it."""
        assert self._cluster is not None
        try:
            await self._cluster.saved(place.request)
        except BaseException as error:
            released = self._begin(self._release(permit, Completion.NOT_SENT))
            if not isinstance(error, ChangedError):
                raise
            await asyncio.shield(released)
            return Refusal(0.0)
        return permit

    async def _acquire(self, permit: Permit, lease: float, patience: float) -> Permit | Refusal:
        """Acquire token and slot."""
        quota = permit.quota
        bounded = self._lease if lease == math.inf else max(lease, 0.0)
        permit.lease = permit_id = _PermitId(secrets.token_hex(8), self._key_ring.login(permit.login))
        started = now()
        rule = self._rule(quota, bounded, token=permit.token)
        try:
            kind, _, *values = await self._permits(permit_id, "acquire", quota, rule)
        except asyncio.CancelledError:
            # The server may have granted the permit, which nobody will use.
            self._begin(self._release(permit, Completion.NOT_SENT))
            raise
        match kind:
            case b"granted":
                if now() - started < bounded:
                    return permit
                # The answer took longer than the lease: another process may have the permit by now.
                await asyncio.shield(self._begin(self._release(permit, Completion.NOT_SENT)))
                return Refusal(0.0)
            case b"closed":
                return self._denied(Closed(values[0] / MICRO, values[1].decode()), quota, patience)
            case b"quota":
                return self._denied(OtherQuota(values[0].decode()), quota, patience)
            case _:
                retry_in, in_flight, *tokens = values
        # Another process may release a permit in flight before the end of its lease.
        bound = poll_pause(quota.window if tokens else 2.0) if in_flight else math.inf
        return Refusal(min(retry_in / MICRO, bound), tuple(each / MICRO for each in tokens))

    async def release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> None:
        """Release a permit. If the server does not answer, the permit ends with its lease."""
        unknown = Verdict.NOT_SENT if completion is Completion.NOT_SENT else Verdict.UNANSWERED

        async def release() -> None:
            released = self._begin(self._release(permit, completion))
            if self._cluster is None:
                await released
            if permit.credentials is not None and permit.place is not None:
                await self._settle(permit.credentials, permit.place, verdict or unknown)
            await released  # on a cluster beside the settlement, since they are on different nodes

        await asyncio.shield(self._begin(release()))

    async def load_lockouts(self, service: str, account: Account) -> None:
        """Let ``lockouts()`` know what other processes have learned about an account and its service."""

        def look(_: LoadedStates, __: float) -> Refusal:
            return Refusal(0.0)  # with which nothing is saved

        await self._change_states(service, account, look)

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""

        def reset(states: LoadedStates, instant: float) -> None:
            rules.reset(states.service, None if account is None else states.credentials, instant)

        await self._change_states(service, account, reset)
        self.queue.notify(None, service)

    async def _take_place(self, credentials: Credentials, quota: Quota, patience: float) -> Place | Refusal:
        request = secrets.token_hex(8)

        def take(states: LoadedStates, instant: float) -> Place | Refusal:
            # A repeated change, whose first answer was lost, takes no second place.
            known = states.place_of(request)
            place = known or states.admit(request, instant)
            if isinstance(place, Place) and known is None:
                states.enter(place)
            return place

        try:
            if self._cluster is None:
                return await self._change_states(credentials.service, credentials.account, take)
            names = await self._names(credentials.service, credentials.account)
            return await self._cluster.take(names, request, take, self._closed_for(quota))
        except ClosedError as error:
            return self._denied(error.why, quota, patience)
        except BaseException:
            # The server may have saved the place, which nobody will use.
            self._begin(self._return_place(credentials, request))
            raise

    async def _return_place(self, credentials: Credentials, request: str) -> None:
        def give_back(states: LoadedStates, instant: float) -> None:
            if place := states.place_of(request):
                states.settle(place, Verdict.NOT_SENT, instant)

        if self._cluster is not None:
            with contextlib.suppress(StoreError, ChangedError):
                await self._cluster.saved(request)
        # If the server does not answer, the lease of the place ends by itself.
        with contextlib.suppress(StoreError):
            if self._cluster is not None and self._cluster.has(request):
                await self._cluster.settle(request, Verdict.NOT_SENT)
            else:
                await self._change_states(credentials.service, credentials.account, give_back)

    async def _settle(self, credentials: Credentials, place: Place, verdict: Verdict) -> None:
        was_in_flight = False

        def settle(states: LoadedStates, instant: float) -> None:
            nonlocal was_in_flight
            is_in_flight = states.place_of(place.request) is not None
            # A repeated change, whose first answer was lost, counts no second error.
            if is_in_flight or not was_in_flight:
                states.settle(place, verdict, instant)
            was_in_flight = is_in_flight

        # If the store does not answer, the place ends by itself.
        with contextlib.suppress(StoreError):
            if self._cluster is not None and self._cluster.has(place.request):
                await self._cluster.settle(place.request, verdict)
            else:
                await self._change_states(credentials.service, credentials.account, settle)

    async def _change_states(
        self, service: str, account: Account | None, change: Callable[[LoadedStates, float], T]
    ) -> T:
        """Return what ``change`` returns, once its result is saved and nobody has changed the states meanwhile."""
        names = await self._names(service, account)
        if self._cluster is not None:
            return await self._cluster.change(names, change)
        keys = [self._lockout_key(names, each) for each in (True, False)]
        async with self._turn():
            answer = await self._shards.run(LOCKOUT, keys, (0.0, 0.0, 0.0), ("", "", "", ""))
            while True:
                _, instant, *former = answer
                states = LoadedStates.of(names, *(each.decode() or None for each in former))
                result = change(states, instant)
                if not isinstance(result, Refusal):
                    numbers = (0.0, 0.0, milliseconds_of(states.credentials, instant))
                    answer = await self._shards.run(LOCKOUT, keys, numbers, (*former, *states.texts()))
                if isinstance(result, Refusal) or answer[0] == b"saved":
                    self._lockout_view.note(states, instant - now())
                    return result

    def _lockout_key(self, names: CredentialNames, of_service: bool) -> str:  # noqa: FBT001  # two keys of the same names
        """Return the key of a lockout state: that of the service, or that of credentials beside the permits of their login."""
        if of_service:
            return f"{self._redis.tags[0]}:lockout:{names.service}"
        return f"{self._tag(names.login or '0')}:lockout:{names.credentials}"

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Let the changes of this event loop take turns: together, each would make all others start again.

        Measured: 300 accounts with 50 in flight need 41 reads and writes for each without turns, and 4 with them.
        """
        lock = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        has_turn = False
        # If the server does not answer, this call must fail in time too: without a turn it is correct, only slower.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TURN_SECONDS):
                has_turn = await lock.acquire()
        try:
            yield
        finally:
            if has_turn:
                lock.release()

    def _rule(self, quota: Quota, lease: float, *, token: bool) -> tuple[float, ...]:
        """Return the numbers of an acquire: the seconds for which its row matters come first."""
        times = (lease * MICRO, self._closed_for(quota) * MICRO)
        rule = (quota.requests, quota.window * MICRO, quota.linger * MICRO, quota.concurrent)
        return (quota.absence + self._lease + lease, *rule, token, *times)

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota.

        Raises:
            StoreError: The server does not answer.
        """
        permit_id, rule = _PermitId("", self._key_ring.login(login)), self._rule(quota, 0.0, token=False)
        kind, _, *values = await self._permits(permit_id, "usage", quota, rule)
        if kind == b"closed":
            return self._closed_usage(Closed(values[0] / MICRO, values[1].decode()), quota)
        if kind == b"quota":
            raise self._other_quota(OtherQuota(values[0].decode()), quota)
        _, slots, *tokens = values
        return Usage(tuple(each / MICRO for each in tokens), slots)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        permit_id = _PermitId("", self._key_ring.login(login))
        await self._permits(permit_id, "drain", quota, (quota.window, quota.requests, quota.window * MICRO))

    async def _release(self, permit: Permit, completion: Completion) -> None:
        instant = now()
        row = released(instant, permit.quota, completion, token=permit.token, seen=permit.seen)
        free_at = (instant, instant) if row is None else (row.token_free_at, row.slot_free_at)
        in_use_for = [max(at - instant, 0.0) * MICRO for at in free_at]
        assert isinstance(permit.lease, _PermitId)
        with contextlib.suppress(StoreError):
            await self._permits(permit.lease, "release", permit.quota, (permit.quota.absence, *in_use_for))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that the cancellation of its caller does not interrupt."""
        task = asyncio.get_running_loop().create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _permits(self, permit_id: _PermitId, action: str, quota: Quota, numbers: Sequence[float]) -> list[Any]:
        """Run the permit script of a login; the first number is the seconds for which the written row matters."""
        key = f"{self._tag(permit_id.login)}:permits:{permit_id.login}"
        return await self._shards.run(PERMIT, (key,), numbers, (action, permit_id.id, quota_text(quota)))

    def _tag(self, digest: str) -> str:
        """Return the hash tag of the keys that belong to a digest."""
        return self._redis.tags[int(digest[:8], 16) % len(self._redis.tags)]

    async def _keys(self) -> Keys:
        return self._key_ring

    async def _look(self, key: str, fresh: float, holder: int, *, with_last: bool) -> Lookup:
        try:
            kind, _, *values = await self._flights(key, "look", holder, (fresh * MICRO, SEALED_BYTES, with_last))
        except asyncio.CancelledError:
            self._begin(self._end_lease(key, holder, None))
            raise
        if not values:
            return Lookup(kind == b"leads")
        age, stored = values
        return Lookup(kind == b"leads", stored, age / MICRO if age >= 0 else math.inf)

    async def _renew(self, key: str, holder: int) -> None:
        await self._flights(key, "renew", holder)

    async def _unlease(self, key: str, holder: int, shared: bytes | None) -> None:
        await asyncio.shield(self._begin(self._end_lease(key, holder, shared)))

    async def _end_lease(self, key: str, holder: int, shared: bytes | None) -> None:
        with contextlib.suppress(StoreError):
            await self._flights(key, "release", holder, (self._keep_bytes / len(self._redis.tags),), shared or b"")

    async def _flights(
        self, key: str, action: str, holder: int, numbers: Sequence[float] = (), *words: str | bytes
    ) -> list[Any]:
        """Run the flight script of a list."""
        tag = self._tag(key.rpartition(":")[2])
        keys = [f"{tag}:{each}" for each in (f"lease:{key}", *_LIST_KEYS)]
        times = (self.LEASE_SECONDS * MICRO, self.LIST_TTL * MICRO, *numbers)
        return await self._shards.run(FLIGHT, keys, times, (action, key, str(holder), *words))

    async def _delete_lists(self, prefix: str) -> None:
        times = (self.LEASE_SECONDS * MICRO, self.LIST_TTL * MICRO)
        for tag in self._redis.tags:  # an account has a login for each service
            cursor, (lists, *others) = b"0", [f"{tag}:{each}" for each in _LIST_KEYS]
            while True:
                scan = ("HSCAN", lists, cursor, "MATCH", f"{prefix}*", "COUNT", _SCAN_COUNT)
                cursor, found = await self._redis.ask(
                    scan, read=lambda answers: (bytes(answers[0][0]), answers[0][1][::2])
                )
                if found:
                    await self._shards.run(FLIGHT, (f"{tag}:lease:", lists, *others), times, ("forget", *found))
                if cursor == b"0":
                    break

    def _after_fork(self) -> None:
        super()._after_fork()
        self._redis.after_fork()
        self._unfinished = set()
        self._turns = weakref.WeakKeyDictionary()


# Seconds for which closing waits for the release of permits.
_UNFINISHED_SECONDS: Final = 0.4
