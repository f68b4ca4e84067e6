"""The bot's dispatcher, fed with updates; a session of our own stands in for Telegram: see ``telegram.py``.

The library of the bot takes seconds to import: that is left to the process that runs these tests, while each collects them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smsc_async import Client, History
from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, SmscServer

if TYPE_CHECKING:
    from aiogram import Bot, Dispatcher

    from tests.examples.telegram import Telegram


@pytest.fixture
def telegram() -> Telegram:
    from tests.examples.telegram import Telegram

    return Telegram()


@pytest.fixture
def bot(telegram: Telegram) -> Bot:
    from aiogram import Bot

    return Bot("42:TOKEN", session=telegram)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.005)


def dispatcher_of(client: Client) -> Dispatcher:
    from examples.telegram_bot import bot as example

    return example.dispatcher_of(client)


async def feed(dispatcher: Dispatcher, bot: Bot, text: str) -> None:
    from tests.examples.telegram import said

    await dispatcher.feed_update(bot, said(text))


@pytest.mark.asyncio
async def test_price_answers_with_the_zone_and_its_price(smsc_server: SmscServer, bot: Bot, telegram: Telegram) -> None:
    async with smsc_server.client() as client:
        dispatcher = dispatcher_of(client)
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
        dispatcher = dispatcher_of(client)
        await asyncio.gather(*(feed(dispatcher, bot, "/price 1") for _ in range(50)))
    assert (len(telegram.sent), len(smsc_server.log)) == (50, 1)


@pytest.mark.asyncio
@pytest.mark.smsc_rules(per=60.0)
async def test_a_used_up_quota_is_told_with_the_time_to_wait(
    smsc_server: SmscServer, bot: Bot, telegram: Telegram
) -> None:
    async with smsc_server.client(max_age=0) as client:
        for _ in range(4):
            await feed(dispatcher_of(client), bot, "/price 1")
    assert telegram.sent[-1].startswith("Too many questions at the moment. Ask again in ")


@pytest.mark.asyncio
async def test_other_trouble_is_told_without_its_details(smsc_server: SmscServer, bot: Bot, telegram: Telegram) -> None:
    smsc_server.fail(Fault.refusal(2))
    async with smsc_server.client() as client:
        await feed(dispatcher_of(client), bot, "/price 1")
    assert telegram.sent == ["The tariff list cannot be had at the moment."]


@pytest.mark.asyncio
@pytest.mark.smsc_rules(requests=1000)
async def test_a_watch_tells_a_change_once_through_outages_of_either_side(
    smsc_server: SmscServer, bot: Bot, telegram: Telegram, tmp_path: Path
) -> None:
    from examples.telegram_bot import bot as example

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
    from examples.telegram_bot import bot as example
    from tests.examples.telegram import said

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
