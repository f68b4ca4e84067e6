"""Many accounts at once: drawn as there is room, handed out as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import attrs

from smsc_async.accounts import Account, account_without_secret
from smsc_async.errors import SmscError
from smsc_async.fetch.call import closed_error
from smsc_async.fetch.interpret import without_traceback
from smsc_async.limiter.waiter import Waiter, new_waiter
from smsc_async.records import Tariffs


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
_LIMITLESS = float("inf")


class BulkFetch(AsyncIterator[Outcome]):
    """The outcomes of many accounts, as they come.

    Accounts are drawn only when somebody asks for the next outcome, and no more of them than there is room for: what
    is under way and what waits to be taken are never more than ``at_once`` together. So a loop that is left early
    leaves nothing behind but the calls that are under way.

    Args:
        accounts: Whose lists.
        fetch: Fetches the list of one.
        start: Begins work in a task of its own, and tells when it has ended; raises where the client is closed.
        at_once: How many are under way at most.
    """

    def __init__(
        self,
        accounts: Iterable[Account] | AsyncIterable[Account],
        fetch: Callable[[Account], Awaitable[Tariffs]],
        start: _Start,
        at_once: int,
    ) -> None:
        self._source: Iterator[Account] | None = None
        self._stream: AsyncIterator[Account] | None = None
        if isinstance(accounts, AsyncIterable):
            self._stream = aiter(accounts)
        else:
            self._source = iter(accounts)
        self._fetch = fetch
        self._start = start
        self._at_once = at_once
        self._under_way = 0
        self._drawing = False
        self._is_closed = False
        self._ready: deque[Outcome] = deque()
        self._fault: BaseException | None = None
        self._waiters: set[Waiter] = set()  # one, unless several tasks share the work on the outcomes

    async def __anext__(self) -> Outcome:
        while not self._is_closed:
            self._fill()
            if self._ready:
                return self._ready.popleft()
            if not self._under_way and not self._drawing:
                # A fault of the source comes last: what was drawn before it is not lost.
                fault, self._fault = self._fault, None
                raise fault or StopAsyncIteration
            waiter = new_waiter()
            self._waiters.add(waiter)
            try:
                await waiter.wait(_LIMITLESS)
            finally:
                self._waiters.remove(waiter)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration: no account is drawn any more. Calls in progress go on, and fill the store."""
        self._is_closed = True
        self._ready.clear()
        self._wake()

    def _fill(self) -> None:
        while self._under_way + len(self._ready) < self._at_once:
            if self._source is not None:
                try:
                    self._begin(next(self._source))
                except StopIteration:
                    self._source = None
                except Exception as error:  # noqa: BLE001  # the source's own, for whoever runs the loop
                    self._source, self._fault = None, error
            else:
                # One at a time, in a task of its own: a slow source must not keep back what is ready.
                if self._stream is not None and not self._drawing:
                    self._start(self._draw, self._drawn)
                    self._drawing = True
                return

    def _begin(self, account: Account) -> None:
        if not isinstance(account, Account):  # pyright: ignore[reportUnnecessaryIsInstance]  # of those who have no type checker
            raise TypeError(
                f"tariffs_for() takes accounts such as Account(login, password), not {type(account).__name__}"
            )
        told = [Outcome(account, None, closed_error())]

        async def fetch() -> None:
            try:
                told[0] = Outcome(account, await self._fetch(account))
            except SmscError as error:
                told[0] = Outcome(account, None, without_traceback(error))
            except Exception as bug:  # noqa: BLE001  # the other accounts must not be lost with this one
                told[0] = Outcome(account, None, bug)
            except (KeyboardInterrupt, SystemExit) as signal:
                self._source, self._stream, self._fault = None, None, signal

        self._start(fetch, partial(self._ended, told))
        self._under_way += 1

    def _ended(self, told: list[Outcome]) -> None:
        self._under_way -= 1
        if not self._is_closed:
            self._ready.append(told[0])
        self._wake()

    async def _draw(self) -> None:
        assert self._stream is not None
        try:
            account = await anext(self._stream)
            if not self._is_closed:
                self._begin(account)
        except StopAsyncIteration:
            self._stream = None
        except Exception as error:  # noqa: BLE001  # the source's own, for whoever runs the loop
            self._stream, self._fault = None, error

    def _drawn(self) -> None:
        self._drawing = False
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.notify()
