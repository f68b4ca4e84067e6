"""The rule of the service, in seconds."""

from __future__ import annotations

import math
from typing import Final

import attrs


def _count(_: Quota, field: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"Quota({field.name}={value!r}): must be a whole number, 1 or more")


def _seconds(_: Quota, field: attrs.Attribute[float], value: float) -> None:
    may_be_zero = field.name in {"guard", "linger"}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
    if not is_number or not 0 <= value < math.inf or (value == 0 and not may_be_zero):
        bound = "0 or more" if may_be_zero else "more than 0"
        raise ValueError(f"Quota({field.name}={value!r}): must be a finite number of seconds, {bound}")


@attrs.frozen
class Quota:
    """The limits of the service for one login.

    The defaults are the service's limits (``spec/``: error 9) with a guard of one second. Larger limits lead to error 9.

    Attributes:
        requests: Identical requests in ``per`` seconds.
        per: The window, in seconds.
        guard: Seconds added to the window, for a server that counts in whole seconds.
        linger: Seconds during which a request that ended without a reply may still arrive at the server.
        concurrent: Requests of a login in flight at once.
        window: ``per + guard``: seconds from the head of the reply until the token is free again.
        stated: The quota as the users of a store compare it: the same for ``quota_without_last()``.
        absence: ``linger + window``: the most seconds from the end of an exchange until its token is free again.

    Raises:
        ValueError: A count below 1, or a time that is negative, infinite or not a number.

    Example:
        >>> from smsc_async import Quota
        >>> Quota().window
        61.0
        >>> Quota(requests=0)
        Traceback (most recent call last):
            ...
        ValueError: Quota(requests=0): must be a whole number, 1 or more
    """

    requests: int = attrs.field(default=3, validator=_count)
    per: float = attrs.field(default=60.0, validator=_seconds)
    guard: float = attrs.field(default=1.0, validator=_seconds)
    linger: float = attrs.field(default=5.0, validator=_seconds)
    concurrent: int = attrs.field(default=14, validator=_count)
    window: float = attrs.field(init=False, eq=False, repr=False)
    absence: float = attrs.field(init=False, eq=False, repr=False)
    stated: str = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Stored, since they are read for every request.
        object.__setattr__(self, "window", self.per + self.guard)
        object.__setattr__(self, "absence", self.linger + self.window)
        stated = (
            f"{self.requests} in {self.per:g}+{self.guard:g} s, linger {self.linger:g} s, {self.concurrent} at once"
        )
        object.__setattr__(self, "stated", stated)


def quota_without_last(quota: Quota) -> Quota:
    """Return the quota of a request that leaves the last token to others; stores take it for the same quota."""
    reduced = attrs.evolve(quota, requests=max(quota.requests - 1, 1))
    object.__setattr__(reduced, "stated", quota.stated)
    return reduced


SERVICE_QUOTA: Final = Quota()
"""The limits of the service."""
