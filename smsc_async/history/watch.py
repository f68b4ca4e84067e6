"""Accounts whose lists are fetched again and again: each change is reported once, whatever happens meanwhile.

The order is the promise. A round records the list on the disk before a change in it is reported; a change counts as reported
only after its consumer has requested the next one. So a process that is killed in between repeats at most that one change,
under the same event id, and loses none: the next process compares what was recorded with what was reported.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.analysis.diff import Change, diff
from smsc_async.analysis.filters import ChangeFilter, with_old_prices
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.errors import AuthenticationError, SmscError, StoreError
from smsc_async.history import History
from smsc_async.history.archive import instant_after
from smsc_async.history.deliveries import Deliveries, Progress
from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs, checked_type

# After a failed round, if the next one is further away.
RETRY_SECONDS: Final = 300.0
# The longest time for which a receiver may ask not to be tried again.
POSTPONE_SECONDS: Final = 3600.0
# The part of the interval over which watches that begin together are spread.
_SPREAD: Final = 0.1

Fetch: TypeAlias = Callable[[], Awaitable[Tariffs]]


@attrs.frozen
class Update:
    """A change in the list of a watched account, or the failure of a round.

    Attributes:
        account: The name under which the account is watched.
        before: The list that the changes are compared with; ``None`` if there is an error.
        snapshot: The list with the changes; ``None`` if there is an error.
        changes: The changes, as ``diff()`` returns them; empty if there is an error.
        error: Why a round failed, or ``None``. The watch goes on.
        event_id: The same text whenever this change of this account is reported, to any reader; empty for an error.

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
    event_id: str = ""


@attrs.frozen
class Schedule:
    """The instants of rounds: fixed, however long a round or a consumer takes.

    Attributes:
        start: The instant from which they are counted: another one for each watch.
        every: Seconds between rounds.
    """

    start: float
    every: float

    def after(self, instant: float) -> float:
        """Return the instant of the next round: one, however many were slept through."""
        due = self.start + max(1, math.floor((instant - self.start) / self.every) + 1) * self.every
        # The rounding of the quotient can lead to the instant itself, and the round would repeat at once.
        return due if due > instant else due + self.every

    def after_failure(self, instant: float) -> float:
        """Return the instant of the round after one that failed."""
        return min(self.after(instant), instant + RETRY_SECONDS)


class _InMemory:
    """The lists that a watch without a history has seen: in place of ``History`` and ``Deliveries``."""

    def __init__(self) -> None:
        self._mark: Snapshot | None = None
        self._later: deque[Snapshot] = deque()

    async def record(self, snapshot: Snapshot, *, credentials: Account | None) -> Snapshot | None:  # noqa: ARG002  # as History
        last = self._later[-1] if self._later else self._mark
        taken_at = instant_after(last, snapshot.taken_at)
        if taken_at is not None:
            self._later.append(attrs.evolve(snapshot, taken_at=taken_at))
        return last

    def deliveries(self, *_: object, **__: object) -> _InMemory:
        return self

    async def claim(self, _first: object) -> Progress:
        return Progress(self._mark, tuple(self._later))

    async def mark(self, snapshot: Snapshot) -> None:
        self._mark = snapshot
        while self._later and self._later[0].taken_at <= snapshot.taken_at:
            self._later.popleft()

    async def postpone(self, until: datetime) -> None:
        """Do nothing: only the commands postpone, and they have a history."""

    def release(self) -> None:
        pass


class Recorder:
    """The rounds of one account: fetches its list and records it.

    Args:
        account: The name under which the account is watched.
        fetch: Fetches the list.
        history: Where lists are recorded, or ``None`` for this object's memory.
        credentials: The account that the lists are bound to.
    """

    def __init__(self, account: str, fetch: Fetch, history: History | None, credentials: Account | None = None) -> None:
        self.account: str = account
        self.before: Snapshot | None = None
        """The list before the one that the last round fetched."""
        self.first: Snapshot | None = None
        """The first list that a round recorded."""
        self._fetch = fetch
        self._lists = history or _InMemory()
        self._credentials = credentials

    def reader(self, name: str, changes: ChangeFilter | None = None, *, target: str = "") -> Reader:
        """Return a reader of the changes that this object records, with a state of its own for each target."""
        checked_type("reader", name, str, "a text")
        lists = self._lists.deliveries(self.account, reader=name, target=target, credentials=self._credentials)
        return Reader(self, lists, changes or ChangeFilter())

    async def round(self) -> Snapshot:
        """Fetch the list, record it and return it.

        Raises:
            SmscError: The list was not fetched or not recorded.
        """
        tariffs = await self._fetch()
        assert tariffs.fetched_at is not None  # it was fetched
        snapshot = Snapshot(self.account, tariffs.fetched_at, tariffs)
        self.before = await self._lists.record(snapshot, credentials=self._credentials)
        self.first = self.first or snapshot
        return snapshot


class Reader:
    """The changes of one account, one after the other, each once for all processes that read under this name.

    Args:
        recorder: Makes the rounds of the account.
        lists: What was reported, and what was not.
        changes: Which changes are reported.
    """

    def __init__(self, recorder: Recorder, lists: Deliveries | _InMemory, changes: ChangeFilter) -> None:
        self.account: str = recorder.account
        self.retry_in: float | None = None
        """Seconds for which the receiver of a change must not be tried again, as of the last ``next()``."""
        self._recorder = recorder
        self._lists = lists
        self._changes = changes
        self._update: Update | None = None
        self._after: Snapshot | None = None  # what the next list is compared with once the update is reported
        self._unmarked: Snapshot | None = None

    async def next(self) -> Update | None:
        """Return the first change that was not reported, and hold it until ``reported()`` or ``release()``.

        A new reader begins with the last list that there is, or with the first one of its recorder's rounds: the changes
        after that are reported even if a slow disk or a slow consumer delays the first call.

        Returns:
            The change; ``None`` if there is none, if another process holds it, or if its receiver is not to be tried yet.

        Raises:
            StoreError: The history cannot be used.
        """
        if self._update is None:
            await self._mark()
            progress = await self._lists.claim(lambda: self._recorder.first)
            try:
                if progress is not None:
                    await self._read(progress)
            except anyio.get_cancelled_exc_class():
                self.release()  # the caller does not get the change
                raise
        return self._update

    async def reported(self) -> None:
        """Record that the change was reported; do nothing without a change.

        Raises:
            StoreError: It could not be recorded: ``next()`` tries again before it returns another change.
        """
        if self._update is not None:
            self._unmarked, self._update = self._after, None
            await self._mark()

    async def postpone(self, seconds: float) -> None:
        """Release the change, and have ``next()`` return nothing for some seconds, in every process.

        Raises:
            StoreError: It could not be recorded.
        """
        self._update = None
        try:
            await self._lists.postpone(datetime.now(UTC) + timedelta(seconds=min(seconds, POSTPONE_SECONDS)))
        finally:
            self.release()

    def release(self) -> None:
        """Let others report the change."""
        self._update = self._unmarked = None
        self._lists.release()

    async def _read(self, progress: Progress) -> None:
        wait = (progress.retry_at - datetime.now(UTC)).total_seconds() if progress.retry_at else 0.0
        # Longer than the limit: the clock was set back.
        self.retry_in = wait if 0 < wait <= POSTPONE_SECONDS else None
        mark = progress.mark or next(iter(progress.later), None)
        for snapshot in progress.later if self.retry_in is None else ():
            if mark and snapshot.taken_at > mark.taken_at:
                changes = diff(mark.tariffs, snapshot.tariffs)
                reported, small = self._changes.split(changes)
                self._after = attrs.evolve(snapshot, tariffs=with_old_prices(snapshot.tariffs, small))
                if reported:
                    self._update = Update(
                        self.account, mark, snapshot, reported, event_id=_event_id(self.account, snapshot.taken_at)
                    )
                    return
                if changes:
                    mark = self._after
        if mark is not None and mark is not progress.mark:
            # If this fails, the lists that are no news are read again.
            with contextlib.suppress(StoreError):
                await self._lists.mark(mark)
        self.release()

    async def _mark(self) -> None:
        if self._unmarked is not None:
            await self._lists.mark(self._unmarked)
            self._unmarked = None
            self.release()


class Rounds:
    """The rounds of a recorder, each when its time has come.

    Args:
        recorder: Makes them.
        every: Seconds between them.
        phase: Seconds by which all but the first are later; ``None`` for a random part of ``every``.
    """

    def __init__(self, recorder: Recorder, every: float, phase: float | None = None) -> None:
        self._recorder = recorder
        self._every = every
        self._phase = random.uniform(0.0, _SPREAD * every) if phase is None else phase  # noqa: S311  # spreads load; no secret depends on it
        self._schedule: Schedule | None = None
        self._due = 0.0

    async def next(self) -> Snapshot:
        """Wait for the next round and make it; return its list.

        Raises:
            SmscError: The round failed.
        """
        if self._schedule is None:
            self._schedule = Schedule(now() + self._phase, self._every)
        else:
            await anyio.sleep(max(0.0, self._due - now()))
        try:
            snapshot = await self._recorder.round()
        except Exception:
            self._due = self._schedule.after_failure(max(now(), self._due))
            raise
        # A timer may ring a hair early: its round is over all the same.
        self._due = self._schedule.after(max(now(), self._due))
        return snapshot


class Watch(AsyncIterator[Update]):
    """The updates of one account, for one consumer; ``Client.watch()`` returns it.

    Args:
        recorder: Makes the rounds.
        reader: Reads the changes.
        every: Seconds between rounds.
    """

    def __init__(self, recorder: Recorder, reader: Reader, every: float) -> None:
        self._reader = reader
        self._rounds = Rounds(recorder, every)
        self._round_is_next = False
        self._ended = False

    async def __anext__(self) -> Update:
        if self._ended:
            raise StopAsyncIteration
        # The consumer requests the next update: a change that was given last is reported.
        with contextlib.suppress(StoreError):  # the next look tries again, and reports the error
            await self._reader.reported()
        try:
            while True:
                if self._round_is_next:
                    # If it fails, the changes that others have recorded are looked for all the same.
                    self._round_is_next = False
                    await self._rounds.next()
                # An error of the history leads to the next round, which waits: no loop without a pause.
                self._round_is_next = True
                update = await self._reader.next()
                if update is not None:
                    self._round_is_next = False
                    return update
        except AuthenticationError:
            await self.aclose()
            raise
        except SmscError as error:
            return Update(self._reader.account, error=error)

    async def aclose(self) -> None:
        """End the iteration; a change that was given last is not reported, and comes again in the next watch."""
        self._ended = True
        self._reader.release()


def watch_account(
    fetch: Callable[[Account], Awaitable[Tariffs]],
    account: Account,
    *,
    every: float,
    history: History | None,
    name: str | None,
    reader: str,
) -> Watch:
    """Return the watch of one account.

    Raises:
        ValueError: There is no name for it.
        TypeError: ``history`` is no history.
    """
    recorder = new_recorder(fetch, account, history, name)
    return Watch(recorder, recorder.reader(reader), every)


def new_recorder(
    fetch: Callable[[Account], Awaitable[Tariffs]], account: Account, history: History | None, name: str | None
) -> Recorder:
    """Return a recorder whose lists are bound to the account, under a name or its login.

    Raises:
        ValueError: No name is given and there is no login: the label of an API key may be that of another one.
        TypeError: ``history`` is no history.
    """
    if history is not None:
        checked_type("history", history, History, "a History, such as History(path)")
    if name is not None:
        checked_type("name", name, str, "a text, such as the login")
    if name is None and account.quota_login != account.login:
        raise ValueError(
            "under which name? Pass name=… to watch(), a mapping of names to watch_for(), or the login to "
            'Account.with_api_key(key, name="…")'
        )
    return Recorder(account.login if name is None else name, partial(fetch, account), history, account)


def _event_id(account: str, taken_at: datetime) -> str:
    text = f"{account}\0{taken_at.astimezone(UTC).isoformat()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
