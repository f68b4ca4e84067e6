"""The lockout rules on a single server: one step of the server changes the states and does the rest of a call's work.

The rules are Python, and the states are on the server. A change begins with the states that this process saw last. The
server saves the result only if nobody has changed them meanwhile; else the change begins again, with the new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.clock import now
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates, LockoutStates
from smsc_async.stores.redis.event_loop import StoreTasks, asyncio_loop
from smsc_async.stores.redis.shards import Part, Shards

T = TypeVar("T")

# How many states a process remembers. An account that it has forgotten costs one more round trip.
_REMEMBERED: Final = 10_000
# The longest time without an end of a turn; a call fails within a second if the server does not answer.
_TURN_SECONDS: Final = 0.1
_DAY: Final = 86_400.0


class _Turn(asyncio.Lock):
    """The turns of one event loop, and when the last turn ended with an answer of the server."""

    ended_at = -math.inf


class Turns:
    """Lets the changes of an event loop take turns: together, each would make all others begin again.

    Measured: 300 accounts with 50 in flight need 41 reads and writes for each without turns, and 4 with them.
    """

    def __init__(self) -> None:
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = weakref.WeakKeyDictionary()

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncGenerator[None]:
        """Wait for a turn, which ends with the block."""
        turn = self._turns.setdefault(asyncio_loop(), _Turn())
        has_turn = is_stuck = False
        while not (has_turn or is_stuck):
            since = now()
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    has_turn = await turn.acquire()
            except TimeoutError:
                # If the server does not answer, this call must fail in time too: without a turn it is correct, only slower.
                is_stuck = turn.ended_at < since
        try:
            yield
            turn.ended_at = now()
        finally:
            if has_turn:
                turn.release()


class Lockouts:
    """The states of the services and of the credentials of a store.

    Args:
        shards: Runs the script.
        tasks: The tasks of the store.
        view: What ``lockouts()`` shows.
    """

    def __init__(self, shards: Shards, tasks: StoreTasks, view: LockoutStates) -> None:
        self._shards = shards
        self._tasks = tasks
        self._view = view
        self._turn = Turns()
        # The states as this process saw them last, by key.
        self._texts: OrderedDict[str, str] = OrderedDict()

    def after_fork(self) -> None:
        """Forget the turns in a forked child: no task of it ends them."""
        self._turn = Turns()

    def _keys(self, names: CredentialNames) -> tuple[str, str]:
        """Return the keys of the two states: that of credentials is beside the permits of their login."""
        login_tag = self._shards.tag_of(names.login or "0")
        return f"{self._shards.tags[0]}:lockout:{names.service}", f"{login_tag}:lockout:{names.credentials}"

    def _remember(self, key: str, text: str) -> None:
        self._texts[key] = text
        self._texts.move_to_end(key)
        if len(self._texts) > _REMEMBERED:
            self._texts.popitem(last=False)

    async def _sent(self, change: Part) -> list[Any]:
        return await self._shards.run(Part(change.keys, change.numbers, ("lockout", *change.words)))


class ServerLockouts(Lockouts):
    """The states on a single server."""

    async def change(
        self,
        names: CredentialNames,
        change: Callable[[LoadedStates], T],
        send: Callable[[Part], Awaitable[list[Any]]] | None = None,
        *,
        is_late: bool = False,
    ) -> T:
        """Return what ``change`` returns, once its result is saved, or ``send`` has no use for it.

        Args:
            names: The names of the states.
            change: Changes the states; called again if another process was faster. With a ``Refusal``, nothing is saved.
            send: Sends the change with other work: the answer's first word is ``saved``, ``read`` with the actual states,
                or another one if the change is not needed. Without it, the change is sent alone.
            is_late: Whether the instant must not be too early, rather than not too late.
        """
        keys = self._keys(names)
        async with self._turn():
            former: list[str] | None = [self._texts.get(key, "") for key in keys]
            is_fresh = False
            while True:
                instant = self._shards.instant(keys[0], is_late=is_late)
                if instant is None or former is None:
                    _, *values = await self._sent(Part(keys, (0.0, 0.0, 0.0), ("", "", "", "")))
                    former, is_fresh = [each.decode() for each in values], True
                    continue
                states = LoadedStates.of(names, instant, *former)
                result = change(states)
                if isinstance(result, Refusal):
                    if not is_fresh:
                        former = None  # a refusal needs a look
                        continue
                    self._note(keys, former, states)
                    return result
                texts = states.texts()
                numbers = (0.0, 0.0, milliseconds_of(states))
                kind, *values = await (send or self._sent)(Part(keys, numbers, (*former, *texts)))
                if kind == b"saved":
                    self._note(keys, texts, states)
                if kind != b"read":
                    return result
                former, is_fresh = [each.decode() for each in values], True

    def _note(self, keys: Sequence[str], texts: Sequence[str], states: LoadedStates) -> None:
        for key, text in zip(keys, texts, strict=True):
            self._remember(key, text)
        self._view.note(states)


def milliseconds_of(states: LoadedStates) -> float:
    """Return after how many milliseconds a state of credentials means nothing."""
    return (max(states.credentials.expires_at - states.instant, 0.0) + _DAY) * 1_000
