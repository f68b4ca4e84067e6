"""The store of one machine: a file that all its processes share.

Every instant in it is one of the monotonic clock, which the processes of one boot have in common. The work is done in a
thread of its own, so that the event loop never waits for a disk or for another process.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVarTuple

import anyio.to_thread
import attrs

from smsc_async.errors import StoreError
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.stores.digests import Pepper
from smsc_async.stores.rows import Row, after, taken
from smsc_async.stores.shared import KEEP_BYTES, ColdStart, Place, Seen, SharedStore
from smsc_async.stores.sqlite import tables
from smsc_async.stores.sqlite.worker_thread import Worker

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SQLiteStore"]

Ts = TypeVarTuple("Ts")

# Every so many permits twice as many of the oldest rows are looked at: rows of logins that never come back are cleared
# away faster than they can come.
_SWEEP_EVERY: Final = 64


@attrs.frozen
class _PermitId:
    """What the file knows a permit by."""

    number: int
    login: str


class SQLiteStore(SharedStore):
    """Keeps quota, answers and breakers in a file, for every process of one machine that uses it.

    What a predecessor has used of the quota is known, so a program may be restarted as often as it likes. Passwords
    and logins are in it as digests only. The file is made where it is not there, for its owner alone, and must be on a
    local disk. It is bound to its machine: of a copy, a file from another boot, or one that was replaced under those
    who use it nothing is believed, and no permit is given for a window and a lease.

    A process that ends without giving a permit back (a crash, SIGKILL) holds it until its call would have ended in any
    case, and then a window longer.

    Args:
        path: The file. Two more stand beside it while it is used.
        pepper: A secret of yours, the same for all that share the file, that digests are made with. Without one a
            digest costs some 50 ms of a core for each account and process, once.
        keep_bytes: How many bytes of answers, packed, are kept in the file, the least recently used going first; a
            quarter of that, unpacked, in this process. What is kept of the quota is never dropped.
        lease: Seconds that a request lasts at most where it has no deadline that the limiter can see; and how long a
            request of a lost store may still be under way. The longest ``deadline`` of your clients, if that is more.
        cold_start: ``"grant"`` trusts that a file which is not there was never used. ``"wait"`` sends nothing for a
            window and a lease after it was made, in case somebody has deleted it.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> from smsc_async import SQLiteStore
        >>> store = SQLiteStore("/var/lib/my-app/tariffs.db")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pepper: Pepper | None = None,
        keep_bytes: int = KEEP_BYTES,
        lease: float = 90.0,
        cold_start: ColdStart = "grant",
    ) -> None:
        super().__init__(pepper=pepper, keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        del pepper
        if os.fspath(path) == ":memory:":
            raise ValueError("path=':memory:': what is shared must be a file; for one process there is MemoryStore()")
        from smsc_async.stores.sqlite.file import StoreFile  # noqa: PLC0415  # SQLite is for those who use it

        self._file = StoreFile(Path(path).absolute(), cold=cold_start == "wait", pepper=self._digests.pepper_name)
        self._worker = Worker(self._file.close, "smsc_async SQLiteStore")
        self._known_salt: bytes | None = b"" if self._peppered else None
        self._takes = 0

    def __repr__(self) -> str:
        file = getattr(self, "_file", None)  # error reporters also show a store whose making has failed
        return f"SQLiteStore({'' if file is None else repr(str(file.path))})"

    async def aclose(self) -> None:
        """Close the file. The store can be used again, and closes it by itself when it has not been used for a while."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._worker.close)

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        """Return a permit, or when to ask again.

        Raises:
            StoreError: The file cannot be used.
        """
        bounded = self._lease if lease == math.inf else max(lease, 0.0)
        answer: Permit | Refusal | None = None
        while answer is None:
            salt = await self._salt()
            name = await self._digests.of_login(login, salt)
            asked = now()
            row = taken(asked, quota, token=token, lease=bounded)
            answer = await self._worker.run(
                partial(self._take, Permit(login, quota, token), salt, name, asked, row), self._untake
            )
            if isinstance(answer, Permit) and now() - asked >= bounded:
                # This process stood still for as long as its lease: what was granted may be somebody else's by now.
                await self.release(answer, Completion.NOT_SENT)
                return Refusal(0.0)
        return answer

    async def release(self, permit: Permit, ending: Completion) -> None:
        """Take a permit back. Where the file cannot be used, its lease ends it."""
        instant = now()
        row = after(instant, permit.quota, ending, token=permit.token, seen=permit.seen)
        with contextlib.suppress(StoreError):
            await self._worker.run(partial(self._put_back, permit, instant, row))

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Give no token of the login for a window."""
        name = await self._digests.of_login(login, await self._salt())
        instant = now()

        def work() -> None:
            with self._file.writing() as connection:
                for _ in range(quota.requests):
                    tables.insert(connection, name, instant, Row(instant + quota.window, 0.0, out=False))

        await self._worker.run(work)

    async def set_flag(self, name: str, seconds: float) -> None:
        """Remember a name for so long; longer where it is remembered for longer already."""
        await self._write(tables.set_flag, name, now(), seconds)

    async def flag_ttls(self, names: Sequence[str]) -> list[float]:
        """Return for each name how many seconds longer it is remembered, 0.0 where it is not."""
        instant = now()

        def work() -> list[float]:
            with self._file.reading() as connection:
                return tables.flag_ttls(connection, names, instant)

        return await self._worker.run(work)

    async def clear_flag(self, name: str) -> None:
        """Forget a name."""
        await self._write(tables.clear_flag, name)

    def _take(self, permit: Permit, salt: bytes, login: str, instant: float, row: Row) -> Permit | Refusal | None:
        """Take a permit, in the thread; ``None`` where the digest was made for another file."""
        with self._file.writing() as connection:
            if salt and salt != self._file.salt:
                self._known_salt = None
                return None
            closed_for = self._closed_for(permit.login, permit.quota)
            answer = tables.acquire(connection, login, instant, permit.quota, row, closed_for=closed_for)
            if isinstance(answer, Refusal):
                return answer
            self._takes += 1
            if self._takes % _SWEEP_EVERY == 0:
                tables.sweep(connection, instant)
        permit.lease = _PermitId(answer, login)
        return permit

    def _untake(self, answer: Permit | Refusal | None) -> None:
        if isinstance(answer, Permit):
            self._put_back(answer, 0.0, None)

    def _put_back(self, permit: Permit, instant: float, row: Row | None) -> None:
        """Take a permit back, in the thread."""
        slip = permit.lease
        assert isinstance(slip, _PermitId)
        with self._file.writing() as connection:
            tables.put_back(connection, slip.login, slip.number, instant, row)

    async def _write(self, change: Callable[[sqlite3.Connection, *Ts], None], *args: *Ts) -> None:
        def work() -> None:
            with self._file.writing() as connection:
                change(connection, *args)

        await self._worker.run(work)

    async def _salt(self) -> bytes:
        salt = self._known_salt
        if salt is None:

            def work() -> bytes:
                with self._file.reading():
                    return self._file.salt

            salt = self._known_salt = await self._worker.run(work)
        return salt

    async def _look(self, place: Place, fresh: float, holder: int, *, last: bool) -> Seen:
        clocks = now(), time.time()

        def fits(kept: Seen | None) -> bool:
            return kept is not None and kept.age < fresh

        def work() -> Seen:
            with self._file.reading() as connection:
                kept, led = tables.look(connection, place.key, clocks)
            if led and not fits(kept):
                return Seen(leads=False)
            with self._file.writing() as connection:
                # Once more, now that nobody else writes.
                kept, led = tables.look(connection, place.key, clocks)
                if kept is not None and fits(kept):
                    tables.use(connection, place.key, clocks[0])
                    return kept
                if led:
                    return Seen(leads=False)
                tables.take_lead(connection, place.key, holder, clocks[0], clocks[0] + self.LEAD_SECONDS)
            return attrs.evolve(kept, leads=True) if kept is not None and last else Seen(leads=True)

        def undo(seen: Seen) -> None:
            if seen.leads:
                with self._file.writing() as connection:
                    tables.drop_lead(connection, place.key, holder)

        return await self._worker.run(work, undo)

    async def _renew(self, place: Place, holder: int) -> None:
        await self._write(tables.renew, place.key, holder, now() + self.LEAD_SECONDS)

    async def _unlead(self, place: Place, holder: int, shared: bytes | None) -> None:
        land = partial(tables.release_lease, keep_bytes=self._keep_bytes)
        await self._write(land, place.key, holder, shared, (now(), time.time()))
