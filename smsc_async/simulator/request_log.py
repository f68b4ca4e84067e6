"""The request log of the simulated service, with the windows, counters and blocks that follow from it.

Has no clock: methods take ``now``. One lock guards everything, because a test reads the log while the service runs in
another thread.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque

import attrs

from smsc_async.records import Format
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.requests import ParsedRequest
from smsc_async.simulator.rules import Rules


@attrs.frozen(kw_only=True)
class Arrival:
    """A request as the service saw it, without credentials.

    Attributes:
        number: Its position in the order of arrival, from 1.
        at: When it had arrived completely, in seconds of the simulator's clock.
        finished_at: When its progress ended, just before the last byte of its reply; ``None`` until then. In the
            future if the client disconnected and the service continues to work.
        login: The login in the request, or the login of the API key in it; ``None`` if there is neither.
        path: The path, without the query.
        method: The HTTP method.
        format: The requested format.
        identical_key: Equal for all requests that count as identical; ``None`` if the request is not for the tariff
            list, or its login is unknown.
        code: The error code of the refusal; 0 if it was not refused.
        address: The address of the client.
        in_progress: How many requests of the login were in progress at that moment, this one included; 0 if the login
            is unknown.
        fault: The name of the fault in its reply, or ``None``.

    Example:
        >>> import httpx
        >>> from smsc_async.simulator import Simulator, serve
        >>> simulator = Simulator()
        >>> with serve(simulator) as server:
        ...     reply = httpx.post(server.base_url + "get.php", data={"get_price": 1, "login": "alex", "psw": "wrong"})
        >>> (arrival,) = simulator.log
        >>> arrival.login, arrival.method, arrival.code
        ('alex', 'POST', 2)
    """

    number: int
    at: float
    finished_at: float | None = None
    login: str | None
    path: str
    method: str
    format: Format
    identical_key: str | None
    code: int
    address: str
    in_progress: int
    fault: str | None = None


class _LoginState:
    """The window and the requests in progress of a login."""

    def __init__(self, rules: Rules) -> None:
        # The window is full when the oldest of so many arrivals is still inside it.
        self.recent: deque[float] = deque(maxlen=rules.requests)
        self.in_progress_until: dict[int, float] = {}
        self.peak = 0

    def begin(self, number: int, now: float) -> int:
        self.in_progress_until[number] = math.inf
        count = self.count(now)
        self.peak = max(self.peak, count)
        return count

    def count(self, now: float) -> int:
        self.in_progress_until = {each: until for each, until in self.in_progress_until.items() if until > now}
        return len(self.in_progress_until)


class _AddressState:
    """The authorization errors and the block of an address."""

    def __init__(self, rules: Rules) -> None:
        self.wrong: deque[float] = deque(maxlen=rules.wrong_passwords)
        self.blocked_until = -math.inf


class RequestLog:
    """Decides about every request on arrival, and records it."""

    def __init__(self, rules: Rules, *, keep: int) -> None:
        self._rules = rules
        self._keep = keep
        self._lock = threading.Lock()
        self._log: dict[int, Arrival] = {}
        self._number = 0
        self._logins = defaultdict[str, _LoginState](lambda: _LoginState(rules))
        self._addresses = defaultdict[str, _AddressState](lambda: _AddressState(rules))

    def record_arrival(
        self, request: ParsedRequest, account: SimulatedAccount | None, *, now: float, fault: Fault
    ) -> Arrival:
        """Decide about a request that has arrived, and record it.

        Args:
            request: The request.
            account: Its account, or ``None`` if there is no such account; then no window and no counter changes.
            now: When it arrived.
            fault: The fault in its reply.
        """
        admitted = account is not None and account.admits(
            password=request.password, api_key=request.api_key, address=request.address
        )
        with self._lock:
            self._number += 1
            login_state = None if account is None else self._logins[account.login]
            in_progress = 0 if login_state is None else login_state.begin(self._number, now)
            code = self._error_code(request, login_state if admitted else None, in_progress=in_progress, now=now)
            arrival = Arrival(
                number=self._number,
                at=now,
                login=request.login if account is None else account.login,
                path=request.path,
                method=request.method,
                format=request.format,
                identical_key=f"{account.login} get_price" if account is not None and request.wants_tariffs else None,
                code=code if fault.code is None else fault.code,
                address=request.address,
                in_progress=in_progress,
                fault=fault.name or None,
            )
            if login_state is not None and request.wants_tariffs and (code == 0 or self._rules.counts_refused):
                login_state.recent.append(now)
            self._write(arrival)
            return arrival

    def record_end(self, arrival: Arrival, at: float) -> None:
        """Record when the progress of a request ends; the instant may be in the future."""
        with self._lock:
            if arrival.number in self._log:
                self._log[arrival.number] = attrs.evolve(arrival, finished_at=at)
            login_state = self._logins.get(arrival.login or "")
            if login_state is not None and arrival.number in login_state.in_progress_until:
                login_state.in_progress_until[arrival.number] = at

    def log(self) -> list[Arrival]:
        """Return the recorded requests, in the order of arrival."""
        with self._lock:
            return list(self._log.values())

    def in_progress(self, login: str, now: float) -> int:
        """Return how many requests of a login are in progress."""
        with self._lock:
            return self._logins[login].count(now) if login in self._logins else 0

    def peak(self, login: str) -> int:
        """Return the largest number of requests of a login in progress at the same time, refused ones included."""
        with self._lock:
            return self._logins[login].peak if login in self._logins else 0

    def clear(self) -> None:
        """Clear everything except the numbering: log, windows, blocks, and the requests in progress."""
        with self._lock:
            self._log.clear()
            self._logins.clear()
            self._addresses.clear()

    def _error_code(self, request: ParsedRequest, admitted: _LoginState | None, *, in_progress: int, now: float) -> int:
        address = self._addresses[request.address]
        if now < address.blocked_until:
            return 4
        if not request.is_understood:
            return 1
        if admitted is None:
            self._record_wrong_password(address, now)
            return 2
        if in_progress > self._rules.concurrent:
            return 9
        if request.wants_tariffs and _is_full(admitted.recent, now - self._rules.per):
            return 9
        return 0

    def _record_wrong_password(self, address: _AddressState, now: float) -> None:
        address.wrong.append(now)
        if _is_full(address.wrong, now - self._rules.wrong_password_window):
            address.blocked_until = now + self._rules.block
            address.wrong.clear()

    def _write(self, arrival: Arrival) -> None:
        self._log[arrival.number] = arrival
        if len(self._log) > self._keep:
            del self._log[next(iter(self._log))]


def _is_full(recent: deque[float], since: float) -> bool:
    return len(recent) == recent.maxlen and recent[0] > since
