"""Wordings of the rules that were tried and replaced: each is a patch of `lockout`, for `benchmarks.lockout --rules`.

The table shows why they were replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import NEVER, CredentialsState, Place, Refused, ServiceState, Standing


def without_places(service: ServiceState, rank: Standing) -> Refused | None:
    """Rules 2 and 4 with n + 4 and max(4, (n + 2) / 3), whatever rule 3 has admitted."""
    confirmed = rank is Standing.CONFIRMED
    limit = min(service.successes + 4, rules.FAST) if confirmed else max(4, (service.successes + 2) // 3)
    return Refused(rules.Cause.TRIALS, 0.0) if len(service.fast) >= limit else None


def without_exposed(service: ServiceState, rank: Standing, now: float) -> int:
    """Rule 3 that counts fast requests only if they were in flight at a suspension."""
    suspended = sum(each.sent_at <= service.suspended_at for each in service.fast.values())
    return rules._places(service, rank, now) - len(service.errors) - len(service.trials) - suspended  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its other half


def any_success(service: ServiceState, credentials: CredentialsState, place: Place, now: float) -> None:
    """Late replies count: they lift a suspension and raise n, although they were sent before the error."""
    service.successes += place.fast
    if NEVER < credentials.worked_at <= service.suspended_at:
        rules._restore(service, now)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its other half
    service.burst.clear()
    service.unanswered.clear()
    service.list_at = max(service.list_at, now)
    credentials.worked_at = now
    credentials.refused_at, credentials.refusals, credentials.unanswered = NEVER, 0, []


def every_burst(service: ServiceState, now: float) -> None:
    """Any list of suspended credentials clears the refusals since the last list, even a single one."""
    service.forgiven = (service.suspended_at - 1.0, now)
    if sum(each.worked for each in service.errors) <= rules.FEW:
        service.suspended_at = NEVER


WORDINGS: Mapping[str, Mapping[str, Callable[..., object]]] = {
    "The rules as they are": {},
    "Rules 2 and 4 with n + 4, whatever rule 3 has admitted": {
        "_fast_limit": without_places,
        "_room": without_exposed,
    },
    "Late replies lift a suspension and raise n": {"_learn_list": any_success},
    "Any list of suspended credentials clears the refusals of the burst": {"_restore": every_burst},
}
