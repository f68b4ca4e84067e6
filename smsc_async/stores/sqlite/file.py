"""The file of a SQLite store: opening it, and checking that it is the right file.

Invariants:

- A file that is not a store of this library is never written to.
- A file that replaced another one under the same name, that was copied, or that comes from another boot is closed
  as long as its missing or meaningless rows could matter, counted from the loss (``closed_at``).
- A file that another user can read or change, or that has a second name, is not used.
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
import stat
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError
from smsc_async.limiter.clock import now
from smsc_async.stores.keys import Keys
from smsc_async.stores.private_files import check_database, file_error, misconfigured, read_or_create_key
from smsc_async.stores.shared import OTHER_PEPPER
from smsc_async.stores.sqlite.boot import boot_id, is_same_boot, starts_at_boot
from smsc_async.stores.sqlite.tables import APPLICATION_ID, SCHEMA, VERSION, Tables
from smsc_async.stores.sqlite.worker_thread import PATIENCE

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, where a file that is open cannot be deleted
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

# Seconds between two tries for the lock of another process, which holds it for some 20 µs.
_LONGEST_PAUSE: Final = 0.001
_execute: Final = sqlite3.Connection.execute


class StoreFile:
    """A connection to the file, opened at the first use and again after the file was replaced.

    Attributes:
        path: The path of the file.
        keys: The keys of the store; ``None`` before the first use if they come from the key file.

    Args:
        path: The path of the file.
        cold: Whether a new file starts closed.
        pepper: The pepper, or ``None`` for the content of the key file.
    """

    def __init__(self, path: Path, *, cold: bool, pepper: Secret | None) -> None:
        self.path = path
        self.keys: Keys | None = None if pepper is None else Keys(pepper)
        self._cold = cold
        self._connection: sqlite3.Connection | None = None
        self._place: str | None = None
        self._id: bytes = b""

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        # SQLite deletes the WAL by its name, but not if the file was deleted or replaced meanwhile.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def reading(self) -> Generator[Tables]:
        """Return the tables for reading, without a lock.

        Raises:
            StoreError: The file cannot be used.
        """
        problem = None
        try:
            yield Tables(self._ready())
        except (sqlite3.Error, OSError, TypeError, AttributeError) as error:
            problem = self._problem(error)
        # Raised here, so that it has no context: the message is complete.
        if problem is not None:
            raise problem

    @contextlib.contextmanager
    def writing(self) -> Generator[Tables]:
        """Return the tables in a transaction, committed at the end of the block; one process at a time writes.

        Raises:
            StoreError: The file cannot be used: nothing was written.
        """
        with self.reading() as tables:
            connection = tables.connection
            connection.execute("BEGIN IMMEDIATE")
            tables.instant = now()
            try:
                yield tables
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _ready(self) -> sqlite3.Connection:
        # Checked before every use (2 µs): a connection to a deleted file would work as if nothing had happened.
        place = _place(self.path)
        if self._connection is None or place != self._place:
            self.close()
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        known, event = self._place, ""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_database(self.path)
        if _place(self.path) is None and (self._create() or known is not None):
            event = "the file was deleted"
        with contextlib.ExitStack() as undo:
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=0, factory=_Connection
            )
            undo.callback(connection.close)
            self._check_ours(connection)
            if self.keys is None:  # not before: nothing is created beside a database of another program
                self.keys = Keys(read_or_create_key(Path(f"{self.path}.key")))
            # First, because SQLite would otherwise wait for the disk while it changes the mode.
            connection.execute("PRAGMA synchronous = OFF")
            if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise misconfigured(
                    "SQLite cannot share this file between processes: put it on a local disk", self.path
                )
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA journal_size_limit = 4194304")
            place = _place(self.path)
            connection.execute("BEGIN IMMEDIATE")
            self._set_up(connection, place, event or ("the file was replaced" if known not in {None, place} else ""))
            undo.pop_all()
        return connection

    def _create(self) -> bool:
        """Create the file, with access for its owner only; return whether a used file was deleted here before."""
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
        """Check that a file has the tables of a store, or none."""
        # In this order: another process may create the tables meanwhile, and writes both in one transaction.
        used = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,)
        ours = connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        if used and not ours:
            raise misconfigured("this is a database of another program: pass another path", self.path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if ours and version != VERSION:
            raise misconfigured(
                f"the file has format {version}, and this version needs {VERSION}: stop all workers that use the file, "
                "delete it, wait two minutes, and start them with one version",
                self.path,
            )

    def _set_up(self, connection: sqlite3.Connection, place: str | None, event: str) -> None:
        """Create the tables, or close a file that lost its state; remember the place and the identifier of the file.

        Args:
            connection: In a transaction, which ends here.
            place: The place of the file.
            event: What happened to the file; empty for nothing.
        """
        assert self.keys is not None, "_open() has set them"
        boot, lost_at, pepper = boot_id(), now(), self.keys.pepper_name
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            for statement in SCHEMA:
                connection.execute(statement)
            event = event or ("the file is new" if self._cold else "")
            row = (boot, place, os.urandom(16), pepper, lost_at if event else None, event, lost_at, time.time())
            connection.execute("INSERT INTO store VALUES (?, ?, ?, ?, ?, ?, 0, 0.0, ?, ?)", row)
        row = connection.execute("SELECT boot, place, id, pepper FROM store").fetchone()
        former_boot, former_place, identifier, peers_pepper = row
        if peers_pepper != pepper:
            raise misconfigured(OTHER_PEPPER, self.path)
        # Another identifier: another file with the inode of the deleted one, since inodes are used again.
        if self._id not in {b"", identifier} or former_place != place:
            event = event or "the file was replaced or copied"
        if not is_same_boot(former_boot, boot):
            # The instants are meaningless now. The clock of the lockout states continues, by the wall clock.
            connection.execute("DELETE FROM permits")
            connection.execute("DELETE FROM leases")
            connection.execute("UPDATE replies SET at = -9e999, used_at = ?", (lost_at,))
            connection.execute(
                "UPDATE store SET lockout_ahead = lockout_at + max(? - lockout_epoch, 0.0) - ?", (time.time(), lost_at)
            )
            if not event:
                # A boot loses what was granted before it, and nothing later.
                event, lost_at = "the machine was restarted", 0.0 if starts_at_boot(boot) else lost_at
        # A copy lacks the permits that were acquired after it was made.
        if event:
            values = (boot, place, lost_at, event)
            connection.execute("UPDATE store SET boot = ?, place = ?, closed_at = ?, event = ?", values)
        connection.execute("COMMIT")
        self._place, self._id = place, bytes(identifier)

    def _problem(self, error: Exception) -> StoreError:
        if isinstance(error, OSError):
            # Without the path, which StoreError adds.
            return file_error(f"the file cannot be used ({error.strerror or type(error).__name__})", self.path, error)
        if not isinstance(error, sqlite3.OperationalError):
            self.close()  # not a database, or damaged: another file may be there next time
        if not isinstance(error, sqlite3.Error):
            return misconfigured("the file is damaged: stop all workers, wait two minutes and delete it", self.path)
        return file_error(f"SQLite cannot use the file ({error}); the file was not changed", self.path, error)


class StoreSnapshot(StoreFile):
    """What the file contains now, in memory: creates and changes no file, and works on files that cannot be written."""

    def _open(self) -> sqlite3.Connection:
        place = _place(self.path)
        if self.path.parent.exists():
            check_database(self.path)
        if self.keys is None:
            key = Path(f"{self.path}.key")
            # Without a key nothing can be there yet.
            secret = read_or_create_key(key) if os.path.lexists(key) else Secret(os.urandom(32).hex())
            self.keys: Keys | None = Keys(secret)
        with contextlib.ExitStack() as undo:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            while place is not None and not self._copy_to(connection):
                pass
            connection.execute("BEGIN")
            self._set_up(connection, place, "")
            undo.pop_all()
        return connection

    def _copy_to(self, copy: sqlite3.Connection) -> bool:
        """Copy the file; return whether no process has written meanwhile."""
        log, before = Path(f"{self.path}-wal"), self.path.stat().st_mtime_ns
        # Without a log no process uses the file. SQLite then creates no file beside it, and takes no lock.
        has_log = log.exists()
        mode = "mode=ro" if has_log else "mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?{mode}", uri=True, timeout=PATIENCE)) as file:
            file.execute("BEGIN")  # the reading of the check begins the transaction, so backup() waits for nobody
            self._check_ours(file)
            file.backup(copy)
        return has_log or not (log.exists() or self.path.stat().st_mtime_ns != before)


class _Connection(sqlite3.Connection):
    """Waits for other processes, with ``_wait_for_lock()``.

    Another process changes the file, sets it up, or repairs its log because a process was killed in the middle of a change.
    SQLite itself would sleep for whole milliseconds, and would not wait at all for a process that sets the file up.
    """

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return _execute(self, statement, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        return _wait_for_lock(partial(_execute, self, statement, parameters))


def _wait_for_lock(lock: Callable[[], T]) -> T:
    """Return what ``lock`` returns once no other process has the lock; its error is raised after ``PATIENCE``."""
    due = time.monotonic() + PATIENCE
    while True:
        try:
            return lock()
        except (BlockingIOError, sqlite3.OperationalError) as error:
            if not _is_busy(error) or time.monotonic() > due:
                raise
        time.sleep(random.uniform(0.0, _LONGEST_PAUSE))  # noqa: S311  # spreads load; not a secret


def _is_busy(error: OSError | sqlite3.OperationalError) -> bool:
    return isinstance(error, OSError) or error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _place(path: Path) -> str | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # a third of the cost of Path.stat(), before every use
    except FileNotFoundError:
        return None
    if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
        raise misconfigured(
            "the file has a second name (a hard link), under which it would be another store: delete one", path
        )
    return f"{status.st_dev}:{status.st_ino}"


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Generator[None]:
    """Keep other processes from creating a file there, and from deleting the WAL beside it."""
    if fcntl is None:  # pragma: no cover
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _wait_for_lock(partial(fcntl.flock, handle, fcntl.LOCK_EX | fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
