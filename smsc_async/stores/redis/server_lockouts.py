"""The lockout rules on a single server: one step of the server changes the states and does the rest of a call's work.

The rules are Python, and the states are on the server. A change begins with the states that this process saw last. The
server saves the result only if nobody has changed them meanwhile; else the change begins again, with the new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeVar

from smsc_async.fetch import lockout as rules
from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.clock import now
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates, LockoutStates
from smsc_async.stores.redis.event_loop import StoreTasks, of_loop
from smsc_async.stores.redis.shards import Part, Shards

T = TypeVar("T")

# How many states a process remembers. An account that it has forgotten costs one more round trip.
_REMEMBERED: Final = 10_000
# The longest time without an end of a turn; a call fails within a second if the server does not answer.
_TURN_SECONDS: Final = 0.1
_DAY: Final = 86_400.0
# States are not for a server whose clock differs by more from that of the one before it.
_CLOCK_SECONDS: Final = 60.0


class Turns:
    """Lets the changes of an event loop take turns: together, each would make all others begin again.

    Measured: 300 accounts with 50 in flight need 41 reads and writes for each without turns, and 4 with them.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        # When the last turn ended with an answer of the server.
        self._ended_at = -math.inf

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn, which ends with the block."""
        has_turn = is_stuck = False
        while not (has_turn or is_stuck):
            since = now()
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    has_turn = await self._lock.acquire()
            except TimeoutError:
                # If the server does not answer, this call must fail in time too: without a turn it is correct, only slower.
                is_stuck = self._ended_at < since
        try:
            yield
            self._ended_at = now()
        finally:
            if has_turn:
                self._lock.release()


class Lockouts(ABC):
    """The states of the services and of the credentials of a store.

    Args:
        shards: Runs the script.
        tasks: The tasks of the store.
        view: What ``lockouts()`` shows.
    """

    _SEES_BOTH: bool
    """Whether one script sees both states."""

    def __init__(self, shards: Shards, tasks: StoreTasks, view: LockoutStates) -> None:
        self._shards = shards
        self._tasks = tasks
        self._view = view
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()
        # The states as this process saw them last, by key.
        self._texts: OrderedDict[str, str] = OrderedDict()

    def after_fork(self) -> None:
        """Forget the turns in a forked child: no task of it ends them."""
        self._turns.clear()

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

    async def _changed(
        self,
        names: CredentialNames,
        change: Callable[[LoadedStates], T],
        save: Callable[[LoadedStates, list[str]], Awaitable[tuple[bytes, list[str]]]],
        *,
        is_late: bool,
    ) -> T:
        """Return what ``change`` returns, once its result is saved, or ``save`` has no use for it.

        The change begins with the states that this process saw last, and again if another process was faster.

        Args:
            names: The names of the states.
            change: Changes the states. With a ``Refusal``, nothing is saved.
            save: Saves the changed states in place of the former texts. It returns ``saved`` and the texts, or ``read`` and
                the actual texts, or another word if the change is not needed.
            is_late: Whether the instant must not be too early, rather than not too late.
        """
        keys = self._keys(names)
        async with of_loop(self._turns, Turns).turn():
            former, is_fresh = self._known(names), False
            while True:
                instant = self._shards.instant(keys[0], is_late=is_late)
                if instant is None or former is None:
                    former, is_fresh = await self._read(names), True
                    continue
                states = self._loaded(names, instant, former)
                result = change(states)
                if isinstance(result, Refusal) and not is_fresh:
                    former = None  # a refusal needs a look
                    continue
                kind, texts = (b"saved", former) if isinstance(result, Refusal) else await save(states, former)
                if kind == b"saved":
                    for key, text in zip(keys, texts, strict=False):
                        self._remember(key, text)
                    self._view.note(states)
                if kind != b"read":
                    return result
                former, is_fresh = texts, self._SEES_BOTH

    def _loaded(self, names: CredentialNames, instant: float, texts: list[str]) -> LoadedStates:
        """Return the states of two texts; in place of what a server has lost, the states that this process saw last.

        So errors still count after a server was emptied or restarted, and credentials that have worked are not tried again.
        """
        states, seen = LoadedStates.of(names, instant, *texts), self._view.services.get(names.service)
        if all(texts) or seen is None or abs(seen.ahead - (instant - now())) > _CLOCK_SECONDS:
            return states
        known = LoadedStates.of(names, instant, *(self._texts.get(key) for key in self._keys(names)))
        if not texts[0]:
            states.service = known.service
        # Another process may have reset a refusal.
        if not texts[1] and known.credentials.refused_at == rules.NEVER:
            states.credentials = known.credentials
        return states

    def _known(self, names: CredentialNames) -> list[str] | None:
        """Return the texts of both states as this process saw them last, or ``None`` if it has to read them."""
        return [self._texts.get(key, "") for key in self._keys(names)]

    @abstractmethod
    async def _read(self, names: CredentialNames) -> list[str]:
        """Return the texts of both states."""


class ServerLockouts(Lockouts):
    """The states on a single server."""

    _SEES_BOTH = True

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

        async def save(states: LoadedStates, former: list[str]) -> tuple[bytes, list[str]]:
            texts, numbers = states.texts(), (0.0, 0.0, milliseconds_of(states))
            kind, *values = await (send or self._sent)(Part(self._keys(names), numbers, (*former, *texts)))
            return kind, [each.decode() for each in values] if kind == b"read" else [*texts]

        return await self._changed(names, change, save, is_late=is_late)

    async def _read(self, names: CredentialNames) -> list[str]:
        _, *values = await self._sent(Part(self._keys(names), (0.0, 0.0, 0.0), ("", "", "", "")))
        return [each.decode() for each in values]


def milliseconds_of(states: LoadedStates) -> float:
    """Return after how many milliseconds a state of credentials means nothing."""
    return (max(states.credentials.expires_at - states.instant, 0.0) + _DAY) * 1_000
