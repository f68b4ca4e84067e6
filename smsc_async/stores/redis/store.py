"""The store of many machines: a Redis, or a Valkey, that all their processes share.

What is decided, is decided in scripts on the server, each over the keys of one login; this side asks, keeps time, and
checks that what it was granted is still worth something when it arrives.

Logins are dealt out to ``_SHARES`` shares, each with a hash tag, and so on one node of a cluster. Each share has a
record of what the processes have agreed on (``clock.lua``): where it is missing, the store was flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

from smsc_async.accounts import Account, Secret
from smsc_async.errors import StoreError
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs
from smsc_async.stores.base import FetchLease
from smsc_async.stores.digests import Pepper
from smsc_async.stores.local_share import LocalShare
from smsc_async.stores.redis.scripts import FLIGHT, MARK, OPEN, PERMIT, Script
from smsc_async.stores.rows import after, poll
from smsc_async.stores.shared import KEEP_BYTES, OTHER_PEPPER, ColdStart, Place, Seen, SharedStore, StoreLostError

__all__ = ["RedisStore"]

T = TypeVar("T")

_SHARES: Final = 256
_MICRO: Final = 1_000_000
# What the server's clock may be off from ours before it counts as a step: the last round trip, this much, and what two
# clocks drift apart (twenty times what a crystal does).
_SLACK: Final = 0.25
_DRIFT: Final = 0.001


@attrs.frozen
class _PermitId:
    """What the server knows a permit by."""

    id: str
    login: str


# What the server's time is ahead of our clock, when it was heard, how long that took, and after how many corrections.
_Heard: TypeAlias = tuple[float, float, float, int]


@attrs.frozen
class _Known:
    """Which store it is.

    Attributes:
        salt: Its own, hexadecimal; another one after it was flushed.
        run: Of the server.
    """

    salt: str
    run: str | None


class RedisStore(SharedStore):
    """Keeps quota, answers and breakers in a Redis, for every process of every machine that uses it.

    Redis 6.2 or later, or Valkey, as they come; asyncio only. Passwords and logins are in it as digests only. One round
    trip gives a permit. While the server cannot be reached no permit is given: a call ends in a ``StoreError`` within a
    second (see ``on_outage``). A store that is empty, or whose server was restarted, may have forgotten what it granted: it gives no permit
    for a window and a lease. ``maxmemory-policy`` has to be ``noeviction``: what Redis drops by itself is forgotten as
    well, and nobody notices.

    A process that ends without giving a permit back (a crash, SIGKILL) holds it until its call would have ended in any
    case, and then a window longer.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password and database where there are any; as
            redis-py reads it.
        pepper: A secret of yours, the same for all that share the store, that digests are made with. Without one a
            digest costs some 50 ms of a core for each account and process, once.
        keep_bytes: How many bytes of answers, packed, are kept in the server, the least recently used going first; a
            quarter of that, unpacked, in this process. What is kept of the quota is never dropped.
        lease: Seconds that a request lasts at most where it has no deadline that the limiter can see; and how long a
            request of a lost store may still be under way. The longest ``deadline`` of your clients, if that is more.
        cold_start: ``"wait"`` sends nothing for a window and a lease after the store was found empty. ``"grant"``
            trusts an empty store, but for one that this process has seen in use.
        on_outage: ``"closed"``, or ``"local"`` for a part of the quota that each worker has for itself, always, and so
            while the server is away too: ``(3 - 1) // workers`` tokens, the server giving out the rest. So one or two
            workers have something to go on with, three or more have nothing. For credentials that have worked before;
            and it needs a ``pepper``, since the digests' salt is in the server.
        workers: For ``"local"``: how many processes use the store at the same time, at most, those of a rolling restart
            counted twice. More than that break the quota.

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
        on_outage: Literal["closed", "local"] = "closed",
        workers: int | None = None,
    ) -> None:
        hidden = Secret(url)  # it may hold a password, and error reporters show the locals of every frame
        del url
        try:
            # An extra, which takes half a second to import: here, and not in the first call.
            from smsc_async.stores.redis.connection import Wire  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError('RedisStore needs redis-py: pip install "smsc-async[redis]"') from error
        super().__init__(pepper=pepper, keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        del pepper
        if on_outage not in {"closed", "local"}:
            raise ValueError(f'on_outage={on_outage!r}: must be "closed" or "local"')
        if (on_outage == "local") != (workers is not None) or (workers is not None and workers < 1):
            raise ValueError(f'workers={workers}: on_outage="local" needs to know how many there are, 1 or more')
        self._share = None if workers is None else LocalShare(workers, lease)
        self._wire = Wire(hidden)
        self._waits = cold_start == "wait"
        self._known: _Known | None = None
        self._used = False
        self._heard: dict[str, _Heard] = {}
        self._unfinished: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        wire = getattr(self, "_wire", None)  # error reporters also show a store whose making has failed
        return f"RedisStore({'' if wire is None else repr(wire.name)})"

    async def aclose(self) -> None:
        """Close the connections of this event loop. The store can be used again."""
        loop = asyncio.get_running_loop()
        mine = [task for task in list(self._unfinished) if task.get_loop() is loop]
        if mine:
            await asyncio.wait(mine)  # gather() would cancel them where this is cancelled
        await self._wire.aclose()

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to ask again.

        Raises:
            StoreError: The server does not answer.
            RuntimeError: Not in asyncio.
        """
        if self._share is None:
            return await self._take(login, quota, token=token, lease=lease)
        mine = self._share.acquire(login, quota, token=token)
        if isinstance(mine, Permit):
            return mine
        try:
            answer = await self._take(login, self._share.rest(quota), token=token, lease=lease)
        except StoreError:
            # Its own part comes free in any case.
            if mine is None:
                raise
            return mine
        if isinstance(answer, Permit) or mine is None:
            return answer
        soonest = sorted((*mine.tokens_in, *answer.tokens_in))
        return Refusal(min(mine.retry_in, answer.retry_in), tuple(soonest))

    async def _take(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        lease = self._lease if lease == math.inf else max(lease, 0.0)
        permit = Permit(login, quota, token)
        began = _steady()

        async def ask(known: _Known) -> Any:
            slip = permit.lease = _PermitId(secrets.token_hex(8), await self._digests.of_login(login, _bytes(known)))
            lasts = self._closed_for(login, quota)
            rule = (quota.requests, quota.window * _MICRO, quota.linger * _MICRO, quota.concurrent)
            return await self._permits(
                known, slip, "take", (quota.absence + self._lease + lease, *rule, token, lease * _MICRO, lasts * _MICRO)
            )

        try:
            reply = await self._in_store(ask)
        except asyncio.CancelledError:
            # It may have been granted: nobody will use it.
            self._begin(self._untake(permit))
            raise
        if reply[0] == b"taken":
            if _steady() - began < lease:
                return permit
            # It has been on its way for longer than the server holds it for us.
            await self.release(permit, Completion.NOT_SENT)
            return Refusal(0.0)
        tokens_in = tuple(each / _MICRO for each in reply[4:])
        # Another process may give back one that is out, sooner than it has to.
        bound = poll(quota.window if tokens_in else 2.0) if reply[3] else math.inf
        return Refusal(min(reply[2] / _MICRO, bound), tokens_in)

    async def release(self, permit: Permit, ending: Completion) -> None:
        """Take a permit back. Where the server does not answer, its lease ends it."""
        if self._share is not None and self._share.release(permit, ending):
            return
        await asyncio.shield(self._begin(self._give_back(permit, ending)))

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window."""
        if self._share is not None:
            self._share.drain_tokens(login, quota)

        async def ask(known: _Known) -> None:
            slip = _PermitId("", await self._digests.of_login(login, _bytes(known)))
            await self._permits(known, slip, "shut", (quota.window, quota.requests, quota.window * _MICRO))

        with self._alone():
            await self._in_store(ask)

    async def lease_or_reply(
        self, endpoint: str, account: Account, max_age: float, seconds: float
    ) -> Tariffs | FetchLease:
        """Return a list that another process has, or comes to have meanwhile, or the right to fetch one."""
        with self._alone():
            return await super().lease_or_reply(endpoint, account, max_age, seconds)
        return FetchLease()  # nobody is to be told, or waited for

    async def release_lease(
        self, endpoint: str, account: Account, lead: FetchLease, reply: Reply | None, tariffs: Tariffs | None
    ) -> None:
        """Give a lead back, and share the answer, if it is a list."""
        if lead.lease is not None:
            await super().release_lease(endpoint, account, lead, reply, tariffs)
        elif tariffs is not None:
            self._reply_cache.put((endpoint, account.fingerprint), tariffs, 0.0)

    async def set_flag(self, name: str, seconds: float) -> None:
        """Remember a name for so long; longer where it is remembered for longer already."""
        if self._share is not None:
            self._share.heard([name], [max(seconds, *self._share.flag_ttls([name]))])
        with self._alone():
            await self._wire.call(MARK, [_mark(name)], lambda: [max(math.ceil(seconds * 1_000), 1)], self._wire.due())

    async def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return for each name how many seconds longer it is remembered, 0.0 where it is not."""
        with self._alone():
            left = await self._wire.ask(*[("PTTL", _mark(name)) for name in names])
            seconds = [max(each, 0) / 1_000 for each in left]
            if self._share is not None:
                self._share.heard(names, seconds)
            return seconds
        assert self._share is not None
        return self._share.flag_ttls(names)

    async def clear_flag(self, name: str) -> None:
        """Forget a name."""
        if self._share is not None:
            self._share.heard([name], [0.0])
        with self._alone():
            await self._wire.ask(("DEL", _mark(name)))

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """Go on without the server where this worker has a part of its own."""
        try:
            yield
        except StoreError as error:
            if self._share is None or error.message == OTHER_PEPPER:
                raise

    async def _give_back(self, permit: Permit, ending: Completion) -> None:
        instant = now()
        row = after(instant, permit.quota, ending, token=permit.token, seen=permit.seen)
        free_at = (instant, instant) if row is None else (row.token_free_at, row.slot_free_at)
        away = [max(at - instant, 0.0) * _MICRO for at in free_at]
        slip, known = permit.lease, self._known
        assert isinstance(slip, _PermitId)
        # Where the store was lost meanwhile, it is closed for as long as this could matter.
        with contextlib.suppress(StoreError, StoreLostError):
            if known is not None:
                await self._permits(known, slip, "give", (permit.quota.absence, *away))

    async def _untake(self, permit: Permit) -> None:
        if permit.lease is not None:
            await self._give_back(permit, Completion.NOT_SENT)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something that comes to its end even where its caller is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _permits(self, known: _Known, slip: _PermitId, what: str, numbers: Sequence[float]) -> Any:
        """Ask the permits of a login; the first number is for how many seconds it matters what is written."""
        share = _share(slip.login)
        return await self._ask(known, share, PERMIT, (f"{share}:permits:{slip.login}",), numbers, (what, slip.id))

    async def _ask(  # noqa: PLR0917  # they are what a script takes, in its order
        self,
        known: _Known,
        share: str,
        script: Script,
        keys: Sequence[str],
        numbers: Sequence[float],
        words: Sequence[str | bytes],
    ) -> Any:
        """Return what a script says, having told it what time it should be: again where it was another."""
        due, step, longest = self._wire.due(), 0.0, 0.0
        asked = expected = slack = 0.0

        def told() -> tuple[str | bytes, ...]:
            nonlocal asked, expected, slack
            if self._wire.run != known.run:
                raise StoreLostError(known)  # the connection was just made: nothing is taken that nobody would use
            asked = _steady()
            heard = self._heard.get(share)
            expected = slack = 0.0
            era = 0
            if heard is not None:
                ahead, at, took, era = heard
                expected = asked + ahead
                slack = _SLACK + max(took, longest) + (asked - at) * _DRIFT
            clock = (expected * _MICRO, slack * _MICRO, era, step * _MICRO)
            return (known.salt, struct.pack(f">{len(clock) + len(numbers)}d", *clock, *numbers), *words)

        while True:  # until the wire finds that it is due
            reply = await self._wire.call(script, (f"{share}:clock", *keys), told, due)
            got = _steady()
            if reply[0] == b"lost":
                raise StoreLostError(known)
            reply[0], _, corrections = reply[0].partition(b" ")
            there, longest = reply[1] / _MICRO, max(longest, got - asked)
            if reply[0] != b"stepped":
                break
            # By our clock it was some time between the two when the server looked at its own. If it was not even so,
            # its clock was set; else what we asked was on its way for long.
            certain = not expected - slack <= there <= expected + (got - asked) + slack
            step = there - expected - (got - asked) / 2 if certain else 0.0
        self._used = True
        self._heard[share] = (there - (asked + got) / 2, got, got - asked, int(corrections))
        return reply

    async def _in_store(self, work: Callable[[_Known], Awaitable[T]]) -> T:
        """Return what ``work`` does in the store as it is: again where it turns out to be another one."""
        for _ in range(3):
            known = await self._opened()
            try:
                return await work(known)
            except StoreLostError:
                self._forget(known)
        raise StoreError("Redis has been flushed or restarted over and over", self._wire.name)

    def _forget(self, known: _Known) -> None:
        if self._known is known:
            self._known = None
            self._used = True  # by somebody: it knew its salt, and has lost a share or all

    async def _opened(self) -> _Known:
        if self._known is not None:
            return self._known
        async with self._wire.opening():
            if self._known is None:
                self._known = await self._open()
            return self._known

    async def _open(self) -> _Known:
        """Find out which store it is, and see to it that a new one gives nothing that an old one may have given."""
        read = ("HMGET", _STORE, "salt", "run", "pepper")
        told: list[bytes | None]
        _, told = await self._wire.ask(("HSETNX", _STORE, "pepper", self._digests.pepper_name), read)
        if told[0] is None:
            _, told = await self._wire.ask(("HSETNX", _STORE, "salt", secrets.token_hex(16)), read)
        salt, former, pepper = told
        assert salt is not None
        if pepper != self._digests.pepper_name.encode():
            raise StoreError(OTHER_PEPPER, self._wire.name)
        run = self._wire.run
        restarted = former not in {None, (run or "").encode()}
        known = _Known(salt.decode(), run)
        lost = self._used or restarted
        if lost or former is None:
            # All shares, even those of which nobody has missed anything yet. Whoever is late to miss something finds them
            # closed since, or open again: then they stay so.
            words: list[str | int] = [known.salt, int(lost or self._waits), int(restarted)]
            shares = [f"{_tag(share)}:clock" for share in range(_SHARES)]
            await self._wire.ask(*[("EVAL", OPEN.text, 1, share, *words) for share in shares])
            await self._wire.ask(("HSET", _STORE, "run", run or ""))
            self._heard.clear()
        return known

    async def _salt(self) -> bytes:
        return b"" if self._peppered else _bytes(await self._opened())

    async def _look(self, place: Place, fresh: float, holder: int, *, last: bool) -> Seen:
        known = await self._opened()
        try:
            reply = await self._flights(known, place, "look", holder, (fresh * _MICRO, last))
        except asyncio.CancelledError:
            self._begin(self._unlead(place, holder, None))
            raise
        except StoreLostError:
            self._forget(known)
            raise
        if len(reply) == 2:
            return Seen(leads=reply[0] == b"lead")
        return Seen(leads=reply[0] == b"lead", packed=reply[4], age=reply[2] / _MICRO, wall=float(reply[3]))

    async def _renew(self, place: Place, holder: int) -> None:
        with contextlib.suppress(StoreLostError):
            await self._flights(await self._opened(), place, "renew", holder)

    async def _unlead(self, place: Place, holder: int, shared: bytes | None) -> None:
        async def land() -> None:
            with contextlib.suppress(StoreError, StoreLostError):
                room = self._keep_bytes // _SHARES
                answer = (repr(time.time()), shared or b"")
                await self._flights(await self._opened(), place, "land", holder, (room,), *answer)

        await asyncio.shield(self._begin(land()))

    async def _flights(  # likewise
        self,
        known: _Known,
        place: Place,
        what: str,
        holder: int,
        numbers: Sequence[float] = (),
        *words: str | bytes,
    ) -> Any:
        """Ask the answers of a login."""
        share = _share(place.login)
        keys = (f"{share}:lead:{place.key}", f"{share}:answers", f"{share}:used")
        told = (self.LEAD_SECONDS * _MICRO, *numbers)
        return await self._ask(known, share, FLIGHT, keys, told, (what, place.key, str(holder), *words))

    def _after_fork(self) -> None:
        super()._after_fork()
        self._wire.after_fork()
        self._unfinished = set()
        if self._share is not None:
            self._share.start()


_STORE: Final = "{smsc}:store"


def _steady() -> float:
    """Seconds by a clock that goes on while this machine sleeps, as the server's does."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def _bytes(known: _Known) -> bytes:
    return bytes.fromhex(known.salt)


def _tag(share: int) -> str:
    return f"{{smsc:{share:02x}}}"


def _share(login: str) -> str:
    return _tag(int(login[:2], 16))


def _mark(name: str) -> str:
    return f"{{smsc}}:mark:{name}"
