"""The lockout rules on a cluster, where the state of a service and the states of credentials are on different nodes.

The service's state is the one that bounds the errors of an address, so each change is saved there first: a process that
dies between the two leaves a place or an error too many, never one too few.

Invariants:

- A request of credentials at risk has a place in the state of the service.
- Confirmed credentials need no place while the service is at full speed, by a look that is at most ``_VIEW_SECONDS`` old.
  Neither while the state of the service cannot be reached or lost something: then four are in flight in each process.
- An error 2 or 4 of such a request is saved at once, and again until it is saved. Successes are saved together.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

from smsc_async.errors import StoreError
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import Cause, CredentialsState, Place, Refused, Verdict
from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.clock import now
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates, LockoutStates
from smsc_async.stores.redis.event_loop import StoreTasks
from smsc_async.stores.redis.server_lockouts import Lockouts, milliseconds_of
from smsc_async.stores.redis.shards import Part, Shards
from smsc_async.stores.rows import poll_pause

T = TypeVar("T")

_VIEW_SECONDS: Final = 1.0
# Shorter than the second without requests after which the rules start slowly again.
_BATCH_SECONDS: Final = rules.IDLE / 2
_AGAIN_SECONDS: Final = 1.0
_ON_SERVICE: Final = (Verdict.LIST, Verdict.REFUSED, Verdict.BLOCKED)


class ClosedError(Exception):
    """The node with the state of the service lost something."""

    def __init__(self, answer: list[Any]) -> None:
        self.answer: list[Any] = answer


class ChangedError(Exception):
    """Another process changed the credentials between the two steps, and now the rules refuse the request."""


@attrs.frozen
class _Step:
    """The second step of a change.

    Attributes:
        service: The state of the service before the change.
        former: The state of the credentials before the change.
        changed: The same after it.
        instant: When the change was made.
    """

    service: str
    former: str
    changed: str
    instant: float


@attrs.frozen
class _Ended:
    """A request without a place in the state of the service, and what it showed."""

    place: Place
    credentials: CredentialsState
    verdict: Verdict


class ClusterLockouts(Lockouts):
    """The states on a cluster."""

    _SEES_BOTH = False

    def __init__(self, shards: Shards, tasks: StoreTasks, view: LockoutStates) -> None:
        super().__init__(shards, tasks, view)
        # The requests in flight without a place in the state of the service.
        self._in_flight: dict[str, Place] = {}
        self._saving: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, list[_Ended]] = {}
        self._timers: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle]] = {}
        self._unreachable_until = -math.inf

    async def change(
        self,
        names: CredentialNames,
        change: Callable[[LoadedStates], T],
        *,
        request: str = "",
        closed_for: float = 0.0,
    ) -> T:
        """Return what ``change`` returns, once its result is saved in both states; with ``request``, call ``saved`` as well.

        Raises:
            ClosedError: The store lost its state within the last ``closed_for`` seconds.
            StoreError: A node does not answer.
        """
        step = None

        async def save(states: LoadedStates, former: list[str]) -> tuple[bytes, list[str]]:
            nonlocal step
            former_service, former_credentials = former
            service, credentials = states.texts()
            if step is None or credentials != former_credentials:
                # If an answer was lost, the next round finds the change of the service done, and changes nothing.
                step = _Step(former_service, former_credentials, credentials, states.instant)
            kind, text = await self._save(self._keys(names)[0], former_service, service, closed_for=closed_for)
            return kind, [text] if kind == b"saved" else [text, former_credentials]

        result = await self._changed(names, change, save, is_late=not request)
        if step is None or isinstance(result, Refusal) or not names.credentials:
            return result
        if request:
            # Beside the permit, which is on the same node.
            self._saving[request] = self._tasks.begin(self._save_credentials(names, step, change, check=True))
        else:
            await self._save_credentials(names, step, change)
        return result

    async def saved(self, request: str) -> None:
        """Return when the state of the credentials has the place of a request too.

        Raises:
            ChangedError: Another process changed it, and now the rules refuse the request: its place must be returned.
            StoreError: The node does not answer.
        """
        task = self._saving.pop(request, None)
        if task is not None:
            await asyncio.shield(task)

    async def take(self, names: CredentialNames, request: str, closed_for: float) -> Place | Refusal:
        """Return a place, in the state of the service only if it needs one; call ``saved`` before the request is sent.

        Raises:
            ClosedError: The state of the service lost something, and the credentials are at risk.
            StoreError: The same if a node does not answer.
        """

        def take(states: LoadedStates) -> Place | Refusal:
            return states.take(request)

        seen, text = self._view.services.get(names.service), self._texts.get(self._keys(names)[1])
        is_known = text is not None
        if text is None:
            text = await self._read_credentials(names)
        states = self._seen(names, text, is_late=False)
        is_confirmed = rules.is_confirmed(states.service, states.credentials, states.instant)
        is_fresh = seen is not None and now() - seen.at < _VIEW_SECONDS
        is_fast = is_fresh and rules.is_at_full_speed(states.service) and len(self._in_flight) < rules.FAST
        if not (is_confirmed and is_fast):
            if not is_confirmed or now() >= self._unreachable_until:
                try:
                    return await self.change(names, take, request=request, closed_for=closed_for)
                except (StoreError, ClosedError) as error:
                    if not is_confirmed or (isinstance(error, StoreError) and not error.retryable):
                        raise
                    self._unreachable_until = now() + _AGAIN_SECONDS
            if len(self._in_flight) >= rules.PLACES:
                return Refusal(poll_pause(2.0), (), Refused(Cause.TRIALS, 0.0))
        place = Place(request, names.login, fast=True, probe=False, sent_at=states.instant)
        self._in_flight[request] = place
        if seen is not None:
            seen.state.fast[request] = place
        if is_known:
            self._saving[request] = self._tasks.begin(self._check_confirmed(names))
        return place

    async def _check_confirmed(self, names: CredentialNames) -> None:
        states = self._seen(names, await self._read_credentials(names), is_late=False)
        if not rules.is_confirmed(states.service, states.credentials, states.instant):
            raise ChangedError

    async def settle(
        self, names: CredentialNames, request: str, verdict: Verdict, settle: Callable[[LoadedStates], None]
    ) -> None:
        """Learn from a request; ``settle`` changes the states if it has a place in that of the service.

        Raises:
            StoreError: A node does not answer.
        """
        with contextlib.suppress(StoreError, ChangedError):
            await self.saved(request)
        if request in self._in_flight:
            await self._settle_without_place(names, request, verdict)
        else:
            await self.change(names, settle)

    async def _settle_without_place(self, names: CredentialNames, request: str, verdict: Verdict) -> None:
        place = self._in_flight.pop(request)
        seen, text = self._view.services.get(names.service), self._texts.get(self._keys(names)[1], "")

        def change(states: LoadedStates) -> None:
            states.settle(place, verdict)

        states = copy.deepcopy(self._seen(names, text, is_late=True))
        step = _Step(states.texts()[0], text, text, states.instant)
        if verdict in _ON_SERVICE:
            ended = _Ended(place, copy.deepcopy(states.credentials), verdict)
            self._ended.setdefault(names.service, []).append(ended)
        change(states)
        if seen is not None:
            seen.state = states.service  # what this process knows counts at once
        if verdict in (Verdict.REFUSED, Verdict.BLOCKED):
            await self.flush(names.service)
        else:
            self._flush_in(_BATCH_SECONDS, names.service)
        await self._save_credentials(names, attrs.evolve(step, changed=states.texts()[1]), change)

    async def flush(self, service: str) -> None:
        """Save what requests without a place have shown; raises nothing."""
        ended = self._ended.pop(service, [])
        if not ended:
            return

        def learn(states: LoadedStates) -> None:
            # All first: between two of them the service was not idle.
            states.service.fast.update({each.place.request: each.place for each in ended})
            for each in ended:
                rules.settle(states.service, copy.deepcopy(each.credentials), each.place, each.verdict, states.instant)

        is_saved = False
        try:
            with contextlib.suppress(StoreError):
                await self.change(CredentialNames(service, "", ""), learn)
                is_saved = True
        finally:
            # Successes are not missed: the service starts more slowly without them.
            errors = [each for each in ended if each.verdict is not Verdict.LIST]
            if errors and not is_saved:
                self._ended.setdefault(service, []).extend(errors)
                self._flush_in(_AGAIN_SECONDS, service)

    async def aclose(self) -> None:
        """Save what is left, and stop the timers of this event loop."""
        loop = asyncio.get_running_loop()
        for service in [service for service, (timer_loop, _) in self._timers.items() if timer_loop is loop]:
            self._timers.pop(service)[1].cancel()
        await asyncio.gather(*(self.flush(service) for service in list(self._ended)))

    def _instant(self, names: CredentialNames, *, is_late: bool) -> float:
        # While the node with the state of the service has not answered, the time of the other node.
        instants = [self._shards.instant(key, is_late=is_late) for key in self._keys(names)]
        return instants[0] or instants[1] or now()

    def _seen(self, names: CredentialNames, text: str, *, is_late: bool) -> LoadedStates:
        """Return the state of the service as this process saw it last, and the state of credentials from its text."""
        seen = self._view.services.get(names.service)
        states = LoadedStates.of(names, self._instant(names, is_late=is_late), None, text)
        return states if seen is None else attrs.evolve(states, service=seen.state)

    def _known(self, names: CredentialNames) -> list[str] | None:
        service, credentials = self._keys(names)
        is_known = service in self._texts and (credentials in self._texts or not names.credentials)
        return super()._known(names) if is_known else None

    async def _read(self, names: CredentialNames) -> list[str]:
        read = self._save(self._keys(names)[0], "", "")
        (_, service), credentials = await asyncio.gather(read, self._read_credentials(names))
        return [service, credentials]

    def _flush_in(self, seconds: float, service: str) -> None:
        loop = asyncio.get_running_loop()
        if service in self._timers and not self._timers[service][0].is_closed():
            return

        def flush() -> None:
            self._timers.pop(service, None)
            self._tasks.begin(self.flush(service), is_awaited=False)

        self._timers[service] = loop, loop.call_later(seconds, flush)

    async def _read_credentials(self, names: CredentialNames) -> str:
        if not names.credentials:
            return ""
        key = self._keys(names)[1]
        _, text = await self._save(key, "", "")
        self._remember(key, text)
        return text

    async def _save_credentials(
        self,
        names: CredentialNames,
        step: _Step,
        change: Callable[[LoadedStates], object],
        *,
        check: bool = False,
    ) -> None:
        """Save the state of credentials; if another process has changed it, change that state in the same way.

        With ``check``, look also if there is nothing to save.
        """
        key, former, changed = self._keys(names)[1], step.former, step.changed
        while check or changed != former:
            lasts = milliseconds_of(LoadedStates.of(names, step.instant, None, changed))
            _, current = await self._save(key, former, changed, lasts)
            if current == changed:
                self._remember(key, changed)
                return
            former, check = current, False
            states = LoadedStates.of(names, step.instant, step.service, former)
            if isinstance(change(states), Refusal):
                self._remember(key, former)
                raise ChangedError
            changed = states.texts()[1]

    async def _save(
        self, key: str, former: str, new: str, lasts: float = 0.0, *, closed_for: float = 0.0
    ) -> tuple[bytes, str]:
        """Save a state, or with an empty one read it; return ``saved`` or ``read``, and the state as text.

        If another process saved the same, or this one with an answer that was lost, it is saved.

        Raises:
            ClosedError: The store lost its state within the last ``closed_for`` seconds.
        """
        kind, *values = await self._sent(Part((key,), (closed_for * 1e6, lasts), (former, new)))
        if kind == b"closed":
            raise ClosedError([kind, *values])
        text = values[0].decode() if values else new
        return b"saved" if new and text == new else kind, text
