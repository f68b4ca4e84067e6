"""Which credentials may be sent: the state of a service and of credentials in a store, and the rules over both.

The service blocks an address at the fifth error 2 within 30 minutes, over all logins. Error 2 has two causes: a wrong
password, and an address that is not on the allow-list of the account. The rules keep the number of errors below five,
and let healthy accounts through as fast as that permits. ``docs/lockout.md`` has the rules by number, with the simulation.

A store calls ``check`` and, if token and slot are free too, ``enter``, in one atomic step; later ``settle``, in another.

Invariants:

- Everything that precedes an error says nothing about the time after it. Hence only requests that were sent after the
  last error count as successes (``successes``) and lift a suspension. Otherwise late replies to requests that were sent
  before an address moved would let the next fifty through.
- ``errors`` + ``trials`` + exposed fast requests stay below five, where exposed means not covered by a success. All
  requests in flight may fail together, so a rule that leaves out one of these three numbers permits a fifth error.
- A trial counts as unanswered from the moment it is admitted (``CredentialsState.unanswered``); only a reply removes it.
  So a process that is killed during a trial leaves the right count behind.
- The size of ``ServiceState`` does not depend on the number of accounts: all its lists are bounded by the rules.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import attrs

from smsc_async.errors import AddressPaused, CredentialsRefused, NotSent, TrialsExhausted

NEVER: Final = -math.inf

# The provider's FAQ (spec/README.md, "Seen elsewhere", row 10): five errors in 30 minutes block the address for as long.
WINDOW: Final = 1800.0
PLACES: Final = 4
# Up to two errors of credentials that had worked count as changed passwords; more may be a moved address.
FEW: Final = 2
ERRORS_PER_LOGIN: Final = 2
FAST: Final = 50
IDLE: Final = 1.0
# An exchange ends after 30 s; the rest is for a busy event loop.
LEASE: Final = 35.0
UNANSWERED_FOR: Final = 60.0
FIRST_PROBE: Final = 5.0
NEXT_PROBE: Final = 10.0
# Longer than WINDOW: a job that runs every 30 minutes serves every healthy account before it repeats a refused one.
BACKOFF: Final = (2700.0, 7200.0, 43200.0, 86400.0)
FREE_TRIALS: Final = 2
TRIALS: Final = 4
TRIAL_PAUSE: Final = 600.0
REMEMBERED: Final = 30 * 86400.0
_OWN_REASON: Final = (
    "two requests of this login were refused or have no reply (if its credentials are right: reset_lockouts(account), "
    "or smsc-async accounts check --again)"
)


class Standing(enum.Enum):
    """What the store knows about credentials."""

    CONFIRMED = enum.auto()
    """A list was fetched within the last 30 minutes."""
    SUSPENDED = enum.auto()
    """Confirmed, but other credentials that had worked were refused since."""
    PROVEN = enum.auto()
    """A list was fetched earlier."""
    UNTESTED = enum.auto()
    """No list, no refusal."""
    REFUSED = enum.auto()
    """The last readable reply was error 2; the backoff may be over."""


_NEVER_WORKED: Final = (Standing.UNTESTED, Standing.REFUSED)


class Cause(enum.Enum):
    """Why a request is refused locally."""

    CREDENTIALS = "credentials"
    TRIALS = "trials"
    ADDRESS = "address"


class Verdict(enum.Enum):
    """What an exchange showed."""

    LIST = enum.auto()
    """A tariff list."""
    REFUSED = enum.auto()
    """Error 2."""
    BLOCKED = enum.auto()
    """Error 4."""
    OTHER = enum.auto()
    """Another readable reply of the service: error 9, error 1, a list that cannot be decoded."""
    UNANSWERED = enum.auto()
    """Sent, without a readable reply: silence, a cut connection, a 5xx, a foreign page."""
    NOT_SENT = enum.auto()
    """The body was never read."""


class Place(NamedTuple):
    """The permission of the rules for one request.

    Attributes:
        request: The id of the request.
        login: The digest of the login.
        fast: Admitted by rule 2 or 4; otherwise a trial, by rule 3.
        probe: Admitted although unanswered trials fill the places or the address is paused.
        sent_at: The instant of admission.
        tested: Whether the credentials have worked before and were not refused since.
    """

    request: str
    login: str
    fast: bool
    probe: bool
    sent_at: float
    tested: bool = True


@attrs.frozen(repr=False)
class Refused:
    """A request that may not be sent now.

    Attributes:
        cause: Why.
        retry_in: Seconds until it is worth asking again; 0 if requests in flight hold the places, so that the end of one
            of them decides.
        final: Whether waiting is useless: other credentials are needed.
        own: Whether the reason concerns these credentials alone, so that a waiter of the same priority may pass.
        may_end_sooner: Whether the end of a request in flight can end the reason, so that a call waits until its deadline.
    """

    cause: Cause
    retry_in: float
    final: bool = False
    own: bool = False
    may_end_sooner: bool = False

    def error(self, seconds: float) -> NotSent:
        """Return the error of a caller that cannot wait for so many seconds."""
        if self.cause is Cause.CREDENTIALS:
            return CredentialsRefused()
        # At once means that the end of a request in flight decides.
        retry_after = max(seconds, 1.0)
        if self.cause is Cause.ADDRESS:
            return AddressPaused(4, "", retry_after)
        return TrialsExhausted(retry_after, _OWN_REASON) if self.own else TrialsExhausted(retry_after)


class KnownError(NamedTuple):
    """One error 2.

    Attributes:
        at: When the reply was seen, so never before the service counted it.
        login: The digest of the login; empty after ``reset``.
        worked: Whether the credentials had worked, and had not been refused since.
    """

    at: float
    login: str
    worked: bool


@attrs.define(repr=False)
class ServiceState:
    """What the store knows about one service, over all accounts.

    Attributes:
        errors: E, the errors of the last 30 minutes, oldest first.
        trials: The trials in flight, by request, in the order of sending.
        fast: The requests in flight under rules 2 and 4, by request, in the order of sending.
        unanswered: When the unanswered trials of the last minute were sent, by request.
        successes: n, the lists of fast requests since the last error and the last pause.
        fast_ended_at: When the last fast request ended.
        list_at: When the latest request that brought a list was sent.
        suspended_at: Older confirmations are suspended.
        burst: When the last refused requests with credentials that had worked were sent, if no list was sent since.
        probed_at: When the last probe past unanswered trials was sent.
        paused_at: When error 4 was received.
        pause_probed: Whether the probe of the pause was sent.
        forgiven: Refusals between these two instants no longer count.
    """

    errors: list[KnownError] = attrs.field(factory=list[KnownError])
    trials: dict[str, Place] = attrs.field(factory=dict[str, Place])
    fast: dict[str, Place] = attrs.field(factory=dict[str, Place])
    unanswered: dict[str, float] = attrs.field(factory=dict[str, float])
    successes: int = 0
    fast_ended_at: float = NEVER
    list_at: float = NEVER
    suspended_at: float = NEVER
    burst: list[float] = attrs.field(factory=list[float])
    probed_at: float = NEVER
    paused_at: float = NEVER
    pause_probed: bool = False
    forgiven: tuple[float, float] = (NEVER, NEVER)


@attrs.define(repr=False)
class CredentialsState:
    """What the store knows about one login with one secret.

    Attributes:
        login: The digest of the login.
        worked_at: When the latest request that brought a list was sent.
        refused_at: When error 2 was received; ``NEVER`` after a list.
        refusals: How many refusals came without a list between them.
        unanswered: When the trials were sent that have no reply so far, oldest first.
    """

    login: str
    worked_at: float = NEVER
    refused_at: float = NEVER
    refusals: int = 0
    unanswered: list[float] = attrs.field(factory=list[float])

    @property
    def expires_at(self) -> float:
        """The instant from which a new record means the same."""
        last_trial = self.unanswered[-1] + WINDOW if self.unanswered else NEVER
        return max(self.worked_at + REMEMBERED, self.refused_at + REMEMBERED, last_trial)


@attrs.frozen(repr=False)
class LockoutView:
    """A cause that keeps requests from being sent; for people.

    Attributes:
        cause: Why.
        login: The digest of the login, or ``None`` if all logins are concerned.
        seconds: For how much longer.
    """

    cause: Cause
    login: str | None
    seconds: float


def standing(service: ServiceState, credentials: CredentialsState, now: float) -> Standing:
    """Return what the store knows about the credentials."""
    if credentials.refused_at > NEVER and not _is_forgiven(service, credentials.refused_at):
        return Standing.REFUSED
    if credentials.worked_at == NEVER:
        return Standing.UNTESTED
    if now - credentials.worked_at >= WINDOW:
        return Standing.PROVEN
    return Standing.CONFIRMED if credentials.worked_at > service.suspended_at else Standing.SUSPENDED


def priority(service: ServiceState, credentials: CredentialsState, now: float) -> int:
    """Return the place of a waiter in a queue, the lowest first: worked before, never tried, unanswered, refused."""
    rank = standing(service, credentials, now)
    if rank is Standing.UNTESTED:
        return 2 if credentials.unanswered else 1
    return 3 if rank is Standing.REFUSED else 0


def check(service: ServiceState, credentials: CredentialsState, request: str, now: float) -> Place | Refused:
    """Return the place that the request would get now, or why it gets none; ``enter`` takes the place."""
    expire(service, now)
    rank = standing(service, credentials, now)
    # Rule 4 ends at the first error; proven credentials are then tried like all that are at risk.
    fast = rank is Standing.CONFIRMED or (rank is Standing.PROVEN and not service.errors)
    refused = (
        _backing_off(credentials, rank, now)
        or _paused(service, rank, now)
        or (_fast_limit(service, rank) if fast else _trial_limit(service, credentials, rank, now))
    )
    if refused is not None:
        return refused
    past_unanswered = not fast and len(service.unanswered) >= _room(service, rank, now)
    probe = past_unanswered or _pause_left(service, now) > 0
    return Place(request, credentials.login, fast, probe, now, rank not in _NEVER_WORKED)


def enter(service: ServiceState, credentials: CredentialsState, place: Place) -> None:
    """Take the place that ``check`` returned; the request must follow, or ``settle`` with ``NOT_SENT``."""
    if _pause_left(service, place.sent_at) > 0:
        service.pause_probed = True
    if place.fast:
        service.fast[place.request] = place
        return
    service.trials[place.request] = place
    credentials.unanswered = [*(at for at in credentials.unanswered if at > place.sent_at - WINDOW), place.sent_at]
    if place.probe:
        service.probed_at = place.sent_at


def settle(service: ServiceState, credentials: CredentialsState, place: Place, verdict: Verdict, now: float) -> None:
    """Give the place back and learn from the exchange; a verdict that comes after the lease counts too."""
    expire(service, now)
    if service.fast.pop(place.request, None):
        service.fast_ended_at = now
    service.trials.pop(place.request, None)
    if verdict is Verdict.UNANSWERED:
        _mark_unanswered(service, place)
        return
    service.unanswered.pop(place.request, None)
    credentials.unanswered = [at for at in credentials.unanswered if at != place.sent_at]
    if verdict is Verdict.NOT_SENT:
        if place.probe:
            service.probed_at, service.pause_probed = NEVER, False
    elif verdict is Verdict.BLOCKED:
        service.paused_at, service.pause_probed = now, False
    elif place.sent_at >= service.paused_at:
        # A readable reply to a request that was sent after error 4 shows that the block is over.
        service.paused_at = NEVER
    if verdict is Verdict.LIST:
        _learn_list(service, credentials, place, now)
    elif verdict is Verdict.REFUSED:
        _learn_refusal(service, credentials, place, now)


def expire(service: ServiceState, now: float) -> None:
    """Drop what is over by time alone; a trial whose lease is over becomes an unanswered one."""
    while service.errors and service.errors[0].at <= now - WINDOW:
        del service.errors[0]
    for place in _lease_over(service.trials, now):
        _mark_unanswered(service, place)
    for _ in _lease_over(service.fast, now):
        service.fast_ended_at = now
    for request in [each for each, at in service.unanswered.items() if at <= now - UNANSWERED_FOR]:
        del service.unanswered[request]
    if not service.fast and now - service.fast_ended_at > IDLE:
        service.successes = 0


def reset(service: ServiceState, credentials: CredentialsState | None, now: float) -> None:
    """Lift what keeps these credentials from being sent, or with ``None`` everything; requests in flight still count.

    The service does not forget an error. So the errors of one account still count for all, while ``None`` also drops
    them: for an operator who knows that the address is not in danger.
    """
    if credentials is not None:
        credentials.refused_at, credentials.refusals, credentials.unanswered = NEVER, 0, []
        service.errors = [
            KnownError(each.at, "", each.worked) if each.login == credentials.login else each for each in service.errors
        ]
        return
    service.errors.clear()
    service.unanswered.clear()
    service.suspended_at = service.paused_at = NEVER
    service.forgiven = (NEVER, now)


def is_confirmed(service: ServiceState, credentials: CredentialsState, now: float) -> bool:
    """Return whether rule 2 admits the credentials, apart from its limit."""
    return standing(service, credentials, now) is Standing.CONFIRMED and _pause_left(service, now) == 0


def is_at_full_speed(service: ServiceState) -> bool:
    """Return whether rule 2 has grown to its limit: then a store may leave out the places of confirmed credentials."""
    return not service.errors and service.successes >= FAST - PLACES


def lockouts(service: ServiceState, credentials: Iterable[CredentialsState], now: float) -> list[LockoutView]:
    """Return what keeps requests from being sent, the longest first; requests in flight alone do not count."""
    expire(service, now)
    seen = [LockoutView(Cause.ADDRESS, None, _pause_left(service, now))]
    places = _trial_places(service, Standing.UNTESTED, now)
    seen += [LockoutView(Cause.TRIALS, None, places.retry_in)] if places else []
    logins = sorted({each.login for each in service.errors})
    seen += [LockoutView(Cause.TRIALS, login, _share_left(service, login, now)) for login in logins]
    for each in credentials:
        rank = standing(service, each, now)
        refused = _backing_off(each, rank, now) or _unanswered_share(service, each, rank, now)
        seen += [LockoutView(refused.cause, each.login, refused.retry_in)] if refused else []
    return sorted((each for each in seen if each.seconds > 0), key=lambda each: -each.seconds)


def dump(state: ServiceState | CredentialsState) -> str:
    """Return a state as text for a store; its places and errors are tuples, and so arrays in the text."""
    return json.dumps(attrs.asdict(state, recurse=False), separators=(",", ":"))


def load_service(text: str) -> ServiceState:
    """Return the state that ``dump`` wrote."""
    raw = json.loads(text)
    raw["errors"] = [KnownError(*each) for each in raw["errors"]]
    raw["trials"], raw["fast"] = ({k: Place(*v) for k, v in raw[name].items()} for name in ("trials", "fast"))
    raw["forgiven"] = tuple(raw["forgiven"])
    return ServiceState(**raw)


def load_credentials(text: str) -> CredentialsState:
    """Return the state that ``dump`` wrote."""
    return CredentialsState(**json.loads(text))


def _backing_off(credentials: CredentialsState, rank: Standing, now: float) -> Refused | None:
    """Rule 1."""
    if rank is not Standing.REFUSED:
        return None
    step = 1 if credentials.worked_at > NEVER else min(credentials.refusals, len(BACKOFF))
    left = credentials.refused_at + BACKOFF[step - 1] - now
    return Refused(Cause.CREDENTIALS, left, final=True, own=True) if left > 0 else None


def _fast_limit(service: ServiceState, rank: Standing) -> Refused | None:
    """Rules 2 and 4: slow start from the places that are left, and from one if there is none.

    The cap after a refusal of credentials that had worked is measured: of 1,000 passes over 300 confirmed accounts, ten of
    them with a changed password, 14 % cost a fifth error without the cap and 2 % with it. Typos do not slow anybody down.
    """
    left = max(1, PLACES - len(service.errors) - len(service.trials) - len(service.unanswered))
    growth = service.successes + left if rank is Standing.CONFIRMED else max(left, (service.successes + 2) // 3)
    limit = min(growth, PLACES if any(each.worked for each in service.errors) else FAST)
    return Refused(Cause.TRIALS, 0.0) if len(service.fast) >= limit else None


def _trial_limit(service: ServiceState, credentials: CredentialsState, rank: Standing, now: float) -> Refused | None:
    """Rule 3."""
    return (
        _login_share(service, credentials.login, rank, now)
        or _unanswered_share(service, credentials, rank, now)
        or _trial_places(service, rank, now)
    )


def _trial_places(service: ServiceState, rank: Standing, now: float) -> Refused | None:
    """Rule 3, the places that all share, and the probe past unanswered trials."""
    room = _room(service, rank, now)
    if len(service.unanswered) < room:
        return None
    if room > 0:
        probe_at = max(max(service.unanswered.values()) + FIRST_PROBE, service.probed_at + NEXT_PROBE)
        # A list clears the unanswered trials.
        has_others = bool(service.trials or service.fast)
        return Refused(Cause.TRIALS, probe_at - now, may_end_sooner=has_others) if probe_at > now else None
    surplus = len(service.errors) - _places(service, rank, now)
    return Refused(Cause.TRIALS, service.errors[surplus].at + WINDOW - now if surplus >= 0 else 0.0)


def _login_share(service: ServiceState, login: str, rank: Standing, now: float) -> Refused | None:
    """Rule 3, the two errors of one login: its trials in flight may become errors as well."""
    errors = sum(each.login == login for each in service.errors)
    trials = sum(each.login == login for each in service.trials.values())
    if rank not in _NEVER_WORKED or errors + trials < ERRORS_PER_LOGIN:
        return None
    return Refused(Cause.TRIALS, _share_left(service, login, now), own=True)


def _unanswered_share(
    service: ServiceState, credentials: CredentialsState, rank: Standing, now: float
) -> Refused | None:
    """Rule 3, the third and the fourth unanswered trial of the same credentials."""
    sent = [at for at in credentials.unanswered if at > now - WINDOW and not _is_forgiven(service, at)]
    if rank not in _NEVER_WORKED or len(sent) < FREE_TRIALS:
        return None
    left = (sent[-1] + TRIAL_PAUSE if len(sent) < TRIALS else sent[0] + WINDOW) - now
    return Refused(Cause.TRIALS, left, own=True) if left > 0 else None


def _paused(service: ServiceState, rank: Standing, now: float) -> Refused | None:
    """Error 4: nothing is sent but one probe after half of the time."""
    left = _pause_left(service, now)
    may_probe = not service.pause_probed and not (rank in _NEVER_WORKED and _knows_credentials(service, now))
    if may_probe:
        left -= WINDOW / 2
    return Refused(Cause.ADDRESS, left) if left > 0 else None


def _room(service: ServiceState, rank: Standing, now: float) -> int:
    """The places that are left if no unanswered trial was an error."""
    exposed = max(0, len(service.fast) - service.successes)
    return _places(service, rank, now) - len(service.errors) - len(service.trials) - exposed


def _places(service: ServiceState, rank: Standing, now: float) -> int:
    """The last place is for credentials that have worked, if the store knows any."""
    return PLACES - 1 if rank in _NEVER_WORKED and _knows_credentials(service, now) else PLACES


def _knows_credentials(service: ServiceState, now: float) -> bool:
    return now - service.list_at < REMEMBERED


def _share_left(service: ServiceState, login: str, now: float) -> float:
    """The seconds until the login has fewer than two known errors."""
    sent = [each.at for each in service.errors if each.login == login != ""]
    return sent[-ERRORS_PER_LOGIN] + WINDOW - now if len(sent) >= ERRORS_PER_LOGIN else 0.0


def _pause_left(service: ServiceState, now: float) -> float:
    return max(0.0, service.paused_at + WINDOW - now)


def _is_forgiven(service: ServiceState, at: float) -> bool:
    return service.forgiven[0] < at <= service.forgiven[1]


def _lease_over(places: dict[str, Place], now: float) -> Iterator[Place]:
    """Remove and return the places whose lease is over; the oldest come first in the dictionary."""
    while places and (oldest := next(iter(places.values()))).sent_at + LEASE <= now:
        yield places.pop(oldest.request)


def _mark_unanswered(service: ServiceState, place: Place) -> None:
    if not place.fast:
        service.unanswered[place.request] = place.sent_at


def _learn_list(service: ServiceState, credentials: CredentialsState, place: Place, now: float) -> None:
    if place.fast and (not service.errors or place.sent_at > service.errors[-1].at):
        service.successes += 1
    if credentials.worked_at > NEVER:
        if credentials.worked_at <= service.suspended_at < place.sent_at:
            _restore(service, now)
        service.burst = [at for at in service.burst if at > place.sent_at]
    service.unanswered.clear()
    service.list_at = max(service.list_at, place.sent_at)
    credentials.worked_at = max(credentials.worked_at, place.sent_at)
    credentials.refused_at, credentials.refusals, credentials.unanswered = NEVER, 0, []


def _restore(service: ServiceState, now: float) -> None:
    """Rules 1 and 2: a list of suspended credentials, sent after the suspension.

    One changed password is no burst. If its refusal were forgiven too, the next call would be refused again, and the
    fourth within 30 minutes would suspend everybody.
    """
    if len(service.burst) > FEW:
        service.forgiven = (service.list_at, now)
    if sum(each.worked for each in service.errors) <= FEW:
        service.suspended_at = NEVER


def _learn_refusal(service: ServiceState, credentials: CredentialsState, place: Place, now: float) -> None:
    again = standing(service, credentials, now) is Standing.REFUSED
    worked = credentials.worked_at > NEVER and not again
    service.errors.append(KnownError(now, place.login, worked))
    service.successes = 0
    if worked:
        service.suspended_at = now
        service.burst = [*service.burst[-FEW:], place.sent_at]
    credentials.refused_at = now
    credentials.refusals = credentials.refusals + 1 if again else 1
