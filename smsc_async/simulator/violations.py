"""Requests in a log that broke a limit, computed from arrival times alone, not from the service's own counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import attrs

from smsc_async.simulator.request_log import Arrival
from smsc_async.simulator.rules import Rules


@attrs.frozen
class Violation:
    """A request that should not have been sent.

    Attributes:
        rule: The rule that it breaks: ``"identical"`` is one request too many of a login within the window,
            ``"simultaneous"`` one too many in progress, ``"authorization"`` the wrong password that blocks the address.
        arrival: The request.

    Example:
        >>> import httpx
        >>> from smsc_async.simulator import Rules, Simulator, serve
        >>> simulator = Simulator(rules=Rules(requests=1))
        >>> with serve(simulator) as server:
        ...     for _ in range(2):
        ...         reply = httpx.post(server.base_url + "get.php", data={"get_price": 1, "login": "alex", "psw": "123"})
        >>> [(violation.rule, violation.arrival.number) for violation in simulator.violations()]
        [('identical', 2)]
    """

    rule: Literal["identical", "simultaneous", "authorization"]
    arrival: Arrival


def violations_in(arrivals: Iterable[Arrival], rules: Rules) -> list[Violation]:
    """Return every request that broke a rule, in the order of arrival; empty if no rule was broken."""
    by_key: defaultdict[str, list[Arrival]] = defaultdict(list)
    wrong: defaultdict[str, list[Arrival]] = defaultdict(list)
    violations: list[Violation] = []
    for arrival in arrivals:
        if arrival.identical_key is not None:
            by_key[arrival.identical_key].append(arrival)
        if arrival.code == 2:
            wrong[arrival.address].append(arrival)
        if arrival.in_progress > rules.concurrent:
            violations.append(Violation("simultaneous", arrival))
    for group in by_key.values():
        violations += [Violation("identical", each) for each in _past(group, rules.requests, rules.per)]
    for group in wrong.values():
        blocking = _past(group, rules.wrong_passwords - 1, rules.wrong_password_window)
        violations += [Violation("authorization", each) for each in blocking]
    return sorted(violations, key=lambda violation: violation.arrival.number)


def _past(group: list[Arrival], allowed: int, window: float) -> list[Arrival]:
    pairs = zip(group, group[allowed:], strict=False)
    return [later for earlier, later in pairs if later.at - earlier.at < window]
