"""A Telegram bot: ``/price 1`` answers with a price, and a chat is told when prices change.

BOT_TOKEN=… WATCHING_CHAT=4711 SMSC_LOGIN=alex SMSC_PASSWORD=123 python -m examples.telegram_bot.bot
"""

import asyncio
import logging
import os
from collections.abc import Iterator

from aiogram import Bot, Dispatcher
from aiogram.exceptions import AiogramError
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from smsc_async import Account, Client, History, QuotaExhausted, SmscError, SQLiteStore, Update

log = logging.getLogger(__name__)


async def price(message: Message, command: CommandObject, client: Client) -> None:
    """Answer ``/price ZONE``."""
    if not command.args:
        await message.answer("Which zone? For example: /price 1")
        return
    try:
        # However many chats ask at the same time: one request, and its answer is good for five minutes.
        line = (await client.tariffs()).zone(command.args.strip())
    except KeyError:
        answer = "There is no such zone."
    except QuotaExhausted as error:
        answer = f"Too many questions at the moment. Ask again in {error.retry_after:.0f} s."
    except SmscError as error:
        log.warning("no tariff list: %s", error)
        answer = "The tariff list cannot be had at the moment."
    else:
        answer = f"{line.name}: {'no price' if line.api is None else line.api}"
    await message.answer(answer)


def lines_of(update: Update) -> Iterator[str]:
    """Yield a line for each price of an SMS that is another."""
    for change in update.changes:
        if change.price == "api":
            yield f"{change.name}: {change.old or 'new'} → {change.new or 'no price'}"


async def watch(bot: Bot, client: Client, history: History, *, chat: int, every: float, pause: float = 60) -> None:
    """Tell the chat what has changed, for ever; with the history also what has while the bot was not running."""
    async for update in client.watch(every=every, history=history):
        if update.error is not None:
            log.warning("no tariff list: %s", update.error)
        lines = list(lines_of(update))
        while lines:
            try:
                await bot.send_message(chat, "\n".join(lines)[:4096])  # no longer message is taken
                break  # asking for the next update says that this one was told
            except AiogramError as error:
                log.warning("not told: %s", error)
            await asyncio.sleep(pause)


def dispatcher_of(client: Client) -> Dispatcher:
    """Return what answers the bot's messages; aiogram passes ``client`` to whoever names it."""
    dispatcher = Dispatcher(client=client)
    dispatcher.message.register(price, Command("price"))
    return dispatcher


async def main() -> None:
    """Run the bot until it is stopped."""
    store = SQLiteStore(os.environ.get("TARIFFS_DB", "tariffs.db"))  # a crash loop does not use up the quota
    history = History(os.environ.get("HISTORY_DB", "history.db"))  # nor does it lose a change
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    bot = Bot(os.environ["BOT_TOKEN"])
    try:
        async with Client(Account.from_env(), base_url=base_url, store=store, max_age=300) as client:
            chat = int(os.environ["WATCHING_CHAT"])
            watching = asyncio.create_task(watch(bot, client, history, chat=chat, every=900))
            try:
                await dispatcher_of(client).start_polling(bot)  # pyright: ignore[reportUnknownMemberType]  # its **kwargs
            finally:
                watching.cancel()
    finally:
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(main())
