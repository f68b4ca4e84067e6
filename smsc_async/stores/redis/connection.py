"""The way to a Redis: whole answers, each within its second, and nothing of the URL in what is raised.

Of redis-py the connection is used (its URL, TLS, access control and parser), not the client: that costs as much again
as a whole permit, and tries again what must not be tried again.

Invariants: no call is longer than ``SECONDS``; a connection that may still have an answer under way is never used
again; nothing is tried again but on a connection that turned out to be closed, and then with the same id.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as ConnectionClosed

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError
from smsc_async.stores.redis.scripts import Script

__all__ = ["SECONDS", "Wire"]

# What a caller waits for the store at the most, connecting included.
SECONDS: Final = 0.9
# More at once gain nothing on one core, and each is a connection for the server to keep.
_AT_ONCE: Final = 16

Word: TypeAlias = str | bytes | int


class _Connection(Protocol):
    """What is used of redis-py's connection, whose own types differ from one release to the next."""

    async def on_connect(self) -> None: ...
    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = ...) -> None: ...  # noqa: FBT001  # theirs
    async def send_packed_command(self, command: bytes, check_health: bool = ...) -> None: ...  # noqa: FBT001  # theirs
    async def read_response(self) -> Any: ...


class _Line:
    """The connections of one event loop: as many as are needed at once, the one used last first."""

    def __init__(self, make: Callable[[], _Connection]) -> None:
        self.make = make
        self.idle: list[_Connection] = []
        self.room = asyncio.Semaphore(_AT_ONCE)
        self.opening = asyncio.Lock()


# Of a fork: to close the parent's connections is not the child's to do.
_orphans: Final[list[object]] = []


class Wire:
    """Calls to one server, from any number of event loops.

    Attributes:
        name: Of the server, without credentials.
        run: What the server calls this run of its own; ``None`` before the first connection.
    """

    def __init__(self, url: Secret) -> None:
        problem = _problem(url)
        if problem is not None:
            raise ValueError(problem)
        self.name: str = _name(url)
        self._url = url
        self.run: str | None = None
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = weakref.WeakKeyDictionary()

    def after_fork(self) -> None:
        """Leave the connections to the parent."""
        _orphans.append(self._lines)
        self._lines = weakref.WeakKeyDictionary()

    def due(self) -> float:
        """Return the instant, on the loop's clock, by which what begins now has to end."""
        return asyncio.get_running_loop().time() + SECONDS

    async def call(
        self, script: Script, keys: Sequence[str], arguments: Callable[[], Iterable[Word]], due: float
    ) -> Any:
        """Return what a script returns, by that instant.

        What it is told is asked for last, when the connection is there: a time may be in it.

        Raises:
            StoreError: The server does not answer in time, or refuses.
            RuntimeError: Not in asyncio.
        """

        def packed(command: str, what: str) -> bytes:
            return _packed((command, what, len(keys), *keys, *arguments()))

        try:
            return (await self._by(due, partial(packed, "EVALSHA", script.name), 1))[0]
        except NoScriptError:
            # Forgotten (SCRIPT FLUSH, a restart), or never heard of.
            return (await self._by(due, partial(packed, "EVAL", script.text), 1))[0]

    async def ask(self, *commands: Sequence[Word]) -> list[Any]:
        """Return the answers to commands, sent in one go; errors as in ``call``."""
        return await self._by(self.due(), lambda: b"".join(map(_packed, commands)), len(commands))

    def opening(self) -> asyncio.Lock:
        """Return what keeps the calls of this event loop from opening the store more than once.

        Raises:
            RuntimeError: Not in asyncio.
        """
        return self._line().opening

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        while line is not None and line.idle:
            await line.idle.pop().disconnect()

    async def _by(self, due: float, pack: Callable[[], bytes], answers: int) -> list[Any]:
        line = self._line()
        try:
            async with asyncio.timeout_at(due), line.room:
                try:
                    return await _exchange(line, pack, answers)
                except ConnectionClosed:
                    # One that had been idle, and was closed by the server: what was lost with it may have been done,
                    # and is done once all the same. The others were closed with it.
                    while line.idle:
                        await line.idle.pop().disconnect(nowait=True)
                    return await _exchange(line, pack, answers)
        except NoScriptError:
            raise
        except TimeoutError:
            problem = f"Redis has not answered within {SECONDS:g} s"
        except AskError:  # and MovedError, which is one
            problem = (
                "Redis is a node of a cluster, and not all keys are with it: it needs a proxy that knows the cluster"
            )
        except (RedisError, OSError) as error:
            problem = f"Redis cannot be used ({type(error).__name__}: {str(error)[:200]})"
        # Raised here, so that it has no context: frames of the library may hold what is in the URL.
        raise StoreError(problem, self.name)

    def _line(self) -> _Line:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise RuntimeError("RedisStore works on asyncio only: on trio use SQLiteStore")
        line = self._lines.get(loop)
        if line is None:
            # A connection holds its loop, and so itself: those of loops that are over would be kept for good.
            for former in [each for each in self._lines if each.is_closed()]:
                del self._lines[former]
            line = self._lines[loop] = _Line(_maker(self._url, self._connected))
        return line

    async def _connected(self, connection: _Connection) -> None:
        """Ask a server who it is before anything else: after a restart it may have forgotten what it had granted."""
        await connection.on_connect()
        await connection.send_packed_command(_packed(("INFO", "server")), check_health=False)
        told: bytes = await connection.read_response()
        self.run = told.partition(b"run_id:")[2].partition(b"\r")[0].decode("ascii", "replace")


async def _exchange(line: _Line, pack: Callable[[], bytes], answers: int) -> list[Any]:
    connection = line.idle.pop() if line.idle else line.make()
    try:
        await connection.connect()  # nothing where it is connected
        await connection.send_packed_command(pack(), check_health=False)
        told = [await connection.read_response() for _ in range(answers)]
    except NoScriptError:
        line.idle.append(connection)
        raise
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    line.idle.append(connection)
    return told


def _maker(url: Secret, connected: Callable[[Any], Awaitable[None]]) -> Callable[[], _Connection]:
    """Return what makes a connection to a URL."""
    options: dict[str, Any] = {
        # Times are kept in _by(): on Python 3.11 the library makes a task for each command to keep its own.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": _untyped(Retry)(_untyped(NoBackoff)(), 0),
        "protocol": 2,
        "redis_connect_func": connected,
    }
    # Only for what it reads from the URL, whose options come first.
    pool: Any = _untyped(ConnectionPool).from_url(url.reveal(), **options)
    pool.connection_kwargs["decode_responses"] = False
    make: Callable[[], _Connection] = pool.make_connection
    return make


def _problem(url: Secret) -> str | None:
    """Return what is wrong with a URL, if anything, in words that hold nothing of it: it may have a password."""
    if not url.reveal().startswith(("redis://", "rediss://", "unix://")):
        return "the URL must begin with redis://, rediss:// (TLS) or unix://"
    try:
        _name(url)
        _maker(url, _untyped(None))()
    except (ValueError, TypeError):
        return (
            "redis-py cannot read the URL: percent-encode what is not a letter or a digit in user and password, and give "
            "only options that it knows"
        )
    return None


def _name(url: Secret) -> str:
    parts = urlsplit(url.reveal())
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _packed(words: Sequence[Word]) -> bytes:
    """Return a command as it is on the wire."""
    parts = [b"*%d" % len(words)]
    for word in words:
        told = word if isinstance(word, bytes) else str(word).encode()
        parts += (b"$%d" % len(told), told)
    parts.append(b"")
    return b"\r\n".join(parts)


def _untyped(thing: object) -> Any:
    """The same, whose own types differ from one release of the library to the next."""
    return thing
