"""The file of a SQLite store: opening it, and checking that it is the right file.

Invariants:

- A file that is not a store of this library is never written to.
- A file that replaced another one under the same name, that was copied, or that comes from another boot is closed
  (``closed_at``) as long as its missing or meaningless rows could matter.
- Only one thread at a time uses an instance.
- No connection is open during a fork. A child would inherit SQLite's state of the file without its locks: parent and child
  would not see each other's writes, or the child would wait forever for a transaction of the parent.

``synchronous=OFF``: a power cut destroys nothing of value, since all instants belong to one boot. A process that dies loses
nothing: its writes are in the kernel already.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from smsc_async.errors import StoreError
from smsc_async.limiter.clock import now
from smsc_async.stores.shared import OTHER_PEPPER
from smsc_async.stores.sqlite.boot import boot_id, is_same_boot
from smsc_async.stores.sqlite.tables import SCHEMA
from smsc_async.stores.sqlite.worker_thread import PATIENCE

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, where a file that is open cannot be deleted
    fcntl = None  # type: ignore[assignment]

__all__ = ["StoreFile"]

_APPLICATION_ID: Final = 0x534D5343  # "SMSC", in the header of the file
# Version 1 had instants of a clock that stops during sleep: they cannot be compared with those of this version.
_VERSION: Final = 3
# Seconds between two tries for the lock of another process, which holds it for some 20 µs.
_LONGEST_PAUSE: Final = 0.001
# Connections to deleted files: closing one would delete the WAL beside the new file.
_orphans: Final[list[sqlite3.Connection]] = []


class StoreFile:
    """A connection to the file, opened at the first use and again after the file was replaced.

    Attributes:
        path: The path of the file.
        salt: The salt of the digests; it belongs to the file.

    Args:
        path: The path of the file.
        cold: Whether a new file starts closed.
        pepper: The digest that identifies the pepper.
    """

    def __init__(self, path: Path, *, cold: bool, pepper: str = "") -> None:
        self.path = path
        self._pepper = pepper
        self._cold = cold
        self._connection: sqlite3.Connection | None = None
        self._place: str | None = None
        self.salt: bytes = b""

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None and _place(self.path) != self._place:
            self._orphan()  # see _ready()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _orphan(self) -> None:
        """Forget the connection without closing it."""
        if self._connection is not None:
            _orphans.append(self._connection)
            self._connection = None

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Return a connection for reading, without a lock.

        Raises:
            StoreError: The file cannot be used.
        """
        problem = None
        try:
            yield self._ready()
        except (sqlite3.Error, OSError) as error:
            problem = self._problem(error)
        # Raised here, so that it has no context: the message is complete.
        if problem is not None:
            raise problem

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Return a connection in a transaction, committed at the end of the block; one process at a time writes.

        Raises:
            StoreError: The file cannot be used: nothing was written.
        """
        with self.reading() as connection:
            _begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _ready(self) -> sqlite3.Connection:
        # Checked before every use (2 µs): a connection to a deleted file would work as if nothing had happened.
        place = _place(self.path)
        if self._connection is None or place != self._place:
            # Not closed: SQLite would delete the WAL beside the path, which belongs to the new file by now.
            self._orphan()
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        known, lost = self._place, False
        if _place(self.path) is None:
            lost = self._create() or known is not None
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=PATIENCE)
        try:
            self._check_ours(connection)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_size_limit = 4194304")
            self._place = _place(self.path)
            connection.execute("BEGIN IMMEDIATE")
            self._set_up(connection, closed=lost or known not in (None, self._place))
            self._check_pepper(connection)
            self.salt = bytes(connection.execute("SELECT salt FROM store").fetchone()[0])
            connection.execute("COMMIT")
            # From here on _begin() waits for locks: SQLite itself would sleep for whole milliseconds.
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            self._place = known
            raise
        return connection

    def _create(self) -> bool:
        """Create the file, with access for its owner only; return whether a used file was deleted here before."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _folder_lock(self.path.parent):
            if _place(self.path) is not None:
                return False
            leftovers = [Path(f"{self.path}{suffix}") for suffix in ("-wal", "-shm")]
            lost = any(each.exists() for each in leftovers)
            for each in leftovers:
                each.unlink(missing_ok=True)
            # SQLite creates the WAL with the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            return lost

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        # In this order: another process may create the tables meanwhile, and writes both in one transaction.
        used = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,)
        ours = connection.execute("PRAGMA application_id").fetchone() == (_APPLICATION_ID,)
        if used and not ours:
            raise StoreError("this is a database of another program: pass another path", str(self.path))
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if ours and version != _VERSION:
            raise StoreError(
                f"the file has format {version}, this version needs {_VERSION}: pass another path, or delete the file",
                str(self.path),
            )
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise StoreError("SQLite cannot share this file between processes: put it on a local disk", str(self.path))

    def _check_pepper(self, connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS pepper (name TEXT)")
        row = connection.execute("SELECT name FROM pepper").fetchone()
        if row is None:
            connection.execute("INSERT INTO pepper VALUES (?)", (self._pepper,))
        elif row != (self._pepper,):
            raise StoreError(OTHER_PEPPER, str(self.path))

    def _set_up(self, connection: sqlite3.Connection, *, closed: bool) -> None:
        boot, instant = boot_id(), now()
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            for statement in (
                *SCHEMA,
                f"PRAGMA application_id = {_APPLICATION_ID}",
                f"PRAGMA user_version = {_VERSION}",
            ):
                connection.execute(statement)
            row = (boot, self._place, os.urandom(16), instant if closed or self._cold else None)
            connection.execute("INSERT INTO store VALUES (?, ?, ?, ?, 0, 0.0, ?, ?)", (*row, instant, time.time()))
            return
        former_boot, former_place, salt = connection.execute("SELECT boot, place, salt FROM store").fetchone()
        if self.salt not in {b"", salt}:
            closed = True  # another file with the inode of the deleted one: inodes are used again
        if not is_same_boot(former_boot, boot):
            # The instants are meaningless now. The clock of the lockout states continues, by the wall clock.
            connection.execute("DELETE FROM permits")
            connection.execute("DELETE FROM leases")
            connection.execute("UPDATE replies SET at = ?, used_at = 0", (-1e12,))
            connection.execute(
                "UPDATE store SET lockout_ahead = lockout_at + max(? - lockout_epoch, 0.0) - ?", (time.time(), instant)
            )
            closed = True
        # A copy lacks the permits that were acquired after it was made.
        if closed or former_place != self._place:
            connection.execute("UPDATE store SET boot = ?, place = ?, closed_at = ?", (boot, self._place, instant))

    def _problem(self, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, OSError):
            # Without the path, which StoreError adds.
            return StoreError(f"the file cannot be used ({error.strerror or type(error).__name__})", str(self.path))
        if not isinstance(error, sqlite3.OperationalError):
            self.close()  # not a database, or damaged: another file may be there next time
        return StoreError(f"SQLite cannot use the file ({error}); the file was not changed", str(self.path))


def _begin(connection: sqlite3.Connection) -> None:
    due = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > due:
                raise
        else:
            return
        time.sleep(random.uniform(0.0, _LONGEST_PAUSE))  # noqa: S311  # spreads load; not a secret


def _place(path: Path) -> str | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # a third of the cost of Path.stat(), before every use
    except FileNotFoundError:
        return None
    return f"{status.st_dev}:{status.st_ino}"


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Generator[None]:
    """Keep other processes from creating a file there, and from deleting the WAL beside it."""
    if fcntl is None:  # pragma: no cover
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        due = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > due:
                    raise
            time.sleep(random.uniform(0.0, _LONGEST_PAUSE))  # noqa: S311  # spreads load
        yield
    finally:
        os.close(handle)
