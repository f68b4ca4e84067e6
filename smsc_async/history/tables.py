"""The statements of a history; instants are whole microseconds since 1970, in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from smsc_async.history.packing import digest, packed

if TYPE_CHECKING:
    import sqlite3

__all__ = ["EARLIEST", "LATEST", "accounts", "add", "lists", "mark", "marked", "periods", "prune", "snapshots"]

# More than any instant that a datetime can hold.
EARLIEST: Final = -(2**62)
LATEST: Final = 2**62

Seen: TypeAlias = tuple[str, int, int]
"""An account, when its list was taken, and the number of the list."""


def add(connection: sqlite3.Connection, account: str, taken_at: int, text: bytes) -> None:
    """Add a snapshot; where there is one of that account and instant already, it stays."""
    row = (_account(connection, account), taken_at, _list(connection, text))
    connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?, ?)", row)


def accounts(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the accounts, sorted."""
    return [name for (name,) in connection.execute("SELECT name FROM accounts ORDER BY name")]


def snapshots(
    connection: sqlite3.Connection, account: str | None, since: int, until: int, limit: int | None
) -> list[Seen]:
    """Return the last of the snapshots in a time, oldest first."""
    found = connection.execute(
        "SELECT name, taken_at, list FROM snapshots JOIN accounts ON id = account"
        " WHERE taken_at BETWEEN :since AND :until AND (:name IS NULL OR name = :name)"
        " ORDER BY taken_at DESC, name DESC LIMIT :limit",
        {"since": since, "until": until, "name": account, "limit": -1 if limit is None else limit},
    )
    return found.fetchall()[::-1]


def periods(
    connection: sqlite3.Connection, account: str | None, since: int, until: int
) -> list[tuple[str, int, int, int, int]]:
    """Return account, first and last instant, count and list of each run of snapshots with one list, oldest first."""
    return connection.execute(
        "SELECT name, min(taken_at), max(taken_at), count(*), list FROM"
        " (SELECT *, sum(turns) OVER (PARTITION BY name ORDER BY taken_at) AS run FROM"
        "  (SELECT name, taken_at, list, list IS NOT lag(list) OVER (PARTITION BY name ORDER BY taken_at) AS turns"
        "   FROM snapshots JOIN accounts ON id = account"
        "   WHERE taken_at BETWEEN :since AND :until AND (:name IS NULL OR name = :name)))"
        " GROUP BY name, run ORDER BY min(taken_at), name",
        {"since": since, "until": until, "name": account},
    ).fetchall()


def lists(connection: sqlite3.Connection, numbers: set[int]) -> dict[int, bytes]:
    """Return the lists of these numbers, packed."""
    one = "SELECT packed FROM lists WHERE id = ?"
    return {number: connection.execute(one, (number,)).fetchone()[0] for number in numbers}


def mark(connection: sqlite3.Connection, account: str, reader: str, taken_at: int, text: bytes) -> None:
    """Note what a reader has seen last."""
    row = (_account(connection, account), reader, taken_at, _list(connection, text))
    connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", row)


def marked(connection: sqlite3.Connection, account: str, reader: str) -> list[Seen]:
    """Return what a reader has seen last, if anything."""
    return connection.execute(
        "SELECT name, taken_at, list FROM marks JOIN accounts ON id = account WHERE name = ? AND reader = ?",
        (account, reader),
    ).fetchall()


def prune(connection: sqlite3.Connection, account: str | None, before: int, *, keep_changes: bool) -> int:
    """Drop snapshots, and the lists that nothing refers to any more; return how many snapshots went."""
    dropped = connection.execute(
        "DELETE FROM snapshots WHERE (account, taken_at) IN"
        " (SELECT account, taken_at FROM"
        "  (SELECT *, lag(list) OVER own AS former, lead(list) OVER own AS next FROM snapshots"
        "   WINDOW own AS (PARTITION BY account ORDER BY taken_at))"
        "  WHERE taken_at < :before AND next IS NOT NULL AND (NOT :keep_changes OR (former = list AND next = list))"
        "  AND (:name IS NULL OR account = (SELECT id FROM accounts WHERE name = :name)))",
        {"before": before, "keep_changes": keep_changes, "name": account},
    ).rowcount
    connection.execute("DELETE FROM lists WHERE id NOT IN (SELECT list FROM snapshots UNION SELECT list FROM marks)")
    return dropped


def _account(connection: sqlite3.Connection, name: str) -> int:
    connection.execute("INSERT OR IGNORE INTO accounts (name) VALUES (?)", (name,))
    number: int = connection.execute("SELECT id FROM accounts WHERE name = ?", (name,)).fetchone()[0]
    return number


def _list(connection: sqlite3.Connection, text: bytes) -> int:
    name = digest(text)
    found = connection.execute("SELECT id FROM lists WHERE digest = ?", (name,)).fetchone()
    if found is not None:
        number: int = found[0]
        return number
    made = connection.execute("INSERT INTO lists (digest, packed) VALUES (?, ?)", (name, packed(text))).lastrowid
    assert made is not None
    return made
