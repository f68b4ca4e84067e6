"""Judges the lockout rules by what the server and the callers saw; imports nothing of the library.

The judge knows neither a state nor a rule in code: it reads arrivals, the ends of exchanges and the ends of calls. Every bound
is a sentence of ``docs/lockout.md``. All instants are seconds of one clock; no two of them are equal by accident.

It counts no more than the library must know, so that each violation is one: a request of a killed process counts as in
flight for 34 s, although the library counts it for 35 s and then as unanswered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import attrs

__all__ = ["Call", "Exchange", "fifth_errors", "long_waits", "untimely_trials"]

HALF_HOUR: Final = 1800.0
MINUTE: Final = 60.0
# No healthy account waits longer once the last cause is gone. The slack is for the exchanges that are before it in the
# queue, each a fraction of a second, and for the pause before a retry.
PATIENCE: Final = 10.0
SLACK: Final = 2.0
# A slower exchange is a cause of waiting.
SLOW: Final = 2.0
# An exchange without a reply ends after 30 s, and the place of a killed process after 35 s.
LEASE: Final = 35.0
# Seconds: a Redis counts microseconds.
ROUNDING: Final = 0.001

Credentials: TypeAlias = tuple[str, str]
"""A login and a password."""


@attrs.define(eq=False)
class Exchange:
    """A request at the server.

    Attributes:
        at: When it arrived.
        credentials: Its login and password.
        reply: ``"list"`` or ``"error"`` if that was delivered to a live process; else ``None``.
        ended_at: When the reply was delivered, or the connection was cut.
        is_killed: Whether its process died before that.
    """

    at: float
    credentials: Credentials
    reply: str | None = None
    ended_at: float = math.inf
    is_killed: bool = False


@attrs.frozen
class Call:
    """A call of a program.

    Attributes:
        credentials: Its login and password.
        began: When it began.
        ended: When it ended.
        error: The class of its error; empty for a list.
        retry_after: Seconds that the error named, or 0.
    """

    credentials: Credentials
    began: float
    ended: float
    error: str = ""
    retry_after: float = 0.0


def fifth_errors(exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Yield each known error of untested credentials that was sent although it could become a fifth one."""
    past: list[Exchange] = []
    for each in exchanges:
        if each.reply == "error" and _is_untested(each, past):
            known = _known_errors(past, each.at)
            in_flight = [other for other in _in_flight(past, each.at) if other.reply == "error"]
            if len(known) + len(in_flight) >= 4:
                yield f"{_shown(each)}: error {len(known) + len(in_flight) + 1} within 30 minutes"
        past.append(each)


def untimely_trials(exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Yield each request of untested credentials that found no place, and was no probe in its time either."""
    past: list[Exchange] = []
    last_probe = -math.inf
    for each in exchanges:
        if _is_untested(each, past):
            places = 3 if _has_list(past, each.at) and not _has_list(past, each.at, each.credentials) else 4
            certain = len(_known_errors(past, each.at)) + len(_in_flight(past, each.at))
            unanswered = _unanswered(past, each.at)
            if certain >= places:
                yield f"{_shown(each)}: {certain} of {places} places were in use"
            elif certain + len(unanswered) >= places:
                if unanswered[-1].at > each.at - 5.0 + ROUNDING or last_probe > each.at - 10.0 + ROUNDING:
                    yield f"{_shown(each)}: a probe too early after unanswered trials"
                last_probe = each.at
        past.append(each)


def long_waits(exchanges: list[Exchange], calls: Iterable[Call], wrong: dict[Credentials, float]) -> Iterator[str]:
    """Yield each call of a healthy account that waited for too long after the last cause of waiting was gone.

    Args:
        exchanges: All requests.
        calls: All calls.
        wrong: The credentials that the service refuses, with the instant from which it does.
    """
    for call in calls:
        if wrong.get(call.credentials, math.inf) <= call.ended:
            continue
        before = [each for each in exchanges if each.at <= call.ended]
        causes = [_gone_at(each) for each in before if _is_cause(each)]
        cause_gone_at = max(call.began, _exhausted_until(before, call), *causes)
        # A refusal that names a time is a wait until then.
        waited = call.ended + call.retry_after - cause_gone_at
        if call.error == "CredentialsRefused":
            yield f"{call}: refused, although its password is right"
        elif waited > PATIENCE + SLACK:
            yield f"{call}: waited {waited:.1f} s after the last cause was gone"


def _is_untested(each: Exchange, past: list[Exchange]) -> bool:
    """Whether no list came for these credentials since their last known error."""
    own = [
        other for other in past if other.credentials == each.credentials and other.reply and other.ended_at <= each.at
    ]
    return not own or max(own, key=lambda other: other.ended_at).reply == "error"


def _has_list(past: list[Exchange], now: float, credentials: Credentials | None = None) -> bool:
    return any(
        other.reply == "list" and other.ended_at <= now and credentials in {None, other.credentials} for other in past
    )


def _known_errors(past: list[Exchange], now: float) -> list[Exchange]:
    return [each for each in past if each.reply == "error" and each.ended_at <= now and each.at > now - HALF_HOUR]


def _in_flight(past: list[Exchange], now: float) -> list[Exchange]:
    """The requests of untested credentials without an end so far."""
    return [
        each
        for number, each in enumerate(past)
        if (each.at > now - LEASE + 1.0 if each.is_killed else each.ended_at > now)
        and each.at > now - LEASE
        and _is_untested(each, past[:number])
    ]


def _unanswered(past: list[Exchange], now: float) -> list[Exchange]:
    """The requests of untested credentials that were sent within a minute, and have ended without a reply or a later list."""
    last_list = max(
        (each.ended_at for each in past if each.reply == "list" and each.ended_at <= now), default=-math.inf
    )
    return [
        each
        for number, each in enumerate(past)
        if each.reply is None
        and not each.is_killed
        and each.at > now - MINUTE
        and last_list < each.ended_at <= now
        and _is_untested(each, past[:number])
    ]


def _is_cause(each: Exchange) -> bool:
    """Whether others may wait because of it: it failed, was refused, or took long."""
    return each.reply != "list" or each.ended_at - each.at > SLOW


def _gone_at(each: Exchange) -> float:
    return each.at + LEASE + 1.0 if each.is_killed else min(each.ended_at, each.at + LEASE)


def _exhausted_until(before: list[Exchange], call: Call) -> float:
    """The instant until which known errors, or unanswered trials of its own, explain that a call gets no place."""
    errors = [each for each in before if each.reply == "error" and each.ended_at <= call.ended]
    if _has_list(before, call.began, call.credentials):
        return _surplus_until(errors, 4)
    own = [each.at for each in before if each.credentials == call.credentials and each.reply is None]
    return max(
        _surplus_until(errors, 3 if _has_list(before, call.ended) else 4),
        _surplus_until([each for each in errors if each.credentials[0] == call.credentials[0]], 2),
        # The third and the fourth trial wait ten minutes each.
        own[-1] + 10 * MINUTE if len(own) >= 2 else -math.inf,
        own[-4] + HALF_HOUR if len(own) >= 4 else -math.inf,
    )


def _surplus_until(errors: list[Exchange], places: int) -> float:
    """The instant from which fewer of these errors than places are less than half an hour old."""
    ends = sorted(each.ended_at for each in errors)
    return ends[-places] + HALF_HOUR if len(ends) >= places else -math.inf


def _shown(each: Exchange) -> str:
    return f"{each.credentials[0]} at {each.at:.1f}"
