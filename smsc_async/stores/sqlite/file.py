"""The file of a SQLite store: opened, checked, and told apart from every other file.

Invariants: what is not a store of ours is never written to; a file that is new to those who used another one under its
name, that was copied, or that comes from another boot is closed (``closed_at``) for as long as its missing or
meaningless rows could matter; nothing here is used by two threads at once; no connection is open when the process
forks. A child would share with its parent what SQLite keeps of a file in a process, and not the locks: it would be deaf
to others and they to it, or wait for good for a transaction of the parent's.

``synchronous=OFF``: what a power cut takes away is worthless after it, since all instants are those of one boot. A
process that dies loses nothing: what it wrote is the kernel's already.
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
from smsc_async.stores.shared import OTHER_PEPPER
from smsc_async.stores.sqlite.boot import boot_id, is_same_boot
from smsc_async.stores.sqlite.worker_thread import PATIENCE

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, where a file that is open cannot be deleted
    fcntl = None  # type: ignore[assignment]

__all__ = ["StoreFile"]

_OURS: Final = 0x534D5343  # "SMSC", in the header of the file
_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE store (boot TEXT, place TEXT, salt BLOB, closed_at REAL, kept_bytes INTEGER)",
    "CREATE TABLE permits (id INTEGER PRIMARY KEY, login TEXT, token_free_at REAL, slot_free_at REAL, out INTEGER)",
    "CREATE INDEX permits_of_login ON permits (login)",
    "CREATE TABLE answers (key TEXT PRIMARY KEY, packed BLOB, at REAL, wall REAL, used_at REAL)",
    "CREATE INDEX answers_by_use ON answers (used_at)",
    "CREATE TABLE leads (key TEXT PRIMARY KEY, holder INTEGER, until REAL) WITHOUT ROWID",
    "CREATE TABLE marks (name TEXT PRIMARY KEY, until REAL, seconds REAL) WITHOUT ROWID",
    f"PRAGMA application_id = {_OURS}",
    f"PRAGMA user_version = {_VERSION}",
)
# Between tries for the lock of another process, which holds it for some 20 µs.
_LONGEST_PAUSE: Final = 0.001
# To files that are gone: to close them would delete the files beside the new one.
_orphans: Final[list[sqlite3.Connection]] = []


class StoreFile:
    """A connection to the file, made when it is needed and made anew when the file is another one.

    Attributes:
        path: Where it is.
        salt: What digests are made with; its own, and changed only with the file.

    Args:
        path: Where it is, or is to be.
        cold: Whether a file that is made anew starts closed.
        pepper: What the pepper is known by.
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
            self._leave()  # see _ready()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _leave(self) -> None:
        """Go on without the connection, which is not closed."""
        if self._connection is not None:
            _orphans.append(self._connection)
            self._connection = None

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection to read from, without a lock.

        Raises:
            StoreError: The file cannot be used.
        """
        problem = None
        try:
            yield self._ready()
        except (sqlite3.Error, OSError) as error:
            problem = self._problem(error)
        # Raised here, so that it has no context: the message says all there is.
        if problem is not None:
            raise problem

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give a connection in a transaction, committed at the end of the block; the only writer of all processes.

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
        # Looked at every time (2 µs): a connection to a deleted file would go on as if nothing had happened.
        place = _place(self.path)
        if self._connection is None or place != self._place:
            # Not closed if it is another's: SQLite would delete the files beside it, which are the new one's by now.
            self._leave()
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        known, lost = self._place, False
        if _place(self.path) is None:
            lost = self._make() or known is not None
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
            # From here on waiting is this module's: SQLite's own sleeps for whole milliseconds.
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            self._place = known
            raise
        return connection

    def _make(self) -> bool:
        """Make the file, for its owner alone; return whether there are remains of one that was used."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(self.path.parent):
            if _place(self.path) is not None:
                return False
            remains = [Path(f"{self.path}{end}") for end in ("-wal", "-shm")]
            lost = any(remain.exists() for remain in remains)
            for remain in remains:
                remain.unlink(missing_ok=True)
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            return lost

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        # In this order: another process may be making it meanwhile, and writes both at once.
        used = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,)
        ours = connection.execute("PRAGMA application_id").fetchone() == (_OURS,)
        if used and not ours:
            raise StoreError("a database of something else: pass a path of its own", str(self.path))
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if ours and version != _VERSION:
            raise StoreError(f"of version {version}, and this is {_VERSION}: pass another path", str(self.path))
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise StoreError("SQLite cannot share it here: put it on a local disk", str(self.path))

    def _check_pepper(self, connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS pepper (name TEXT)")
        found = connection.execute("SELECT name FROM pepper").fetchone()
        if found is None:
            connection.execute("INSERT INTO pepper VALUES (?)", (self._pepper,))
        elif found != (self._pepper,):
            raise StoreError(OTHER_PEPPER, str(self.path))

    def _set_up(self, connection: sqlite3.Connection, *, closed: bool) -> None:
        boot, instant = boot_id(), time.monotonic()
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            for statement in _SCHEMA:
                connection.execute(statement)
            told = (boot, self._place, os.urandom(16), instant if closed or self._cold else None)
            connection.execute("INSERT INTO store VALUES (?, ?, ?, ?, 0)", told)
            return
        former_boot, former_place, salt = connection.execute("SELECT boot, place, salt FROM store").fetchone()
        if self.salt not in {b"", salt}:
            closed = True  # another file, though in the place of the one that was deleted: inodes are used again
        if not is_same_boot(former_boot, boot):
            # No instant means anything any more. Marks start again: longer is safe, shorter is not.
            connection.execute("DELETE FROM permits")
            connection.execute("DELETE FROM leads")
            connection.execute("UPDATE answers SET at = ?, used_at = 0", (-1e12,))
            connection.execute("UPDATE marks SET until = ? + seconds", (instant,))
            closed = True
        # A copy has the rows of when it was made: what was taken since is missing.
        if closed or former_place != self._place:
            connection.execute("UPDATE store SET boot = ?, place = ?, closed_at = ?", (boot, self._place, instant))

    def _problem(self, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, OSError):
            # Without the path, which comes with the error.
            return StoreError(f"cannot be used ({error.strerror or type(error).__name__})", str(self.path))
        if not isinstance(error, sqlite3.OperationalError):
            self.close()  # not a database, or not whole: another may stand there next time
        return StoreError(f"SQLite cannot use it ({error}); it was left as it is", str(self.path))


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
        time.sleep(random.uniform(0.0, _LONGEST_PAUSE))  # noqa: S311  # spreads load; no secret hangs on it


def _place(path: Path) -> str | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # a third of the cost of Path.stat(), before every use
    except FileNotFoundError:
        return None
    return f"{found.st_dev}:{found.st_ino}"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Keep other processes from making a file there, and from clearing away what goes with it."""
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
