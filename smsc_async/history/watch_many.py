"""Many watched accounts in one iteration, their rounds spread over the interval."""

from __future__ import annotations

import contextlib
import heapq
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from itertools import repeat
from typing import Final, TypeAlias, cast

import anyio

from smsc_async.accounts import Account
from smsc_async.arguments import check_accounts, checked_account
from smsc_async.errors import AuthenticationError, SmscError, StoreError
from smsc_async.history import History
from smsc_async.history.watch import Reader, Recorder, Schedule, Update, new_recorder
from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs

# Rounds in progress at the same time, as in `tariffs_for()`.
_AT_ONCE: Final = 50

Start: TypeAlias = Callable[[Callable[[], Awaitable[None]], Callable[[], None]], None]


class WatchMany(AsyncIterator[Update]):
    """The updates of many accounts, for one consumer; ``Client.watch_for()`` returns it.

    The rounds of n accounts are spread over the interval: one begins every ``every / n`` seconds. An account whose
    credentials are refused comes as an update with the error, once, and is not watched any more; the iteration ends after
    the last of them.

    Args:
        recorders: One for each account.
        reader: The name of the reader.
        every: Seconds between the rounds of an account.
        start: Begins work in a task of its own and calls back when it has ended; raises if the client is closed.
    """

    def __init__(self, recorders: Iterable[Recorder], reader: str, every: float, start: Start) -> None:
        self._recorders = tuple(recorders)
        self._readers = tuple(recorder.reader(reader) for recorder in self._recorders)
        self._every = every
        self._start = start
        self._schedules: list[Schedule] = []
        self._due: list[tuple[float, int]] = []  # a heap of instants and places in the lists above
        self._running = 0
        self._ready: deque[BaseException | Update | Reader] = deque()
        self._given: Reader | None = None
        self._ended = False
        self._wake: anyio.Event | None = None

    async def __anext__(self) -> Update:
        if not self._schedules:
            step = self._every / max(1, len(self._recorders))
            self._schedules = [Schedule(now() + place * step, self._every) for place in range(len(self._recorders))]
            self._due = [(schedule.start, place) for place, schedule in enumerate(self._schedules)]
        if self._given is not None:
            reader, self._given = self._given, None
            with contextlib.suppress(StoreError):  # the next look tries again, and reports the error
                await reader.reported()
        while not self._ended:
            self._begin_rounds()
            if self._ready:
                update = await self._take(self._ready[0])
                if update is not None:
                    return update
            elif self._due or self._running:
                await self._wait()
            else:
                break
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration; a change that was given last is not reported, and comes again in the next watch."""
        self._ended = True
        for reader in self._readers:
            reader.release()

    def _begin_rounds(self) -> None:
        while self._due and self._due[0][0] <= now() and self._running < _AT_ONCE:
            place = self._due[0][1]
            outcome: list[BaseException | None] = [None]
            self._start(partial(_round, self._recorders[place], outcome), partial(self._finish, place, outcome))
            heapq.heappop(self._due)
            self._running += 1

    def _finish(self, place: int, outcome: list[BaseException | None]) -> None:
        self._running -= 1
        error, reader, schedule = outcome[0], self._readers[place], self._schedules[place]
        if error is not None:
            self._ready.append(Update(reader.account, error=error) if isinstance(error, SmscError) else error)
        if not isinstance(error, AuthenticationError):
            heapq.heappush(self._due, (schedule.after_failure(now()) if error else schedule.after(now()), place))
            # What others have recorded is reported also if this round failed.
            self._ready.append(reader)
        assert self._wake is not None  # rounds begin just before the first wait
        self._wake.set()

    async def _take(self, item: BaseException | Update | Reader) -> Update | None:
        """Return the update that comes of the first item, which stays if it is a reader with a change."""
        update = item if isinstance(item, Update) else None
        if isinstance(item, Reader):
            try:
                update = await item.next()
            except StoreError as error:
                update = Update(item.account, error=error)
            else:
                self._given = None if update is None else item
        if self._given is None:
            self._ready.popleft()
        if isinstance(item, BaseException):
            raise item
        return update

    async def _wait(self) -> None:
        self._wake = anyio.Event()
        seconds = self._due[0][0] - now() if self._due and self._running < _AT_ONCE else None
        with anyio.move_on_after(seconds):
            await self._wake.wait()


async def _round(recorder: Recorder, outcome: list[BaseException | None]) -> None:
    try:
        await recorder.round()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001  # for the consumer: no task can raise these
        outcome[0] = error


def watch_accounts(
    fetch: Callable[[Account], Awaitable[Tariffs]],
    accounts: Iterable[Account] | Mapping[str, Account],
    *,
    every: float,
    history: History | None,
    reader: str,
    start: Start,
) -> WatchMany:
    """Return the watch of many accounts, each under its name or its login.

    Raises:
        ValueError: There is no name for one of them.
        TypeError: ``history`` is no history, or one of the accounts is no account.
    """
    check_accounts(accounts, "watch_for() takes many accounts, such as a list; for one there is watch()")
    is_named = isinstance(accounts, Mapping)
    named = cast("Mapping[str, Account]", accounts).items() if is_named else zip(repeat(None), dict.fromkeys(accounts))
    recorders: list[Recorder] = []
    for name, account in named:
        recorders.append(new_recorder(fetch, checked_account(account, "watch_for"), history, name))
    return WatchMany(recorders, reader, every, start)
