"""The client for synchronous code: the same methods over one event loop, which runs in a daemon thread of its own.

Invariants: all clients of a process share the event loop, so threads share fetches in flight; a forked child starts a loop
of its own, because no thread of the parent runs in it; at exit the clients of the loop, the connections of their stores and
the loop are closed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

from smsc_async import client
from smsc_async.accounts import Account
from smsc_async.environment import hidden
from smsc_async.fetch.bulk import Outcome
from smsc_async.http.connector import TransportOption
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import in_trio
from smsc_async.records import Format, Tariffs
from smsc_async.stores import Store
from smsc_async.stores.base import STORES
from smsc_async.telemetry.events import OnEvent
from smsc_async.telemetry.statistics import Lockout, QuotaState, Statistics

if TYPE_CHECKING:
    from smsc_async.history import History
    from smsc_async.history.watch import Update

T = TypeVar("T")

# Seconds that the end of a loop waits for cancelled tasks; the exit of the interpreter waits for the end of the loop.
_PATIENCE: Final = 1.0
_EXITS: Final = "the interpreter exits, and its synchronous clients are closed: make the call before that"


class _Options(TypedDict, total=False):
    base_url: str
    reserve_url: str | None
    reply_format: Format
    quota: Quota
    store: Store | None
    max_age: float
    refresh_after: float | None
    deadline: float
    retries: int
    transport: TransportOption | None
    proxy: str | None
    ssl_context: ssl.SSLContext | None
    on_event: OnEvent | None
    tracing: bool


class Client:
    """Fetches tariff lists, for code without an event loop.

    For scripts, Flask, Django, Celery and notebooks: works in any number of threads, inside a running event loop, which it
    blocks, and after a fork. Closing it is optional: at exit, all clients and the connections of their stores are closed.
    Its methods do what those of ``smsc_async.Client`` do.

    Args:
        account: The account of calls that name none, or ``None``.
        options: The keywords of ``smsc_async.Client``.

    Raises:
        ValueError: As ``smsc_async.Client``; so do ``TypeError`` and ``ImportError``.

    Example:
        >>> from smsc_async.sync import Client
        >>> from smsc_async.testing import SmscServer  # in place of the service
        >>> with SmscServer() as server, Client(server.account, base_url=server.base_url) as client:
        ...     print(client.tariffs().zone("32").api)
        4.10
    """

    def __init__(self, account: Account | None = None, **options: Unpack[_Options]) -> None:
        given = hidden(options)
        del options  # a proxy or a base URL may contain a password, as in ``from_env()``
        self._client = client.Client(account, **given())
        _clients.add(self._client)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the client that the environment describes; see ``smsc_async.Client.from_env``."""
        env = hidden(environ)
        del environ  # it may contain a password, and error reporters show the locals of every frame
        made = cls.__new__(cls)
        made._client = client.Client.from_env(env())  # noqa: SLF001  # of this class
        _clients.add(made._client)  # noqa: SLF001  # likewise
        return made

    def tariffs(
        self,
        account: Account | None = None,
        *,
        max_age: float | None = None,
        deadline: float | None = None,
        stale_ok: bool = False,
    ) -> Tariffs:
        """Return the tariff list of an account; see ``smsc_async.Client.tariffs``."""
        return _run(self._client.tariffs(account, max_age=max_age, deadline=deadline, stale_ok=stale_ok))

    def tariffs_for(
        self, accounts: Iterable[Account], *, max_age: float | None = None, deadline: float | None = None
    ) -> Iterator[Outcome]:
        """Return the lists of many accounts, each as soon as it is there; see ``smsc_async.Client.tariffs_for``.

        All accounts are read first, in the caller's thread.
        """
        given = accounts if isinstance(accounts, Account) else list(accounts)
        return _iterated(self._client.tariffs_for(given, max_age=max_age, deadline=deadline))

    def watch(
        self,
        account: Account | None = None,
        *,
        every: float = 900.0,
        history: History | None = None,
        name: str | None = None,
        reader: str = "watch",
        deadline: float | None = None,
    ) -> Iterator[Update]:
        """Return the changes of an account's list, each when it is seen; see ``smsc_async.Client.watch``."""
        return _iterated(
            self._client.watch(account, every=every, history=history, name=name, reader=reader, deadline=deadline)
        )

    def watch_for(
        self,
        accounts: Iterable[Account] | Mapping[str, Account],
        *,
        every: float = 900.0,
        history: History | None = None,
        reader: str = "watch",
        deadline: float | None = None,
    ) -> Iterator[Update]:
        """Return the changes in the lists of many accounts, each when it is seen; see ``smsc_async.Client.watch_for``."""
        return _iterated(
            self._client.watch_for(accounts, every=every, history=history, reader=reader, deadline=deadline)
        )

    def quota(self, account: Account | None = None) -> QuotaState:
        """Return what is left of the quota of an account's login; see ``smsc_async.Client.quota``."""
        return _run(self._client.quota(account))

    def statistics(self) -> Statistics:
        """Return what this client has done so far."""
        return self._client.statistics()

    def lockouts(self) -> tuple[Lockout, ...]:
        """Return what is not sent at present; see ``smsc_async.Client.lockouts``."""
        return self._client.lockouts()

    def reset_lockouts(self, account: Account | None = None) -> None:
        """End lockouts whose reason is gone; see ``smsc_async.Client.reset_lockouts``."""
        _run(self._client.reset_lockouts(account))

    def close(self) -> None:
        """Cancel the fetches of this client; calls that wait get an error."""
        # At exit, a function of the program may close a client that the end of the loop has closed.
        if _current is None or not _current.is_stopping:
            _run(self._client.aclose())

    def __enter__(self) -> Self:
        _run(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LoopThread:
    """An event loop in a daemon thread, until the interpreter exits."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self.thread: threading.Thread = threading.Thread(target=self._work, name="smsc_async.sync", daemon=True)
        self.is_stopping: bool = False
        self.thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Close everything that the loop has open, and the loop."""
        self.is_stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5 * _PATIENCE)

    def _work(self) -> None:
        while not self.is_stopping:
            # A task that raises one of these gives it to its caller, and also ends the loop's run.
            with suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_forever()
        self.loop.run_until_complete(_end())
        self.loop.close()


async def _end() -> None:
    """End the tasks of the running event loop, and close the connections of its stores."""
    # First by their cancel scopes. Task.cancel() ends tasks of anyio before their first step, and so causes a warning.
    await asyncio.gather(*(each.aclose() for each in list(_clients)))
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_PATIENCE)
    await asyncio.gather(*(store.aclose() for store in list(STORES)), return_exceptions=True)


_clients: Final[weakref.WeakSet[client.Client]] = weakref.WeakSet()
_lock = threading.Lock()
_current: _LoopThread | None = None
_lost: Final[list[_LoopThread]] = []  # of parents: a loop that is dropped would close files that the parent uses


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine in the loop of this process."""
    global _current  # noqa: PLW0603  # one loop for each process
    with _lock:
        if _current is None:
            _current = _LoopThread()
    if threading.current_thread() is _current.thread:
        work.close()
        raise RuntimeError("on_event and transports run in the event loop of the client: use smsc_async.Client there")
    if _current.is_stopping:
        work.close()
        raise RuntimeError(_EXITS)
    # The context of a trio task says that trio runs, which is not so in the loop's thread.
    context = contextvars.Context() if in_trio() else contextvars.copy_context()
    future = context.run(asyncio.run_coroutine_threadsafe, work, _current.loop)
    try:
        return future.result()
    except CancelledError:  # by the end of the loop, as the wait of a watch for its next round
        raise RuntimeError(_EXITS) from None
    finally:
        future.cancel()  # on Ctrl-C; a future that is done stays so


def _iterated(iterator: AsyncIterator[T]) -> Iterator[T]:
    async def following() -> T:
        return await anext(iterator)

    with suppress(StopAsyncIteration):
        while True:
            yield _run(following())


def _after_fork() -> None:
    global _current, _lock  # noqa: PLW0603  # no thread of the child can release the lock
    _lock = threading.Lock()
    if _current is not None:
        atexit.unregister(_current.stop)
        _lost.append(_current)
        _current = None


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
