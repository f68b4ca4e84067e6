"""The file of a history: made, checked, and told apart from every other file.

Invariants: what is not a history of ours is never written to; what is committed is on the disk (``synchronous=FULL``, so
that a power cut takes nothing of it); no connection outlives a piece of work. That costs a millisecond, and a writer some ten
of waiting for the disk, in work that is done every few minutes; it saves minding threads, forks, event loops, and a file
that was deleted or replaced.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Final

from smsc_async.errors import StoreError

__all__ = ["HistoryFile"]

_OURS: Final = 0x534D5348  # "SMSH", in the header of the file
_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    # Most snapshots have the list of the one before: it is kept once, and they are a row of some 20 bytes.
    "CREATE TABLE lists (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, packed BLOB NOT NULL)",
    "CREATE TABLE snapshots (account INT, taken_at INT, list INT NOT NULL, PRIMARY KEY (account, taken_at)) WITHOUT ROWID",
    # What each reader has reported last; with its list, since the snapshot itself may be pruned.
    "CREATE TABLE marks (account INT, reader TEXT, taken_at INT, list INT, PRIMARY KEY (account, reader)) WITHOUT ROWID",
    f"PRAGMA application_id = {_OURS}",
    f"PRAGMA user_version = {_VERSION}",
)
# For the lock of another process, which holds it for as long as a disk takes to write.
_PATIENCE_SECONDS: Final = 10.0


class HistoryFile:
    """Opens the file for each piece of work.

    Attributes:
        path: Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection | None]:
        """Give a connection that sees the file as it is at one instant; ``None`` where nothing was written yet.

        Raises:
            StoreError: The file cannot be used.
        """
        with self._told():
            if not self.path.exists():
                yield None
                return
            with self._opened() as connection:
                connection.execute("BEGIN")
                yield connection if self._is_ours(connection) else None

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give a connection in a transaction, committed at the end of the block; the only writer of all processes.

        Raises:
            StoreError: The file cannot be used: nothing was written.
        """
        with self._told():
            self._make()
            with self._opened() as connection:
                if not self._is_ours(connection):
                    # Before there is a table: it cannot be changed afterwards. What is pruned is given back.
                    connection.execute("PRAGMA auto_vacuum = FULL")
                    # Readers and the writer don't wait for each other then. Where another process is at it too, or the
                    # disk is not a local one, it does without.
                    with contextlib.suppress(sqlite3.OperationalError):
                        connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                if not self._is_ours(connection):
                    for statement in _SCHEMA:
                        connection.execute(statement)
                yield connection
                connection.execute("COMMIT")

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._problem(error) from None

    @contextlib.contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=_PATIENCE_SECONDS)
        with contextlib.closing(connection):  # which takes back what was not committed
            connection.execute("PRAGMA synchronous = FULL")
            yield connection

    def _make(self) -> None:
        """Make the file, for its owner alone."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only where there is none: to close a file takes every lock of this process from it, another thread's too.
        with contextlib.suppress(FileExistsError):
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Return whether it is a history; ``False`` where it is empty."""
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return False
        if connection.execute("PRAGMA application_id").fetchone() != (_OURS,):
            raise StoreError("a database of something else: pass a path of its own", str(self.path))
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise StoreError(
                f"a history of version {version}, and this is {_VERSION}: pass another path", str(self.path)
            )
        return True

    def _problem(self, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, OSError):
            # Without the path, which comes with the error.
            return StoreError(f"cannot be used ({error.strerror or type(error).__name__})", str(self.path))
        return StoreError(f"SQLite cannot use it ({error}); it was left as it is", str(self.path))
