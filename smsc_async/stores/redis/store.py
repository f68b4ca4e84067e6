"""The store of many machines: a Redis, or a Valkey, that all their processes share.

Scripts on the server make the decisions, each over the keys of one login. This side sends the arguments, checks the
server's clock, and checks that a permit is still valid when it arrives.

Logins are distributed over ``_SHARDS`` shards. Each shard has a hash tag, so its keys are on one node. Each shard has a
record of the state that the processes share (``clock.lua``): if the record is missing, the store was flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.errors import StoreError
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import Place, Verdict
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota
from smsc_async.stores.digests import Pepper
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.redis.scripts import FLIGHT, LOCKOUT, OPEN, PERMIT, Script
from smsc_async.stores.rows import poll_pause, released
from smsc_async.stores.shared import KEEP_BYTES, OTHER_PEPPER, ColdStart, ListKey, Lookup, SharedStore, StoreLostError

__all__ = ["RedisStore"]

T = TypeVar("T")

_SHARDS: Final = 256
_MICRO: Final = 1_000_000
# The server's clock counts as stepped if it differs from the expected time by more than the last round trip, plus this
# slack, plus the drift of two clocks (twenty times the drift of a crystal).
_SLACK: Final = 0.25
_DRIFT: Final = 0.001


@attrs.frozen
class _PermitId:
    """The identifier of a permit in the server."""

    id: str
    login: str


class _ClockSample(NamedTuple):
    """What the last answer of a shard said about the server's clock.

    Attributes:
        ahead: Seconds by which the server's clock is ahead of this process's clock.
        at: The instant of the answer.
        round_trip: Seconds from the request to the answer.
        era: The number of corrections of the shard's clock so far.
    """

    ahead: float
    at: float
    round_trip: float
    era: int


@attrs.frozen
class _Identity:
    """The identity of the store: a flush changes the salt, a restart changes the run.

    Attributes:
        salt: The salt of the store, hexadecimal.
        run: The ``run_id`` of the server.
    """

    salt: str
    run: str | None


class RedisStore(SharedStore):
    """Stores quota, lists and lockouts in a Redis, for all processes of all machines.

    Redis 6.2 or later, or Valkey, with the default configuration; asyncio only. The server contains logins and passwords as
    digests only. A permit takes one round trip. If the server does not answer, no permit is granted: a call ends with a
    ``StoreError`` within a second. An empty store and a restarted server may have lost granted permits: they grant no
    permit for a window and a lease. ``maxmemory-policy`` must be ``noeviction``: another policy lets Redis drop granted
    permits without a trace. A store can be pickled and copied; the pickle contains the URL and the pepper.

    A process that dies without the release of a permit (a crash, SIGKILL) holds the permit until the end of its call's
    deadline, and then a window longer.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and database if there are any; redis-py
            reads it.
        pepper: Your secret for the digests, the same for all processes that share the store. Without one a digest takes
            some 50 ms of a core for each account and process, once.
        keep_bytes: Bytes of packed lists in the server, and a quarter of it for lists in this process; the least recently
            used lists are dropped first. The state of the quota is never dropped.
        lease: The most seconds that a request lasts if the limiter sees no deadline, and the seconds for which a request
            from before the loss of a store may be in flight. If the ``deadline`` of your clients is longer, use that.
        cold_start: ``"wait"`` sends nothing for a window and a lease if the store is empty. ``"grant"`` trusts an empty
            store, unless this process has used it before.

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
        lease: float = 90.0,
        cold_start: ColdStart = "wait",
    ) -> None:
        hidden = Secret(url)  # it may contain a password, and error reporters show the locals of every frame
        del url
        try:
            # An extra, whose import takes half a second: better here than in the first call.
            from smsc_async.stores.redis.connection import RedisConnections  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError('RedisStore needs redis-py: pip install "smsc-async[redis]"') from error
        super().__init__(pepper=pepper, keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        self._url = hidden
        del pepper
        self._redis = RedisConnections(hidden)
        self._identity: _Identity | None = None
        self._was_used = False
        self._clock_samples: dict[str, _ClockSample] = {}
        self._unfinished: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        redis = getattr(self, "_redis", None)  # error reporters also show a store whose constructor has failed
        return f"RedisStore({'' if redis is None else repr(redis.name)})"

    def __reduce__(self) -> tuple[Callable[..., SharedStore], tuple[object, ...]]:
        return self._reduced(self._url.reveal())

    async def aclose(self) -> None:
        """Close the connections of this event loop. The store can be used again."""
        loop = asyncio.get_running_loop()
        mine = [task for task in list(self._unfinished) if task.get_loop() is loop]
        if mine:
            await asyncio.wait(mine)  # gather() would cancel them together with this task
        await self._redis.aclose()

    async def acquire(
        self, login: str, quota: Quota, *, token: bool, lease: float, credentials: Credentials | None = None
    ) -> Permit | Refusal:
        """Return a permit, or when to try again.

        Raises:
            StoreError: The server does not answer.
            RuntimeError: The event loop is not asyncio's.
        """
        permit = Permit(login, quota, token)
        permit.credentials = credentials
        if credentials is None:
            return await self._acquire(permit, lease)
        # The place first. If token or slot is missing, the place is returned at once.
        place = await self._take_place(credentials)
        if isinstance(place, Refusal):
            return place
        permit.place = place
        try:
            answer = await self._acquire(permit, lease)
        except BaseException:
            self._begin(self._settle(credentials, place, Verdict.NOT_SENT))
            raise
        if isinstance(answer, Refusal):
            await self._settle(credentials, place, Verdict.NOT_SENT)
        return answer

    async def _acquire(self, permit: Permit, lease: float) -> Permit | Refusal:
        """Acquire token and slot."""
        lease = self._lease if lease == math.inf else max(lease, 0.0)
        quota = permit.quota
        started = now()

        async def ask(identity: _Identity) -> Any:
            digest = await self._digests.of_login(permit.login, _salt_of(identity))
            permit_id = permit.lease = _PermitId(secrets.token_hex(8), digest)
            numbers = self._rule(quota, lease, token=permit.token)
            return await self._permits(identity, permit_id, "acquire", numbers)

        try:
            reply = await self._in_store(ask)
        except asyncio.CancelledError:
            # The server may have granted the permit, which nobody will use.
            self._begin(self._undo_acquire(permit))
            raise
        if reply[0] == b"granted":
            if now() - started < lease:
                return permit
            # The answer took longer than the lease: another process may have the permit by now.
            await asyncio.shield(self._begin(self._release(permit, Completion.NOT_SENT)))
            return Refusal(0.0)
        tokens_in = tuple(each / _MICRO for each in reply[4:])
        # Another process may release a permit in flight before the end of its lease.
        bound = poll_pause(quota.window if tokens_in else 2.0) if reply[3] else math.inf
        return Refusal(min(reply[2] / _MICRO, bound), tokens_in)

    async def release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> None:
        """Release a permit. If the server does not answer, the permit ends with its lease."""
        unknown = Verdict.NOT_SENT if completion is Completion.NOT_SENT else Verdict.UNANSWERED

        async def release() -> None:
            await self._release(permit, completion)
            if permit.credentials is not None and permit.place is not None:
                with contextlib.suppress(StoreError):
                    await self._settle(permit.credentials, permit.place, verdict or unknown)

        await asyncio.shield(self._begin(release()))

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""

        def reset(states: LoadedStates, instant: float) -> None:
            rules.reset(states.service, None if account is None else states.credentials, instant)

        await self._change_states(service, account, reset)
        self.queue.notify(None, service)

    async def _take_place(self, credentials: Credentials) -> Place | Refusal:
        request = secrets.token_hex(8)

        def take(states: LoadedStates, instant: float) -> Place | Refusal:
            # A repeated change, whose first answer was lost, takes no second place.
            known = states.service.trials.get(request) or states.service.fast.get(request)
            place = known or states.admit(request, instant)
            if isinstance(place, Place) and known is None:
                states.enter(place)
            return place

        return await self._change_states(credentials.service, credentials.account, take)

    async def _settle(self, credentials: Credentials, place: Place, verdict: Verdict) -> None:
        def settle(states: LoadedStates, instant: float) -> None:
            states.settle(place, verdict, instant)

        await self._change_states(credentials.service, credentials.account, settle)

    async def _change_states(
        self, service: str, account: Account | None, change: Callable[[LoadedStates, float], T]
    ) -> T:
        """Return what ``change`` returns, once its result is saved and nobody has changed the states meanwhile."""

        async def work(identity: _Identity) -> T:
            names = CredentialNames(service, "", "")
            if account is not None:
                names = await self._credential_names(Credentials(service, account), _salt_of(identity))
            keys = (f"{_LOCKOUTS}:state:{names.service}", f"{_LOCKOUTS}:state:{names.credentials}")
            reply = await self._run(identity, _LOCKOUTS, LOCKOUT, keys, (0.0,), ("", "", "", ""))
            while True:
                instant, former = reply[1] / _MICRO, (reply[2], reply[3])
                states = LoadedStates.of(names, *(each.decode() or None for each in former))
                result = change(states, instant)
                if not isinstance(result, Refusal):
                    lasts = max(states.credentials.expires_at - instant, 0.0) + _DAY
                    reply = await self._run(
                        identity, _LOCKOUTS, LOCKOUT, keys, (lasts * 1_000,), (*former, *states.texts())
                    )
                if isinstance(result, Refusal) or reply[0] == b"saved":
                    self._lockout_view.note(states, instant - now())
                    return result

        return await self._in_store(work)

    def _rule(self, quota: Quota, lease: float, *, token: bool) -> tuple[float, ...]:
        """Return the numbers of an acquire: the seconds for which its row matters come first."""
        times = (lease * _MICRO, self._closed_for(quota) * _MICRO)
        rule = (quota.requests, quota.window * _MICRO, quota.linger * _MICRO, quota.concurrent)
        return (quota.absence + self._lease + lease, *rule, token, *times)

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota.

        Raises:
            StoreError: The server does not answer.
        """

        async def ask(identity: _Identity) -> Any:
            permit_id = _PermitId("", await self._digests.of_login(login, _salt_of(identity)))
            return await self._permits(identity, permit_id, "usage", self._rule(quota, 0.0, token=False))

        reply = await self._in_store(ask)
        return Usage(tuple(each / _MICRO for each in reply[4:]), reply[3])

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""

        async def ask(identity: _Identity) -> None:
            permit_id = _PermitId("", await self._digests.of_login(login, _salt_of(identity)))
            await self._permits(identity, permit_id, "drain", (quota.window, quota.requests, quota.window * _MICRO))

        await self._in_store(ask)

    async def _release(self, permit: Permit, completion: Completion) -> None:
        instant = now()
        row = released(instant, permit.quota, completion, token=permit.token, seen=permit.seen)
        free_at = (instant, instant) if row is None else (row.token_free_at, row.slot_free_at)
        in_use_for = [max(at - instant, 0.0) * _MICRO for at in free_at]
        permit_id, identity = permit.lease, self._identity
        assert isinstance(permit_id, _PermitId)
        # If the store was lost meanwhile, it is closed as long as this permit could matter.
        with contextlib.suppress(StoreError, StoreLostError):
            if identity is not None:
                await self._permits(identity, permit_id, "release", (permit.quota.absence, *in_use_for))

    async def _undo_acquire(self, permit: Permit) -> None:
        if permit.lease is not None:
            await self._release(permit, Completion.NOT_SENT)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that the cancellation of its caller does not interrupt."""
        task = asyncio.get_running_loop().create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _permits(self, identity: _Identity, permit_id: _PermitId, action: str, numbers: Sequence[float]) -> Any:
        """Run the permit script of a login; the first number is the seconds for which the written row matters."""
        shard = _shard(permit_id.login)
        keys = (f"{shard}:permits:{permit_id.login}",)
        return await self._run(identity, shard, PERMIT, keys, numbers, (action, permit_id.id))

    async def _run(  # noqa: PLR0917  # the arguments of a script, in its order
        self,
        identity: _Identity,
        shard: str,
        script: Script,
        keys: Sequence[str],
        numbers: Sequence[float],
        words: Sequence[str | bytes],
    ) -> Any:
        """Return the answer of a script, which gets the expected time of the server; again if the clock has stepped."""
        due, step, longest = self._redis.due(), 0.0, 0.0
        sent_at = expected = slack = 0.0

        def arguments() -> tuple[str | bytes, ...]:
            nonlocal sent_at, expected, slack
            if self._redis.run != identity.run:
                raise StoreLostError(identity)  # the connection is new: acquire nothing in a store that was restarted
            sent_at = now()
            sample = self._clock_samples.get(shard)
            expected = slack = 0.0
            era = 0
            if sample is not None:
                expected = sent_at + sample.ahead
                slack = _SLACK + max(sample.round_trip, longest) + (sent_at - sample.at) * _DRIFT
                era = sample.era
            clock = (expected * _MICRO, slack * _MICRO, era, step * _MICRO)
            return (identity.salt, struct.pack(f">{len(clock) + len(numbers)}d", *clock, *numbers), *words)

        while True:  # until the connections find that the call is overdue
            reply = await self._redis.call(script, (f"{shard}:clock", *keys), arguments, due)
            answered_at = now()
            if reply[0] == b"lost":
                raise StoreLostError(identity)
            reply[0], _, corrections = reply[0].partition(b" ")
            server_time, longest = reply[1] / _MICRO, max(longest, answered_at - sent_at)
            if reply[0] != b"stepped":
                break
            # The server read its clock between the two instants. If its time lies outside of what they allow, its clock
            # was set; else the command was only slow.
            allowed = expected - slack <= server_time <= expected + (answered_at - sent_at) + slack
            step = 0.0 if allowed else server_time - expected - (answered_at - sent_at) / 2
        self._was_used = True
        ahead = server_time - (sent_at + answered_at) / 2
        self._clock_samples[shard] = _ClockSample(ahead, answered_at, answered_at - sent_at, int(corrections))
        return reply

    async def _in_store(self, work: Callable[[_Identity], Awaitable[T]]) -> T:
        """Return the result of ``work`` for the store's identity; again if the store turns out to be another one."""
        for _ in range(3):
            identity = await self._identified()
            try:
                return await work(identity)
            except StoreLostError:
                self._forget(identity)
        raise StoreError("Redis was flushed or restarted several times during the call", self._redis.name)

    def _forget(self, identity: _Identity) -> None:
        if self._identity is identity:
            self._identity = None
            self._was_used = True  # it had a salt, so a process has used it before the loss

    async def _identified(self) -> _Identity:
        if self._identity is not None:
            return self._identity
        async with self._redis.opening():
            if self._identity is None:
                self._identity = await self._identify()
            return self._identity

    async def _identify(self) -> _Identity:
        """Read the identity of the store, and close a store that may have lost granted permits."""
        read = ("HMGET", _STORE, "salt", "run", "pepper")
        row: list[bytes | None]
        _, row = await self._redis.ask(("HSETNX", _STORE, "pepper", self._digests.pepper_name), read)
        if row[0] is None:
            _, row = await self._redis.ask(("HSETNX", _STORE, "salt", secrets.token_hex(16)), read)
        salt, former_run, pepper = row
        assert salt is not None
        if pepper != self._digests.pepper_name.encode():
            raise StoreError(OTHER_PEPPER, self._redis.name)
        run = self._redis.run
        was_restarted = former_run not in {None, (run or "").encode()}
        identity = _Identity(salt.decode(), run)
        was_lost = self._was_used or was_restarted
        if was_lost or former_run is None:
            # All shards, also those whose loss no process has noticed yet. A process that notices later finds them closed
            # since then, or open again: then it leaves them open.
            words: list[str | int] = [
                identity.salt,
                int(was_lost or self._cold_start == "wait"),
                int(was_restarted),
            ]
            shards = [f"{tag}:clock" for tag in (*map(_tag, range(_SHARDS)), _LOCKOUTS)]
            await self._redis.ask(*[("EVAL", OPEN.text, 1, shard, *words) for shard in shards])
            await self._redis.ask(("HSET", _STORE, "run", run or ""))
            self._clock_samples.clear()
        return identity

    async def _salt(self) -> bytes:
        return b"" if self._peppered else _salt_of(await self._identified())

    async def _look(self, key: ListKey, fresh: float, holder: int, *, with_last: bool) -> Lookup:
        identity = await self._identified()
        try:
            reply = await self._flights(identity, key, "look", holder, (fresh * _MICRO, with_last))
        except asyncio.CancelledError:
            self._begin(self._unlease(key, holder, None))
            raise
        except StoreLostError:
            self._forget(identity)
            raise
        leads = reply[0] == b"leads"
        if len(reply) == 2:
            return Lookup(leads)
        return Lookup(leads, packed=reply[4], age=reply[2] / _MICRO, wall=float(reply[3]))

    async def _renew(self, key: ListKey, holder: int) -> None:
        with contextlib.suppress(StoreLostError):
            await self._flights(await self._identified(), key, "renew", holder)

    async def _unlease(self, key: ListKey, holder: int, shared: bytes | None) -> None:
        async def release() -> None:
            with contextlib.suppress(StoreError, StoreLostError):
                room = self._keep_bytes // _SHARDS
                reply = (repr(time.time()), shared or b"")
                await self._flights(await self._identified(), key, "release", holder, (room,), *reply)

        await asyncio.shield(self._begin(release()))

    async def _flights(  # the arguments of a script, in its order
        self,
        identity: _Identity,
        key: ListKey,
        action: str,
        holder: int,
        numbers: Sequence[float] = (),
        *words: str | bytes,
    ) -> Any:
        """Run the flight script of a login."""
        shard = _shard(key.login)
        keys = (f"{shard}:lease:{key.key}", f"{shard}:replies", f"{shard}:used")
        times = (self.LEASE_SECONDS * _MICRO, *numbers)
        return await self._run(identity, shard, FLIGHT, keys, times, (action, key.key, str(holder), *words))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._redis.after_fork()
        self._unfinished = set()


_STORE: Final = "{smsc}:store"
_LOCKOUTS: Final = "{smsc:lockouts}"
_DAY: Final = 86_400.0


def _salt_of(identity: _Identity) -> bytes:
    return bytes.fromhex(identity.salt)


def _tag(shard: int) -> str:
    return f"{{smsc:{shard:02x}}}"


def _shard(login: str) -> str:
    return _tag(int(login[:2], 16))
