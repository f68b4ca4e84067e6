"""What the service has refused or left unanswered, and who may ask again: nothing that is known to fail is sent.

Three memories, the first two in the store, so that all who share it know:

- Credentials that were refused (error 2) are not sent again for half an hour; other credentials of the login are.
- Where the address is blocked (error 4), nothing is sent for half an hour.
- A service that does not answer is asked seldom (``outage``); known to this process alone.

The service blocks an address at its fifth authorization error in half an hour, so at most four may leave it. Hence
credentials that have never worked need one of four permits while they are tried. It is given back at once for anything
but error 2, and after half an hour for that. Credentials that have worked go past it: one list in a fleet whose password
was changed stops nobody else's.

Invariant: no name in the store holds a credential; ``Store.label`` sees to it.
"""

from __future__ import annotations

import os
import random
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import (
    AddressBlocked,
    AddressPaused,
    ApiError,
    AuthenticationError,
    CircuitOpen,
    CredentialsRefused,
    DecodeError,
    QuotaExhausted,
    SmscError,
    StoreError,
    TransportError,
    TrialsExhausted,
)
from smsc_async.fetch.circuit import Outage
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.queue import PermitSource, WaiterQueue
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter, new_waiter, running_loop
from smsc_async.records import Tariffs
from smsc_async.stores import Store
from smsc_async.stores.base import INTERNAL_PREFIX

__all__ = ["Lockout", "Lockouts", "Trial", "lockouts_of"]

# The provider's FAQ (spec/README.md, "Seen elsewhere", row 10): five in 30 minutes block the address for 30 minutes.
_HALF_AN_HOUR: Final = 1800.0
AUTHORIZATION_ERRORS: Final = Quota(requests=4, per=_HALF_AN_HOUR, concurrent=100)
# A trial without an answer was in all likelihood no authorization error; counting it as one for half an hour would turn
# a minute of bad network at the start into half an hour without lists.
_UNANSWERED: Final = Quota(requests=4, concurrent=100)
# Credentials that worked are taken to work for so long without being seen to.
_WORKED: Final = 30 * 24 * 3600.0
# How long what an answer says may take to be remembered, though the call's time is up.
_PATIENCE: Final = 1.0
# How often to look whether another process has given a permit back.
_POLL: Final = 1.0
_SHOWN: Final = 1_000


@attrs.frozen
class Lockout:
    """Something that is not sent at present.

    Attributes:
        cause: ``"credentials"`` for those of one account, ``"address"`` for everything, ``"trials"`` for credentials
            that are not known to work, ``"outage"`` for all but a probe from time to time.
        service: To whom.
        login: Whose credentials, or ``None`` where it is not about one account.
        seconds: For how much longer.

    Example:
        >>> from smsc_async import Lockout
        >>> Lockout("address", "smsc", None, 1800.0).cause
        'address'
    """

    cause: str
    service: str
    login: str | None
    seconds: float


class Trial:
    """One attempt, as the breakers see it.

    Attributes:
        account: Whose.
        label: What its credentials are marked under.
        worked_for: Seconds for which they are still taken to work; 0 where they have never worked.
        round: Of the outage, when it was let through.
        permit: One of the four for unproven credentials, while they are tried.
    """

    __slots__ = ("account", "label", "permit", "round", "worked_for")

    def __init__(self, account: Account, label: str, worked_for: float, round_: int) -> None:
        self.account: Account = account
        self.label: str = label
        self.worked_for: float = worked_for
        self.round: int = round_
        self.permit: Permit | None = None


class _Trials(PermitSource):
    """The four permits as a gate sees them: one that is out may come back at once, unlike a token of the service's."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def try_acquire(self, login: str, quota: Quota, *, token: bool) -> Permit | None:
        return self._store().try_acquire(login, quota, token=token)

    async def acquire(self, login: str, quota: Quota, *, token: bool, lease: float) -> Permit | Refusal:
        taken = await self._store().acquire(login, quota, token=token, lease=lease)
        if isinstance(taken, Refusal) and any(seconds >= quota.window for seconds in taken.tokens_in):
            return Refusal(_POLL)
        return taken

    def try_release(self, permit: Permit, ending: Completion) -> bool:
        return self._store().try_release(permit, ending)

    async def release(self, permit: Permit, ending: Completion) -> None:
        await self._store().release(permit, ending)


class Lockouts:
    """The memory of one service in one store."""

    def __init__(self, store: Store, service: str) -> None:
        # Weakly, since the store is what this memory is found by.
        self._find_store = weakref.ref(store)
        self._service = service
        self._queue = WaiterQueue(_Trials(lambda: self._store))
        # Reentrant, as the garbage collector may end an abandoned call in the middle of what the lock is for.
        self._lock = threading.RLock()
        self._outage = Outage()
        self._waiters: set[Waiter] = set()
        # For people alone: what this process has met. What decides is in the store.
        self._met: OrderedDict[tuple[str, str], tuple[str | None, float]] = OrderedDict()

    async def check(self, account: Account) -> Trial:
        """Let an attempt begin, waiting through the rest of an outage if the time allows.

        Raises:
            NotSent: It is known to fail, or the next probe comes after the deadline.
            StoreError: The store does not answer.
        """
        label = await self._store.credential_digest(account)
        worked_for = await self._look(account, label)
        asked = await self._rested() if self._outage.is_down else self._outage.round
        return Trial(account, label, worked_for, asked)

    async def acquire_place(self, trial: Trial, *, waited: bool) -> None:
        """Let an attempt that has its permit be sent; the last look.

        Args:
            trial: The attempt.
            waited: Whether it has waited since it was admitted, so that something may have become known.

        Raises:
            NotSent: It is known to fail, or it could have the address blocked.
            StoreError: The store does not answer.
        """
        if not trial.worked_for:
            refused: float | None = None
            try:
                trial.permit = self._queue.try_acquire(
                    self._ledger, AUTHORIZATION_ERRORS, token=True
                ) or await self._queue.acquire(self._ledger, AUTHORIZATION_ERRORS, token=True)
            except QuotaExhausted as error:
                refused = error.retry_after
            if trial.permit is None:
                assert refused is not None
                self._meet("trials", "", None, refused)
                raise TrialsExhausted(refused)
            trial.permit.owner_loop = running_loop()
            trial.permit.quota = _UNANSWERED  # until the answer says otherwise, if one ever comes
            waited = waited or trial.permit.waited > 0
        if waited:
            trial.worked_for = await self._look(trial.account, trial.label)

    async def settle(self, trial: Trial, attempt: Attempt, outcome: Tariffs | SmscError | None) -> None:
        """Learn from an attempt that has ended. Completes even if the caller is being cancelled.

        Args:
            trial: What ``check`` returned.
            attempt: The record of the request.
            outcome: The result, or ``None`` if the attempt was cancelled.
        """
        self._judge_service(trial, outcome)
        if trial.permit is None and not _is_news(trial, outcome):
            return  # as nearly always, so no scope is entered either
        with anyio.move_on_after(_PATIENCE, shield=True), suppress(StoreError):
            # The outcome stands even if the store cannot record it.
            try:
                await self._remember(trial, outcome)
            finally:
                if trial.permit is not None:
                    await self._give_back(trial.permit, attempt, outcome)

    def lockouts(self) -> tuple[Lockout, ...]:
        """Return what this process knows to be closed to requests, the longest first."""
        instant = now()
        with self._lock:
            met = [
                Lockout(what, self._service, login, until - instant) for (what, _), (login, until) in self._met.items()
            ]
            rest = self._outage.rest(instant)
            met += [Lockout("outage", self._service, None, rest)] if self._outage.is_down else []
        return tuple(sorted((each for each in met if each.seconds >= 0), key=lambda each: -each.seconds))

    async def reset(self, account: Account | None) -> None:
        """Forget what was refused, for one account or altogether; the four permits stay with who has them.

        Raises:
            StoreError: The store does not answer.
        """
        if account is not None:
            labels = [await self._store.credential_digest(account)]
        else:
            with self._lock:
                labels = [label for what, label in self._met if what == "credentials"]
                self._outage.answered()
            await self._store.clear_flag(self._name("blocked", ""))
        for label in labels:
            await self._store.clear_flag(self._name("refused", label))
        with self._lock:
            for key in [each for each in self._met if account is None or each[1] in labels]:
                del self._met[key]
        self._wake()

    def after_fork(self) -> None:
        """Forget who waits and who holds the lock: they are in the parent."""
        self._lock = threading.RLock()
        self._waiters = set()
        self._queue.abandon()

    @property
    def _store(self) -> Store:
        store = self._find_store()
        assert store is not None, "whoever calls holds the store"
        return store

    @property
    def _ledger(self) -> str:
        return f"{INTERNAL_PREFIX}authorization errors {self._service}"

    def _name(self, what: str, label: str) -> str:
        return f"{what} {self._service} {label}"

    async def _look(self, account: Account, label: str) -> float:
        names = (self._name("blocked", ""), self._name("refused", label), self._name("worked", label))
        blocked, refused, worked = await self._store.flag_ttls(names)
        if blocked:
            self._meet("address", "", None, blocked)
            raise AddressPaused(4, "", blocked)
        if refused:
            self._meet("credentials", label, account.login, refused)
            raise CredentialsRefused
        return worked

    async def _rested(self) -> int:
        while True:
            with self._lock:
                wait, asked = self._outage.ask(now(), _chance()), self._outage.round
            if not wait:
                return asked
            if wait > anyio.current_effective_deadline() - anyio.current_time():
                raise CircuitOpen(wait)
            waiter = new_waiter()
            self._waiters.add(waiter)
            try:
                await waiter.wait(wait)
            finally:
                self._waiters.discard(waiter)

    def _judge_service(self, trial: Trial, outcome: Tariffs | SmscError | None) -> None:
        # A page that is no answer of the service is what one sees of it during maintenance.
        silent = isinstance(outcome, TransportError) or (isinstance(outcome, DecodeError) and outcome.format is None)
        with self._lock:
            if silent:
                self._outage.failed(trial.round, now(), _chance())
            elif isinstance(outcome, Tariffs | ApiError | DecodeError):
                was_down = self._outage.is_down
                self._outage.answered()
                if was_down:
                    self._wake()

    async def _remember(self, trial: Trial, outcome: Tariffs | SmscError | None) -> None:
        if isinstance(outcome, AuthenticationError):
            self._meet("credentials", trial.label, trial.account.login, _HALF_AN_HOUR)
            await self._store.set_flag(self._name("refused", trial.label), _HALF_AN_HOUR)
            await self._store.clear_flag(self._name("worked", trial.label))
            if trial.permit is None:
                # They had worked, and the service counts this error like any other.
                taken = await self._store.acquire(self._ledger, AUTHORIZATION_ERRORS, token=True, lease=_PATIENCE)
                trial.permit = None if isinstance(taken, Refusal) else taken
        elif isinstance(outcome, AddressBlocked):
            self._meet("address", "", None, _HALF_AN_HOUR)
            await self._store.set_flag(self._name("blocked", ""), _HALF_AN_HOUR)
        elif isinstance(outcome, Tariffs) and _is_news(trial, outcome):
            await self._store.set_flag(self._name("worked", trial.label), _WORKED)

    async def _give_back(self, permit: Permit, attempt: Attempt, outcome: Tariffs | SmscError | None) -> None:
        if isinstance(outcome, AuthenticationError):
            permit.quota = AUTHORIZATION_ERRORS
            permit.seen = now() if attempt.head_seen_at is None else attempt.head_seen_at
            await self._queue.release(permit, Completion.COMPLETE)
        elif attempt.may_have_counted and attempt.head_seen_at is None:
            await self._queue.release(permit, Completion.INCOMPLETE)
        else:
            await self._queue.release(permit, Completion.NOT_SENT)

    def _meet(self, what: str, label: str, login: str | None, seconds: float) -> None:
        with self._lock:
            self._met[what, label] = (login, now() + seconds)
            if len(self._met) > _SHOWN:
                self._met.popitem(last=False)

    def _wake(self) -> None:
        for waiter in list(self._waiters):
            waiter.notify()


def _is_news(trial: Trial, outcome: Tariffs | SmscError | None) -> bool:
    if isinstance(outcome, Tariffs):
        return trial.worked_for < _WORKED / 2
    return isinstance(outcome, AuthenticationError | AddressBlocked)


def _chance() -> float:
    return random.random()  # noqa: S311  # spreads requests; no secret hangs on it


_lockouts: Final[weakref.WeakKeyDictionary[Store, dict[str, Lockouts]]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    for services in list(_lockouts.values()):
        for lockouts in services.values():
            lockouts.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def lockouts_of(store: Store, service: str) -> Lockouts:
    """Return the memory of a service in a store: one for all clients of the process that share it."""
    with _lock:
        services = _lockouts.setdefault(store, {})
        if service not in services:
            services[service] = Lockouts(store, service)
        return services[service]
