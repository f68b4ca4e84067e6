"""What a program has in hand: a client of the service.

Invariant: no task group or cancel scope stays open between ``__aenter__`` and ``__aexit__``.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from smsc_async.accounts import Account
from smsc_async.fetch.bulk import BulkFetch, Outcome
from smsc_async.fetch.call import Calls
from smsc_async.fetch.lockout import breakers_of
from smsc_async.fetch.sessions import Sessions, transport_factory
from smsc_async.http.connections import Connections
from smsc_async.http.limited_transport import AsyncTransport, LimitedTransport
from smsc_async.limiter.quota import SERVICE_QUOTA, Quota
from smsc_async.protocol import endpoint, reserve_endpoint, service_of
from smsc_async.records import Format, Tariffs
from smsc_async.stores import Store, default_store
from smsc_async.telemetry.events import OnEvent, Telemetry
from smsc_async.telemetry.statistics import Statistics

if TYPE_CHECKING:
    from smsc_async.history import History
    from smsc_async.history.watch import Watch

__all__ = ["Client"]


class Client:
    """Fetches tariff lists.

    One for an application, whatever the number of accounts. It opens nothing before the first call, can be used in
    several event loops in turn and after a fork, and is closed by ``async with`` or ``aclose()``.

    Args:
        account: Whose list ``tariffs()`` fetches where it is told nothing else, or ``None``.
        base_url: Where the service is; HTTPS, but for loopback.
        reserve_url: Where to turn when no connection to ``base_url`` can be made; of the same domain. ``"auto"`` is the
            reserve host ``www2.`` of the service's known domains, and none elsewhere. ``None`` for no reserve.
        reply_format: The shape to ask for. In the two text formats only the last line shows that a list is whole.
        quota: The rule; the service's by default.
        store: Where the quota and the last answers live, or ``None`` for the one ``MemoryStore`` of the process.
        max_age: Seconds for which a list is fresh; 0 fetches each time.
        deadline: Seconds that a call may take, all waits and retries within it.
        retries: How many more attempts a failed request may have; each takes a permit of its own.
        transport: What sends the requests: ``None`` for connections of its own, ``"aiohttp"`` for aiohttp's (asyncio
            only; the extra ``aiohttp``), or an ``httpx.AsyncBaseTransport`` of yours. The client limits and closes it.
        on_event: Called with a ``CallEnded`` for each call and a ``RequestEnded`` for each request, in the loop where it
            happens; it must not block, and what it raises is logged and goes no further.
        tracing: Whether each call is a span of OpenTelemetry (the extra ``otel``), with wait, attempts and outcome.

    Raises:
        ValueError: An argument is out of its range, or ``base_url`` is not an HTTPS URL.
        TypeError: ``transport`` is a ``LimitedTransport``, or an argument is of another kind.
        ImportError: ``tracing`` without the extra ``otel``, or ``"aiohttp"`` without the extra ``aiohttp``.

    Example:
        >>> import asyncio
        >>> from smsc_async import Account, Client
        >>> async def main() -> None:
        ...     async with Client(Account("alex", "123")) as client:
        ...         print(client.statistics().calls)
        >>> asyncio.run(main())
        0
    """

    AT_ONCE: Final = Connections.AT_ONCE
    """How many accounts ``tariffs_for()`` has under way."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        base_url: str = "https://smscentre.com/sys/",
        reserve_url: str | None = "auto",
        reply_format: Format = Format.JSON,
        quota: Quota = SERVICE_QUOTA,
        store: Store | None = None,
        max_age: float = 60.0,
        deadline: float = 90.0,
        retries: int = 2,
        transport: AsyncTransport | Literal["aiohttp"] | None = None,
        on_event: OnEvent | None = None,
        tracing: bool = False,
    ) -> None:
        if account is not None and not isinstance(account, Account):  # pyright: ignore[reportUnnecessaryIsInstance]  # of those who have no type checker
            raise _no_account(account)
        if isinstance(store, str | os.PathLike):
            raise TypeError(f"store must be a store, such as SQLiteStore(path), not {type(store).__name__}")
        if isinstance(transport, LimitedTransport):
            raise TypeError("the client limits its transport by itself: pass the one inside the LimitedTransport")
        if retries < 0:
            raise ValueError(f"retries={retries}: must be 0 or more")
        self._account = account
        self._max_age = _checked_age(max_age)
        self._deadline = _checked_deadline(deadline)
        primary = endpoint(base_url)
        reserve = reserve_endpoint(primary, reserve_url)
        kept: Store = default_store() if store is None else store
        connections = transport_factory(transport)
        # Without the client: it is to go when nobody has it any more, not when cycles are collected.
        self._sessions = Sessions(lambda: LimitedTransport(connections(), quota=quota, store=kept))
        self._calls = Calls(
            endpoints=(primary,) if reserve is None else (primary, reserve),
            reply_format=Format(reply_format),
            quota=quota,
            store=kept,
            breakers=breakers_of(kept, service_of(primary)),
            retries=retries,
            sessions=self._sessions,
            observer=Telemetry(on_event, tracing=tracing),
        )
        self._closed = False

    async def tariffs(
        self,
        account: Account | None = None,
        *,
        max_age: float | None = None,
        deadline: float | None = None,
        stale_ok: bool = False,
    ) -> Tariffs:
        """Return the tariff list of an account.

        A list that came at most ``max_age`` seconds ago is returned at once; a request for the same credentials that
        is under way is waited for; else one is sent, as soon as the quota allows. It goes on to its end even if this
        call is cancelled, since the service has counted it.

        Args:
            account: Whose list, or ``None`` for the client's own account.
            max_age: Seconds for which a list is fresh, ``None`` for the client's, 0 for a list that comes after now.
            deadline: Seconds that this call may take, or ``None`` for the client's.
            stale_ok: Whether the last list will do, whatever its age and marked ``stale``, where a fresh one cannot be
                had. Not where the service refuses the credentials.

        Raises:
            ApiError: The service refused; see its subclasses.
            DecodeError: The answer is not a whole tariff list.
            TransportError: There was no answer, or not by the deadline (``DeadlineExceeded``).
            QuotaExhausted: The next permit comes after the deadline; raised at once.
            BreakerOpen: The same request was refused a short while ago.
            StoreError: The store does not answer.
            ValueError: There is no account, or a number is out of its range.
            TypeError: An argument is of another kind.
            RuntimeError: The client is closed.

        Example:
            >>> import asyncio
            >>> from smsc_async.testing import SmscServer  # in place of the service
            >>> async def main(server: SmscServer) -> None:
            ...     async with server.client() as client:
            ...         tariffs = await client.tariffs()
            ...         again = await client.tariffs(max_age=600)
            ...         print(tariffs.zone("32").api, client.statistics().requests)
            >>> with SmscServer() as server:
            ...     asyncio.run(main(server))
            4.10 1
        """
        who = account or self._account
        if not isinstance(who, Account):
            raise _no_account(who)
        if self._closed:
            self._check_open()
        age = self._max_age if max_age is None else _checked_age(max_age)
        seconds = self._deadline if deadline is None else _checked_deadline(deadline)
        result = self._calls.kept(who, age) or await self._calls.asked(who, age, seconds, stale_ok=stale_ok)
        if isinstance(result, Tariffs):
            return result
        raise result

    def tariffs_for(
        self,
        accounts: Iterable[Account] | AsyncIterable[Account],
        *,
        max_age: float | None = None,
        deadline: float | None = None,
    ) -> AsyncIterator[Outcome]:
        """Return the lists of many accounts, each as soon as it is there.

        Accounts are drawn as there is room for them, 50 at a time; so ``accounts`` may be endless. What one account
        runs into is its own: it comes as the ``error`` of its outcome. Leaving the loop early draws no more accounts;
        requests that are under way go on to their end and fill the store.

        Args:
            accounts: Whose lists, as any iterable or async iterable.
            max_age: As in ``tariffs()``.
            deadline: Seconds for each account, counted from when it is drawn, or ``None`` for the client's.

        Returns:
            An async iterator of one ``Outcome`` for each account, in the order in which they are ready.

        Raises:
            ValueError: A number is out of its range.
            RuntimeError: The client is closed.

        Example:
            >>> import asyncio
            >>> from smsc_async import Account
            >>> from smsc_async.testing import SmscServer  # in place of the service
            >>> async def main(server: SmscServer) -> None:
            ...     accounts = [server.account, server.add_account("boris", "456"), Account("clara", "wrong")]
            ...     async with server.client() as client:
            ...         outcomes = [outcome async for outcome in client.tariffs_for(accounts)]
            ...     for outcome in sorted(outcomes, key=lambda outcome: outcome.account.login):
            ...         print(outcome.account.login, type(outcome.error).__name__)
            >>> with SmscServer() as server:
            ...     asyncio.run(main(server))
            alex NoneType
            boris NoneType
            clara AuthenticationError
        """
        self._check_open()
        if isinstance(accounts, Account):
            raise TypeError("tariffs_for() takes many accounts, such as a list; for one there is tariffs()")
        age = self._max_age if max_age is None else _checked_age(max_age)
        seconds = self._deadline if deadline is None else _checked_deadline(deadline)
        call = partial(self._outcome, age=age, seconds=seconds)

        def start(work: Callable[[], Awaitable[None]], ended: Callable[[], None]) -> None:
            # In the loop that iterates, which need not run yet.
            self._check_open()
            self._sessions.get().detached.start(work, ended)

        return BulkFetch(accounts, call, start, self.AT_ONCE)

    def watch(
        self,
        account: Account | None = None,
        *,
        every: float = 900.0,
        history: History | None = None,
        name: str | None = None,
        reader: str = "watch",
        deadline: float | None = None,
    ) -> Watch:
        """Return the changes of an account's list, each when it is seen, for as long as somebody iterates.

        A round that fails (no answer, a blocked address, a history that cannot be written) comes as an ``error``, and the
        watch goes on. With a ``history``, every list is on the disk before anybody is told of a change in it, and what
        changed while the program was not running is told when it runs again. A change counts as reported when the next
        update is asked for: a program that is killed before that is told the same change again, and no other.

        Rounds are at fixed instants, the first one at once; what was slept through is not made up for.

        Args:
            account: Whose list, or ``None`` for the client's own account.
            every: Seconds between rounds. After a failed one the next is made in five minutes at the latest.
            history: Where lists are kept, or ``None`` to compare with what this loop has seen alone.
            name: What the account is called there, or ``None`` for its login.
            reader: Whose reports they are: each reader of a history is told every change, so two watches of an account
                that share a history need names of their own.
            deadline: Seconds for the list of each round, or ``None`` for the client's.

        Returns:
            An async iterator of ``Update``, for one consumer. The first list that a reader sees is no change.

        Raises:
            AuthenticationError: From the iterator: the credentials are refused. So do ``ParameterError``, and
                ``BreakerOpen`` where they were refused a short while ago.
            StoreError: From the iterator, when it begins: the history cannot be used.
            ValueError: There is no account or no name for it, or a number is out of its range.
            RuntimeError: The client is closed.

        Example:
            >>> import asyncio
            >>> from decimal import Decimal
            >>> from smsc_async.simulator import sample_tariffs
            >>> from smsc_async.testing import SmscServer  # in place of the service
            >>> async def main(server: SmscServer) -> None:
            ...     async with server.client() as client:
            ...         await client.tariffs()
            ...         server.set_tariffs(sample_tariffs(Decimal("1.10")))  # everything a tenth dearer
            ...         async for update in client.watch(every=0.05):
            ...             for change in update.changes:
            ...                 if change.name == "Latvia" and change.price == "api":
            ...                     print(change.old, change.new)
            ...             break
            >>> with SmscServer() as server:
            ...     asyncio.run(main(server))
            4.10 4.51
        """
        # Most programs watch nothing.
        from smsc_async.history.watch import checked_every, watch_account  # noqa: PLC0415

        who = account or self._account
        if not isinstance(who, Account):
            raise _no_account(who, "watch")
        self._check_open()
        # A program that is started again and again does not use up the quota; but each round has a list of its own.
        age = min(self._max_age, checked_every(every) / 2)
        fetch = partial(self.tariffs, max_age=age, deadline=None if deadline is None else _checked_deadline(deadline))
        return watch_account(fetch, who, every=every, history=history, name=name, reader=reader)

    def statistics(self) -> Statistics:
        """Return what this client has done so far."""
        return self._calls.tally.statistics(self._calls.breakers.open())

    async def reset_breakers(self, account: Account | None = None) -> None:
        """Let requests through again that were refused a short while ago, for everybody who shares the store.

        For when the reason is gone: the address is on the account's list of allowed addresses now, say. The service goes
        on counting: authorization errors of the last half hour keep counting towards the four that may leave an address.

        Args:
            account: Whose credentials to let through, or ``None`` for all that this process knows of, the address too.

        Raises:
            StoreError: The store does not answer.
        """
        await self._calls.breakers.reset(account)

    async def aclose(self) -> None:
        """Stop what is under way in this event loop and close its connections; calls that wait get an error."""
        self._closed = True
        await self._sessions.aclose()

    async def __aenter__(self) -> Self:
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_sessions", None):
            warnings.warn(
                "a smsc_async.Client was dropped with open connections: use 'async with' or 'await client.aclose()'",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    async def _outcome(self, account: Account, *, age: float, seconds: float) -> Outcome:
        result = self._calls.kept(account, age) or await self._calls.asked(account, age, seconds, stale_ok=False)
        return Outcome(account, result) if isinstance(result, Tariffs) else Outcome(account, None, result)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed: make one for the life of the application, or re-enter it")


def _no_account(given: object, method: str = "tariffs") -> ValueError | TypeError:
    if given is None:
        return ValueError(f"whose list? Pass an account to {method}() or to Client()")
    # Not what was given: it may be a password.
    return TypeError(f"account must be an Account, such as Account(login, password), not {type(given).__name__}")


def _checked_age(seconds: float) -> float:
    try:
        if seconds >= 0:
            return seconds
    except TypeError:
        raise _no_number("max_age", seconds) from None
    raise ValueError(f"max_age={seconds}: must be 0 (always fresh) or more seconds")


def _checked_deadline(seconds: float) -> float:
    try:
        if 0 < seconds < math.inf:
            return seconds
    except TypeError:
        raise _no_number("deadline", seconds) from None
    raise ValueError(f"deadline={seconds}: must be a finite number of seconds, more than 0")


def _no_number(name: str, given: object) -> TypeError:
    return TypeError(f"{name}={given!r}: must be a number of seconds, not {type(given).__name__}")
