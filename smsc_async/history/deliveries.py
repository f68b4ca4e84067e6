"""What one reader has reported of one account: across processes, and across the end of a process.

Invariant: only the holder of the lock delivers, and it reads the mark after it has got the lock. So a change that another
process has delivered and marked is not delivered again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial

import attrs

from smsc_async.accounts import Account
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.history import tables
from smsc_async.history.archive import Archive, micros_of
from smsc_async.history.locks import DeliveryLock
from smsc_async.history.packing import text_of


@attrs.frozen
class Progress:
    """How far a reader is.

    Attributes:
        mark: The list up to which everything was reported; ``None`` for a new reader.
        later: The lists from then on, without repetitions, oldest first; for a new reader the one that it begins with
            is the first of them.
        retry_at: When the receiver may be tried again, if it said so.
    """

    mark: Snapshot | None
    later: tuple[Snapshot, ...]
    retry_at: datetime | None = None


@attrs.define(eq=False)
class Deliveries:
    """The state of one reader of one account.

    Args:
        archive: The history.
        account: The name.
        credentials: The account that fetched the lists.
        reader: The name of the reader.
        target: What the reader delivers to, such as a secret URL: a digest of it becomes a part of the name.
    """

    _archive: Archive
    _account: str
    _credentials: Account | None
    _reader: str
    _target: str = ""
    _lock: DeliveryLock | None = attrs.field(default=None, init=False)

    async def claim(self, first: Callable[[], Snapshot | None]) -> Progress | None:
        """Return how far the reader is, and hold the right to deliver; ``None`` if another process or task holds it.

        Args:
            first: Returns the list that a new reader begins with, or ``None`` for the last one. Called in the thread: while
                the call waits for its turn, several rounds may record their lists.

        Raises:
            StoreError: The history cannot be used.
        """

        def work(connection: sqlite3.Connection) -> Progress | None:
            if self._lock is None:
                if self._target:
                    digest = self._archive.digest(Account("target", self._target)) or b""
                    self._reader = f"{self._reader} {digest.hex()}"
                digest = self._archive.digest(self._credentials) or b""
                name = f"{self._account}\0{digest.hex()}\0{self._reader}"
                self._lock = DeliveryLock(self._archive.beside("lock"), name)
            if not self._lock.acquire() or is_abandoned:
                self._lock.release()  # does nothing without the lock
                return None
            bound = self._archive.bound(self._account, self._credentials)
            mark, retry_at = self._archive.marked(connection, bound, self._reader)
            if (start := mark or first()) is None:
                later = self._archive.snapshots(connection, bound, 1)
            else:
                since = attrs.evolve(bound, since=micros_of(start.taken_at))
                periods = self._archive.periods(connection, since)
                later = tuple(Snapshot(each.account, each.since, each.tariffs) for each in periods)
            return Progress(mark, later, retry_at)

        # The cancellation of a task of asyncio does not wait for the thread, which may acquire the lock later.
        is_abandoned = False
        try:
            return await self._archive.write(work)
        except BaseException:
            is_abandoned = True
            self.release()
            raise

    async def mark(self, snapshot: Snapshot) -> None:
        """Record that everything up to this list was reported; the receiver may be tried again.

        Raises:
            StoreError: The history cannot be used: nothing was recorded.
        """
        text = text_of(snapshot.tariffs)
        work = partial(tables.mark, reader=self._reader, taken_at=micros_of(snapshot.taken_at), text=text)
        await self._archive.write_of(self._account, self._credentials, work)

    async def postpone(self, until: datetime) -> None:
        """Record until when the receiver is not tried again.

        Raises:
            StoreError: The history cannot be used: nothing was recorded.
        """
        work = partial(tables.postpone, reader=self._reader, retry_at=micros_of(until))
        await self._archive.write_of(self._account, self._credentials, work)

    def release(self) -> None:
        """Let others deliver."""
        if self._lock is not None:
            self._lock.release()
