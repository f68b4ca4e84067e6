"""The statements of a SQLite store: one function for each operation.

All of them run in a transaction of the caller, except those that only read. The caller supplies every instant.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

from smsc_async.limiter.bucket import Refusal, Usage
from smsc_async.limiter.quota import Quota
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.rows import Row, refusal_of, usage_of
from smsc_async.stores.sealed_reply import SEALED_BYTES
from smsc_async.stores.shared import Closed, Lookup, OtherQuota

if TYPE_CHECKING:
    import sqlite3

SCHEMA: Final = (
    """CREATE TABLE store (boot TEXT, place TEXT, id BLOB, pepper TEXT, closed_at REAL, event TEXT, reply_bytes INTEGER,
    lockout_ahead REAL, lockout_at REAL, lockout_epoch REAL)""",
    (
        "CREATE TABLE permits (id INTEGER PRIMARY KEY, login TEXT, quota TEXT, "
        "token_free_at REAL, slot_free_at REAL, in_flight INTEGER)"
    ),
    "CREATE INDEX permits_of_login ON permits (login)",
    "CREATE TABLE replies (key TEXT PRIMARY KEY, sealed BLOB, at REAL, used_at REAL)",
    "CREATE INDEX replies_by_use ON replies (used_at)",
    "CREATE TABLE leases (key TEXT PRIMARY KEY, holder INTEGER, until REAL) WITHOUT ROWID",
    "CREATE INDEX leases_by_end ON leases (until)",
    "CREATE TABLE lockouts (name TEXT PRIMARY KEY, state TEXT, expires_at REAL) WITHOUT ROWID",
    "CREATE INDEX lockouts_by_end ON lockouts (expires_at)",
)
# The number of oldest rows in one sweep, and of lists that are dropped at once: nobody waits for a whole table.
_SWEEP_ROWS: Final = 128


def acquire(
    connection: sqlite3.Connection, login: str, instant: float, quota: Quota, row: Row, *, closed_for: float
) -> int | Refusal | Closed | OtherQuota:
    """Insert a permit if one is available, and return its number.

    Args:
        connection: In a transaction.
        login: The digest of the login.
        instant: Now.
        quota: The quota of the login.
        row: The row to insert; it has a token if the request needs one.
        closed_for: Seconds for which a store that was lost grants nothing.
    """
    if (closed := _closed(connection, instant, closed_for)) is not None:
        return closed
    select = "SELECT quota, token_free_at, slot_free_at, in_flight FROM permits WHERE login = ?"
    peers, text = connection.execute(select, (login,)).fetchall(), quota.stated
    rows = [Row(*values) for _, *values in peers]
    for other, *_ in (each for each in peers if each[0] != text and max(each[1:3]) > instant):
        return OtherQuota(other)
    if (refusal := refusal_of(rows, instant, quota, token=row.token_free_at > 0)) is not None:
        return refusal
    if any(each.token_free_at <= instant and each.slot_free_at <= instant for each in rows):
        delete = "DELETE FROM permits WHERE login = ? AND token_free_at <= ? AND slot_free_at <= ?"
        connection.execute(delete, (login, instant, instant))
    return insert(connection, login, quota, instant, row)


def usage(
    connection: sqlite3.Connection, login: str, instant: float, quota: Quota, *, closed_for: float
) -> Usage | Closed:
    """Return what is in use of a login's quota; for reading."""
    if (closed := _closed(connection, instant, closed_for)) is not None:
        return closed
    select = "SELECT token_free_at, slot_free_at, in_flight FROM permits WHERE login = ?"
    return usage_of([Row(*each) for each in connection.execute(select, (login,))], instant, quota)


def _closed(connection: sqlite3.Connection, instant: float, closed_for: float) -> Closed | None:
    """Return until when a store that was lost grants no permit, or ``None`` if it grants them."""
    closed_at, event = connection.execute("SELECT closed_at, event FROM store").fetchone()
    wait = -1.0 if closed_at is None else closed_at + closed_for - instant
    return Closed(wait, event) if wait > 0 else None


def insert(connection: sqlite3.Connection, login: str, quota: Quota, instant: float, row: Row) -> int:
    """Insert a permit, and return its number."""
    while True:
        # Ordered by time, so that a sweep finds the oldest; random, so that no number is ever used twice.
        number = int(instant * 1_000) << 24 | random.getrandbits(24)
        values = (number, login, quota.stated, *row)
        added = connection.execute("INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?, ?)", values)
        if added.rowcount:
            return number


def release(  # noqa: PLR0917  # the permit, and what is in use of it
    connection: sqlite3.Connection, login: str, quota: Quota, number: int, instant: float, row: Row | None
) -> None:
    """Replace the row of a permit by what is still in use of it; ``None`` for nothing."""
    if row is None:
        connection.execute("DELETE FROM permits WHERE id = ?", (number,))
        return
    update = "UPDATE permits SET token_free_at = ?, slot_free_at = ?, in_flight = ? WHERE id = ?"
    if not connection.execute(update, (*row, number)).rowcount:
        # The lease was over, or the file is another one: the token is in use all the same.
        insert(connection, login, quota, instant, row)


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


def look(connection: sqlite3.Connection, key: str, instant: float) -> tuple[Lookup, bool]:
    """Return the stored list, and whether a process has the lease.

    A value that cannot be a list is not read: it comes back as empty bytes.
    """
    is_leased = connection.execute("SELECT 1 FROM leases WHERE key = ? AND until > ?", (key, instant)).fetchone()
    select = (
        "SELECT CASE WHEN typeof(sealed) = 'blob' AND length(sealed) <= ? THEN sealed ELSE x'' END, "
        "CASE typeof(at) WHEN 'real' THEN at END FROM replies WHERE key = ?"
    )
    sealed, at = connection.execute(select, (SEALED_BYTES, key)).fetchone() or (None, None)
    age = math.inf if at is None else max(instant - at, 0.0)
    return Lookup(leads=False, sealed=sealed, age=age), is_leased is not None


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


def release_lease(  # noqa: PLR0917  # the lease and the list
    connection: sqlite3.Connection,
    key: str,
    holder: int,
    sealed: bytes | None,
    instant: float,
    limits: tuple[int, float],
) -> None:
    """Delete a lease, and store the list, if any.

    Args:
        connection: In a transaction.
        key: The key of the list.
        holder: The holder of the lease.
        sealed: The list.
        instant: Now.
        limits: The most bytes of all lists, and the seconds after which an unused list is dropped.
    """
    drop_lease(connection, key, holder)
    if sealed is None:
        return
    keep_bytes, ttl = limits
    delete_lists(connection, key, key)
    connection.execute("INSERT INTO replies VALUES (?, ?, ?, ?)", (key, sealed, instant, instant))
    connection.execute("UPDATE store SET reply_bytes = reply_bytes + ?", (len(sealed),))
    kept = connection.execute("SELECT reply_bytes FROM store").fetchone()[0]
    select = "SELECT key, length(sealed), used_at FROM replies ORDER BY used_at LIMIT ?"
    for oldest, length, used_at in connection.execute(select, (_SWEEP_ROWS,)).fetchall():
        if kept <= keep_bytes and used_at > instant - ttl:
            break
        delete_lists(connection, oldest, oldest)
        kept -= length


def delete_lists(connection: sqlite3.Connection, first: str, last: str) -> None:
    """Delete the lists whose keys lie between two keys, both included."""
    update = (
        "UPDATE store SET reply_bytes = reply_bytes - "
        "(SELECT ifnull(sum(length(sealed)), 0) FROM replies WHERE key BETWEEN ? AND ?)"
    )
    connection.execute(update, (first, last))
    connection.execute("DELETE FROM replies WHERE key BETWEEN ? AND ?", (first, last))


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
