"""The credentials of the bot's users, in SQLite: one SMSC account for each chat.

The file holds the passwords in clear text. Restrict access to it, or encrypt the column with the key service of your
platform.
"""

import sqlite3
from typing import Literal, TypeAlias

from smsc_async import Account

# "new": not tested yet. "good": a list came. "refused": the service refused them, so they are never sent again.
State: TypeAlias = Literal["new", "good", "refused"]


class Users:
    """The account of each chat; every method is one short transaction."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS users (chat INTEGER PRIMARY KEY, login TEXT, password TEXT, state TEXT)"
        )

    def save(self, chat: int, account: Account) -> None:
        """Store new credentials of a chat in place of the old ones."""
        values = (chat, account.login, account.secret.reveal(), "new")
        self._database.execute("INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?)", values)

    def remove(self, chat: int) -> None:
        """Delete the credentials of a chat."""
        self._database.execute("DELETE FROM users WHERE chat = ?", (chat,))

    def mark(self, account: Account, state: State) -> list[int]:
        """Set the state of these credentials, and return the chats that had another one.

        A chat with newer credentials is left alone: a late reply says nothing about them.
        """
        values = (state, account.login, account.secret.reveal(), state)
        rows = self._database.execute(
            "UPDATE users SET state = ? WHERE login = ? AND password = ? AND state <> ? RETURNING chat", values
        )
        return [chat for (chat,) in rows]

    def is_new(self, chat: int) -> bool:
        """Return whether the credentials of a chat are not tested yet."""
        row = self._database.execute("SELECT state FROM users WHERE chat = ?", (chat,)).fetchone()
        return bool(row == ("new",))

    def account(self, chat: int) -> Account | None:
        """Return the account of a chat, or ``None`` if it has none or the service refused it."""
        query = "SELECT login, password FROM users WHERE chat = ? AND state <> 'refused'"
        row = self._database.execute(query, (chat,)).fetchone()
        return None if row is None else Account(*row)

    def with_state(self, *states: State) -> dict[int, Account]:
        """Return the account of each chat whose credentials have one of these states."""
        rows = self._database.execute("SELECT chat, login, password, state FROM users")
        return {chat: Account(login, password) for chat, login, password, state in rows if state in states}

    def close(self) -> None:
        """Close the file."""
        self._database.close()
