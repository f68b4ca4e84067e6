"""The connections to a Redis server: complete answers within a second, and errors without any part of the URL.

Only the connection of redis-py is used (URL, TLS, access control, parser). Its client takes as long as a whole permit, and
retries commands that must not be retried.

Invariants:

- No call is longer than ``SECONDS``.
- A connection that may still receive an answer is never used again: the next caller would get the wrong answer.
- A command is repeated only if its connection turns out to be closed, and then with the same permit id.
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

__all__ = ["SECONDS", "RedisConnections"]

# The most seconds that a call takes, the connection included.
SECONDS: Final = 0.9
# Connections of one event loop. More gain nothing on one core, and cost the server memory.
_MAX_CONNECTIONS: Final = 16

Word: TypeAlias = str | bytes | int


class _Connection(Protocol):
    """The used part of redis-py's connection, whose own types differ between releases."""

    async def on_connect(self) -> None: ...
    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = ...) -> None: ...  # noqa: FBT001  # redis-py's signature
    async def send_packed_command(self, command: bytes, check_health: bool = ...) -> None: ...  # noqa: FBT001  # redis-py's signature
    async def read_response(self) -> Any: ...


class _Pool:
    """The connections of one event loop; the last used one is used first."""

    def __init__(self, make: Callable[[], _Connection]) -> None:
        self.make = make
        self.idle: list[_Connection] = []
        self.room = asyncio.Semaphore(_MAX_CONNECTIONS)
        self.opening = asyncio.Lock()


# The parent's connections in a forked child, which must not close them.
_orphans: Final[list[object]] = []


class RedisConnections:
    """Calls to one server, from any number of event loops.

    Attributes:
        name: The host and port of the server, or the path of its socket.
        run: The ``run_id`` of the server, which changes with a restart; ``None`` before the first connection.
    """

    def __init__(self, url: Secret) -> None:
        problem = _problem(url)
        if problem is not None:
            raise ValueError(problem)
        self.name: str = _name(url)
        self._url = url
        self.run: str | None = None
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()

    def after_fork(self) -> None:
        """Forget the connections in a forked child: they are the parent's."""
        _orphans.append(self._pools)
        self._pools = weakref.WeakKeyDictionary()

    def due(self) -> float:
        """Return the instant, on the event loop's clock, by which a call that begins now must end."""
        return asyncio.get_running_loop().time() + SECONDS

    async def call(
        self, script: Script, keys: Sequence[str], arguments: Callable[[], Iterable[Word]], due: float
    ) -> Any:
        """Return the answer of a script, by that instant.

        ``arguments`` is called after the connection is open, immediately before the sending: it may read the clock.

        Raises:
            StoreError: The server does not answer in time, or refuses.
            RuntimeError: The event loop is not asyncio's.
        """

        def packed(command: str, script: str) -> bytes:
            return _packed((command, script, len(keys), *keys, *arguments()))

        try:
            return (await self._by(due, partial(packed, "EVALSHA", script.name), 1))[0]
        except NoScriptError:
            # The server does not know the script yet, or no longer (SCRIPT FLUSH, a restart).
            return (await self._by(due, partial(packed, "EVAL", script.text), 1))[0]

    async def ask(self, *commands: Sequence[Word]) -> list[Any]:
        """Return the answers to commands that are sent together; errors as in ``call``."""
        if not commands:
            return []  # an empty write never drains on Python 3.12 and later: closing the connection would wait forever
        return await self._by(self.due(), lambda: b"".join(map(_packed, commands)), len(commands))

    def opening(self) -> asyncio.Lock:
        """Return the lock under which the calls of this event loop open the store once.

        Raises:
            RuntimeError: Not in asyncio.
        """
        return self._pool().opening

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        while pool is not None and pool.idle:
            await pool.idle.pop().disconnect()

    async def _by(self, due: float, pack: Callable[[], bytes], answers: int) -> list[Any]:
        pool = self._pool()
        try:
            async with asyncio.timeout_at(due), pool.room:
                try:
                    return await _exchange(pool, pack, answers)
                except ConnectionClosed:
                    # The server closed an idle connection, and the other idle ones with it. It may have run the command:
                    # the id of the permit ensures that a repetition has no second effect.
                    while pool.idle:
                        await pool.idle.pop().disconnect(nowait=True)
                    return await _exchange(pool, pack, answers)
        except NoScriptError:
            raise
        except TimeoutError:
            problem = f"Redis did not answer within {SECONDS:g} s"
        except AskError:  # and its subclass MovedError
            problem = "Redis is one node of a cluster, and some keys are on other nodes: use a proxy for the cluster"
        except (RedisError, OSError) as error:
            problem = f"Redis cannot be used ({type(error).__name__}: {str(error)[:200]})"
        # Raised here, so that it has no context: frames of redis-py may contain parts of the URL.
        raise StoreError(problem, self.name)

    def _pool(self) -> _Pool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise RuntimeError("RedisStore works on asyncio only: on trio use SQLiteStore")
        pool = self._pools.get(loop)
        if pool is None:
            # A connection refers to its loop, the key of the weak dictionary: a closed loop would never be collected.
            for former in [each for each in self._pools if each.is_closed()]:
                del self._pools[former]
            pool = self._pools[loop] = _Pool(_maker(self._url, self._connected))
        return pool

    async def _connected(self, connection: _Connection) -> None:
        """Read the server's ``run_id`` before any command: a restarted server may have lost granted permits."""
        await connection.on_connect()
        await connection.send_packed_command(_packed(("INFO", "server")), check_health=False)
        info: bytes = await connection.read_response()
        self.run = info.partition(b"run_id:")[2].partition(b"\r")[0].decode("ascii", "replace")


async def _exchange(pool: _Pool, pack: Callable[[], bytes], answers: int) -> list[Any]:
    connection = pool.idle.pop() if pool.idle else pool.make()
    try:
        await connection.connect()  # does nothing on an open connection
        await connection.send_packed_command(pack(), check_health=False)
        replies = [await connection.read_response() for _ in range(answers)]
    except NoScriptError:
        pool.idle.append(connection)
        raise
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    pool.idle.append(connection)
    return replies


def _maker(url: Secret, connected: Callable[[Any], Awaitable[None]]) -> Callable[[], _Connection]:
    """Return a factory of connections to a URL."""
    options: dict[str, Any] = {
        # _by() has the timeout: on Python 3.11 redis-py would start a task for the timeout of each command.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": _untyped(Retry)(_untyped(NoBackoff)(), 0),
        "protocol": 2,
        "redis_connect_func": connected,
    }
    # The pool only parses the URL, whose options take precedence.
    pool: Any = _untyped(ConnectionPool).from_url(url.reveal(), **options)
    pool.connection_kwargs["decode_responses"] = False
    make: Callable[[], _Connection] = pool.make_connection
    return make


def _problem(url: Secret) -> str | None:
    """Return the fault of a URL, or ``None``; without any part of the URL, which may contain a password."""
    if not url.reveal().startswith(("redis://", "rediss://", "unix://")):
        return "the URL must begin with redis://, rediss:// (TLS) or unix://"
    try:
        _name(url)
        _maker(url, _untyped(None))()
    except (ValueError, TypeError):
        return (
            "redis-py cannot read the URL: percent-encode everything but letters and digits in user and password, and pass "
            "only options of redis-py"
        )
    return None


def _name(url: Secret) -> str:
    parts = urlsplit(url.reveal())
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _packed(words: Sequence[Word]) -> bytes:
    """Return the bytes of a command."""
    parts = [b"*%d" % len(words)]
    for word in words:
        encoded = word if isinstance(word, bytes) else str(word).encode()
        parts += (b"$%d" % len(encoded), encoded)
    parts.append(b"")
    return b"\r\n".join(parts)


def _untyped(thing: object) -> Any:
    """Return the argument without its types, which differ between releases of redis-py."""
    return thing
