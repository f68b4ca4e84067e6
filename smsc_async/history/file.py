"""The file of a history: created, checked, and distinguished from every other file.

Invariants: what is not a history of ours is never written to; what is committed is on the disk (``synchronous=FULL``, so
that a power cut takes nothing of it); no connection outlives a piece of work. That costs a millisecond, and a writer some ten
of waiting for the disk, in work that is done every few minutes; it saves minding threads, forks, event loops, and a file
that was deleted or replaced.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

from smsc_async.history.tables import SCHEMA
from smsc_async.stores.private_files import file_error, misconfigured

_OURS: Final = 0x534D5348  # "SMSH", in the header of the file
_VERSION: Final = 2
_MARKS: Final = (f"PRAGMA application_id = {_OURS}", f"PRAGMA user_version = {_VERSION}")
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
        """Give a connection that sees the file as it is at one instant; ``None`` if nothing was written yet.

        Raises:
            StoreError: The file cannot be used.
        """
        with self.as_store_error():
            if not self.path.exists():
                yield None
                return
            with self._opened(self._reading_mode()) as connection:
                connection.execute("BEGIN")
                yield connection if self._is_ours(connection) else None

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give a connection in a transaction, committed at the end of the block; the only writer of all processes.

        Raises:
            StoreError: The file cannot be used: nothing was written.
        """
        with self.as_store_error():
            self._make()
            with self._opened("mode=rw") as connection:
                if not self._is_ours(connection):
                    # Before there is a table: it cannot be changed afterwards. What is pruned is given back.
                    connection.execute("PRAGMA auto_vacuum = FULL")
                    # Readers and the writer don't wait for each other then. If another process is at it too, or the
                    # disk is not a local one, it does without.
                    with contextlib.suppress(sqlite3.OperationalError):
                        connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                if not self._is_ours(connection):
                    for statement in (*SCHEMA, *_MARKS):
                        connection.execute(statement)
                yield connection
                connection.execute("COMMIT")

    @contextlib.contextmanager
    def as_store_error(self) -> Generator[None]:
        """Raise what SQLite and the operating system raise in this block as a ``StoreError`` that names the file."""
        try:
            yield
        except OSError as error:
            # Without the path, which comes with the error.
            reason = f"cannot be used ({error.strerror or type(error).__name__})"
            raise file_error(reason, self.path, error) from None
        except sqlite3.Error as error:
            raise file_error(f"SQLite cannot use it ({error}); it was left as it is", self.path, error) from None

    def _reading_mode(self) -> str:
        """In a folder that cannot be written, SQLite cannot make the files beside it, and no other process writes there."""
        has_log = Path(f"{self.path}-wal").exists()
        return "mode=rw" if has_log or os.access(self.path.parent, os.W_OK) else "mode=ro&immutable=1"

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Generator[sqlite3.Connection]:
        # SQLite takes /dev/null for an empty database, whose rights a user should not change.
        if not stat.S_ISREG(self.path.stat().st_mode):
            raise misconfigured("this is a folder, a device or a pipe: pass the path of a file", self.path)
        address = f"{self.path.as_uri()}?{mode}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_PATIENCE_SECONDS)
        connection.text_factory = _text
        with contextlib.closing(connection):  # which takes back what was not committed
            # A file from elsewhere must not run functions by way of its triggers and views.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            yield connection

    def _make(self) -> None:
        """Make the file, for its owner alone."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Only if there is none: to close a file takes every lock of this process from it, another thread's too.
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            mode = self.path.stat().st_mode
            if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise misconfigured("others can write to it: run chmod 600 on it", self.path) from None

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Return whether it is a history; ``False`` if it is empty."""
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return False
        if connection.execute("PRAGMA application_id").fetchone() != (_OURS,):
            raise misconfigured("a database of something else: pass a path of its own", self.path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise misconfigured(f"a history of version {version}, and this is {_VERSION}: pass another path", self.path)
        return True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
