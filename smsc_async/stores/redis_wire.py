"""The way to a Redis: one script call at a time, each within its second, and nothing of the URL in what it raises.

Invariants: no call is longer than ``SECONDS``; nothing is tried again but on a connection that turned out to be closed,
and then with the same id; nothing is believed of a server that was restarted until its store is opened anew.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionClosed
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as ServerLate

from smsc_async.errors import StoreError
from smsc_async.stores.scripts import Script

__all__ = ["SECONDS", "Wire"]

T = TypeVar("T")

# What a caller waits for the store at the most, connecting included.
SECONDS: Final = 0.9
# More at once gain nothing on one core, and each is a connection for the server to keep.
_AT_ONCE: Final = 16


_Word: TypeAlias = str | bytes | int


class _Pipeline(Protocol):
    def execute_command(self, *words: _Word) -> object: ...
    async def execute(self) -> list[Any]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *told: object) -> None: ...


class _Client(Protocol):
    """What is used of redis-py's client."""

    async def execute_command(self, *words: _Word) -> Any: ...
    def pipeline(self, *, transaction: bool) -> _Pipeline: ...
    async def aclose(self) -> None: ...


class _Connection(Protocol):
    async def on_connect(self) -> None: ...
    async def send_command(self, *words: str) -> None: ...
    async def read_response(self) -> bytes: ...


def _untyped(thing: object) -> Any:
    """The same, whose own types differ from one release of the library to the next."""
    return thing


class _Connections:
    """The connections of one event loop."""

    def __init__(self, client: _Client) -> None:
        self.client = client
        self.room = asyncio.Semaphore(_AT_ONCE)
        self.opening = asyncio.Lock()


# Of a fork: to close the parent's connections is not the child's to do.
_orphans: Final[list[object]] = []


class Wire:
    """Calls to one server, from any number of event loops in turn or at once.

    Attributes:
        name: Of the server, without credentials.
        run: What the server calls this run of its; ``None`` before the first connection.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("the URL must begin with redis://, rediss:// (TLS) or unix://")
        self.name = parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
        self._url: Callable[[], str] = lambda: url  # in a closure: it may hold a password
        self.run: str | None = None
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = weakref.WeakKeyDictionary()

    def after_fork(self) -> None:
        """Leave the connections to the parent."""
        _orphans.append(self._loops)
        self._loops = weakref.WeakKeyDictionary()

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[_Word]) -> Any:
        """Return what a script returns.

        Raises:
            StoreError: The server does not answer in time, or refuses.
            RuntimeError: Not in asyncio.
        """
        return await self._within(partial(_run, words=(len(keys), *keys, *arguments), script=script))

    async def ask(self, *commands: Sequence[_Word]) -> list[Any]:
        """Return the answers to commands, sent in one go; errors as in ``call``."""

        async def run(client: _Client) -> list[Any]:
            async with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

        return await self._within(run)

    def opening(self) -> asyncio.Lock:
        """Return what keeps the calls of this event loop from opening the store more than once.

        Raises:
            RuntimeError: Not in asyncio.
        """
        return self._mine().opening

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        mine = self._loops.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.client.aclose()

    async def _within(self, work: Callable[[_Client], Awaitable[T]]) -> T:
        mine = self._mine()
        try:
            async with asyncio.timeout(SECONDS), mine.room:
                try:
                    return await work(mine.client)
                except ConnectionClosed:
                    # One that had been idle, and was closed by the server: what was lost with it may have been done,
                    # and is done once all the same.
                    return await work(mine.client)
        except (TimeoutError, ServerLate):
            problem = f"Redis has not answered within {SECONDS:g} s"
        except (RedisError, OSError) as error:
            problem = f"Redis cannot be used ({type(error).__name__}: {str(error)[:200]})"
        # Raised here, so that it has no context: frames of the library may hold what is in the URL.
        raise StoreError(problem, self.name)

    def _mine(self) -> _Connections:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise RuntimeError(
                "RedisStore works on asyncio only: on trio use SQLiteStore, or a process that runs asyncio"
            )
        mine = self._loops.get(loop)
        if mine is None:
            mine = self._loops[loop] = _Connections(self._client())
        return mine

    def _client(self) -> _Client:
        options: dict[str, Any] = {
            "socket_timeout": SECONDS,
            "socket_connect_timeout": SECONDS,
            "retry": _untyped(Retry)(_untyped(NoBackoff)(), 0),
            "redis_connect_func": self._connected,
        }
        client: _Client = _untyped(Redis).from_url(self._url(), **options)
        return client

    async def _connected(self, connection: _Connection) -> None:
        """Ask a server who it is before anything else: after a restart it may have forgotten what it had granted."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        told = await connection.read_response()
        self.run = told.partition(b"run_id:")[2].partition(b"\r")[0].decode("ascii", "replace")


async def _run(client: _Client, *, script: Script, words: Sequence[_Word]) -> Any:
    try:
        return await client.execute_command("EVALSHA", script.name, *words)
    except NoScriptError:
        # Forgotten (SCRIPT FLUSH, a restart), or never heard of.
        return await client.execute_command("EVAL", script.text, *words)
