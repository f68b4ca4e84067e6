"""A Telegram bot for many users, each with an SMSC account: prices on request, and a message when a price changes.

Needs the token of a bot. Users log in with their own accounts; to try it, run the simulator, and log in as alex with 123:

smsc-async simulator --port 8025
SMSC_BASE_URL=http://127.0.0.1:8025/sys/ BOT_TOKEN=… python -m examples.telegram_bot.bot
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator

from aiogram import Bot, Dispatcher
from aiogram.exceptions import AiogramError
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from examples.telegram_bot.users import Users
from smsc_async import Account, AuthenticationError, Client, History, Outcome, SmscError, SQLiteStore, Update

log = logging.getLogger(__name__)
DAY = 24 * 3600


async def fetch_all(client: Client, accounts: Iterable[Account]) -> AsyncIterator[Outcome]:
    """Yield the outcome of each account; an account that has to wait for its turn is repeated.

    Only a few untested passwords are tried at the same time, because a fifth wrong one within half an hour would block the
    address. The other accounts get ``TrialsExhausted`` with ``retry_after``: if several passwords are wrong, the first
    pass can take hours.
    """
    pending = list(accounts)
    while pending:
        waiting: dict[Account, float] = {}
        async for outcome in client.tariffs_for(pending):
            error = outcome.error
            if isinstance(error, SmscError) and error.retryable:  # TrialsExhausted, or an outage
                waiting[outcome.account] = 60.0 if error.retry_after is None else error.retry_after
            else:
                yield outcome
        if waiting:
            await asyncio.sleep(max(min(waiting.values()), 1.0))
        pending = list(waiting)


def lines_of(update: Update) -> Iterator[str]:
    """Yield a line for each changed price of an SMS."""
    for change in update.changes:
        if change.price == "api":
            yield f"{change.name}: {change.old or 'new'} → {change.new or 'no price'}"


class PriceBot:
    """The bot: its commands, its nightly pass, and a watch for each chat."""

    def __init__(
        self, bot: Bot, client: Client, users: Users, history: History, *, every: float = 3600, pause: float = 60
    ) -> None:
        self._bot, self._client, self._users, self._history = bot, client, users, history
        self._every, self._pause = every, pause
        self._watches: dict[int, asyncio.Task[None]] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self.dispatcher = Dispatcher()
        self.dispatcher.message.register(self.login, Command("login"))
        self.dispatcher.message.register(self.logout, Command("logout"))
        self.dispatcher.message.register(self.price, Command("price"))

    async def login(self, message: Message, command: CommandObject) -> None:
        """Store the credentials of a chat and test them."""
        words = (command.args or "").split()
        if len(words) != 2:
            await message.answer("Send /login LOGIN PASSWORD")
            return
        account = Account(*words)
        self._users.save(message.chat.id, account)
        self._end_watch(message.chat.id)
        with contextlib.suppress(AiogramError):
            await message.delete()  # the password stays neither in the chat nor on the screen
        task = asyncio.create_task(self.check([account]))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)
        await asyncio.wait([task], timeout=5)
        if self._users.is_new(message.chat.id):
            await message.answer("Saved. The password is tested as soon as possible; you get a message then.")

    async def logout(self, message: Message) -> None:
        """Delete the credentials of a chat."""
        self._users.remove(message.chat.id)
        self._end_watch(message.chat.id)
        await message.answer("Your login and password are deleted.")

    async def price(self, message: Message, command: CommandObject) -> None:
        """Answer ``/price ZONE [OPERATOR]`` from the list of the user's own account."""
        account = self._users.account(message.chat.id)
        words = (command.args or "").split()
        if account is None or len(words) not in {1, 2}:
            await message.answer("Send /login LOGIN PASSWORD first, then /price ZONE or /price ZONE OPERATOR")
            return
        try:
            tariffs = await self._client.tariffs(account, stale_ok=True)
            price = tariffs.price(words[0], operator=words[1] if len(words) == 2 else None)
            answer = f"{tariffs.zone(words[0]).name}: {'no price' if price is None else price.cost}"
        except KeyError:
            answer = "There is no such zone."
        except ValueError:
            answer = "An operator is a number such as 25001."
        except SmscError as error:
            log.warning("no list for chat %s: %s", message.chat.id, error)
            answer = "The list is not available now."
            if error.retry_after is not None:
                answer += f" Ask again in {error.retry_after:.0f} s."
        await message.answer(answer)

    async def check(self, accounts: Iterable[Account]) -> None:
        """Fetch the lists of these accounts; tell their chats which credentials are good and which are refused."""
        async for outcome in fetch_all(self._client, dict.fromkeys(accounts)):
            if outcome.tariffs is not None:
                for chat in self._users.mark(outcome.account, "good"):
                    self._start_watch(chat, outcome.account)
                    await self._send(chat, f"Your account works: {len(outcome.tariffs.zones)} zones.")
            elif isinstance(outcome.error, AuthenticationError):
                await self._refused(outcome.account)
            else:
                log.warning("no list for %s: %s", outcome.account.login, outcome.error)

    async def nightly(self) -> None:
        """Check every account now and once a day: a password may have been changed, or not be tested yet."""
        while True:
            await self.check(self._users.with_state("new", "good").values())
            await asyncio.sleep(DAY)

    def watch_all(self) -> None:
        """Start the watches of all chats after a start of the program."""
        for chat, account in self._users.with_state("good").items():
            self._start_watch(chat, account)

    def _start_watch(self, chat: int, account: Account) -> None:
        self._end_watch(chat)
        self._watches[chat] = asyncio.create_task(self._watch(chat, account))

    def _end_watch(self, chat: int) -> None:
        task = self._watches.pop(chat, None)
        if task is not None:
            task.cancel()

    async def _watch(self, chat: int, account: Account) -> None:
        # The name keeps users apart: the history of a login is shown only to the chat whose password fetched it.
        name = f"{chat} {account.login}"
        updates = self._client.watch(account, every=self._every, history=self._history, name=name)
        try:
            async for update in updates:
                text = "\n".join(lines_of(update))[:4096]  # Telegram takes no longer message
                # Asking for the next update counts this one as reported, so it is sent before.
                while text and not await self._send(chat, text):  # noqa: ASYNC110  # nothing sets an event
                    await asyncio.sleep(self._pause)
        except AuthenticationError:
            await self._refused(account)
        finally:
            await updates.aclose()  # another watch of the chat may report a change that was not sent

    async def _refused(self, account: Account) -> None:
        for chat in self._users.mark(account, "refused"):
            await self._send(chat, "The service refused your login or password. Send /login LOGIN PASSWORD again.")

    async def _send(self, chat: int, text: str) -> bool:
        try:
            await self._bot.send_message(chat, text)
        except AiogramError as error:
            log.warning("chat %s: %s", chat, error)
            return False
        return True

    async def aclose(self) -> None:
        """End the watches and checks."""
        tasks = [*self._checks, *self._watches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    """Run the bot until it is stopped."""
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    folder = os.environ.get("BOT_FOLDER", ".")
    store = SQLiteStore(f"{folder}/tariffs.db")  # a crash loop neither uses up the quota nor repeats a wrong password
    users, history = Users(f"{folder}/users.db"), History(f"{folder}/history.db")
    bot = Bot(os.environ["BOT_TOKEN"])
    try:
        async with Client(base_url=base_url, store=store, max_age=300) as client:
            prices = PriceBot(bot, client, users, history)
            prices.watch_all()
            nightly = asyncio.create_task(prices.nightly())
            try:
                await prices.dispatcher.start_polling(bot)  # pyright: ignore[reportUnknownMemberType]  # its **kwargs
            finally:
                nightly.cancel()
                await prices.aclose()
    finally:
        users.close()
        await store.aclose()


if __name__ == "__main__":
    asyncio.run(main())
