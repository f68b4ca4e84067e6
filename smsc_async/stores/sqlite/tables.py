"""The statements of a SQLite store: one function for each operation.

All of them run in a transaction of the caller, except those that only read. The caller supplies every instant.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from smsc_async.limiter.bucket import Refusal, Usage
from smsc_async.limiter.quota import Quota
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.rows import Row, refusal_of, usage_of
from smsc_async.stores.shared import Lookup

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "SCHEMA",
    "acquire",
    "drop_lease",
    "insert",
    "load_states",
    "lockout_clock",
    "look",
    "release",
    "release_lease",
    "renew",
    "save_states",
    "sweep",
    "take_lease",
    "usage",
    "use",
]

SCHEMA: Final = (
    """CREATE TABLE store (boot TEXT, place TEXT, salt BLOB, closed_at REAL, reply_bytes INTEGER,
    lockout_ahead REAL, lockout_at REAL, lockout_epoch REAL)""",
    "CREATE TABLE permits (id INTEGER PRIMARY KEY, login TEXT, token_free_at REAL, slot_free_at REAL, in_flight INTEGER)",
    "CREATE INDEX permits_of_login ON permits (login)",
    "CREATE TABLE replies (key TEXT PRIMARY KEY, packed BLOB, at REAL, wall REAL, used_at REAL)",
    "CREATE INDEX replies_by_use ON replies (used_at)",
    "CREATE TABLE leases (key TEXT PRIMARY KEY, holder INTEGER, until REAL) WITHOUT ROWID",
    "CREATE TABLE lockouts (name TEXT PRIMARY KEY, state TEXT, expires_at REAL) WITHOUT ROWID",
    "CREATE INDEX lockouts_by_end ON lockouts (expires_at)",
)
# The number of oldest rows in one sweep: nobody waits for a sweep of the whole table.
_SWEEP_ROWS: Final = 128


def acquire(
    connection: sqlite3.Connection, login: str, instant: float, quota: Quota, row: Row, *, closed_for: float
) -> int | Refusal:
    """Insert a permit if one is available, and return its number.

    Args:
        connection: In a transaction.
        login: The digest of the login.
        instant: Now.
        quota: The quota of the login.
        row: The row to insert; it has a token if the request needs one.
        closed_for: Seconds for which a store that was lost grants nothing.
    """
    if (wait := _opens_in(connection, instant, closed_for)) > 0:
        return Refusal(wait, (wait,) * quota.requests)
    rows = _rows(connection, login)
    if (refusal := refusal_of(rows, instant, quota, token=row.token_free_at > 0)) is not None:
        return refusal
    if any(each.token_free_at <= instant and each.slot_free_at <= instant for each in rows):
        delete = "DELETE FROM permits WHERE login = ? AND token_free_at <= ? AND slot_free_at <= ?"
        connection.execute(delete, (login, instant, instant))
    return insert(connection, login, instant, row)


def usage(connection: sqlite3.Connection, login: str, instant: float, quota: Quota, *, closed_for: float) -> Usage:
    """Return what is in use of a login's quota; for reading."""
    if (wait := _opens_in(connection, instant, closed_for)) > 0:
        return Usage((wait,) * quota.requests)
    return usage_of(_rows(connection, login), instant, quota)


def _opens_in(connection: sqlite3.Connection, instant: float, closed_for: float) -> float:
    """Return the seconds until a store that was lost grants permits; 0 or less if it grants them."""
    closed_at = connection.execute("SELECT closed_at FROM store").fetchone()[0]
    return 0.0 if closed_at is None else closed_at + closed_for - instant


def _rows(connection: sqlite3.Connection, login: str) -> list[Row]:
    select = "SELECT token_free_at, slot_free_at, in_flight FROM permits WHERE login = ?"
    return [Row(*each) for each in connection.execute(select, (login,))]


def insert(connection: sqlite3.Connection, login: str, instant: float, row: Row) -> int:
    """Insert a permit, and return its number."""
    while True:
        # Ordered by time, so that a sweep finds the oldest; random, so that no number is ever used twice.
        number = int(instant * 1_000) << 24 | random.getrandbits(24)
        added = connection.execute("INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?)", (number, login, *row))
        if added.rowcount:
            return number


def release(connection: sqlite3.Connection, login: str, number: int, instant: float, row: Row | None) -> None:
    """Replace the row of a permit by what is still in use of it; ``None`` for nothing."""
    if row is None:
        connection.execute("DELETE FROM permits WHERE id = ?", (number,))
        return
    update = "UPDATE permits SET token_free_at = ?, slot_free_at = ?, in_flight = ? WHERE id = ?"
    if not connection.execute(update, (*row, number)).rowcount:
        # The lease was over, or the file is another one: the token is in use all the same.
        insert(connection, login, instant, row)


def sweep(connection: sqlite3.Connection, instant: float) -> None:
    """Delete free permits of logins that do not come back."""
    connection.execute(
        "DELETE FROM permits WHERE id IN (SELECT id FROM permits ORDER BY id LIMIT ?) "
        "AND token_free_at <= ? AND slot_free_at <= ?",
        (_SWEEP_ROWS, instant, instant),
    )
    connection.execute(
        "DELETE FROM lockouts WHERE name IN (SELECT name FROM lockouts WHERE expires_at <= ? LIMIT ?)",
        (instant + lockout_clock(connection), _SWEEP_ROWS),
    )


def look(connection: sqlite3.Connection, key: str, clocks: tuple[float, float]) -> tuple[Lookup | None, bool]:
    """Return the stored list, if any, and whether a process has the lease.

    Args:
        connection: For reading.
        key: The key of the list.
        clocks: Now, on the clock of the library and in seconds since the epoch.
    """
    instant, epoch = clocks
    is_leased = connection.execute("SELECT 1 FROM leases WHERE key = ? AND until > ?", (key, instant)).fetchone()
    row = connection.execute("SELECT packed, at, wall FROM replies WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None, is_leased is not None
    packed, at, wall = row
    # The larger age by two clocks: the first may stop while a virtual machine is paused, the second may be set back.
    age = max(instant - at, epoch - wall, 0.0)
    return Lookup(leads=False, packed=packed, age=age, wall=wall), is_leased is not None


def use(connection: sqlite3.Connection, key: str, instant: float) -> None:
    """Note the use of a list, which is then dropped later than others."""
    connection.execute("UPDATE replies SET used_at = ? WHERE key = ?", (instant, key))


def take_lease(connection: sqlite3.Connection, key: str, holder: int, instant: float, until: float) -> None:
    """Insert a lease."""
    connection.execute("DELETE FROM leases WHERE until <= ?", (instant,))
    connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (key, holder, until))


def renew(connection: sqlite3.Connection, key: str, holder: int, until: float) -> None:
    """Extend a lease."""
    connection.execute("UPDATE leases SET until = ? WHERE key = ? AND holder = ?", (until, key, holder))


def drop_lease(connection: sqlite3.Connection, key: str, holder: int) -> None:
    """Delete a lease."""
    connection.execute("DELETE FROM leases WHERE key = ? AND holder = ?", (key, holder))


def release_lease(
    connection: sqlite3.Connection,
    key: str,
    holder: int,
    packed: bytes | None,
    clocks: tuple[float, float],
    *,
    keep_bytes: int,
) -> None:
    """Delete a lease, and store the list, if any."""
    drop_lease(connection, key, holder)
    if packed is not None:
        _store(connection, key, packed, clocks, keep_bytes)


def _store(
    connection: sqlite3.Connection, key: str, packed: bytes, clocks: tuple[float, float], keep_bytes: int
) -> None:
    instant, epoch = clocks
    total = connection.execute("SELECT reply_bytes FROM store").fetchone()[0] + len(packed)
    former = connection.execute("SELECT length(packed) FROM replies WHERE key = ?", (key,)).fetchone()
    total -= former[0] if former else 0
    reply = (key, packed, instant, epoch, instant)
    connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", reply)
    while total > keep_bytes:
        select = "SELECT key, length(packed) FROM replies ORDER BY used_at LIMIT 1"
        oldest, length = connection.execute(select).fetchone()
        connection.execute("DELETE FROM replies WHERE key = ?", (oldest,))
        total -= length
    connection.execute("UPDATE store SET reply_bytes = ?", (total,))


def load_states(connection: sqlite3.Connection, names: CredentialNames) -> LoadedStates:
    """Return the lockout states of a service and of credentials."""
    select = "SELECT state FROM lockouts WHERE name = ?"
    rows = [connection.execute(select, (name,)).fetchone() for name in (names.service, names.credentials)]
    service, credentials = (None if row is None else row[0] for row in rows)
    return LoadedStates.of(names, service, credentials)


def save_states(connection: sqlite3.Connection, states: LoadedStates, instant: float, epoch: float) -> None:
    """Save the lockout states, and the instant, from which the clock of the states continues after a reboot."""
    service, credentials = states.texts()
    insert = "INSERT OR REPLACE INTO lockouts VALUES (?, ?, ?)"
    connection.execute(insert, (states.names.service, service, None))
    if states.names.credentials:
        connection.execute(insert, (states.names.credentials, credentials, states.credentials.expires_at))
    connection.execute("UPDATE store SET lockout_at = ?, lockout_epoch = ?", (instant, epoch))


def lockout_clock(connection: sqlite3.Connection) -> float:
    """Return the seconds by which the clock of the lockout states is ahead: it continues across reboots."""
    ahead: float = connection.execute("SELECT lockout_ahead FROM store").fetchone()[0]
    return ahead
