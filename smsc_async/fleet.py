"""Many accounts at once: drawn as there is room, handed out as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import attrs

from smsc_async.accounts import Account
from smsc_async.limiter.parking import Waiter, new_waiter
from smsc_async.records import Tariffs

__all__ = ["Fleet", "Outcome"]


@attrs.frozen
class Outcome:
    """What came of one account of many: a list or an error.

    Attributes:
        account: Whose.
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


_Start: TypeAlias = Callable[[Callable[[], Awaitable[None]], Callable[[], None]], None]
_LIMITLESS = float("inf")


class Fleet(AsyncIterator[Outcome]):
    """The outcomes of many accounts, as they come.

    Accounts are drawn only when somebody asks for the next outcome, and no more of them than there is room for: what
    is under way and what waits to be taken are never more than ``at_once`` together. So a loop that is left early
    leaves nothing behind but the calls that are under way.

    Args:
        accounts: Whose lists.
        call: Fetches one; raises nothing.
        start: Begins work in a task of its own, and tells when it has ended.
        at_once: How many are under way at most.
    """

    def __init__(
        self,
        accounts: Iterable[Account] | AsyncIterable[Account],
        call: Callable[[Account], Awaitable[Outcome]],
        start: _Start,
        at_once: int,
    ) -> None:
        self._source: Iterator[Account] | None = None
        self._stream: AsyncIterator[Account] | None = None
        if isinstance(accounts, AsyncIterable):
            self._stream = aiter(accounts)
        else:
            self._source = iter(accounts)
        self._call = call
        self._start = start
        self._at_once = at_once
        self._under_way = 0
        self._drawing = False
        self._ready: deque[Outcome] = deque()
        self._fault: Exception | None = None
        self._waiter: Waiter | None = None

    async def __anext__(self) -> Outcome:
        while True:
            self._fill()
            if self._ready:
                return self._ready.popleft()
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            if not self._under_way and not self._drawing:
                raise StopAsyncIteration
            self._waiter = new_waiter()
            await self._waiter.sleep(_LIMITLESS)

    def _fill(self) -> None:
        while self._under_way + len(self._ready) < self._at_once:
            if self._source is not None:
                account = next(self._source, None)
                if account is None:
                    self._source = None
                    return
                self._begin(account)
            else:
                # One at a time, in a task of its own: a slow source must not keep back what is ready.
                if self._stream is not None and not self._drawing:
                    self._drawing = True
                    self._start(self._draw, self._wake)
                return

    def _begin(self, account: Account) -> None:
        outcome = Outcome(account, None, RuntimeError("the client was closed before this account's turn came"))
        told: list[Outcome] = [outcome]

        async def fetch() -> None:
            told[0] = await self._call(account)

        self._under_way += 1
        self._start(fetch, partial(self._ended, told))

    def _ended(self, told: list[Outcome]) -> None:
        self._under_way -= 1
        self._ready.append(told[0])
        self._wake()

    async def _draw(self) -> None:
        assert self._stream is not None
        try:
            self._begin(await anext(self._stream))
        except StopAsyncIteration:
            self._stream = None
        except Exception as error:  # noqa: BLE001  # the source's own, for whoever runs the loop
            self._stream, self._fault = None, error
        finally:
            self._drawing = False

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()
