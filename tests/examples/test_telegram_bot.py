"""The bot's dispatcher, fed with updates; a session of our own stands in for Telegram and leaves the machine never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import GetMe, GetUpdates, SendMessage, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Chat, Message, Update, User

from examples.telegram_bot import bot as example
from smsc_async import Client, History
from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, SmscServer

CHAT = Chat(id=4711, type="private")


class Telegram(BaseSession):
    """Answers the bot's calls, and remembers what it sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
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
                return Message(message_id=len(self.sent), date=datetime.now(UTC), chat=CHAT)
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


def said(text: str, number: int = 1) -> Update:
    user = User(id=7, is_bot=False, first_name="Anna")
    message = Message(message_id=number, date=datetime.now(UTC), chat=CHAT, from_user=user, text=text)
    return Update(update_id=number, message=message)


@pytest.fixture
def telegram() -> Telegram:
    return Telegram()


@pytest.fixture
def bot(telegram: Telegram) -> Bot:
    return Bot("42:TOKEN", session=telegram)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.005)


async def feed(dispatcher: Dispatcher, bot: Bot, text: str) -> None:
    await dispatcher.feed_update(bot, said(text))


@pytest.mark.asyncio
async def test_price_answers_with_the_zone_and_its_price(smsc_server: SmscServer, bot: Bot, telegram: Telegram) -> None:
    async with smsc_server.client() as client:
        dispatcher = example.dispatcher_of(client)
        for text in ("/price 32", "/price", "/price 9999", "/price@prices_bot  32", "hello"):
            await feed(dispatcher, bot, text)
    assert telegram.sent == [
        "Latvia: 4.10",
        "Which zone? For example: /price 1",
        "There is no such zone.",
        "Latvia: 4.10",
    ]
    assert len(smsc_server.log) == 1


@pytest.mark.asyncio
async def test_many_chats_at_once_cost_one_request(smsc_server: SmscServer, bot: Bot, telegram: Telegram) -> None:
    async with smsc_server.client() as client:
        dispatcher = example.dispatcher_of(client)
        await asyncio.gather(*(feed(dispatcher, bot, "/price 1") for _ in range(50)))
    assert (len(telegram.sent), len(smsc_server.log)) == (50, 1)


@pytest.mark.asyncio
@pytest.mark.smsc_rules(per=60.0)
async def test_a_used_up_quota_is_told_with_the_time_to_wait(
    smsc_server: SmscServer, bot: Bot, telegram: Telegram
) -> None:
    async with smsc_server.client(max_age=0) as client:
        for _ in range(4):
            await feed(example.dispatcher_of(client), bot, "/price 1")
    assert telegram.sent[-1].startswith("Too many questions at the moment. Ask again in ")


@pytest.mark.asyncio
async def test_other_trouble_is_told_without_its_details(smsc_server: SmscServer, bot: Bot, telegram: Telegram) -> None:
    smsc_server.fail(Fault.refusal(2))
    async with smsc_server.client() as client:
        await feed(example.dispatcher_of(client), bot, "/price 1")
    assert telegram.sent == ["The tariff list cannot be had at the moment."]


@pytest.mark.asyncio
@pytest.mark.smsc_rules(requests=1000)
async def test_a_watch_tells_a_change_once_through_outages_of_either_side(
    smsc_server: SmscServer, bot: Bot, telegram: Telegram, tmp_path: Path
) -> None:
    history = History(tmp_path / "h.db")
    async with smsc_server.client(retries=0) as client:
        watching = asyncio.create_task(example.watch(bot, client, history, chat=4711, every=0.01, pause=0.01))
        await until(lambda: len(smsc_server.log) >= 2)
        assert telegram.sent == []
        telegram.failures = 2
        smsc_server.fail(Fault.truncated(), times=1)
        smsc_server.set_tariffs(sample_tariffs(Decimal(2)))
        await until(lambda: telegram.sent)
        seen = len(smsc_server.log)
        await until(lambda: len(smsc_server.log) >= seen + 3)
        watching.cancel()
    assert len(telegram.sent) == 1
    assert "Latvia: 4.10 → 8.20" in telegram.sent[0].splitlines()


@pytest.mark.asyncio
async def test_the_whole_bot_polls_answers_and_ends(
    smsc_server: SmscServer, bot: Bot, telegram: Telegram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dispatchers: list[Dispatcher] = []

    def dispatcher_of(client: Client) -> Dispatcher:
        dispatchers.append(real(client))
        return dispatchers[0]

    real = example.dispatcher_of
    monkeypatch.setattr(example, "dispatcher_of", dispatcher_of)
    monkeypatch.setattr(example, "Bot", {"42:TOKEN": bot}.__getitem__)
    variables = {"BOT_TOKEN": "42:TOKEN", "WATCHING_CHAT": "4711", "TARIFFS_DB": f"{tmp_path}/t.db", **smsc_server.env}
    variables["HISTORY_DB"] = f"{tmp_path}/h.db"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telegram.updates = [said("/price 32")]
    running = asyncio.create_task(example.main())
    await until(lambda: telegram.sent or running.done())
    await dispatchers[0].stop_polling()
    await running
    assert telegram.sent == ["Latvia: 4.10"]
    assert telegram.is_closed
    assert smsc_server.violations() == []
