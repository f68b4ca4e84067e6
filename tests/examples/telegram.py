"""A session that replaces Telegram without leaving the machine, and the messages of its users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import DeleteMessage, GetMe, GetUpdates, SendMessage, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Chat, Message, Update, User

__all__ = ["CHAT", "Telegram", "message"]

CHAT = 4711


class Telegram(BaseSession):
    """Answers the calls of the bot, and records the messages that it sent and deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.chats: list[int] = []
        self.deleted = 0
        self.failures = 0
        self.updates: list[Update] = []
        self.is_closed = False

    async def make_request(self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None) -> Any:  # noqa: ASYNC109  # aiogram's
        call = cast("object", method)  # a checker would take the cases below for impossible
        match call:
            case SendMessage():
                if self.failures:
                    self.failures -= 1
                    raise TelegramNetworkError(call, "cut")
                self.sent.append(call.text)
                self.chats.append(int(call.chat_id))
                return Message(message_id=len(self.sent), date=datetime.now(UTC), chat=_chat(self.chats[-1]))
            case DeleteMessage():
                self.deleted += 1
                return True
            case GetMe():
                return User(id=42, is_bot=True, first_name="Prices", username="prices_bot")
            case GetUpdates():
                updates, self.updates = self.updates, []
                await asyncio.sleep(0.01)
                return updates
            case _:
                raise AssertionError(f"the bot called {call!r}")

    async def stream_content(self, *args: object, **kwargs: object) -> AsyncGenerator[bytes, None]:
        raise AssertionError("the bot fetches no file")
        yield b""

    async def close(self) -> None:
        self.is_closed = True


def message(text: str, *, chat: int = CHAT, number: int = 1) -> Update:
    user = User(id=7, is_bot=False, first_name="Anna")
    sent = Message(message_id=number, date=datetime.now(UTC), chat=_chat(chat), from_user=user, text=text)
    return Update(update_id=number, message=sent)


def _chat(number: int) -> Chat:
    return Chat(id=number, type="private")
