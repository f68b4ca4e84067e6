"""The arithmetic of one login's tokens and slots: no clock, no lock, no loop.

A login has ``quota.requests`` tokens for tariff requests (all of them are identical to the service) and
``quota.concurrent`` slots for all its requests. Its bucket is what is held of them: permits, and of those that are over
but for their token, the instant at which that comes free. What is not in there is free.

Invariants:

- A token that is out comes free at ``seen + window``, where ``seen`` is when the head of the answer was seen; never
  counted from the sending. That is the whole proof: a request had arrived before its answer was seen.
- An exchange without an answer may still be on its way: its token comes free at ``ended + linger + window``, its slot
  at ``ended + linger``. Only where nothing can have left do both come back at once.
- A permit goes from held to free, once. Its token is told before its slot: whoever looks in between sees too much held,
  never too little.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias

import attrs

from smsc_async.limiter.quota import Quota

__all__ = [
    "FREE",
    "OUT",
    "Bucket",
    "Completion",
    "Held",
    "Permit",
    "Refusal",
    "closed",
    "free_at",
    "held_of",
    "refused",
]

# When something comes free of which nobody knows that yet, and something that is free.
OUT: Final = math.inf
FREE: Final = -math.inf


class Completion(enum.Enum):
    """How an exchange ended."""

    COMPLETE = enum.auto()
    """The last byte of the answer was read."""
    INCOMPLETE = enum.auto()
    """Without an answer, or within it: the server may still be at it."""
    NOT_SENT = enum.auto()
    """Before a byte of the request can have left."""


class Permit:
    """What allows one request to be sent: a slot, and a token where it is a tariff request.

    Attributes:
        login: Whose.
        quota: What it is taken under.
        token_free_at: When its token comes free, as far as a bucket in this process knows.
        slot_free_at: When its slot does.
        seen: When the head of the answer was seen; whoever holds the permit sets it.
        waited: Seconds that it took to get.
        lease: What the store knows it by.
        holder: The event loop of whoever holds it, who sets it too: once that is closed, the permit is lost, and nobody but
            the store can give it back. ``None`` while nobody does.
    """

    __slots__ = ("holder", "lease", "login", "quota", "seen", "slot_free_at", "token_free_at", "waited")

    def __init__(self, login: str, quota: Quota, token: bool) -> None:  # noqa: FBT001  # hot
        self.login: str = login
        self.quota: Quota = quota
        self.token_free_at: float = OUT if token else FREE
        self.slot_free_at: float = OUT
        self.seen: float | None = None
        self.waited: float = 0.0
        self.lease: object = None
        self.holder: Hashable = None

    @property
    def token(self) -> bool:
        """Whether it holds a token; to be asked before it is given back."""
        return self.token_free_at > FREE


Held: TypeAlias = tuple[Permit | float, ...]
# A permit that is alone stands for itself, since most are.
Bucket: TypeAlias = Permit | Held


@attrs.frozen
class Refusal:
    """Why there is no permit now, and when to ask again.

    Attributes:
        retry_in: Seconds until another try can succeed; ``inf`` where only a permit given back can tell.
        tokens_in: Seconds until each token of the bucket can be free at the earliest, soonest first; empty where it is
            not tokens that are missing. What a queue is told by: whoever is n-th gets the n-th.
    """

    retry_in: float
    tokens_in: tuple[float, ...] = ()


def free_at(now: float, quota: Quota, ending: Completion, *, token: bool, seen: float | None) -> tuple[float, float]:
    """Return when token and slot of an exchange come free that ends now.

    Args:
        now: The instant.
        quota: What its permit was taken under.
        ending: How it ends.
        token: Whether it has a token.
        seen: When the head of the answer was seen, or ``None`` where it was not.
    """
    if ending is Completion.NOT_SENT:
        return FREE, FREE
    since = now + quota.linger if seen is None else seen
    return since + quota.window if token else FREE, now + quota.linger if ending is Completion.INCOMPLETE else FREE


def held_of(bucket: Bucket, now: float) -> Held:
    """Return what is still held in a bucket, in as little as it takes."""
    if isinstance(bucket, Permit):
        bucket = (bucket,)
    held: list[Permit | float] = []
    for each in bucket:
        if isinstance(each, Permit):
            if each.slot_free_at > now:
                held.append(each)
                continue
            each = each.token_free_at  # noqa: PLW2901  # what is left of it
        if each > now:
            held.append(each)
    return tuple(held)


def refused(held: Held, now: float, permit: Permit) -> Refusal | None:
    """Return why a permit cannot be had beside what is held, or ``None`` where it can."""
    quota = permit.quota
    if permit.token:
        at = sorted(at for each in held if (at := each.token_free_at if isinstance(each, Permit) else each) > now)
        if (over := len(at) - quota.requests) >= 0:
            # A token that is out can be free a window from now at the earliest, if its answer is seen this instant.
            soonest = sorted(quota.window if each == OUT else each - now for each in at)
            # Where more are away than there are (the bucket was shut), the first to come free are spent already.
            return Refusal(at[over] - now, tuple(soonest[over:]))
    slots = sorted(each.slot_free_at for each in held if isinstance(each, Permit) and each.slot_free_at > now)
    if (over := len(slots) - quota.concurrent) >= 0:
        return Refusal(slots[over] - now)
    return None


def closed(held: Held, until: Sequence[float]) -> Held:
    """Return what is held where as many tokens as are named come free at those instants, and not before."""
    stamps = sorted(each for each in held if not isinstance(each, Permit))
    # Put in the place of those that would come free first: so a bucket does not grow however often it is shut.
    late = [*map(max, stamps, until), *until[len(stamps) :]]
    return (*[each for each in held if isinstance(each, Permit)], *late, *stamps[len(until) :])
