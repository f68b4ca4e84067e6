"""Lists over time, in a SQLite file of their own that outlives every power cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import anyio.to_thread
import attrs

from smsc_async.analysis.snapshots import Period, PricePoint, Snapshot, price_points
from smsc_async.errors import StoreError
from smsc_async.history import tables
from smsc_async.history.packing import unpacked, written
from smsc_async.records import Service, Tariffs

if TYPE_CHECKING:
    import sqlite3

__all__ = ["History"]

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class History:
    """Keeps tariff lists over time in a file, for every process of one machine that uses it.

    What was added is on the disk when the call returns. A list that was seen a thousand times is kept once: a year of
    snapshots every quarter of an hour takes about a megabyte. The file holds prices, instants and the names that you
    file accounts under; nothing of their credentials. It is made at the first writing, for its owner alone; reading
    where there is none finds nothing.

    Works on asyncio and trio, in any number of event loops; the file is used in a thread. A cancelled call ends when its
    work in the file has.

    Args:
        path: The file; not that of a ``SQLiteStore``.

    Raises:
        ValueError: The path is ``:memory:``.
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
        from smsc_async.history.file import HistoryFile  # noqa: PLC0415  # SQLite is for those who use it

        if os.fspath(path) == ":memory:":
            raise ValueError("path=':memory:': a history must be a file")
        self._file = HistoryFile(Path(path).absolute())

    def __repr__(self) -> str:
        return f"History({str(self._file.path)!r})"

    @property
    def path(self) -> Path:
        """Where the file is, or is to be."""
        return self._file.path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Do nothing: no connection is kept between calls. Here so that a history is used like everything else."""

    async def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; it is on the disk when this returns.

        Where there is a snapshot of that account and instant, that one stays: adding twice is adding once.

        Raises:
            StoreError: The file cannot be used: nothing was added.
        """

        def work(connection: sqlite3.Connection) -> None:
            tables.add(connection, snapshot.account, _micros(snapshot.taken_at), written(snapshot.tariffs))

        await self._write(work)

    async def accounts(self) -> tuple[str, ...]:
        """Return the names that there are snapshots of, sorted.

        Raises:
            StoreError: The file cannot be used.
        """
        return tuple(await self._read(tables.accounts))

    async def snapshots(
        self,
        account: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[Snapshot, ...]:
        """Return snapshots, oldest first.

        Those with the same list share its lines, so many of them take little memory.

        Args:
            account: Whose, or ``None`` for all.
            since: None before this instant.
            until: None after it.
            limit: How many at most, the last ones; ``None`` for all.

        Raises:
            StoreError: The file cannot be used.
            ValueError: An instant has no time zone, or ``limit`` is below 0.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit={limit}: must be 0 or more, or None")
        first, last = _bounds(since, until)

        def work(connection: sqlite3.Connection) -> list[Snapshot]:
            found = tables.snapshots(connection, account, first, last, limit)
            lists = self._lists(connection, (row[-1] for row in found))
            return [Snapshot(name, at, _at(lists[number], at)) for name, at, number in map(_dated, found)]

        return tuple(await self._read(work))

    async def at(self, account: str, instant: datetime) -> Snapshot | None:
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
        return next(iter(await self.snapshots(account, until=instant, limit=1)), None)

    async def last(self, account: str) -> Snapshot | None:
        """Return the last snapshot of an account, or ``None`` where there is none.

        Raises:
            StoreError: The file cannot be used.
        """
        return next(iter(await self.snapshots(account, limit=1)), None)

    async def periods(
        self, account: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Period, ...]:
        """Return the times in which the list was one and the same: the history without its repetitions.

        Args:
            account: Whose, or ``None`` for all.
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
        first, last = _bounds(since, until)

        def work(connection: sqlite3.Connection) -> list[Period]:
            found = tables.periods(connection, account, first, last)
            lists = self._lists(connection, (row[-1] for row in found))
            return [
                Period(name, _instant(began), _instant(ended), count, _at(lists[number], _instant(ended)))
                for name, began, ended, count, number in found
            ]

        return tuple(await self._read(work))

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
    ) -> tuple[PricePoint, ...]:
        """Return one price over time: a point for each time in which it was the same.

        An operator's individual tariff comes before the zone's price, as in ``Tariffs.price()``.

        Args:
            account: Whose.
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
            TypeError: Neither a zone nor an operator is given, and not ``mail`` alone.
            ValueError: No such service, or an instant has no time zone.
        """
        price_points(
            (), zone=zone, operator=operator, mail=mail, service=Service(service)
        )  # told before the file is read
        periods = await self.periods(account, since=since, until=until)
        return price_points(periods, zone=zone, operator=operator, mail=mail, service=service)

    async def prune(self, before: datetime, *, account: str | None = None, keep_changes: bool = True) -> int:
        """Drop old snapshots, and give the space back.

        The last snapshot of each account stays whatever its age, and so does what a watch has still to compare with.

        Args:
            before: Only what was taken before this instant is dropped.
            account: Whose, or ``None`` for all.
            keep_changes: Whether the first and the last snapshot of each period stay: then only repetitions go, and
                ``periods()`` and ``prices()`` tell the same as before, save for the counts.

        Returns:
            How many were dropped.

        Raises:
            StoreError: The file cannot be used: nothing was dropped.
            ValueError: The instant has no time zone.
        """
        instant = _micros(before)

        def work(connection: sqlite3.Connection) -> int:
            return tables.prune(connection, account, instant, keep_changes=keep_changes)

        return await self._write(work)

    async def reported(self, account: str, *, reader: str = "watch") -> Snapshot | None:
        """Return the snapshot up to which a reader has reported the changes of an account; ``None`` for a new reader.

        Raises:
            StoreError: The file cannot be used.
        """

        def work(connection: sqlite3.Connection) -> list[Snapshot]:
            found = tables.marked(connection, account, reader)
            lists = self._lists(connection, (row[-1] for row in found))
            return [Snapshot(name, at, _at(lists[number], at)) for name, at, number in map(_dated, found)]

        return next(iter(await self._read(work)), None)

    async def mark_reported(self, snapshot: Snapshot, *, reader: str = "watch") -> None:
        """Note that a reader has reported all changes of an account up to this snapshot; ``Client.watch()`` does so.

        Raises:
            StoreError: The file cannot be used: nothing was noted.
        """

        def work(connection: sqlite3.Connection) -> None:
            tables.mark(connection, snapshot.account, reader, _micros(snapshot.taken_at), written(snapshot.tariffs))

        await self._write(work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_file() -> T:
            with self._file.writing() as connection:
                return work(connection)

        return await anyio.to_thread.run_sync(in_file)

    async def _read(self, work: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
        def in_file() -> list[T]:
            with self._file.reading() as connection:
                return [] if connection is None else work(connection)

        return await anyio.to_thread.run_sync(in_file)

    def _lists(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Tariffs]:
        """Return the lists of these numbers, each read once."""
        found = {number: unpacked(kept) for number, kept in tables.lists(connection, set(numbers)).items()}
        whole = {number: tariffs for number, tariffs in found.items() if tariffs is not None}
        if len(whole) < len(found):
            raise StoreError(
                "a list in it is damaged; it was left as it is: restore it from a copy", str(self._file.path)
            )
        return whole


def _micros(instant: datetime) -> int:
    if instant.utcoffset() is None:
        raise ValueError(f"{instant}: must have a time zone, such as datetime.now(UTC)")
    return (instant - _EPOCH) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND


def _bounds(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    first = tables.EARLIEST if since is None else _micros(since)
    return first, tables.LATEST if until is None else _micros(until)


def _dated(row: tuple[str, int, int]) -> tuple[str, datetime, int]:
    return row[0], _instant(row[1]), row[2]


def _at(tariffs: Tariffs, taken_at: datetime) -> Tariffs:
    return tariffs if tariffs.fetched_at == taken_at else attrs.evolve(tariffs, fetched_at=taken_at)
