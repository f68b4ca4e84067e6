"""Many accounts at once: read from their source as there is room, and returned as they are ready."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import attrs

from smsc_async.accounts import Account, account_without_secret
from smsc_async.errors import SmscError
from smsc_async.fetch.call import closed_error
from smsc_async.fetch.interpret import without_traceback
from smsc_async.limiter.waiter import Waiters
from smsc_async.records import Tariffs, checked_type


@attrs.frozen
class Outcome:
    """What came of one account of many: a list or an error.

    Attributes:
        account: The account. After pickling it has its login, but no credential.
        tariffs: The list, or ``None`` where there is an error.
        error: Why there is no list, or ``None``.

    Example:
        >>> from smsc_async import Account, Outcome, QuotaExhausted
        >>> Outcome(Account("alex", "123"), None, QuotaExhausted(42.0)).tariffs is None
        True
    """

    account: Account
    tariffs: Tariffs | None = None
    error: Exception | None = None

    def __copy__(self) -> Outcome:
        return self  # not by __reduce__, which leaves out the credential

    def __deepcopy__(self, memo: dict[int, object]) -> Outcome:
        return self

    def __reduce__(self) -> tuple[Callable[..., Outcome], tuple[object, ...]]:
        return _unpickled, (self.account.login, self.account.uses_api_key, self.tariffs, self.error)


def _unpickled(login: str, uses_api_key: bool, *rest: Any) -> Outcome:  # noqa: FBT001  # the arguments of a pickle
    return Outcome(account_without_secret(login, uses_api_key=uses_api_key), *rest)


_Start: TypeAlias = Callable[[Callable[[], Awaitable[None]], Callable[[], None]], None]


class BulkFetch(AsyncIterator[Outcome]):
    """The outcomes of many accounts, as they come.

    The source is read only when a task waits for the next outcome, and no further than there is room: the calls in
    progress and the outcomes that wait are never more than ``at_once`` together. So a loop that ends early leaves nothing
    behind but its calls in progress.

    Args:
        accounts: Whose lists.
        fetch: Fetches the list of one.
        start: Starts work in a task of its own, and calls a function when it has ended; raises if the client is closed.
        at_once: How many calls are in progress at most.
    """

    def __init__(
        self,
        accounts: Iterable[Account] | AsyncIterable[Account],
        fetch: Callable[[Account], Awaitable[Tariffs]],
        start: _Start,
        at_once: int,
    ) -> None:
        self._source: Iterator[Account] | AsyncIterator[Account] | None = (
            aiter(accounts) if isinstance(accounts, AsyncIterable) else iter(accounts)
        )
        self._fetch = fetch
        self._start = start
        self._at_once = at_once
        self._in_progress = 0
        self._is_reading = False
        self._is_closed = False
        self._ready: deque[Outcome] = deque()
        self._fault: BaseException | None = None
        self._waiters = Waiters()  # one, unless several tasks share the work on the outcomes

    async def __anext__(self) -> Outcome:
        while not self._is_closed:
            self._fill()
            if self._ready:
                return self._ready.popleft()
            if not self._in_progress and not self._is_reading:
                # A fault of the source comes last: the accounts before it are not lost.
                fault, self._fault = self._fault, None
                raise fault or StopAsyncIteration
            with self._waiters.new() as waiter:
                await waiter.wait(math.inf)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration: the source is read no further. Calls in progress go on, and fill the store."""
        self._is_closed = True
        self._ready.clear()
        self._waiters.notify()

    def _fill(self) -> None:
        while self._source is not None and self._in_progress + len(self._ready) < self._at_once:
            if isinstance(self._source, Iterator):
                with self._end_of_source():
                    self._begin(next(self._source))
                continue
            # One at a time, in a task of its own: a slow source must not hold back the outcomes.
            if not self._is_reading:
                self._start(partial(self._read, self._source), self._end_reading)
                self._is_reading = True
            return

    @contextmanager
    def _end_of_source(self) -> Generator[None]:
        try:
            yield
        except (StopIteration, StopAsyncIteration):
            self._source = None
        except Exception as error:  # noqa: BLE001  # the source's own, for the task that runs the loop
            self._source, self._fault = None, error

    async def _read(self, source: AsyncIterator[Account]) -> None:
        with self._end_of_source():
            account = await anext(source)
            if not self._is_closed:
                self._begin(account)

    def _end_reading(self) -> None:
        self._is_reading = False
        self._waiters.notify()

    def _begin(self, account: Account) -> None:
        checked_type("account", account, Account, "an Account, such as Account(login, password)")
        outcome = Outcome(account, None, closed_error())

        async def fetch() -> None:
            nonlocal outcome
            try:
                outcome = Outcome(account, await self._fetch(account))
            except SmscError as error:
                outcome = Outcome(account, None, without_traceback(error))
            except Exception as bug:  # noqa: BLE001  # the other accounts must not be lost with this one
                outcome = Outcome(account, None, bug)
            except (KeyboardInterrupt, SystemExit) as signal:
                self._source, self._fault = None, signal

        def end() -> None:
            self._in_progress -= 1
            if not self._is_closed:
                self._ready.append(outcome)
            self._waiters.notify()

        self._start(fetch, end)
        self._in_progress += 1
