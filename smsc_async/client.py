"""The client of the service: the public methods, and the checks of their arguments.

Invariant: no task group or cancel scope stays open between ``__aenter__`` and ``__aexit__``.
"""

from __future__ import annotations

import math
import os
import ssl
import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from smsc_async.accounts import Account, Secret
from smsc_async.arguments import (
    check_accounts,
    check_types,
    checked_account,
    checked_age,
    checked_format,
    checked_refresh,
    checked_seconds,
)
from smsc_async.environment import BASE_URL, hidden
from smsc_async.fetch.attempts import Fetcher
from smsc_async.fetch.call import Calls
from smsc_async.fetch.hosts import Hosts
from smsc_async.http.connector import Connector, TransportOption
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import SERVICE_QUOTA, Quota
from smsc_async.protocol import endpoint, reserve_endpoint, service_of
from smsc_async.records import Format, Tariffs, checked_type
from smsc_async.stores import Store, default_store, store_at
from smsc_async.stores.worker_warning import warn_if_unshared
from smsc_async.telemetry.events import OnEvent, Telemetry
from smsc_async.telemetry.statistics import Lockout, QuotaState, Statistics, all_lockouts, quota_state

if TYPE_CHECKING:
    from smsc_async.fetch.bulk import BulkFetch
    from smsc_async.history import History
    from smsc_async.history.watch import Watch
    from smsc_async.history.watch_many import WatchMany


class Client:
    """Fetches tariff lists.

    One client serves an application, for any number of accounts. It opens nothing before the first call, works in several
    event loops and after a fork, and is closed by ``async with`` or ``aclose()``. It takes no option from the
    environment, apart from ``from_env()``; httpx reads ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR``.

    Args:
        account: The account of calls without one, or ``None``.
        base_url: The URL of the service: HTTPS, except for loopback.
        reserve_url: The URL that is used if no connection to ``base_url`` can be made, in the same domain. ``"auto"`` is
            the host ``www2.`` of the provider's own domains, and no host otherwise. ``None`` turns it off.
        reply_format: The format to request. In the two text formats only the last line shows that a list is complete.
        quota: The rule; the default is the rule of the service.
        store: The store of the quota and the cached lists, or ``None`` for the one ``MemoryStore`` of the process.
        max_age: Seconds for which a cached list is fresh; 0 fetches each time.
        refresh_after: Seconds, fewer than ``max_age``, after which a list is still returned at once, and refreshed in the
            background, or ``None``. A refresh never takes the last request of the quota, and is not repeated within 30 s
            after a failure. All processes that share the store share it.
        deadline: Seconds that a call may take, with all waits and retries.
        retries: How many more attempts a failed request may have; each takes a permit of its own.
        transport: A factory that returns an ``httpx.AsyncBaseTransport``, called once for each request, or an instance.
            The client never closes an instance, and refuses to use it in a second event loop or process.
        proxy: The URL of an HTTP or SOCKS proxy, or ``None`` for the proxies of the environment. Loopback never uses one.
        ssl_context: The TLS context, for a certificate authority or a client certificate of your own, or ``None``.
        on_event: Called with a ``CallEnded`` for each call and a ``RequestEnded`` for each request, in the event loop of
            the call. It must not block. Its exceptions are logged and have no other effect.
        tracing: Whether each call is a span of OpenTelemetry (the extra ``otel``).

    Raises:
        ValueError: An argument is out of its range, arguments exclude each other, ``base_url`` is not a valid URL, or an
            environment variable names a proxy that httpx cannot use.
        TypeError: An argument has the wrong type.
        ImportError: ``tracing`` without the extra ``otel``.

    Example:
        >>> import asyncio
        >>> from smsc_async import Account, Client
        >>> async def main() -> None:
        ...     async with Client(Account("alex", "123")) as client:
        ...         print(client.statistics().calls)
        >>> asyncio.run(main())
        0
    """

    AT_ONCE: Final = 50
    """How many accounts ``tariffs_for()`` fetches at the same time."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        base_url: str = BASE_URL,
        reserve_url: str | None = "auto",
        reply_format: Format = Format.JSON,
        quota: Quota = SERVICE_QUOTA,
        store: Store | None = None,
        max_age: float = 60.0,
        refresh_after: float | None = None,
        deadline: float = 90.0,
        retries: int = 2,
        transport: TransportOption | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        on_event: OnEvent | None = None,
        tracing: bool = False,
    ) -> None:
        # They may contain a password, and error reporters show the locals of every frame.
        url, proxy_url = hidden(base_url), hidden(proxy)
        del base_url, proxy
        check_types(account=account, quota=quota, store=store, retries=retries, on_event=on_event, tracing=tracing)
        self._account = account
        self._max_age = checked_age(max_age)
        self._deadline = checked_seconds("deadline", deadline)
        primary = endpoint(url())
        used_store: Store = default_store() if store is None else store
        warn_if_unshared(used_store)
        self._calls = Calls(
            Fetcher(
                hosts=Hosts(primary, reserve_endpoint(primary, reserve_url)),
                service=service_of(primary),
                reply_format=checked_format(reply_format),
                quota=quota,
                store=used_store,
                retries=retries,
                connector=Connector(primary, transport=transport, proxy=proxy_url(), ssl_context=ssl_context),
                telemetry=Telemetry(on_event, tracing=tracing, url=primary),
            ),
            math.inf if refresh_after is None else checked_refresh(refresh_after, max_age),
            deadline,
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the client that the environment describes; the commands read the same variables.

        Reads the variables of ``Account.from_env()``, ``SMSC_BASE_URL``, ``SMSC_STORE`` (the path of a ``SQLiteStore``, or the
        URL of a ``RedisStore``; without it, the store of the process) and ``SMSC_PEPPER``.

        Args:
            environ: The variables, or ``None`` for those of the process.

        Raises:
            ValueError: A variable is missing or out of its range; the message names it.
            OSError: A file of a password cannot be read.

        Example:
            >>> from smsc_async import Client
            >>> from smsc_async.testing import SmscServer
            >>> with SmscServer() as server:
            ...     client = Client.from_env(server.env)
        """
        env = hidden(os.environ if environ is None else environ)
        del environ  # it may contain a password, and error reporters show the locals of every frame
        account = Account.from_env(env())
        endpoint(env().get("SMSC_BASE_URL") or BASE_URL, "SMSC_BASE_URL")
        place, pepper = Secret(env().get("SMSC_STORE", "")), Secret(env().get("SMSC_PEPPER", ""))
        return cls(
            account, base_url=env().get("SMSC_BASE_URL") or BASE_URL, store=store_at(place, pepper) if place else None
        )

    async def tariffs(
        self,
        account: Account | None = None,
        *,
        max_age: float | None = None,
        deadline: float | None = None,
        stale_ok: bool = False,
    ) -> Tariffs:
        """Return the tariff list of an account.

        If a list arrived at most ``max_age`` seconds ago, the call returns it at once. If a request for the same
        credentials is in progress, the call waits for it. Otherwise the client sends one, as soon as the quota allows.
        The request continues to its end even if this call is cancelled, because the service has counted it.

        Args:
            account: The account, or ``None`` for the client's own account.
            max_age: Seconds for which a list is fresh, ``None`` for the client's, 0 for a list that arrives after now.
            deadline: Seconds that this call may take, or ``None`` for the client's.
            stale_ok: Whether the last list, of any age and marked ``stale``, is good enough if there is no fresh one: at once
                if no request may be sent now, whatever the cause (the quota, a lockout, an outage, a store that lost its
                state, or a pause that the server demands). Not if the service refuses the credentials.

        Raises:
            ApiError: The service refused; see its subclasses.
            DecodeError: The reply is not a complete tariff list.
            TransportError: No reply came.
            QuotaExhausted: The next permit comes after the deadline; raised at once.
            DeadlineExceeded: The deadline of the call is over.
            NotSent: The request is known to fail; see its subclasses.
            StoreError: The store does not answer.
            ValueError: There is no account, or a number is out of its range.
            TypeError: An argument has the wrong type.
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
        account = checked_account(self._account if account is None else account, "tariffs")
        age, seconds = self._limits(max_age, deadline)
        if stale_ok is not False:
            checked_type("stale_ok", stale_ok, bool, "True or False")
        result = self._calls.cached(account, age) or await self._calls.fetch(account, age, seconds, stale_ok=stale_ok)
        if isinstance(result, Tariffs):
            return result
        raise result

    def tariffs_for(
        self,
        accounts: Iterable[Account] | AsyncIterable[Account],
        *,
        max_age: float | None = None,
        deadline: float | None = None,
    ) -> BulkFetch:
        """Return the lists of many accounts, each as soon as it is there.

        The client takes accounts one by one, and fetches 50 of them at a time, so ``accounts`` may be endless. A failure
        of one account is the ``error`` of its outcome, and the others go on. After the loop has ended early, the client
        takes no more accounts; requests in progress continue to their end and fill the store.

        Args:
            accounts: The accounts, as any iterable or async iterable.
            max_age: As in ``tariffs()``.
            deadline: Seconds for each account, from the moment at which the client takes it, or ``None`` for the client's.

        Returns:
            An async iterator of one ``Outcome`` for each account, in the order in which they are ready. After ``aclose()``,
            which ``contextlib.aclosing`` calls, the client takes no more accounts.

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
        from smsc_async.fetch.bulk import BulkFetch  # noqa: PLC0415  # most programs have few accounts

        check_accounts(accounts, "tariffs_for() takes many accounts, such as a list; for one there is tariffs()")
        age, seconds = self._limits(max_age, deadline)
        fetch = partial(self.tariffs, max_age=age, deadline=seconds)
        return BulkFetch(accounts, fetch, self._start, self.AT_ONCE)

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
        """Return the changes of an account's list, each when it is seen, as long as the program iterates.

        A round that fails (no reply, a blocked address, a history that cannot be written) is an update with an ``error``,
        and the watch goes on. With a ``history``, every list is on the disk before a change in it is reported, and changes
        that happen while the program does not run are reported when it runs again. A change counts as reported when the
        program requests the next update: if the program is killed before that, the same change comes again, with the same
        ``event_id``. Lists and changes in a history are bound to the account: another password sees none of them.

        Rounds are at fixed instants, the first one at once; rounds that the machine slept through are not repeated.

        Args:
            account: The account, or ``None`` for the client's own account.
            every: Seconds between rounds. After a failed one the next is made in five minutes at the latest.
            history: The file of the lists, or ``None`` to compare only with the lists that this loop has seen.
            name: The name of the account in the history, or ``None`` for its login.
            reader: The name under which reports are recorded. Watches of an account that share a history and this name
                report a change once; each name gets every change.
            deadline: Seconds for the list of each round, or ``None`` for the client's.

        Returns:
            An async iterator of ``Update``, for one consumer, with ``aclose()``. The first list that a reader sees is no
            change.

        Raises:
            AuthenticationError: From the iterator, which ends: the credentials are refused; ``CredentialsRefused`` if they
                were refused before.
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
            ...         async for update in client.watch(every=1):
            ...             for change in update.changes:
            ...                 if change.name == "Latvia" and change.price == "api":
            ...                     print(change.old, change.new)
            ...             break
            >>> with SmscServer() as server:
            ...     asyncio.run(main(server))
            4.10 4.51
        """
        # Most programs watch nothing.
        from smsc_async.history.watch import watch_account  # noqa: PLC0415

        account = checked_account(self._account if account is None else account, "watch")
        fetch = self._fetch_for_rounds(every, deadline)
        return watch_account(fetch, account, every=every, history=history, name=name, reader=reader)

    def watch_for(
        self,
        accounts: Iterable[Account] | Mapping[str, Account],
        *,
        every: float = 900.0,
        history: History | None = None,
        reader: str = "watch",
        deadline: float | None = None,
    ) -> WatchMany:
        """Return the changes in the lists of many accounts, each when it is seen, as long as the program iterates.

        The rounds are spread over the interval: with 300 accounts and 900 s, one begins every 3 s. Otherwise each account
        is watched as by ``watch()``, with one difference: if the credentials of an account are refused, the error comes as
        an update, the watch of this account ends, and the others go on.

        Args:
            accounts: The accounts, each under its login; or a mapping of names to accounts, for example if two users have
                the same login.
            every: Seconds between rounds of an account. After a failed one the next is made in five minutes at the latest.
            history: The file of the lists, or ``None`` to compare only with the lists that this loop has seen.
            reader: The name under which reports are recorded, as in ``watch()``.
            deadline: Seconds for the list of each round, or ``None`` for the client's.

        Returns:
            An async iterator of ``Update``, for one consumer, with ``aclose()``. Each update names its account. The iterator
            ends after the last account has ended; without any account, at once.

        Raises:
            ValueError: There is no name for an account, or a number is out of its range.
            TypeError: One of the accounts is no ``Account``, or ``history`` no ``History``.
            RuntimeError: The client is closed.

        Example:
            >>> import asyncio
            >>> from smsc_async import Account
            >>> from smsc_async.testing import SmscServer  # in place of the service
            >>> async def main(server: SmscServer) -> None:
            ...     accounts = [Account("clara", "wrong"), Account("boris", "wrong"), server.account]
            ...     async with server.client() as client:
            ...         async for update in client.watch_for(accounts, every=1):
            ...             print(update.account, type(update.error).__name__)
            ...             if update.account == "boris":
            ...                 break
            >>> with SmscServer() as server:
            ...     asyncio.run(main(server))
            clara AuthenticationError
            boris AuthenticationError
        """
        from smsc_async.history.watch_many import watch_accounts  # noqa: PLC0415

        fetch = self._fetch_for_rounds(every, deadline)
        return watch_accounts(fetch, accounts, every=every, history=history, reader=reader, start=self._start)

    def statistics(self) -> Statistics:
        """Return what this client has done so far."""
        return self._calls.fetcher.counters.statistics()

    async def quota(self, account: Account | None = None) -> QuotaState:
        """Return what is left of the quota of an account's login; takes nothing of it.

        Another caller may use the rest before this one does: to send a request if the quota allows it, use the ``deadline``
        of ``tariffs()``. The lockouts are those of the store, and the outage that this client has seen.

        Args:
            account: The account, or ``None`` for the client's own account.

        Raises:
            StoreError: The store does not answer.
            ValueError: There is no account.

        Example:
            >>> import asyncio
            >>> from smsc_async import Account, Client, MemoryStore
            >>> async def main() -> None:
            ...     async with Client(Account("alex", "123"), store=MemoryStore()) as client:
            ...         print(await client.quota())
            >>> asyncio.run(main())
            QuotaState(remaining=3, next_in=0.0, in_flight=0, lockouts=())
        """
        account, fetcher = checked_account(self._account if account is None else account, "quota"), self._calls.fetcher
        usage = await fetcher.store.usage(Credentials(fetcher.service, account).login, fetcher.quota)
        await fetcher.store.load_lockouts(fetcher.service, account)
        return quota_state(usage, fetcher.quota, account.login, self.lockouts())

    def lockouts(self) -> tuple[Lockout, ...]:
        """Return what is not sent at present, the longest first, as far as this process knows.

        For all clients that share the store. A request that is locked out raises the ``NotSent`` error of its cause.

        Example:
            >>> from smsc_async import Client, MemoryStore
            >>> Client(store=MemoryStore()).lockouts()
            ()
        """
        fetcher = self._calls.fetcher
        views = fetcher.store.lockouts(fetcher.service)
        return all_lockouts(fetcher.service, views, fetcher.circuit.seconds(), fetcher.store.closed_for)

    async def reset_lockouts(self, account: Account | None = None) -> None:
        """End lockouts whose reason is gone, for all clients that share the store.

        For example after the address was added to the account's list of allowed addresses. The service still counts the
        authorization errors of the last half hour, and so does the store.

        Args:
            account: The account whose credentials may be sent again, or ``None`` for all lockouts that this process knows,
                the address included.

        Raises:
            StoreError: The store does not answer.
            TypeError: ``account`` is no account.
        """
        fetcher = self._calls.fetcher
        if account is None:
            fetcher.circuit.reset()
        else:
            checked_account(account, "reset_lockouts")
        await fetcher.store.reset_lockouts(fetcher.service, account)

    async def aclose(self) -> None:
        """Cancel the fetches of this event loop; calls that wait get an error.

        Exchanges that are still connecting have up to a second to end.
        """
        await self._calls.tasks.aclose()

    async def __aenter__(self) -> Self:
        self._calls.tasks.is_closed = False
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        calls: Calls | None = getattr(self, "_calls", None)
        if calls is not None and len(calls.tasks):
            warnings.warn(
                "a smsc_async.Client was dropped with fetches in progress: use 'async with' or 'await client.aclose()'",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _fetch_for_rounds(self, every: float, deadline: float | None) -> Callable[[Account], Awaitable[Tariffs]]:
        self._check_open()
        # A program that is started again and again does not use up the quota; but each round has a list of its own.
        age = min(self._max_age, checked_seconds("every", every) / 2)
        return partial(self.tariffs, max_age=age, deadline=self._seconds(deadline))

    def _start(self, work: Callable[[], Awaitable[None]], ended: Callable[[], None]) -> None:
        # The loop that iterates need not run yet when the iterator is made.
        self._check_open()
        self._calls.tasks.start(work, ended)

    def _limits(self, max_age: float | None, deadline: float | None) -> tuple[float, float]:
        self._check_open()
        age = self._max_age if max_age is None else checked_age(max_age)
        return age, self._seconds(deadline)

    def _seconds(self, deadline: float | None) -> float:
        return self._deadline if deadline is None else checked_seconds("deadline", deadline)

    def _check_open(self) -> None:
        if self._calls.tasks.is_closed:
            raise RuntimeError("this client is closed: make one for the life of the application, or re-enter it")
