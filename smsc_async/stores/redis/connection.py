"""The connections to a Redis server: complete answers within a second, and errors without any part of the URL.

Only the connection of redis-py is used (URL, TLS, access control, parser). Its client takes as long as a whole permit, and
retries commands that must not be retried.

Invariants:

- No command lasts longer than ``SECONDS``, and no caller waits longer than that for its connection. Connecting takes several
  round trips, so it goes on in the background for ``_CONNECT_SECONDS``.
- A connection that may still receive an answer, or that got one of the wrong shape, is never used again: the next caller
  would get the wrong answer.
- A command is repeated only if its connection turns out to be closed, and then with the same permit id.
- Closing never waits for the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionClosed

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError
from smsc_async.protocol import is_loopback
from smsc_async.stores.private_files import misconfigured
from smsc_async.stores.redis.event_loop import TimeLimits, current_task, of_loop
from smsc_async.stores.redis.scripts import Script, StoreLostError
from smsc_async.stores.redis.topology import Address

T = TypeVar("T")

SECONDS: Final = 0.9
# The hash tag of all keys on a single server.
ONE_TAG: Final = ("{smsc}",)
_CONNECT_SECONDS: Final = 5.0
# For all connections together.
_CLOSE_SECONDS: Final = 0.5
# Connections of one event loop. More gain nothing on one core, and cost the server memory.
_MAX_CONNECTIONS: Final = 16
_NO_DATABASE: Final = "DB index is out of range"
# What the words of a server may say; others may quote a password.
_FAULTS: Final = (
    "BUSY",
    _NO_DATABASE,
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
)

Word: TypeAlias = str | bytes
# redis-py's connection, whose types differ between releases.
_Connection: TypeAlias = Any


class ElsewhereError(Exception):
    """A node of a cluster does not answer for a key.

    Attributes:
        node: The node that does; ``None`` if the key is on its way from one to another.
        moved: Whether it answers from now on; otherwise for this one command.
    """

    def __init__(self, node: Address | None, *, moved: bool = False) -> None:
        self.node: Address | None = node
        self.moved: bool = moved


class _OtherModeError(Exception):
    """A server is not what the URL says: a node of a cluster, or a Sentinel."""


class _Pool:
    """The connections of one event loop; the last used one is used first."""

    def __init__(self, make: Callable[[], _Connection]) -> None:
        self._make = make
        self.idle: list[_Connection] = []
        # Connecting in the background: their callers have left.
        self.connecting: list[asyncio.Task[_Connection]] = []
        self.room = asyncio.Semaphore(_MAX_CONNECTIONS)
        self.opening = asyncio.Lock()
        # Whether the calls in flight must close their connections at their end.
        self.is_closed = False
        self.limits = TimeLimits()

    async def connection(self) -> _Connection:
        """Return an open connection; if the caller is cancelled, the connecting goes on for the next caller."""
        if self.idle:
            return self.idle.pop()
        self.connecting = [each for each in self.connecting if not each.done() or not _failed(each)]
        task = self.connecting.pop() if self.connecting else asyncio.create_task(self._connect())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_failed)  # nobody else may look at its exception
            self.connecting.append(task)
            raise

    async def _connect(self) -> _Connection:
        connection = self._make()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def drop(self) -> None:
        """Close the idle connections without waiting for the server."""
        while self.idle:
            await self.idle.pop().disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close all connections, and wait a moment for their ends."""
        self.is_closed = True
        for task in self.connecting:
            task.cancel()
        opened = [task.result() for task in self.connecting if task.done() and not _failed(task)]
        ends = [*(each.disconnect() for each in (*self.idle, *opened)), *self.connecting]
        self.idle, self.connecting = [], []
        with contextlib.suppress(TimeoutError):
            # The timeout cancels what has not ended, and gather() waits for that.
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*ends, return_exceptions=True)


def _failed(task: asyncio.Task[_Connection]) -> bool:
    return task.cancelled() or task.exception() is not None


# The parent's connections in a forked child, which must not close them.
_orphans: Final[list[object]] = []


def _store_error(error: Exception, name: str) -> StoreError:
    """Return the error for what redis-py raised."""
    # Over a unix socket redis-py wraps what the server answers to its greeting.
    cause = error.__cause__ if isinstance(error.__cause__, RedisError) else error
    if isinstance(cause, NoPermissionError):
        return misconfigured(
            "the access list of the Redis user lacks a command or a key: allow ~{smsc* and the commands in the docs, among "
            "them +info, and for a cluster +cluster|slots and +asking",
            name,
        )
    if isinstance(cause, AuthenticationError):
        return misconfigured("Redis refuses the user or the password of the URL, or requires one", name)
    # A server's words may contain a password; those of a connection that failed are redis-py's own.
    words = str(cause) if type(cause) is ConnectionClosed else next(filter(str(cause).__contains__, _FAULTS), "")
    message = f"Redis cannot be used ({type(cause).__name__}{words and ': '}{words})"
    return StoreError(message, name, retryable=words != _NO_DATABASE)


class RedisConnections:
    """Calls to one server, from any number of event loops.

    Attributes:
        tags: The hash tags of the keys.
        name: The host and port of the server, or the path of its socket.
        is_open_to_listeners: Whether the URL leads over a network without TLS.
        run: The ``run_id`` of the server, which changes with a restart; ``None`` before the first connection.
    """

    tags: tuple[str, ...] = ONE_TAG

    def __init__(self, url: Secret, mode: str = "") -> None:
        problem = _problem(url)
        if problem is not None:
            raise ValueError(problem)
        parts = urlsplit(url.reveal())
        self.name: str = _name(url)
        self.is_open_to_listeners: bool = parts.scheme == "redis" and not is_loopback(parts.hostname or "localhost")
        self._url = url
        self._host = parts.hostname or ""
        self._mode = mode
        self.run: str | None = None
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()

    def after_fork(self) -> None:
        """Forget the connections in a forked child: they are the parent's."""
        _orphans.append(self._pools)
        self._pools = weakref.WeakKeyDictionary()

    async def call(  # a script and what it needs
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Callable[[str | None], Iterable[Word]],
        read: Callable[[Any], T],
        spent: float = 0.0,
        *,
        asking: bool = False,
    ) -> T:
        """Return what ``read`` makes of a script's answer.

        ``spent`` is how much of its seconds the call has used before. With ``asking``, the node of a cluster also runs a
        script whose keys it is just receiving.
        ``arguments`` is called after the connection is open, immediately before the sending: it may read the clock. It gets
        the server's ``run``, except with ``asking``: then the store is still that of another node. ``read`` raises a
        ``ValueError``, ``TypeError`` or ``LookupError`` if the answer cannot be the script's.

        Raises:
            StoreError: The server does not answer in time, or refuses.
            ElsewhereError: The keys are on another node.
            RuntimeError: The event loop is not asyncio's.
        """

        def packed(command: str, name: str) -> list[bytes]:
            words = arguments(None if asking else self.run)
            return [_packed((command, name, str(len(keys)), *keys, *words))]

        def read_one(answers: list[Any]) -> T:
            return read(answers[0])

        try:
            return await self._by(SECONDS - spent, lambda: packed("EVALSHA", script.name), read_one, asking=asking)
        except NoScriptError:
            # The server does not know the script yet, or no longer (SCRIPT FLUSH, a restart).
            return await self._by(SECONDS, lambda: packed("EVAL", script.text), read_one, asking=asking)

    async def ask(self, *commands: Sequence[Word], read: Callable[[list[Any]], T]) -> T:
        """Return what ``read`` makes of the answers to commands that are sent together; errors as in ``call``."""
        return await self._by(SECONDS, lambda: list(map(_packed, commands)), read)

    async def owner(self, key: str) -> RedisConnections:  # noqa: ARG002  # the interface of RedisNodes
        """Return the server of a key: this one."""
        return self

    async def info(self) -> dict[str, str]:
        """Return INFO with the statistics of commands."""
        info = await self.ask(("INFO",), ("INFO", "commandstats"), read=lambda answers: _info(b"".join(answers)))
        self.run = info["run_id"]
        return info

    def opening(self) -> asyncio.Lock:
        """Return the lock under which the calls of this event loop open the store once.

        Raises:
            RuntimeError: Not in asyncio.
        """
        return self._pool().opening

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def _by(  # noqa: C901, PLR0912  # each way to fail has its error
        self, seconds: float, pack: Callable[[], list[bytes]], read: Callable[[list[Any]], T], *, asking: bool = False
    ) -> T:
        pool, task = self._pool(), current_task()
        cancelling, step, is_repeated = task.cancelling(), "accept a connection", False
        pool.limits.begin(task, seconds)
        try:
            async with pool.room:
                while True:
                    connection = await pool.connection()
                    pool.limits.begin(task, seconds)
                    step = "answer"
                    try:
                        return await self._exchange(pool, connection, pack, read, asking=asking)
                    except ConnectionClosed:
                        # The server closed an idle connection, and the other idle ones with it. It may have run the
                        # command: the id of the permit ensures that a repetition has no second effect.
                        if is_repeated:
                            raise
                        is_repeated = True
                        await pool.drop()
        except (NoScriptError, StoreLostError):
            raise
        except (asyncio.CancelledError, TimeoutError) as error:
            if isinstance(error, asyncio.CancelledError) and not pool.limits.is_over(task, cancelling):
                raise
            problem = StoreError(f"Redis did not {step} within {SECONDS:g} s: try again", self.name)
        except ElsewhereError:
            if self._mode == "cluster":
                raise
            problem = misconfigured(
                "Redis is one node of a cluster, and some keys are on other nodes: pass redis+cluster://HOST:PORT, with one "
                "address or several",
                self.name,
            )
        except _OtherModeError:
            problem = misconfigured(
                f"the URL is that of a {self._mode}, and this server is not of a {self._mode}: correct its address, or the URL",
                self.name,
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            problem = StoreError(
                "Redis sent an answer of the wrong shape; the connection was closed: try again", self.name
            )
        except (RedisError, OSError, RecursionError) as error:
            problem = _store_error(error, self.name)
        finally:
            pool.limits.end(task)
            if pool.is_closed:
                await pool.drop()
        # Raised here, so that it has no context: frames of redis-py may contain parts of the URL.
        raise problem

    async def _exchange(
        self,
        pool: _Pool,
        connection: _Connection,
        pack: Callable[[], list[bytes]],
        read: Callable[[list[Any]], T],
        *,
        asking: bool,
    ) -> T:
        answers: list[Any] = []
        try:
            commands = pack()
            await connection.send_packed_command(
                (_ASKING if asking else b"").join((b"", *commands)), check_health=False
            )
            for _ in commands:
                if asking:
                    await connection.read_response()
                answers.append(await connection.read_response())
            result = read(answers)
        except (NoScriptError, StoreLostError, AskError, TryAgainError) as error:
            pool.idle.append(connection)  # nothing else comes
            if isinstance(error, TryAgainError):
                raise ElsewhereError(None) from None
            if isinstance(error, AskError):  # or its subclass MovedError
                # A node that does not know the host of another one leaves it out: it is that of the node itself.
                moved: Any = error
                node = Address(str(moved.host) or self._host, int(moved.port))
                raise ElsewhereError(node, moved=isinstance(error, MovedError)) from None
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        pool.idle.append(connection)
        return result

    def _pool(self) -> _Pool:
        return of_loop(self._pools, lambda: _Pool(_maker(self._url, self._connected)))

    async def _connected(self, connection: _Connection) -> None:
        """Read the server's ``run_id`` before any command: a restarted server may have lost granted permits."""
        await connection.on_connect()
        await connection.send_packed_command(_packed(("INFO", "server")), check_health=False)
        info = _info(await connection.read_response())
        if self._mode and info.get("server_mode", info.get("redis_mode")) != self._mode:  # the first is Valkey's
            raise _OtherModeError
        run = info["run_id"]
        if run != self.run:
            await self._pool().drop()  # they lead to another server
        self.run = run


def _info(text: bytes) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _maker(url: Secret, connected: Callable[[Any], Awaitable[None]]) -> Callable[[], _Connection]:
    """Return a factory of connections to a URL."""
    options: dict[str, Any] = {
        # _by() and _connect() have timeouts: on Python 3.11 redis-py would start a task for the timeout of each command.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        # Sending the name of the library would cost a round trip.
        ("driver_info" if find_spec("redis.driver_info") else "lib_name"): None,
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
    text = url.reveal()
    if not text.startswith(("redis://", "rediss://", "unix://")):
        return "the URL must begin with redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://"
    try:
        _name(url)
        _maker(url, _untyped(None))()
        parts = urlsplit(text)
        # An @ behind the address: what stands before it is the rest of a password, whose beginning looks like an address.
        is_readable = "@" not in text.partition("://")[2].removeprefix(parts.netloc)
        is_readable &= parts.scheme == "unix" or parts.path.strip("/").isdecimal() or parts.path in {"", "/"}
    except (ValueError, TypeError):
        is_readable = False
    if is_readable:
        return None
    return (
        "redis-py cannot read the URL: percent-encode everything but letters and digits in user and password, and pass only "
        "the number of a database and options of redis-py"
    )


def _name(url: Secret) -> str:
    parts = urlsplit(url.reveal())
    return parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _packed(words: Sequence[Word]) -> bytes:
    """Return the bytes of a command."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        encoded = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%b\r\n" % (len(encoded), encoded))
    return b"".join(parts)


_ASKING: Final = _packed(("ASKING",))


def _untyped(thing: object) -> Any:
    """Return the argument without its types, which differ between releases of redis-py."""
    return thing
