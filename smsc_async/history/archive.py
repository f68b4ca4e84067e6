"""The lists in a history file: read and written in a thread, bound to credentials, damaged ones left out."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import attrs

from smsc_async.accounts import Account
from smsc_async.analysis.snapshots import Period, Snapshot, checked_instant
from smsc_async.history import tables
from smsc_async.history.file import HistoryFile
from smsc_async.history.packing import unpacked
from smsc_async.http.threads import run_in_own_thread
from smsc_async.records import Tariffs, checked_type

T = TypeVar("T")
_Row = TypeVar("_Row", tuple[str, int, int], tuple[str, int, int, int, int])

_log: Final = logging.getLogger("smsc_async")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_WITHOUT_KEY: Final = "delete it, and each account begins a new history beside the former one"


class Archive(HistoryFile):
    """The lists in a history file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._damaged: set[int] = set()  # of which a warning was logged

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a piece of work in a transaction returns.

        Raises:
            StoreError: The file cannot be used: nothing was written.
        """

        def in_thread() -> T:
            with self.writing() as connection:
                return work(connection)

        return await run_in_own_thread(in_thread, pool="history", abandon_on_cancel=False)

    async def write_of(self, name: str, account: Account | None, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """Return what a piece of work in a transaction returns that gets the number of a name and credentials.

        The number is made if it is new.

        Raises:
            StoreError: The file cannot be used: nothing was written.
            ValueError: The name is too long.
        """
        if len(name.encode()) >= tables.LONGEST_NAME:
            raise ValueError(f"the name of the account begins with {name[:20]!r}: must have less than 10,000 bytes")

        def with_number(connection: sqlite3.Connection) -> T:
            return work(connection, tables.account_id(connection, name, self.digest(account) or b""))

        return await self.write(with_number)

    async def read(self, work: Callable[[sqlite3.Connection], T], *, empty: T) -> T:
        """Return what a piece of work returns that sees the file at one instant; ``empty`` if there is no file.

        Raises:
            StoreError: The file cannot be used.
        """

        def in_thread() -> T:
            with self.reading() as connection:
                return empty if connection is None else work(connection)

        return await run_in_own_thread(in_thread, pool="history", abandon_on_cancel=False)

    def digest(self, account: Account | None, *, make: bool = True) -> bytes | None:
        """Return the digest of credentials, in a transaction if ``make`` allows to make the key; ``None`` for ``None``."""
        if account is None:
            return None
        checked_type("credentials", account, Account, "an Account, such as Account(login, password)")
        from smsc_async.stores.keys import Keys  # noqa: PLC0415  # the stores import an event loop
        from smsc_async.stores.private_files import read_or_create_key  # noqa: PLC0415

        path = self.beside("key")
        if not make and not path.exists():
            return b"-"  # without a key nothing is bound to any credentials, and no digest has one byte
        return bytes.fromhex(Keys(read_or_create_key(path, _WITHOUT_KEY)).credentials(account))

    def bound(self, name: str | None, account: Account | None, *limits: int) -> tables.Bound:
        """Return which snapshots a name and credentials stand for, in a time if two instants are given."""
        if name is not None:
            checked_type("account", name, str, "a name, such as a login")
        return tables.Bound(name, self.digest(account, make=False), *limits)

    def beside(self, suffix: str) -> Path:
        """Return the path of a file that belongs to this one."""
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def snapshots(
        self, connection: sqlite3.Connection, bound: tables.Bound, limit: int | None = None
    ) -> tuple[Snapshot, ...]:
        """Return the last snapshots, oldest first."""
        rows, lists = self._whole(connection, lambda absent: tables.snapshots(connection, bound, limit, absent))
        return tuple(Snapshot(name, instant_of(at), _dated(lists[number], at)) for name, at, number in rows)

    def periods(self, connection: sqlite3.Connection, bound: tables.Bound) -> tuple[Period, ...]:
        """Return the times of one list each, oldest first."""
        rows, lists = self._whole(connection, lambda absent: tables.periods(connection, bound, absent))
        return tuple(
            Period(name, instant_of(began), instant_of(ended), count, _dated(lists[number], ended))
            for name, began, ended, count, number in rows
        )

    def marked(
        self, connection: sqlite3.Connection, bound: tables.Bound, reader: str
    ) -> tuple[Snapshot | None, datetime | None]:
        """Return what a reader has reported last, and when its receiver may be tried again."""
        row = tables.marked(connection, bound, reader)
        tariffs = None if row is None else self._list(connection, row[2])
        if row is None or tariffs is None:
            return None, None
        name, at, _, retry_at = row
        return Snapshot(name, instant_of(at), _dated(tariffs, at)), None if retry_at is None else instant_of(retry_at)

    def _whole(
        self, connection: sqlite3.Connection, rows_without: Callable[[set[int]], list[_Row]]
    ) -> tuple[list[_Row], dict[int, Tariffs]]:
        """Return rows whose lists are whole, and these lists, each read once."""
        lists: dict[int, Tariffs] = {}
        absent: set[int] = set()
        while True:
            rows = rows_without(absent)
            for number in {row[-1] for row in rows} - lists.keys():
                tariffs = self._list(connection, number)
                if tariffs is None:
                    absent.add(number)
                else:
                    lists[number] = tariffs
            if all(row[-1] in lists for row in rows):
                return rows, lists

    def _list(self, connection: sqlite3.Connection, number: int) -> Tariffs | None:
        stored = tables.packed_list(connection, number)
        tariffs = None if stored is None else unpacked(*stored)
        if tariffs is None and number not in self._damaged:
            self._damaged.add(number)
            _log.warning("%s: list %d is damaged and counts as absent", self.path, number)
        return tariffs


def micros_of(instant: datetime) -> int:
    """Return an instant as the tables have it.

    Raises:
        TypeError: It is no instant.
        ValueError: It has no time zone.
    """
    return (checked_instant("instant", instant) - _EPOCH) // _MICROSECOND


def instant_of(micros: int) -> datetime:
    """Return an instant of the tables."""
    return _EPOCH + micros * _MICROSECOND


def instant_after(last: Snapshot | None, taken_at: datetime) -> datetime | None:
    """Return the instant at which a list is recorded; ``None`` if it is older than the last one.

    If the last one is from the future, the clock was set back since: the instant is then the next one.
    """
    if last is None or taken_at > last.taken_at:
        return taken_at
    return last.taken_at + _MICROSECOND if last.taken_at > datetime.now(UTC) else None


def _dated(tariffs: Tariffs, micros: int) -> Tariffs:
    return attrs.evolve(tariffs, fetched_at=instant_of(micros))
