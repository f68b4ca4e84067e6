"""A tariff list looked at again and again: each change told once, whatever happens meanwhile.

The order is the promise. A round records the list that came, on the disk, before anybody is told of a change in it; and
a change counts as reported only when whoever was given it comes back for more. So a process that is killed between the
two tells at most that one change again, and none is lost: after a restart all that was recorded and not reported comes
first, and the next list is compared with the last one that was.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.analysis.diff import Change, diff
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.errors import AuthenticationError, ParameterError, SmscError, StoreError
from smsc_async.history import History
from smsc_async.limiter.clock import now
from smsc_async.protocol import key_label
from smsc_async.records import Tariffs

__all__ = ["Rounds", "Schedule", "Update", "Watch", "Watcher", "checked_every", "name_of"]

# After a round that failed, where the next one is further away.
RETRY_SECONDS: Final = 300.0
# Of the time between rounds, by which watches that begin together part.
_SPREAD: Final = 0.1

Fetch: TypeAlias = Callable[[], Awaitable[Tariffs]]


@attrs.frozen
class Update:
    """What a watch has to tell: that the list of an account has changed, or that a round has failed.

    Attributes:
        account: Whose list, by the name under which it is watched.
        before: The list that the changes are compared with; ``None`` where there is an error.
        snapshot: The list in which they are; ``None`` where there is an error.
        changes: What changed, as ``diff()`` tells it; empty where there is an error.
        error: Why a round has failed, or ``None``. The watch goes on.

    Example:
        >>> from smsc_async import QuotaExhausted, Update
        >>> update = Update("alex", error=QuotaExhausted(42.0))
        >>> update.changes, update.error.retryable
        ((), True)
    """

    account: str
    before: Snapshot | None = None
    snapshot: Snapshot | None = None
    changes: tuple[Change, ...] = ()
    error: SmscError | None = None


@attrs.frozen
class Schedule:
    """When the rounds are: the first at once, the others at fixed instants, however long a round or a consumer takes.

    Attributes:
        first: The instant of the first round.
        every: Seconds between rounds.
        phase: Seconds by which the others are later: another number for each watch.
    """

    first: float
    every: float
    phase: float

    def after(self, instant: float) -> float:
        """Return the instant of the next round: one, however many were slept through."""
        start = self.first + self.phase
        return start + max(1, math.floor((instant - start) / self.every) + 1) * self.every


class Watcher:
    """The rounds of one account, and what of them is not reported yet.

    Args:
        account: The name under which the account is watched.
        fetch: Fetches its list.
        history: Where lists and marks are kept; ``None`` for this object's memory alone.
        reader: Whose marks.
    """

    def __init__(self, account: str, fetch: Fetch, history: History | None, reader: str) -> None:
        self.account: str = account
        self.unreported: deque[Update] = deque()
        self._fetch = fetch
        self._history = history
        self._reader = reader
        self._begun = False
        self._latest: Snapshot | None = None
        self._to_mark: Snapshot | None = None

    @property
    def is_new(self) -> bool:
        """Whether there is no list yet that the next one can be compared with."""
        return self._latest is None

    async def begin(self) -> None:
        """Find what the history has that was not reported; does so once.

        A reader without a mark begins with the last list that there is.

        Raises:
            StoreError: The history cannot be used.
        """
        if self._begun or self._history is None:
            return
        mark = await self._history.reported(self.account, reader=self._reader)
        if mark is None:
            self._latest = self._to_mark = await self._history.last(self.account)
        else:
            self._latest = mark
            for period in await self._history.periods(self.account, since=mark.taken_at):
                self._compare(Snapshot(self.account, period.since, period.tariffs))
        self._begun = True

    async def round(self) -> Snapshot:
        """Fetch the list, record it, and put what has changed at the end of what is unreported.

        Raises:
            SmscError: The list did not come, or could not be recorded: nothing is changed.
        """
        await self.begin()
        await self._mark()
        tariffs = await self._fetch()
        assert tariffs.fetched_at is not None  # it was fetched
        snapshot = Snapshot(self.account, await self._after_the_last(tariffs.fetched_at), tariffs)
        if self._history is not None:
            await self._history.add(snapshot)
        self._compare(snapshot)
        # The first list of a reader is nothing to report, and what the next one is compared with.
        with contextlib.suppress(StoreError):
            await self._mark()
        return snapshot

    async def reported(self) -> None:
        """Note that the first of what is unreported was reported.

        Raises:
            StoreError: It could not be noted: it is tried again before the next round.
        """
        self._to_mark = self.unreported.popleft().snapshot
        await self._mark()

    async def _mark(self) -> None:
        if self._to_mark is not None and self._history is not None:
            await self._history.mark_reported(self._to_mark, reader=self._reader)
        self._to_mark = None

    async def _after_the_last(self, taken_at: datetime) -> datetime:
        """Return the instant, or the first one after the last snapshot where the clock has been set back since.

        Filed before it, a list would seem to be the older one to whoever reads the history: it would be told twice.
        """
        last = self._latest if self._history is None else await self._history.last(self.account)
        if last is None or taken_at >= last.taken_at or last.taken_at <= datetime.now(UTC):
            return taken_at
        return last.taken_at + timedelta(microseconds=1)

    def _compare(self, snapshot: Snapshot) -> None:
        before, self._latest = self._latest, snapshot
        if before is None:
            self._to_mark = snapshot
            return
        changes = diff(before.tariffs, snapshot.tariffs)
        if changes:
            self.unreported.append(Update(self.account, before, snapshot, changes))


class Rounds:
    """The rounds of a watcher, each when its time has come.

    Args:
        watcher: Whose rounds.
        every: Seconds between them.
    """

    def __init__(self, watcher: Watcher, every: float) -> None:
        self._watcher = watcher
        self._every = every
        self._schedule: Schedule | None = None
        self._due = 0.0

    async def next(self) -> Snapshot | SmscError:
        """Wait for the next round and make it; return its list, or why it has none.

        Raises:
            SmscError: There will not be one either without somebody doing something.
        """
        if self._schedule is None:
            phase = random.uniform(0.0, _SPREAD * self._every)  # noqa: S311  # spreads load; no secret hangs on it
            self._schedule = Schedule(now(), self._every, phase)
        else:
            await anyio.sleep(max(0.0, self._due - now()))
        try:
            snapshot = await self._watcher.round()
        except SmscError as error:
            if _is_final(error):
                raise
            failed = error
        else:
            self._due = self._after(self._schedule)
            return snapshot
        self._due = min(self._after(self._schedule), now() + RETRY_SECONDS)
        return failed

    def _after(self, schedule: Schedule) -> float:
        # A timer may ring a hair early: the round that it was for is over all the same.
        return schedule.after(max(now(), self._due))


class Watch(AsyncIterator[Update]):
    """What ``Client.watch()`` returns: the updates of one account, for one consumer.

    Args:
        watcher: What to watch with.
        every: Seconds between rounds.
    """

    def __init__(self, watcher: Watcher, every: float) -> None:
        self._watcher = watcher
        self._rounds = Rounds(watcher, every)
        self._given = False
        self._is_closed = False

    async def aclose(self) -> None:
        """End the iteration, from the task of the consumer. The last change that it was given stays unreported."""
        self._is_closed = True

    async def __anext__(self) -> Update:
        if self._is_closed:
            raise StopAsyncIteration
        if self._given:
            # Whoever was given the last change has come back: it is reported.
            self._given = False
            with contextlib.suppress(StoreError):  # the next round tries again, and tells of it
                await self._watcher.reported()
        await self._watcher.begin()
        while not self._watcher.unreported:
            came = await self._rounds.next()
            if isinstance(came, SmscError):
                return Update(self._watcher.account, error=came)
        self._given = True
        return self._watcher.unreported[0]


def name_of(account: Account, name: str | None) -> str:
    """Return the name under which an account is watched.

    Raises:
        ValueError: None is given and there is no login: the label of an API key is a digest of it.
    """
    if name is None and account.uses_api_key and account.login == key_label(account.secret.reveal()):
        raise ValueError(
            'under which name? Pass name=… to watch(), or the login to Account.with_api_key(key, name="…")'
        )
    return account.login if name is None else name


def checked_every(seconds: float) -> float:
    """Return a time between rounds.

    Raises:
        ValueError: It is out of its range.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"every={seconds}: must be a finite number of seconds, more than 0")
    return seconds


def _is_final(error: SmscError) -> bool:
    """Whether only the user can help: the service does not know the credentials, or the login is not one."""
    return isinstance(error, AuthenticationError | ParameterError)
