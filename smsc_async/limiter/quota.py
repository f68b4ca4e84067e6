"""The rule of the service, in seconds."""

from __future__ import annotations

import math

import attrs

__all__ = ["Quota"]


def _positive_int(_: Quota, field: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"Quota({field.name}={value!r}): must be a whole number, 1 or more")


def _seconds(quota: Quota, field: attrs.Attribute[float], value: float) -> None:
    least = 0.0 if field.name in {"guard", "linger"} else math.ulp(0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        bound = "0 or more" if least == 0.0 else "more than 0"
        raise ValueError(f"Quota({field.name}={value!r}): must be a finite number of seconds, {bound}")


@attrs.frozen(kw_only=True)
class Quota:
    """What the service allows one login.

    The defaults are the service's (``spec/``: error 9) with a second on top. Loosening them is asking for error 9.

    Attributes:
        requests: Identical requests in ``per`` seconds.
        per: The window, in seconds.
        guard: Seconds added to the window, for a server that counts in whole seconds.
        linger: Seconds during which a request that ended without an answer may still arrive at the server.
        concurrent: Requests of a login under way at once.

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

    requests: int = attrs.field(default=3, validator=_positive_int)
    per: float = attrs.field(default=60.0, validator=_seconds)
    guard: float = attrs.field(default=1.0, validator=_seconds)
    linger: float = attrs.field(default=5.0, validator=_seconds)
    concurrent: int = attrs.field(default=14, validator=_positive_int)
    window: float = attrs.field(init=False, eq=False, repr=False)
    """Seconds from the sight of an answer until its token is free again: ``per + guard``."""

    absence: float = attrs.field(init=False, eq=False, repr=False)
    """Seconds that a token is away at the most once its exchange has ended: ``linger + window``."""

    @window.default  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUntypedFunctionDecorator]  # an attrs idiom
    def _window(self) -> float:
        return self.per + self.guard

    @absence.default  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUntypedFunctionDecorator]  # likewise
    def _absence(self) -> float:
        return self.linger + self.window
