"""The statements of a history; instants are whole microseconds since 1970, in UTC.

Invariant: a row that is not of the types of the schema counts as absent. The file may have been damaged or planted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final, TypeAlias

import attrs

from smsc_async.history.packing import PACKED_BYTES, digest, packed

# What a datetime can hold.
EARLIEST: Final = -62_135_596_800_000_000
LATEST: Final = 253_402_300_799_999_999

SCHEMA: Final = (
    # An account is a name and a digest of the credentials; the digest is empty for lists that a user has added without any.
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, credentials BLOB NOT NULL, UNIQUE (name, credentials))",
    # Most snapshots have the list of the one before: the list is stored once, and they are a row of some 20 bytes.
    "CREATE TABLE lists (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, packed BLOB NOT NULL)",
    "CREATE TABLE snapshots (account INT, taken_at INT, list INT NOT NULL, PRIMARY KEY (account, taken_at)) WITHOUT ROWID",
    # What each reader has reported last, with the list that the next one is compared with; the snapshot may be pruned.
    "CREATE TABLE marks (account INT, reader TEXT, taken_at INT, list INT, retry_at INT, PRIMARY KEY (account, reader)) WITHOUT ROWID",
)

LONGEST_NAME: Final = 10_000
"""The bytes of a name: fewer than these. A row with a longer one was planted, and counts as absent."""

# The length of a text is that up to its first NUL.
_NAMED: Final = (
    f"typeof(name) = 'text' AND typeof(credentials) = 'blob' AND length(CAST(name AS BLOB)) < {LONGEST_NAME}"
)
_OF: Final = "(:name IS NULL OR name = :name) AND (:credentials IS NULL OR credentials = :credentials)"
_DATED: Final = "typeof(taken_at) = 'integer' AND typeof(list) = 'integer' AND taken_at BETWEEN :since AND :until"

Row: TypeAlias = tuple[str, int, int]
"""A name, when the list was taken, and the number of the list."""


@attrs.frozen
class Bound:
    """Which snapshots: those of a name and of credentials (``None`` for any), in a time."""

    name: str | None
    credentials: bytes | None = None
    since: int = EARLIEST
    until: int = LATEST


def account_id(connection: sqlite3.Connection, name: str, credentials: bytes) -> int:
    """Return the number of an account, which is added if it is new."""
    connection.execute("INSERT OR IGNORE INTO accounts (name, credentials) VALUES (?, ?)", (name, credentials))
    row = connection.execute("SELECT id FROM accounts WHERE name = ? AND credentials = ?", (name, credentials))
    number: int = row.fetchone()[0]
    return number


def add(connection: sqlite3.Connection, account: int, taken_at: int, text: bytes) -> None:
    """Add a snapshot; if there is one of that account and instant already, that one stays."""
    row = (account, taken_at, _list(connection, text))
    connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?, ?)", row)


def accounts(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the accounts, sorted."""
    return [name for (name,) in connection.execute(f"SELECT DISTINCT name FROM accounts WHERE {_NAMED} ORDER BY name")]  # noqa: S608  # constants of this module


def snapshots(connection: sqlite3.Connection, bound: Bound, limit: int | None, absent: Collection[int]) -> list[Row]:
    """Return the last of the snapshots, oldest first, without those of absent lists."""
    rows = connection.execute(
        f"SELECT name, taken_at, list {_rows('snapshots', absent)} ORDER BY taken_at DESC, name DESC LIMIT :limit",  # constants and numbers
        {**attrs.asdict(bound), "limit": -1 if limit is None else limit},
    )
    return rows.fetchall()[::-1]


def periods(
    connection: sqlite3.Connection, bound: Bound, absent: Collection[int]
) -> list[tuple[str, int, int, int, int]]:
    """Return name, first and last instant, count and list of each run of snapshots with one list, oldest first."""
    turns = "list IS NOT lag(list) OVER (PARTITION BY name ORDER BY taken_at) AS turns"
    named = f"SELECT name, taken_at, list, {turns} {_rows('snapshots', absent)}"  # constants and numbers
    runs = f"SELECT *, sum(turns) OVER (PARTITION BY name ORDER BY taken_at) AS run FROM ({named})"  # noqa: S608  # likewise
    return connection.execute(
        f"SELECT name, min(taken_at), max(taken_at), count(*), list FROM ({runs})"  # noqa: S608  # likewise
        " GROUP BY name, run ORDER BY min(taken_at), name",
        attrs.asdict(bound),
    ).fetchall()


def packed_list(connection: sqlite3.Connection, number: int) -> tuple[bytes, bytes] | None:
    """Return the packed bytes of a list and its digest; ``None`` if there is no such list, or one of absurd size."""
    row: tuple[bytes, bytes] | None = connection.execute(
        "SELECT packed, digest FROM lists WHERE id = ? AND typeof(packed) = 'blob' AND length(packed) <= ?",
        (number, PACKED_BYTES),
    ).fetchone()
    return row


def mark(connection: sqlite3.Connection, account: int, reader: str, taken_at: int, text: bytes) -> None:
    """Record what a reader has reported last."""
    row = (account, reader, taken_at, _list(connection, text))
    connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, NULL)", row)


def postpone(connection: sqlite3.Connection, account: int, reader: str, retry_at: int) -> None:
    """Record until when a reader's receiver wants no further attempt."""
    row = (retry_at, account, reader)
    connection.execute("UPDATE marks SET retry_at = ? WHERE account = ? AND reader = ?", row)


def marked(connection: sqlite3.Connection, bound: Bound, reader: str) -> tuple[str, int, int, int | None] | None:
    """Return what a reader has reported last, and when its receiver may be tried again."""
    row: tuple[str, int, int, int | None] | None = connection.execute(
        f"SELECT name, taken_at, list, CASE typeof(retry_at) WHEN 'integer' THEN retry_at END {_rows('marks')}"  # constants
        " AND reader = :reader ORDER BY taken_at DESC LIMIT 1",
        {**attrs.asdict(bound), "reader": reader},
    ).fetchone()
    return row


def prune(connection: sqlite3.Connection, account: str | None, before: int, *, keep_changes: bool) -> int:
    """Drop snapshots, and the lists that nothing refers to any more; return how many snapshots were dropped."""
    dropped = connection.execute(
        "DELETE FROM snapshots WHERE (account, taken_at) IN"
        " (SELECT account, taken_at FROM"
        "  (SELECT *, lag(list) OVER own AS former, lead(list) OVER own AS next FROM snapshots"
        "   WINDOW own AS (PARTITION BY account ORDER BY taken_at))"
        "  WHERE taken_at < :before AND next IS NOT NULL AND (NOT :keep OR (former = list AND next = list))"
        "  AND (:name IS NULL OR account IN (SELECT id FROM accounts WHERE name = :name)))",
        {"before": before, "keep": keep_changes, "name": account},
    ).rowcount
    _drop_unused_lists(connection)
    return dropped


def forget(connection: sqlite3.Connection, bound: Bound) -> int:
    """Drop everything of some accounts, overwriting it; return how many snapshots were dropped."""
    connection.execute("PRAGMA secure_delete = ON")
    ids = f"(SELECT id FROM accounts WHERE {_OF})"  # noqa: S608  # constants
    dropped = connection.execute(f"DELETE FROM snapshots WHERE account IN {ids}", attrs.asdict(bound)).rowcount  # noqa: S608  # constants
    connection.execute(f"DELETE FROM marks WHERE account IN {ids}", attrs.asdict(bound))  # noqa: S608  # constants
    connection.execute(f"DELETE FROM accounts WHERE {_OF}", attrs.asdict(bound))  # noqa: S608  # constants
    _drop_unused_lists(connection)
    return dropped


def _rows(table: str, absent: Collection[int] = ()) -> str:
    conditions = f"{_NAMED} AND {_OF} AND {_DATED} AND list NOT IN ({','.join(map(str, absent))})"
    return f"FROM {table} JOIN accounts ON id = account WHERE {conditions}"


def _drop_unused_lists(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM lists WHERE id NOT IN (SELECT list FROM snapshots UNION SELECT list FROM marks)")


def _list(connection: sqlite3.Connection, text: bytes) -> int:
    address, body = digest(text), packed(text)
    # A stored list that was damaged is whole again from here on.
    connection.execute(
        "INSERT INTO lists (digest, packed) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET packed = excluded.packed"
        " WHERE packed <> excluded.packed",
        (address, body),
    )
    number: int = connection.execute("SELECT id FROM lists WHERE digest = ?", (address,)).fetchone()[0]
    return number
