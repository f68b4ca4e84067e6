"""The lockout state as a shared store keeps it: as text, loaded and saved in one atomic step around the rules.

``LockoutStates`` also remembers what this process saw last, for ``lockouts()``.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from typing import Final

import attrs

from smsc_async.errors import StoreError
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import CredentialsState, LockoutView, Place, Refused, ServiceState, Verdict
from smsc_async.limiter.bucket import Refusal
from smsc_async.limiter.clock import now
from smsc_async.stores.rows import poll_pause

# How many logins and credentials a process remembers for `lockouts()`.
_REMEMBERED: Final = 1_000
_UNKNOWN: Final = "another login"


@attrs.frozen
class CredentialNames:
    """The names of credentials in a store.

    Attributes:
        service: The name of the service.
        login: The digest of the login.
        credentials: The service, and the digest of the credentials; empty if only the service is meant.
    """

    service: str
    login: str
    credentials: str


@attrs.define
class LoadedStates:
    """The states of a service and of credentials, between loading and saving.

    Attributes:
        names: The names of the credentials.
        service: The state of the service.
        credentials: The state of the credentials.
        instant: The instant, on the clock of the states.
    """

    names: CredentialNames
    service: ServiceState
    credentials: CredentialsState
    instant: float

    @classmethod
    def of(cls, names: CredentialNames, instant: float, service: str | None, credentials: str | None) -> LoadedStates:
        """Return the states of two texts; ``None`` or an empty text is that of a state that was never saved.

        Raises:
            StoreError: Somebody has damaged a text.
        """
        try:
            return cls(
                names,
                rules.load_service(service) if service else ServiceState(),
                rules.load_credentials(credentials) if credentials else CredentialsState(names.login),
                instant,
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            problem = "the state of the lockouts is damaged: stop all workers, wait 30 minutes and empty the store"
        raise StoreError(problem, retryable=False)

    def place_of(self, request: str) -> Place | None:
        """Return the place of a request in flight."""
        return self.service.trials.get(request) or self.service.fast.get(request)

    def take(self, request: str) -> Place | Refusal:
        """Take a place, or return the refusal of the rules. A repetition takes no second place."""
        if (known := self.place_of(request)) is not None:
            return known
        place = rules.check(self.service, self.credentials, request, self.instant)
        if isinstance(place, Refused):
            # The end of a request in another process is not notified: ask again soon.
            retry_in = min(place.retry_in or math.inf, poll_pause(2.0))
            return Refusal(retry_in, (), place, rules.priority(self.service, self.credentials, self.instant))
        rules.enter(self.service, self.credentials, place)
        return place

    def settle(self, place: Place, verdict: Verdict) -> None:
        """Give a place back, and learn from the exchange."""
        rules.settle(self.service, self.credentials, place, verdict, self.instant)

    def reset(self) -> None:
        """End the lockouts of the credentials; without credentials, all lockouts of the service."""
        rules.reset(self.service, self.credentials if self.names.credentials else None, self.instant)

    def texts(self) -> tuple[str, str]:
        """Return the two states as texts."""
        return rules.dump(self.service), rules.dump(self.credentials)


@attrs.define
class SeenService:
    """The state of a service as this process saw it last.

    Attributes:
        state: The state. On a cluster also with requests of this process since then.
        ahead: Seconds by which the clock of the state is ahead of the library's.
        at: The instant of the look.
    """

    state: ServiceState
    ahead: float
    at: float


class LockoutStates:
    """What this process saw last of the lockout state of a store."""

    def __init__(self) -> None:
        self.logins: OrderedDict[str, str] = OrderedDict()
        """The logins of digests."""
        self.services: dict[str, SeenService] = {}
        """The states of services, by name."""
        # With their logins, which `logins` may have dropped since.
        self._suspects: OrderedDict[str, tuple[CredentialsState, str]] = OrderedDict()

    def note(self, states: LoadedStates) -> None:
        """Remember states."""
        instant = now()
        self.services[states.names.service] = SeenService(states.service, states.instant - instant, instant)
        self._suspects.pop(states.names.credentials, None)
        if states.names.credentials and (states.credentials.refused_at > rules.NEVER or states.credentials.unanswered):
            login = self.logins.get(states.names.login, _UNKNOWN)
            self._suspects[states.names.credentials] = states.credentials, login
        for remembered in (self._suspects, self.logins):
            if len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)

    def lockouts(self, service: str) -> list[LockoutView]:
        """Return what the rules refuse, with logins in place of their digests."""
        seen = self.services.get(service)
        if seen is None:
            return []
        suspects = [each for name, each in list(self._suspects.items()) if name.startswith(f"{service} ")]
        logins = {**self.logins, **{each.login: login for each, login in suspects}}
        # A copy: the rules drop what is over, and several threads may look at the same time.
        views = rules.lockouts(copy.deepcopy(seen.state), [each for each, _ in suspects], now() + seen.ahead)
        return [attrs.evolve(each, login=each.login and logins.get(each.login, _UNKNOWN)) for each in views]
