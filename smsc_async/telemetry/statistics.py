"""What a client has done, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import attrs

from smsc_async.errors import ApiError, NotSent
from smsc_async.fetch.lockout import LockoutView
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.bucket import Usage
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import quota_key


def _read_only(counts: Mapping[int, int]) -> Mapping[int, int]:
    return MappingProxyType(dict(counts))


@attrs.frozen
class Statistics:
    """What a client has done since its creation.

    Attributes:
        calls: Calls for a list; refreshes in the background do not count.
        hits: Calls that the cache or the store answered.
        shared: Calls that got the result of an earlier call of this process or another one.
        requests: Requests that were sent, including retries and refreshes.
        waits: Requests that had to wait for a permit.
        waited: Seconds that they waited, in total.
        retries: Requests that were a second or later attempt.
        refusals: How often the service refused, by its error code.
        refreshes: Refreshes in the background.

    Example:
        >>> from smsc_async import Statistics
        >>> done = Statistics(calls=12, hits=9, shared=2, requests=1)
        >>> done.calls - done.hits - done.shared
        1
    """

    calls: int = 0
    hits: int = 0
    shared: int = 0
    requests: int = 0
    waits: int = 0
    waited: float = 0.0
    retries: int = 0
    # Not in the hash: a mapping that is read-only has none.
    refusals: Mapping[int, int] = attrs.field(default=MappingProxyType({}), converter=_read_only, hash=False)
    refreshes: int = 0

    def __reduce__(self) -> tuple[Callable[[], Statistics], tuple[()]]:
        values = attrs.asdict(self, recurse=False) | {"refusals": dict(self.refusals)}
        return partial(Statistics, **values), ()


@attrs.frozen
class Lockout:
    """Something that is not sent at present.

    Attributes:
        cause: ``"credentials"`` if the service refused them, ``"trials"`` if too many credentials that are not known to work
            were refused or have no reply, ``"address"`` after error 4, ``"outage"`` if the service does not respond,
            ``"store"`` if the store lost its state.
        service: The name of the service.
        login: The login, or ``None`` if the lockout concerns all logins.
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


@attrs.frozen
class QuotaState:
    """What is left of a login's quota.

    Attributes:
        remaining: Tariff requests that the quota allows now.
        next_in: Seconds until the quota allows the next one, at the earliest; 0 if it allows one now.
        in_flight: Requests in progress, and those that ended without a reply a few seconds ago.
        lockouts: The lockouts of the login and of all logins, as in ``Client.lockouts()``. They are not part of ``remaining``.

    Example:
        >>> from smsc_async import QuotaState
        >>> QuotaState(remaining=0, next_in=42.0, in_flight=1).next_in
        42.0
    """

    remaining: int
    next_in: float
    in_flight: int
    lockouts: tuple[Lockout, ...] = ()


def quota_state(usage: Usage, quota: Quota, login: str, lockouts: Iterable[Lockout]) -> QuotaState:
    """Return the state of a login's quota, with the lockouts that concern the login."""
    remaining = max(quota.requests - len(usage.tokens_in), 0)
    own = [each for each in lockouts if each.login is None or quota_key("", each.login) == quota_key("", login)]
    return QuotaState(remaining, 0.0 if remaining else usage.tokens_in[-quota.requests], usage.slots, tuple(own))


def all_lockouts(service: str, views: Iterable[LockoutView], outage: float, closed: float) -> tuple[Lockout, ...]:
    """Return the lockouts of a service, the longest first.

    Args:
        service: The name of the service.
        views: The lockouts in the store.
        outage: Seconds until the circuit breaker allows a request, or 0.
        closed: Seconds for which the store is closed, or 0.
    """
    found = [Lockout(each.cause.value, service, each.login, each.seconds) for each in views]
    others = (("outage", outage), ("store", closed))
    found += [Lockout(cause, service, None, seconds) for cause, seconds in others if seconds]
    return tuple(sorted(found, key=lambda each: -each.seconds))


@attrs.define(eq=False, repr=False)
class Counters:
    """The counters of one client, as in ``Statistics``."""

    calls: int = 0
    hits: int = 0
    shared: int = 0
    requests: int = 0
    waits: int = 0
    waited: float = 0.0
    retries: int = 0
    refusals: dict[int, int] = attrs.field(factory=dict[int, int])
    refreshes: int = 0

    def count(self, attempt: Attempt) -> None:
        """Count an attempt that has ended."""
        if attempt.may_have_counted:
            self.requests += 1
            self.retries += attempt.number > 0
            self.waits += attempt.waited > 0
            self.waited += attempt.waited
        outcome = attempt.outcome
        if isinstance(outcome, ApiError) and not isinstance(outcome, NotSent):
            self.refusals[outcome.code] = self.refusals.get(outcome.code, 0) + 1

    def statistics(self) -> Statistics:
        """Return the current values."""
        return Statistics(**attrs.asdict(self))
