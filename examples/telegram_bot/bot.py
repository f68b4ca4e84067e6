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

from smsc_async import Account, Client, QuotaExhausted, SmscError, SQLiteStore, Tariffs

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


def changes(old: Tariffs, new: Tariffs) -> Iterator[str]:
    """Yield a line for each zone whose price of an SMS is another."""
    before = {each.zone: each.api for each in old.zones}
    for each in new.zones:
        if before.get(each.zone) != each.api:
            yield f"{each.name}: {before.get(each.zone, 'new')} → {each.api}"


async def watch(bot: Bot, client: Client, *, chat: int, every: float) -> None:
    """Tell the chat what has changed, for ever; a failure is logged and the next round goes on from the last list."""
    last: Tariffs | None = None
    while True:
        try:
            new = await client.tariffs(max_age=0)
            lines = list(changes(last or new, new))
            if lines:
                await bot.send_message(chat, "\n".join(lines)[:4096])  # no longer message is taken
            last = new  # only now: what could not be told is told in the next round
        except (SmscError, AiogramError) as error:
            log.warning("nothing to tell: %s", error)
        await asyncio.sleep(every)


def dispatcher_of(client: Client) -> Dispatcher:
    """Return what answers the bot's messages; aiogram passes ``client`` to whoever names it."""
    dispatcher = Dispatcher(client=client)
    dispatcher.message.register(price, Command("price"))
    return dispatcher


async def main() -> None:
    """Run the bot until it is stopped."""
    store = SQLiteStore(os.environ.get("TARIFFS_DB", "tariffs.db"))  # a crash loop does not use up the quota
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    bot = Bot(os.environ["BOT_TOKEN"])
    try:
        async with Client(Account.from_env(), base_url=base_url, store=store, max_age=300) as client:
            watching = asyncio.create_task(watch(bot, client, chat=int(os.environ["WATCHING_CHAT"]), every=900))
            try:
                await dispatcher_of(client).start_polling(bot)  # pyright: ignore[reportUnknownMemberType]  # its **kwargs
            finally:
                watching.cancel()
    finally:
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(main())
