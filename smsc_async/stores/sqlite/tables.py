"""The tables of a SQLite store: their schema, and a method for each operation on their rows."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Final

import attrs

from smsc_async.limiter.bucket import Refusal, Row, Usage, refusal_of, usage_of
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.rows import polled
from smsc_async.stores.sealed_reply import SEALED_BYTES
from smsc_async.stores.shared import Lookup

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x534D5343  # "SMSC", in the header of the file
# Version 1 had instants of a clock that stops during sleep; version 2 had lists without seals.
VERSION: Final = 3
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
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
# The number of oldest rows in one sweep, and of lists that are dropped at once: nobody waits for a whole table.
_SWEEP_ROWS: Final = 128


@attrs.define(eq=False)
class Tables:
    """The tables at one instant.

    Attributes:
        connection: The connection; in a transaction, except for reading.
        instant: The instant, on the limiter's clock.
    """

    connection: sqlite3.Connection
    instant: float = attrs.field(factory=now)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        """Run a statement with these values."""
        return self.connection.execute(statement, values)

    def closed(self, closed_for: float) -> tuple[float, str] | None:
        """Return for how many seconds the store grants no permit, and why; ``None`` if it grants permits.

        Args:
            closed_for: Seconds for which a store that was lost grants nothing.
        """
        closed_at, event = self.execute("SELECT closed_at, event FROM store").fetchone()
        wait = -1.0 if closed_at is None else closed_at + closed_for - self.instant
        return (wait, event) if wait > 0 else None

    def acquire(self, login: str, quota: Quota, row: Row) -> int | Refusal | str:
        """Insert a permit if one is available, and return its number.

        Args:
            login: The digest of the login.
            quota: The quota of the login.
            row: The row to insert; it has a token if the request needs one.

        Returns:
            The number, or why there is no permit; as text, if permits are in use under that other quota.
        """
        select = "SELECT quota, token_free_at, slot_free_at, in_flight FROM permits WHERE login = ?"
        peers, text = self.execute(select, login).fetchall(), quota.stated
        rows, instant = [Row(*values) for _, *values in peers], self.instant
        for other, *_ in (each for each in peers if each[0] != text and max(each[1:3]) > instant):
            return str(other)
        if (refusal := refusal_of(rows, instant, quota, token=row.token_free_at > instant)) is not None:
            ends = (each.token_free_at if refusal.tokens_in else each.slot_free_at for each in rows if each.in_flight)
            return polled(refusal, quota) if any(at > instant for at in ends) else refusal
        if any(each.token_free_at <= instant and each.slot_free_at <= instant for each in rows):
            delete = "DELETE FROM permits WHERE login = ? AND token_free_at <= ? AND slot_free_at <= ?"
            self.execute(delete, login, instant, instant)
        return self.insert(login, quota, row)

    def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota."""
        select = "SELECT token_free_at, slot_free_at, in_flight FROM permits WHERE login = ?"
        return usage_of([Row(*each) for each in self.execute(select, login)], self.instant, quota)

    def insert(self, login: str, quota: Quota, row: Row) -> int:
        """Insert a permit, and return its number."""
        insert, text = "INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?, ?)", quota.stated
        while True:
            # Ordered by time, so that a sweep finds the oldest; random, so that no number is ever used twice.
            number = int(self.instant * 1_000) << 24 | random.getrandbits(24)
            if self.execute(insert, number, login, text, *row).rowcount:
                return number

    def release(self, number: int, login: str, quota: Quota, row: Row | None) -> None:
        """Replace the row of a permit by what is still in use of it; ``None`` for nothing."""
        update = "UPDATE permits SET token_free_at = ?, slot_free_at = ?, in_flight = ? WHERE id = ?"
        if row is None:
            self.execute("DELETE FROM permits WHERE id = ?", number)
        elif not self.execute(update, *row, number).rowcount:
            # The lease was over, or the file is another one: the token is in use all the same.
            self.insert(login, quota, row)

    def sweep(self) -> None:
        """Delete free permits of logins that do not come back, and lockout states that mean nothing any more."""
        oldest = "DELETE FROM permits WHERE id IN (SELECT id FROM permits ORDER BY id LIMIT ?)"
        self.execute(f"{oldest} AND max(token_free_at, slot_free_at) <= ?", _SWEEP_ROWS, self.instant)
        over = "SELECT name FROM lockouts WHERE expires_at <= ? + (SELECT lockout_ahead FROM store) LIMIT ?"
        self.execute(f"DELETE FROM lockouts WHERE name IN ({over})", self.instant, _SWEEP_ROWS)  # noqa: S608  # constants

    def look(self, key: str) -> tuple[Lookup, bool]:
        """Return the stored list, and whether a process has the lease.

        A value that cannot be a list is not read: it comes back as empty bytes.
        """
        is_leased = self.execute("SELECT 1 FROM leases WHERE key = ? AND until > ?", key, self.instant).fetchone()
        select = (
            "SELECT CASE WHEN typeof(sealed) = 'blob' AND length(sealed) <= ? THEN sealed ELSE x'' END, "
            "CASE typeof(at) WHEN 'real' THEN at END FROM replies WHERE key = ?"
        )
        sealed, at = self.execute(select, SEALED_BYTES, key).fetchone() or (None, None)
        age = math.inf if at is None else max(self.instant - at, 0.0)
        return Lookup(leads=False, sealed=sealed, age=age), is_leased is not None

    def use(self, key: str) -> None:
        """Note the use of a list, which is then dropped later than others."""
        self.execute("UPDATE replies SET used_at = ? WHERE key = ?", self.instant, key)

    def take_lease(self, key: str, holder: int, seconds: float) -> None:
        """Insert a lease, and delete those that are over."""
        self.execute("DELETE FROM leases WHERE until <= ?", self.instant)
        self.execute("INSERT INTO leases VALUES (?, ?, ?)", key, holder, self.instant + seconds)

    def renew_lease(self, key: str, holder: int, seconds: float) -> None:
        """Extend a lease."""
        update = "UPDATE leases SET until = ? WHERE key = ? AND holder = ?"
        self.execute(update, self.instant + seconds, key, holder)

    def release_lease(self, key: str, holder: int) -> None:
        """Delete a lease."""
        self.execute("DELETE FROM leases WHERE key = ? AND holder = ?", key, holder)

    def share(self, key: str, sealed: bytes, keep_bytes: int, ttl: float) -> None:
        """Store a list, and drop some that nobody has used for ``ttl`` seconds, or that exceed ``keep_bytes`` together."""
        self.delete_lists(key, key)
        self.execute("INSERT INTO replies VALUES (?, ?, ?, ?)", key, sealed, self.instant, self.instant)
        self.execute("UPDATE store SET reply_bytes = reply_bytes + ?", len(sealed))
        (size,) = self.execute("SELECT reply_bytes FROM store").fetchone()
        select = "SELECT key, length(sealed), used_at FROM replies ORDER BY used_at LIMIT ?"
        for oldest, length, used_at in self.execute(select, _SWEEP_ROWS).fetchall():
            if size <= keep_bytes and used_at > self.instant - ttl:
                break
            self.delete_lists(oldest, oldest)
            size -= length

    def delete_lists(self, first: str, last: str) -> None:
        """Delete the lists whose keys lie between two keys, both included."""
        size = "SELECT ifnull(sum(length(sealed)), 0) FROM replies WHERE key BETWEEN ? AND ?"
        self.execute(f"UPDATE store SET reply_bytes = reply_bytes - ({size})", first, last)  # noqa: S608  # constants
        self.execute("DELETE FROM replies WHERE key BETWEEN ? AND ?", first, last)

    def load_states(self, names: CredentialNames) -> LoadedStates:
        """Return the lockout states of a service and of credentials. Their clock continues across reboots."""
        state = "(SELECT state FROM lockouts WHERE name = ?)"
        select = f"SELECT {state}, {state}, lockout_ahead FROM store"  # noqa: S608  # constants
        service, credentials, ahead = self.execute(select, names.service, names.credentials).fetchone()
        return LoadedStates.of(names, self.instant + ahead, service, credentials)

    def save_states(self, states: LoadedStates) -> None:
        """Save the lockout states, and the instant, from which their clock continues after a reboot."""
        (service, credentials), names = states.texts(), states.names
        insert = "INSERT OR REPLACE INTO lockouts VALUES (?, ?, ?)"
        self.execute(insert, names.service, service, None)
        if names.credentials:
            self.execute(insert, names.credentials, credentials, states.credentials.expires_at)
        self.execute("UPDATE store SET lockout_at = ?, lockout_epoch = ?", states.instant, time.time())
