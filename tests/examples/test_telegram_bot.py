"""The bot with real updates; a session of our own replaces Telegram: see ``telegram.py``.

Importing aiogram takes seconds: only the process that runs these tests does it, not each that collects them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smsc_async import Account, Client, History, MemoryStore, Tariffs
from smsc_async.limiter.clock import now
from smsc_async.simulator import SimulatedAccount, Simulator, sample_tariffs
from smsc_async.testing import Fault, SmscServer
from tests.support.simulated import client_of
from tests.support.virtual_time import run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from examples.telegram_bot.bot import PriceBot
    from tests.examples.telegram import Telegram

WORKS = "Your account works: 66 zones."
REFUSED = "The service refused your login or password. Send /login LOGIN PASSWORD again."
LATER = "Saved. The password is tested as soon as possible; you get a message then."


@pytest.fixture
def telegram() -> Telegram:
    from tests.examples.telegram import Telegram

    return Telegram()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(telegram: Telegram, client: Client, folder: Path, **options: float) -> AsyncGenerator[PriceBot]:
    """The bot without its polling, over the files of a folder."""
    from aiogram import Bot

    from examples.telegram_bot.bot import PriceBot
    from examples.telegram_bot.users import Users

    users = Users(str(folder / "users.db"))
    bot = PriceBot(Bot("42:TOKEN", session=telegram), client, users, History(folder / "history.db"), **options)
    try:
        yield bot
    finally:
        await bot.aclose()
        users.close()


async def say(bot: PriceBot, telegram: Telegram, text: str, chat: int = 4711) -> list[str]:
    """Return what the bot sends in reply."""
    from aiogram import Bot

    from tests.examples.telegram import message

    seen = len(telegram.sent)
    await bot.dispatcher.feed_update(Bot("42:TOKEN", session=telegram), message(text, chat=chat))
    return telegram.sent[seen:]


def rows(folder: Path) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(folder / "users.db")
    try:
        return list(database.execute("SELECT chat, login, state FROM users ORDER BY chat"))
    finally:
        database.close()


@pytest.mark.asyncio
async def test_a_user_logs_in_asks_for_prices_and_logs_out(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    async with smsc_server.client() as client, running(telegram, client, tmp_path) as bot:
        (first,) = await say(bot, telegram, "/price 32")
        assert first.startswith("Send /login")
        assert await say(bot, telegram, "/login alex") == ["Send /login LOGIN PASSWORD"]
        assert await say(bot, telegram, "/login alex 123") == [WORKS]
        assert telegram.deleted == 1
        assert await say(bot, telegram, "/price 32") == ["Latvia: 4.10"]
        assert await say(bot, telegram, "/price@prices_bot  32 24701") == ["Latvia: 3.85"]
        assert await say(bot, telegram, "/price 9999") == ["There is no such zone."]
        assert await say(bot, telegram, "/price 32 MTS") == ["An operator is a number such as 25001."]
        assert (await say(bot, telegram, "/price 32", chat=5))[0].startswith("Send /login")
        assert await say(bot, telegram, "hello") == []
        assert len(smsc_server.log) == 1
        assert await say(bot, telegram, "/logout") == ["Your login and password are deleted."]
        assert (await say(bot, telegram, "/price 32"))[0].startswith("Send /login")
    assert rows(tmp_path) == []


@pytest.mark.asyncio
async def test_wrong_credentials_are_refused_once_and_new_ones_replace_them(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    async with smsc_server.client() as client, running(telegram, client, tmp_path) as bot:
        assert await say(bot, telegram, "/login alex wrong") == [REFUSED]
        assert (await say(bot, telegram, "/price 32"))[0].startswith("Send /login")
        assert rows(tmp_path) == [(4711, "alex", "refused")]
        assert await say(bot, telegram, "/login alex 123") == [WORKS]
        assert rows(tmp_path) == [(4711, "alex", "good")]
    assert [arrival.code for arrival in smsc_server.log] == [2, 0]


@pytest.mark.asyncio
async def test_an_outage_is_told_without_its_details_and_the_password_is_tested_later(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    smsc_server.fail(Fault.refusal(3), times=1)
    async with smsc_server.client() as client, running(telegram, client, tmp_path) as bot:
        assert await say(bot, telegram, "/login alex 123") == [LATER]
        smsc_server.fail(Fault.refusal(3), times=1)
        assert await say(bot, telegram, "/price 32") == ["The list is not available now."]
        nightly = asyncio.create_task(bot.nightly())
        await until(lambda: telegram.sent[-1] == WORKS)
        nightly.cancel()
    assert rows(tmp_path) == [(4711, "alex", "good")]


@pytest.mark.asyncio
@pytest.mark.smsc_rules(per=60.0)
async def test_while_the_quota_is_used_up_the_last_list_answers(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    async with smsc_server.client(max_age=0) as client, running(telegram, client, tmp_path) as bot:
        await say(bot, telegram, "/login alex 123")
        for _ in range(4):
            assert await say(bot, telegram, "/price 32") == ["Latvia: 4.10"]
    assert smsc_server.violations() == []


@pytest.mark.asyncio
@pytest.mark.smsc_rules(requests=1000)
async def test_a_change_is_sent_once_to_each_chat_through_outages_and_a_restart(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    async with smsc_server.client(retries=0, max_age=0) as client:
        async with running(telegram, client, tmp_path, every=0.02, pause=0.01) as bot:
            await say(bot, telegram, "/login alex 123")
            await say(bot, telegram, "/login alex 123", chat=5)
            async with History(tmp_path / "history.db") as history:
                # Each watch needs a list to compare with.
                while len(await history.accounts()) < 2:  # noqa: ASYNC110  # nothing sets an event
                    await asyncio.sleep(0.005)
            await until(lambda: len(smsc_server.log) >= 5)
            telegram.failures = 2
            smsc_server.fail(Fault.truncated(), times=1)
            smsc_server.set_tariffs(sample_tariffs(Decimal(2)))
            await until(lambda: len(telegram.sent) == 4)
            seen = len(smsc_server.log)
            await until(lambda: len(smsc_server.log) >= seen + 6)
        smsc_server.set_tariffs(sample_tariffs(Decimal(3)))  # while the bot is not running
        async with running(telegram, client, tmp_path, every=0.02, pause=0.01) as bot:
            bot.watch_all()
            await until(lambda: len(telegram.sent) == 6)
    assert sorted(telegram.chats) == [5, 5, 5, 4711, 4711, 4711]
    assert all("Latvia: 4.10 → 8.20" in text.splitlines() for text in telegram.sent[2:4])
    assert all("Latvia: 8.20 → 12.30" in text.splitlines() for text in telegram.sent[4:6])


@pytest.mark.asyncio
@pytest.mark.smsc_rules(requests=1000)
async def test_a_changed_password_ends_its_watch_with_one_message(
    smsc_server: SmscServer, telegram: Telegram, tmp_path: Path
) -> None:
    smsc_server.add_account("boris", "456")
    async with smsc_server.client(max_age=0) as client, running(telegram, client, tmp_path, every=0.02) as bot:
        await say(bot, telegram, "/login alex 123")
        await say(bot, telegram, "/login boris 456", chat=5)
        smsc_server.add_account("boris", "new")
        await until(lambda: REFUSED in telegram.sent)
        seen = len(smsc_server.log)
        await until(lambda: len(smsc_server.log) >= seen + 3)
        assert telegram.sent.count(REFUSED) == 1
        assert telegram.chats[telegram.sent.index(REFUSED)] == 5
        assert await say(bot, telegram, "/login boris new", chat=5) == [WORKS]
    assert [arrival.code for arrival in smsc_server.log if arrival.code] == [2]


USERS = 300
WRONG = frozenset({7, 80, 81, 200, 299})


def test_three_hundred_users_of_whom_five_are_wrong_a_restart_and_a_changed_password(
    telegram: Telegram, tmp_path: Path
) -> None:
    short = Tariffs(sample_tariffs().zones[:2], mail=Decimal(1))
    accounts = [SimulatedAccount(f"user{number}", "right", tariffs=short) for number in range(USERS)]
    simulator = Simulator(accounts, clock=now, latency=0.1)
    store = MemoryStore()

    async def nightly(hours: float) -> None:
        async with (
            client_of(simulator, None, store=store, max_age=300) as client,
            running(telegram, client, tmp_path, every=12 * 3600) as bot,
        ):
            bot.watch_all()
            task = asyncio.create_task(bot.nightly())
            await asyncio.sleep(hours * 3600)
            task.cancel()

    async def main() -> None:
        from examples.telegram_bot.users import Users

        users = Users(str(tmp_path / "users.db"))
        for number in range(USERS):
            users.save(number, Account(f"user{number}", "wrong" if number in WRONG else "right"))
        users.close()
        await nightly(0.001)  # killed in its first seconds
        await nightly(3)
        assert {chat for chat, _, state in rows(tmp_path) if state == "refused"} == WRONG
        assert [state for _, _, state in rows(tmp_path)].count("good") == USERS - len(WRONG)
        simulator.put(SimulatedAccount("user100", "changed", tariffs=short))
        await nightly(25)

    run_virtual("asyncio", main)
    assert {chat for chat, _, state in rows(tmp_path) if state == "refused"} == {*WRONG, 100}
    assert sorted(chat for chat, text in zip(telegram.chats, telegram.sent, strict=True) if text == REFUSED) == sorted(
        {*WRONG, 100}
    )
    assert telegram.sent.count("Your account works: 2 zones.") == USERS - len(WRONG)
    assert simulator.violations() == []
    assert not any(arrival.code == 4 for arrival in simulator.log)


@pytest.mark.asyncio
async def test_the_whole_bot_polls_answers_and_ends(
    smsc_server: SmscServer, telegram: Telegram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from aiogram import Bot

    from examples.telegram_bot import bot as example
    from tests.examples.telegram import message

    made: list[PriceBot] = []

    class Made(example.PriceBot):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(example, "PriceBot", Made)
    monkeypatch.setattr(example, "Bot", {"42:TOKEN": Bot("42:TOKEN", session=telegram)}.__getitem__)
    variables = {"BOT_TOKEN": "42:TOKEN", "BOT_FOLDER": str(tmp_path), "SMSC_BASE_URL": smsc_server.base_url}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telegram.updates = [message("/login alex 123")]
    task = asyncio.create_task(example.main())
    await until(lambda: telegram.sent or task.done())
    telegram.updates = [message("/price 32", number=2)]
    await until(lambda: len(telegram.sent) > 1 or task.done())
    await made[0].dispatcher.stop_polling()
    await task
    assert telegram.sent == [WORKS, "Latvia: 4.10"]
    assert telegram.is_closed
    assert smsc_server.violations() == []


def test_late_news_about_old_credentials_leave_new_ones_alone(tmp_path: Path) -> None:
    from examples.telegram_bot.users import Users

    users = Users(str(tmp_path / "users.db"))
    users.save(1, Account("alex", "old"))
    users.save(1, Account("alex", "new"))
    assert users.mark(Account("alex", "old"), "refused") == []
    assert users.with_state("new") == {1: Account("alex", "new")}
    assert users.mark(Account("alex", "new"), "good") == [1]
    assert users.mark(Account("alex", "new"), "good") == []
    users.close()
