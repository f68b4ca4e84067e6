"""The limits of the simulated service, with the provider's numbers as defaults."""

from __future__ import annotations

import math
from typing import Final

import attrs
from attrs.validators import ge, gt, lt

_COUNT: Final = ge(1)
_SECONDS: Final = [gt(0.0), lt(math.inf)]


@attrs.frozen(kw_only=True)
class Rules:
    """The limits of the service; the sources are in ``spec/``.

    Attributes:
        requests: Identical requests of a login that the service answers within ``per``; it refuses the next one with error 9.
        per: Seconds of the window, which slides and is counted on arrival.
        concurrent: Requests of a login, of any kind, that may be in progress at once; the service refuses one more with
            error 9.
        counts_refused: Whether a refused request counts towards ``requests``.
        wrong_passwords: Authorization errors of one address that block it; the last of them is still error 2, later
            requests get error 4.
        wrong_password_window: Seconds within which these errors block the address.
        block: Seconds that a block lasts, counted from the error that caused it; requests meanwhile do not prolong it.

    Raises:
        ValueError: A count is below 1, or a time is not above 0.

    Example:
        >>> from smsc_async.simulator import Rules
        >>> Rules(per=2.0).requests
        3
    """

    requests: int = attrs.field(default=3, validator=_COUNT)
    per: float = attrs.field(default=60.0, validator=_SECONDS)
    concurrent: int = attrs.field(default=14, validator=_COUNT)
    counts_refused: bool = True
    wrong_passwords: int = attrs.field(default=5, validator=_COUNT)
    wrong_password_window: float = attrs.field(default=1800.0, validator=_SECONDS)
    block: float = attrs.field(default=1800.0, validator=_SECONDS)
