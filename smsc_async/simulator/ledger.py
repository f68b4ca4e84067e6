"""Who asked when, and who asked too much: the bookkeeping of the simulated service.

Takes ``now`` and knows no clock. Everything happens under one lock, so that the log may be read from any thread while
the service runs in another.
"""

from __future__ import annotations

import math
import threading
from collections import deque

import attrs

from smsc_async.records import Format
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.requests import ParsedRequest
from smsc_async.simulator.rules import Rules

__all__ = ["Arrival", "PermitSource"]


@attrs.frozen(kw_only=True)
class Arrival:
    """A request as the service saw it; no credential among it.

    Attributes:
        number: Its place in the order of arrival, from 1.
        at: When it had arrived whole, in seconds of the simulator's clock.
        finished_at: When it ceased to be in progress, just before the last byte of its answer; ``None`` until then.
            In the future where the client hung up on a service that goes on working.
        login: The login that it named, or whose key it gave; ``None`` where neither.
        path: The path, without the query.
        method: The HTTP method.
        format: The shape asked for.
        identical_key: What it shares with every request that counts as identical; ``None`` for one that asks for
            something else than the list, or for no login of the service.
        code: The error that it was refused with; 0 where it was not.
        address: Where it came from.
        in_progress: How many requests of the login were in progress then, this one among them; 0 where the login is
            none of the service.
        fault: The name of the fault that it met, or ``None``.

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


class _Login:
    """What is remembered of a login."""

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
        over = [number for number, until in self.in_progress_until.items() if until <= now]
        for number in over:
            del self.in_progress_until[number]
        return len(self.in_progress_until)


class _Address:
    """What is remembered of an address."""

    def __init__(self, rules: Rules) -> None:
        self.wrong: deque[float] = deque(maxlen=rules.wrong_passwords)
        self.blocked_until = -math.inf


class PermitSource:
    """Judges every request on arrival and writes it down."""

    def __init__(self, rules: Rules, *, keep: int) -> None:
        self._rules = rules
        self._keep = keep
        self._lock = threading.Lock()
        self._log: dict[int, Arrival] = {}
        self._number = 0
        self._logins: dict[str, _Login] = {}
        self._addresses: dict[str, _Address] = {}

    def enter(
        self, asked: ParsedRequest, account: SimulatedAccount | None, *, now: float, fault: Fault | None
    ) -> Arrival:
        """Judge a request that has arrived and write it down.

        Args:
            asked: The request.
            account: The account that it names; ``None`` where there is none such, of which nothing is remembered.
            now: When it arrived.
            fault: What is to go wrong with its answer, or ``None``.
        """
        admitted = account is not None and account.admits(
            password=asked.password, api_key=asked.api_key, address=asked.address
        )
        with self._lock:
            self._number += 1
            books = None if account is None else self._of_login(account.login)
            in_progress = 0 if books is None else books.begin(self._number, now)
            code = self._judge(asked, books if admitted else None, in_progress=in_progress, now=now)
            arrival = Arrival(
                number=self._number,
                at=now,
                login=asked.login if account is None else account.login,
                path=asked.path,
                method=asked.method,
                format=asked.format,
                identical_key=f"{account.login} get_price" if account is not None and asked.wants_tariffs else None,
                code=code if fault is None or fault.code is None else fault.code,
                address=asked.address,
                in_progress=in_progress,
                fault=None if fault is None else fault.name,
            )
            if books is not None and asked.wants_tariffs and (code == 0 or self._rules.counts_refused):
                books.recent.append(now)
            self._write(arrival)
            return arrival

    def leave(self, arrival: Arrival, at: float) -> None:
        """Note that a request is no longer in progress, or will not be from an instant in the future on."""
        with self._lock:
            if arrival.number in self._log:
                self._log[arrival.number] = attrs.evolve(arrival, finished_at=at)
            books = self._logins.get(arrival.login or "")
            if books is not None and arrival.number in books.in_progress_until:
                books.in_progress_until[arrival.number] = at

    def log(self) -> list[Arrival]:
        """Return what was written down, in the order of arrival."""
        with self._lock:
            return list(self._log.values())

    def in_progress(self, login: str, now: float) -> int:
        """Return how many requests of a login are in progress."""
        with self._lock:
            return self._logins[login].count(now) if login in self._logins else 0

    def peak(self, login: str) -> int:
        """Return how many requests of a login were in progress at most, those refused for it among them."""
        with self._lock:
            return self._logins[login].peak if login in self._logins else 0

    def forget(self) -> None:
        """Forget everything but the numbering: log, windows, blocks, and the requests in progress."""
        with self._lock:
            self._log.clear()
            self._logins.clear()
            self._addresses.clear()

    def _judge(self, asked: ParsedRequest, admitted: _Login | None, *, in_progress: int, now: float) -> int:
        address = self._of_address(asked.address)
        if now < address.blocked_until:
            return 4
        if not asked.is_understood:
            return 1
        if admitted is None:
            self._remember_wrong(address, now)
            return 2
        if in_progress > self._rules.concurrent:
            return 9
        if asked.wants_tariffs and _is_full(admitted.recent, now - self._rules.per):
            return 9
        return 0

    def _remember_wrong(self, address: _Address, now: float) -> None:
        address.wrong.append(now)
        if _is_full(address.wrong, now - self._rules.wrong_password_window):
            address.blocked_until = now + self._rules.block
            address.wrong.clear()

    def _of_login(self, login: str) -> _Login:
        if login not in self._logins:
            self._logins[login] = _Login(self._rules)
        return self._logins[login]

    def _of_address(self, address: str) -> _Address:
        if address not in self._addresses:
            self._addresses[address] = _Address(self._rules)
        return self._addresses[address]

    def _write(self, arrival: Arrival) -> None:
        self._log[arrival.number] = arrival
        if len(self._log) > self._keep:
            del self._log[next(iter(self._log))]


def _is_full(recent: deque[float], since: float) -> bool:
    return len(recent) == recent.maxlen and recent[0] > since
