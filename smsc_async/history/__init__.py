"""Lists over time, in a SQLite file of their own that outlives every power cut."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from smsc_async.accounts import Account
from smsc_async.analysis.snapshots import Period, PricePoint, Snapshot, price_points
from smsc_async.arguments import checked_path
from smsc_async.history import tables
from smsc_async.history.archive import Archive, instant_after, micros_of
from smsc_async.history.deliveries import Deliveries
from smsc_async.history.packing import text_of
from smsc_async.records import Service, checked_type

__all__ = ["History"]


class History:
    """Stores tariff lists over time in a file, for every process of one machine that uses it.

    What was added is on the disk when the call returns. A list that was seen a thousand times is stored once: a year of
    snapshots every quarter of an hour takes about a megabyte. The file is made at the first writing, for its owner alone;
    if there is none, reading returns nothing.

    The file holds prices, instants, the names of accounts and digests of credentials. The digests are made with a key
    file beside it (``….key``, mode 0600); ``Client.watch()`` uses them, so that a login with another password sees nothing
    of what was stored before. Methods without ``credentials`` are the view of the file's owner: all lists of a name. In a
    service for several customers, pass the customer's account as ``credentials``.

    A list that is damaged counts as absent, and a warning is logged once. Works on asyncio and trio, in any number of
    event loops; the file is used in a thread. A cancelled call ends when its work in the file has.

    Args:
        path: The file; not that of a ``SQLiteStore``.

    Raises:
        ValueError: The path is ``:memory:``, empty, or that of no file.
        StoreError: From every method: the file cannot be used, is damaged, or is a database of something else.

    Example:
        >>> import asyncio, tempfile
        >>> from datetime import UTC, datetime
        >>> from smsc_async import History, Snapshot, decode
        >>> tariffs = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> async def main(folder: str) -> None:
        ...     async with History(f"{folder}/history.db") as history:
        ...         await history.add(Snapshot("alex", datetime(2026, 11, 24, tzinfo=UTC), tariffs))
        ...         for point in await history.prices("alex", zone="1"):
        ...             print(point.since.date(), point.price)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        2026-11-24 2.50
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._archive = Archive(checked_path(path, "a history must be a file"))

    def __repr__(self) -> str:
        return f"History({str(self._archive.path)!r})"

    @property
    def path(self) -> Path:
        """Where the file is, or is to be."""
        return self._archive.path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Do nothing, because no connection outlives a call; a history is a context manager like a client and a store."""

    async def add(self, snapshot: Snapshot, *, credentials: Account | None = None) -> None:
        """Store a snapshot; it is on the disk when this returns.

        If there is a snapshot of that account, credentials and instant, that one stays: adding twice is adding once.

        Args:
            snapshot: The list.
            credentials: The account that fetched it; ``None`` for a list that belongs to a name alone.

        Raises:
            StoreError: The file cannot be used: nothing was added.
            ValueError: A price is not a finite number, or the list is larger than any reply.
        """
        checked_type("snapshot", snapshot, Snapshot, "a Snapshot, such as Snapshot(name, taken_at, tariffs)")
        work = partial(tables.add, taken_at=micros_of(snapshot.taken_at), text=text_of(snapshot.tariffs))
        await self._archive.write_of(snapshot.account, credentials, work)

    async def record(self, snapshot: Snapshot, *, credentials: Account | None = None) -> Snapshot | None:
        """Store a snapshot as the last one of its account and credentials, as a watch does, and return the last one before.

        A list that is older than the last one is dropped: another process was faster. If the last one is from the future,
        the clock was set back, and the snapshot is stored right after it.

        Raises:
            StoreError: The file cannot be used: nothing was stored.
            ValueError: A price is not a finite number, or the list is larger than any reply.
        """
        checked_type("snapshot", snapshot, Snapshot, "a Snapshot, such as Snapshot(name, taken_at, tariffs)")
        text = text_of(snapshot.tariffs)

        def work(connection: sqlite3.Connection, account: int) -> Snapshot | None:
            bound = self._archive.bound(snapshot.account, credentials)
            before = next(iter(self._archive.snapshots(connection, bound, 1)), None)
            taken_at = instant_after(before, snapshot.taken_at)
            if taken_at is not None:
                tables.add(connection, account, micros_of(taken_at), text)
            return before

        return await self._archive.write_of(snapshot.account, credentials, work)

    async def accounts(self) -> tuple[str, ...]:
        """Return the names that there are snapshots of, sorted.

        Raises:
            StoreError: The file cannot be used.
        """
        return tuple(await self._archive.read(tables.accounts, empty=[]))

    async def snapshots(
        self,
        account: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        credentials: Account | None = None,
    ) -> tuple[Snapshot, ...]:
        """Return snapshots, oldest first.

        Those with the same list share its lines, so many of them take little memory.

        Args:
            account: The name, or ``None`` for all.
            credentials: Only what this account fetched; ``None`` for all of the name.
            since: None before this instant.
            until: None after it.
            limit: How many at most, the last ones; ``None`` for all.

        Raises:
            StoreError: The file cannot be used.
            ValueError: An instant has no time zone, or ``limit`` is below 0.
        """
        if limit is not None and checked_type("limit", limit, int, "a whole number") < 0:
            raise ValueError(f"limit={limit}: must be 0 or more, or None")
        limits = _limits(since, until)

        def work(connection: sqlite3.Connection) -> tuple[Snapshot, ...]:
            return self._archive.snapshots(connection, self._archive.bound(account, credentials, *limits), limit)

        return await self._archive.read(work, empty=())

    async def at(self, account: str, instant: datetime, *, credentials: Account | None = None) -> Snapshot | None:
        """Return the last snapshot of an account that is not later than an instant, or ``None``.

        Raises:
            StoreError: The file cannot be used.
            ValueError: The instant has no time zone.

        Example:
            >>> import asyncio, tempfile
            >>> from datetime import UTC, datetime
            >>> from smsc_async import History, Snapshot, Tariffs
            >>> async def main(folder: str) -> None:
            ...     async with History(f"{folder}/history.db") as history:
            ...         await history.add(Snapshot("alex", datetime(2026, 11, 1, tzinfo=UTC), Tariffs(())))
            ...         in_force = await history.at("alex", datetime(2026, 11, 24, tzinfo=UTC))
            ...         print(in_force and in_force.taken_at.date())
            ...         print(await history.at("alex", datetime(2026, 10, 24, tzinfo=UTC)))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     asyncio.run(main(folder))
            2026-11-01
            None
        """
        checked_type("account", account, str, "a name, such as a login")
        return next(iter(await self.snapshots(account, until=instant, limit=1, credentials=credentials)), None)

    async def last(self, account: str, *, credentials: Account | None = None) -> Snapshot | None:
        """Return the last snapshot of an account, or ``None`` if there is none.

        Raises:
            StoreError: The file cannot be used.
        """
        checked_type("account", account, str, "a name, such as a login")
        return next(iter(await self.snapshots(account, limit=1, credentials=credentials)), None)

    async def periods(
        self,
        account: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        credentials: Account | None = None,
    ) -> tuple[Period, ...]:
        """Return the times in which the list was one and the same: the history without its repetitions.

        Args:
            account: The name, or ``None`` for all.
            credentials: Only what this account fetched; ``None`` for all of the name.
            since: Of the snapshots from this instant on.
            until: Of those up to this one.

        Returns:
            The periods, oldest first.

        Raises:
            StoreError: The file cannot be used.
            ValueError: An instant has no time zone.

        Example:
            >>> import asyncio, tempfile
            >>> from datetime import UTC, datetime
            >>> from decimal import Decimal
            >>> from smsc_async import History, Snapshot, Tariffs
            >>> async def main(folder: str) -> None:
            ...     async with History(f"{folder}/history.db") as history:
            ...         for day, mail in (1, "0.1"), (2, "0.1"), (3, "0.2"):
            ...             tariffs = Tariffs((), mail=Decimal(mail))
            ...             await history.add(Snapshot("alex", datetime(2026, 11, day, tzinfo=UTC), tariffs))
            ...         for period in await history.periods("alex"):
            ...             print(period.since.date(), period.until.date(), period.count, period.tariffs.mail)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     asyncio.run(main(folder))
            2026-11-01 2026-11-02 2 0.1
            2026-11-03 2026-11-03 1 0.2
        """
        limits = _limits(since, until)

        def work(connection: sqlite3.Connection) -> tuple[Period, ...]:
            return self._archive.periods(connection, self._archive.bound(account, credentials, *limits))

        return await self._archive.read(work, empty=())

    async def prices(
        self,
        account: str,
        *,
        zone: str | None = None,
        operator: str | None = None,
        mail: bool = False,
        service: Service | str = Service.API,
        since: datetime | None = None,
        until: datetime | None = None,
        credentials: Account | None = None,
    ) -> tuple[PricePoint, ...]:
        """Return one price over time: a point for each time in which it was the same.

        An operator's individual tariff comes before the zone's price, as in ``Tariffs.price()``.

        Args:
            account: The name.
            credentials: Only what this account fetched; ``None`` for all of the name.
            zone: The zone's number, or ``None``.
            operator: The operator's code, or ``None``.
            mail: Whether it is the e-mail price, in place of the two.
            service: What is sent, as ``Service`` or as its value.
            since: Of the snapshots from this instant on.
            until: Of those up to this one.

        Returns:
            The points, oldest first. A list without that zone, operator or price is ``None`` in them.

        Raises:
            StoreError: The file cannot be used.
            TypeError: Neither a zone nor an operator is given, and not ``mail`` alone; or one that is not text.
            ValueError: No such service, or an instant has no time zone.
        """
        checked_type("account", account, str, "a name, such as a login")
        price_points(
            (), zone=zone, operator=operator, mail=mail, service=Service(service)
        )  # raises before the file is read
        periods = await self.periods(account, since=since, until=until, credentials=credentials)
        return price_points(periods, zone=zone, operator=operator, mail=mail, service=service)

    async def prune(self, before: datetime, *, account: str | None = None, keep_changes: bool = True) -> int:
        """Drop old snapshots, and give the space back.

        The last snapshot of each account stays whatever its age, and so does the list that a watch compares the next one with.

        Args:
            before: Only what was taken before this instant is dropped.
            account: The name, or ``None`` for all.
            keep_changes: Whether the first and the last snapshot of each period stay: then only repetitions go, and
                ``periods()`` and ``prices()`` return the same as before, except for the counts.

        Returns:
            How many were dropped.

        Raises:
            StoreError: The file cannot be used: nothing was dropped.
            ValueError: The instant has no time zone.
        """
        work = partial(tables.prune, account=account, before=micros_of(before), keep_changes=keep_changes)
        return await self._archive.write(work) if self.path.exists() else 0

    async def forget(self, account: str | Account) -> int:
        """Delete everything of an account, and overwrite it in the file.

        Args:
            account: A name, for all that was stored under it; or an ``Account``, for all that these credentials fetched.

        Returns:
            How many snapshots were deleted.

        Raises:
            StoreError: The file cannot be used: nothing was deleted.
            TypeError: ``account`` is neither: ``None`` would be all accounts.
        """
        if not isinstance(account, str):
            checked_type("account", account, Account, "a name or an Account")

        def work(connection: sqlite3.Connection) -> int:
            name, credentials = (account, None) if isinstance(account, str) else (None, account)
            return tables.forget(connection, self._archive.bound(name, credentials))

        return await self._archive.write(work) if self.path.exists() else 0

    async def reported(
        self, account: str, *, reader: str = "watch", credentials: Account | None = None
    ) -> Snapshot | None:
        """Return the list up to which a reader has reported the changes of an account; ``None`` for a new reader.

        Raises:
            StoreError: The file cannot be used.
        """
        checked_type("account", account, str, "a name, such as a login")

        def work(connection: sqlite3.Connection) -> Snapshot | None:
            return self._archive.marked(connection, self._archive.bound(account, credentials), reader)[0]

        return await self._archive.read(work, empty=None)

    async def mark_reported(
        self, snapshot: Snapshot, *, reader: str = "watch", credentials: Account | None = None
    ) -> None:
        """Record that a reader has reported all changes of an account up to this snapshot; ``Client.watch()`` does so.

        Raises:
            StoreError: The file cannot be used: nothing was recorded.
        """
        checked_type("snapshot", snapshot, Snapshot, "a Snapshot, such as Snapshot(name, taken_at, tariffs)")
        await self.deliveries(snapshot.account, reader=reader, credentials=credentials).mark(snapshot)

    def deliveries(
        self, account: str, *, reader: str, target: str = "", credentials: Account | None = None
    ) -> Deliveries:
        """Return the state of one reader of one account, for a watch; of a reader for each target if there is one."""
        return Deliveries(self._archive, account, credentials, reader, target)


def _limits(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    first = tables.EARLIEST if since is None else micros_of(since)
    return first, tables.LATEST if until is None else micros_of(until)
