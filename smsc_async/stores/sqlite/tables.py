"""What is read and written in the file of a SQLite store: one function for each thing that a store does.

All of them run in a transaction of their caller's, but for those that only read; every instant is the caller's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.quota import Quota
from smsc_async.stores.rows import Row, refusal
from smsc_async.stores.shared import Seen

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "acquire",
    "clear_flag",
    "drop_lead",
    "flag_ttls",
    "insert",
    "look",
    "put_back",
    "release_lease",
    "renew",
    "set_flag",
    "sweep",
    "take_lead",
]

# So many of the oldest rows are looked at in a sweep: nobody ever waits for one of the whole table.
_SWEEP_ROWS: Final = 128


def acquire(
    connection: sqlite3.Connection, login: str, instant: float, quota: Quota, row: Row, *, closed_for: float
) -> int | Refusal:
    """Write a permit if there is one, and return its number.

    Args:
        connection: In a transaction.
        login: The digest of whose.
        instant: Now.
        quota: The rule.
        row: What to write; it has a token if it asks for one.
        closed_for: Seconds that a store which was closed stays so.
    """
    closed_at = connection.execute("SELECT closed_at FROM store").fetchone()[0]
    if closed_at is not None and (wait := closed_at + closed_for - instant) > 0:
        return Refusal(wait, (wait,) * quota.requests)
    found = connection.execute("SELECT token_free_at, slot_free_at, out FROM permits WHERE login = ?", (login,))
    rows = [Row(*each) for each in found]
    if (why := refusal(rows, instant, quota, token=row.token_free_at > 0)) is not None:
        return why
    if any(each.token_free_at <= instant and each.slot_free_at <= instant for each in rows):
        free = "DELETE FROM permits WHERE login = ? AND token_free_at <= ? AND slot_free_at <= ?"
        connection.execute(free, (login, instant, instant))
    return insert(connection, login, instant, row)


def insert(connection: sqlite3.Connection, login: str, instant: float, row: Row) -> int:
    """Write a permit, and return its number."""
    while True:
        # In the order of time, so that a sweep finds the oldest; never the number of another, past ones included.
        number = int(instant * 1_000) << 24 | random.getrandbits(24)
        added = connection.execute("INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?)", (number, login, *row))
        if added.rowcount:
            return number


def put_back(connection: sqlite3.Connection, login: str, number: int, instant: float, row: Row | None) -> None:
    """Write what is still away of a permit."""
    if row is None:
        connection.execute("DELETE FROM permits WHERE id = ?", (number,))
        return
    change = "UPDATE permits SET token_free_at = ?, slot_free_at = ?, out = ? WHERE id = ?"
    if not connection.execute(change, (*row, number)).rowcount:
        # Its lease was over, or the file is another one: what is away is away all the same.
        insert(connection, login, instant, row)


def sweep(connection: sqlite3.Connection, instant: float) -> None:
    """Clear away permits of logins that do not come back."""
    connection.execute(
        "DELETE FROM permits WHERE id IN (SELECT id FROM permits ORDER BY id LIMIT ?) "
        "AND token_free_at <= ? AND slot_free_at <= ?",
        (_SWEEP_ROWS, instant, instant),
    )


def look(connection: sqlite3.Connection, key: str, clocks: tuple[float, float]) -> tuple[Seen | None, bool]:
    """Return the answer that is kept, if any, and whether somebody has the lead.

    Args:
        connection: To read from.
        key: Of the answer.
        clocks: Now, by the monotonic clock and in seconds since the epoch.
    """
    instant, epoch = clocks
    led = connection.execute("SELECT 1 FROM leads WHERE key = ? AND until > ?", (key, instant)).fetchone() is not None
    row = connection.execute("SELECT packed, at, wall FROM answers WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None, led
    packed, at, wall = row
    # By both clocks: the monotonic one stands still while a machine sleeps, the other may be set back.
    return Seen(leads=False, packed=packed, age=max(instant - at, epoch - wall, 0.0), wall=wall), led


def use(connection: sqlite3.Connection, key: str, instant: float) -> None:
    """Write that an answer is of use."""
    connection.execute("UPDATE answers SET used_at = ? WHERE key = ?", (instant, key))


def take_lead(connection: sqlite3.Connection, key: str, holder: int, instant: float, until: float) -> None:
    """Write that somebody has the lead."""
    connection.execute("DELETE FROM leads WHERE until <= ?", (instant,))
    connection.execute("INSERT INTO leads VALUES (?, ?, ?)", (key, holder, until))


def renew(connection: sqlite3.Connection, key: str, holder: int, until: float) -> None:
    """Write that somebody has the lead for longer."""
    connection.execute("UPDATE leads SET until = ? WHERE key = ? AND holder = ?", (until, key, holder))


def drop_lead(connection: sqlite3.Connection, key: str, holder: int) -> None:
    """Write that somebody has the lead no more."""
    connection.execute("DELETE FROM leads WHERE key = ? AND holder = ?", (key, holder))


def release_lease(
    connection: sqlite3.Connection,
    key: str,
    holder: int,
    packed: bytes | None,
    clocks: tuple[float, float],
    *,
    keep_bytes: int,
) -> None:
    """Give a lead back, and write the answer, if any."""
    drop_lead(connection, key, holder)
    if packed is not None:
        _keep(connection, key, packed, clocks, keep_bytes)


def _keep(
    connection: sqlite3.Connection, key: str, packed: bytes, clocks: tuple[float, float], keep_bytes: int
) -> None:
    instant, epoch = clocks
    kept = connection.execute("SELECT kept_bytes FROM store").fetchone()[0] + len(packed)
    former = connection.execute("SELECT length(packed) FROM answers WHERE key = ?", (key,)).fetchone()
    kept -= former[0] if former else 0
    answer = (key, packed, instant, epoch, instant)
    connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", answer)
    while kept > keep_bytes:
        oldest = "SELECT key, length(packed) FROM answers ORDER BY used_at LIMIT 1"
        gone, length = connection.execute(oldest).fetchone()
        connection.execute("DELETE FROM answers WHERE key = ?", (gone,))
        kept -= length
    connection.execute("UPDATE store SET kept_bytes = ?", (kept,))


def set_flag(connection: sqlite3.Connection, name: str, instant: float, seconds: float) -> None:
    """Write that a name is remembered, and clear away those that are not any more."""
    connection.execute("DELETE FROM marks WHERE until <= ?", (instant,))
    connection.execute(
        "INSERT INTO marks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET until = ?2, seconds = ?3 WHERE ?2 > until",
        (name, instant + seconds, seconds),
    )


def flag_ttls(connection: sqlite3.Connection, names: Sequence[str], instant: float) -> list[float]:
    """Return how many seconds longer each name is remembered."""
    found = [connection.execute("SELECT until FROM marks WHERE name = ?", (name,)).fetchone() for name in names]
    return [0.0 if row is None else max(row[0] - instant, 0.0) for row in found]


def clear_flag(connection: sqlite3.Connection, name: str) -> None:
    """Write that a name is remembered no more."""
    connection.execute("DELETE FROM marks WHERE name = ?", (name,))
