"""The arithmetic of one login's tokens and slots: no clock, no lock, no event loop.

A login has ``quota.requests`` tokens for tariff requests (all of them are identical to the service) and
``quota.concurrent`` slots for all its requests. A bucket contains what is in use of them: the permits in flight, and for
each token whose exchange has ended the instant at which the token is free again. Everything else is free. The functions
over rows (``Row``) count the permits of all stores in Python.

Invariants:

- A token is free again at ``seen + window``. ``seen`` is the instant at which the head of the reply was seen, not the
  instant of sending. The proof of the quota depends on it: a request had arrived before its reply was seen.
- A request without a reply may still arrive. Its token is free at ``ended + linger + window`` and its slot at
  ``ended + linger``. Both are free at once only if the request cannot have left.
- A permit changes from in use to free once. ``token_free_at`` is written before ``slot_free_at``: a concurrent reader may
  overestimate usage, never underestimate it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple, TypeAlias

import attrs

from smsc_async.errors import NotSent, QuotaExhausted
from smsc_async.fetch.lockout import Place, Refused
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota

# Two values of "free at": an instant that is not known yet, and an instant that has passed.
IN_USE: Final = math.inf
FREE: Final = -math.inf


class Completion(enum.Enum):
    """How an exchange ended."""

    COMPLETE = enum.auto()
    """The last byte of the reply was read."""
    INCOMPLETE = enum.auto()
    """The reply is missing or was cut: the server may still work on the request."""
    NOT_SENT = enum.auto()
    """No byte of the request can have left."""


@attrs.define(eq=False, repr=False, weakref_slot=False)
class Permit:
    """The permission to send one request: a slot, and a token if the request is a tariff request.

    The caller makes the permit, and the store acquires it.

    Attributes:
        login: The login that the request belongs to.
        quota: The quota of the login.
        token: Whether the permit contains a token.
        credentials: The credentials of the request that the lockout rules guard, or ``None``.
        token_free_at: The instant at which the token is free again, as far as a bucket of this process knows.
        slot_free_at: The same for the slot.
        seen: The instant at which the head of the reply was seen; the sender sets it.
        waited: Seconds from the call of ``acquire`` to the permit.
        lease: The store's identifier of the permit.
        owner_loop: The event loop of the sender, which sets it. If the loop is closed, the sender can no longer release
            the permit, and the bucket does. ``None`` before the sender sets it and after the release.
        place: The place that the lockout rules gave to the request, or ``None``.
    """

    login: str
    quota: Quota
    token: bool
    credentials: Credentials | None = None
    token_free_at: float = attrs.field(init=False)
    slot_free_at: float = IN_USE
    seen: float | None = None
    waited: float = 0.0
    lease: object = None
    owner_loop: Hashable = None
    place: Place | None = None

    def __attrs_post_init__(self) -> None:
        self.token_free_at = IN_USE if self.token else FREE


class Row(NamedTuple):
    """What one permit has in use, as a store counts it.

    Attributes:
        token_free_at: The instant at which its token is free; one that has passed if it has none.
        slot_free_at: The same for its slot.
        in_flight: Whether its exchange is in flight. Its end may write earlier instants.
    """

    token_free_at: float
    slot_free_at: float
    in_flight: bool


# A number stands for a token whose exchange has ended: the instant at which the token is free.
Held: TypeAlias = tuple[Permit | float, ...]
# A lone permit is stored without a tuple: most buckets have one, and a tuple would cost 48 bytes.
Bucket: TypeAlias = Permit | Held


@attrs.frozen
class Refusal:
    """Why a permit is not available now, and when to try again.

    Attributes:
        retry_in: Seconds until another try can succeed; ``inf`` if only the release of another permit can help.
        tokens_in: Seconds until each token can be free at the earliest, in ascending order: the n-th waiter gets the n-th
            token. Empty if the missing thing is no token.
        locked_out: Why the lockout rules refuse the request, or ``None`` if a token or a slot is missing.
        priority: The place of the request among those that the lockout rules refuse; the lowest is the first.
        error: Makes the error of a caller that cannot wait, from the seconds to wait.
    """

    retry_in: float
    tokens_in: tuple[float, ...] = ()
    locked_out: Refused | None = None
    priority: int = 0
    error: Callable[[float], NotSent] = QuotaExhausted


@attrs.frozen
class Usage:
    """What is in use of a login's quota.

    Attributes:
        tokens_in: Seconds until each token in use can be free at the earliest, in ascending order.
        slots: The number of slots in use.
    """

    tokens_in: tuple[float, ...] = ()
    slots: int = 0


def free_at(
    now: float, quota: Quota, completion: Completion, *, token: bool, seen: float | None
) -> tuple[float, float]:
    """Return the instants at which token and slot are free, for an exchange that ends now.

    Args:
        now: The current instant.
        quota: The quota that the permit was acquired under.
        completion: How the exchange ends.
        token: Whether the permit contains a token.
        seen: The instant at which the head of the reply was seen, or ``None``.
    """
    if completion is Completion.NOT_SENT:
        return FREE, FREE
    counted_from = now + quota.linger if seen is None else seen
    token_free_at = counted_from + quota.window if token else FREE
    return token_free_at, now + quota.linger if completion is Completion.INCOMPLETE else FREE


def held_of(bucket: Bucket, now: float) -> Held:
    """Return what is still in use of a bucket, in the smallest form."""
    held: list[Permit | float] = []
    for each in (bucket,) if isinstance(bucket, Permit) else bucket:
        if isinstance(each, Permit) and each.slot_free_at > now:
            held.append(each)
        elif (token_free_at := each.token_free_at if isinstance(each, Permit) else each) > now:
            held.append(token_free_at)
    return tuple(held)


def row_of(each: Permit | float) -> Row:
    """Return what a permit of a bucket, or a token whose exchange has ended, has in use."""
    if not isinstance(each, Permit):
        return Row(each, FREE, in_flight=False)
    # Before the token, which a release in another thread writes first.
    slot_free_at = each.slot_free_at
    return Row(each.token_free_at, slot_free_at, in_flight=slot_free_at == IN_USE)


def refusal_of(rows: Sequence[Row], now: float, quota: Quota, *, token: bool) -> Refusal | None:
    """Return why a permit is not available beside those rows, or ``None`` if it is available."""
    if token:
        tokens = sorted(row.token_free_at for row in rows if row.token_free_at > now)
        if (surplus := len(tokens) - quota.requests) >= 0:
            # After drain_tokens more tokens are in use than the quota has: the first to be free reduce the surplus.
            return Refusal(tokens[surplus] - now, usage_of(rows, now, quota).tokens_in[surplus:])
    slots = sorted(row.slot_free_at for row in rows if row.slot_free_at > now)
    if (surplus := len(slots) - quota.concurrent) >= 0:
        return Refusal(slots[surplus] - now)
    return None


def usage_of(rows: Sequence[Row], now: float, quota: Quota) -> Usage:
    """Return what those rows have in use."""
    # The reply of a token in flight may be seen this instant: then the token is free one window from now.
    tokens_in = (
        min(row.token_free_at - now, quota.window) if row.in_flight else row.token_free_at - now
        for row in rows
        if row.token_free_at > now
    )
    return Usage(tuple(sorted(tokens_in)), sum(row.slot_free_at > now for row in rows))


def drained(held: Held, until: Sequence[float]) -> Held:
    """Return what is in use after ``len(until)`` tokens were taken away, each until its instant."""
    permits = [each for each in held if isinstance(each, Permit)]
    tokens = sorted(each for each in held if not isinstance(each, Permit))
    # Replace the tokens that would be free first: so the bucket does not grow with every drain.
    replaced = [*map(max, tokens, until), *until[len(tokens) :]]
    return (*permits, *replaced, *tokens[len(until) :])
