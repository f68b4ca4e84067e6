"""Clients, a queue, a network and a server that blocks addresses, in virtual time, over the pure rules.

The rules are called exactly as a store calls them: `check`, token and `enter` in one step, `settle` in another. What the
server counts is recorded by the server alone, so the rules cannot hide an error from the scenarios.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import attrs

from smsc_async.fetch import lockout as rules
from smsc_async.fetch.circuit import Circuit
from smsc_async.fetch.lockout import CredentialsState, Place, Refused, ServiceState, Verdict

START = 1_000_000.0
DELAY = (0.08, 0.14)
EXCHANGE = 30.0
BLOCK = 1800.0
DEADLINE = 90.0
RETRIES = 2
RETRY_PAUSE = 0.5
POLL = 1.0
IN_BULK = 50
REFUSALS = {
    rules.Cause.CREDENTIALS: "CredentialsRefused",
    rules.Cause.TRIALS: "TrialsExhausted",
    rules.Cause.ADDRESS: "AddressPaused",
}
ENDINGS = {
    Verdict.LIST: "list",
    Verdict.REFUSED: "AuthenticationError",
    Verdict.BLOCKED: "AddressBlocked",
    Verdict.OTHER: "ApiError",
    Verdict.UNANSWERED: "TransportError",
    Verdict.NOT_SENT: "TransportError",
}


class Account(NamedTuple):
    login: str
    password: str = "right"


class Events:
    """The clock, and what happens next."""

    def __init__(self, seed: int = 0) -> None:
        self.now = START
        self.random = random.Random(seed)
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, instant: float, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (instant, self._count, action))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        self.at(self.now + seconds, action)

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until


def most_in_window(times: Sequence[float]) -> int:
    ordered = sorted(times)
    return max((sum(at - first < BLOCK for at in ordered[i:]) for i, first in enumerate(ordered)), default=0)


@attrs.define
class Server:
    """Counts error 2 of one address over all logins, and blocks it at the fifth within 30 minutes.

    `fault` decides the fate of a request at its arrival: `None`, "cut" (not counted), "silent" (not counted), "gateway"
    (counted, and answered with 504), "unreachable" (no connection was made).

    `known` has the arrival times of the errors whose replies were read.
    """

    events: Events
    passwords: defaultdict[str, str] = attrs.field(factory=lambda: defaultdict(lambda: "right"))
    moved: bool = False
    blocks: bool = True
    takes: float = 0.0
    fault: Callable[[Account], str | None] = lambda _: None
    requests: list[tuple[float, Account]] = attrs.field(factory=list[tuple[float, Account]])
    errors: list[tuple[float, Account]] = attrs.field(factory=list[tuple[float, Account]])
    known: list[float] = attrs.field(factory=list[float])
    blocked_until: float = 0.0

    def reply(self, account: Account) -> Verdict:
        now = self.events.now
        self.requests.append((now, account))
        if now < self.blocked_until:
            return Verdict.BLOCKED
        if not self.moved and self.passwords[account.login] == account.password:
            return Verdict.LIST
        self.errors.append((now, account))
        if self.blocks and sum(at > now - BLOCK for at, _ in self.errors[-5:]) == 5:
            self.blocked_until = now + BLOCK
        return Verdict.REFUSED

    def peak(self) -> int:
        """The most errors within any 30 minutes."""
        return most_in_window([at for at, _ in self.errors])


@attrs.define
class Store:
    """What all workers share."""

    service: ServiceState = attrs.field(factory=ServiceState)
    credentials: dict[Account, CredentialsState] = attrs.field(factory=dict[Account, CredentialsState])
    tokens: defaultdict[str, dict[str, float]] = attrs.field(factory=lambda: defaultdict(dict))

    def of(self, account: Account) -> CredentialsState:
        return self.credentials.setdefault(account, CredentialsState(account.login))

    def worked(self, accounts: Iterable[Account], ago: float) -> None:
        for account in accounts:
            self.of(account).worked_at = START - ago
            self.service.list_at = max(self.service.list_at, START - ago)

    def next_token(self, login: str, now: float) -> float:
        out = self.tokens[login]
        for request in [each for each, free_at in out.items() if free_at <= now]:
            del out[request]
        return 0.0 if len(out) < 3 else min(out.values()) - now


@attrs.define(eq=False)
class Call:
    """One call of a user; `ending` is "list" or the name of an error."""

    account: Account
    at: float
    deadline: float
    done: Callable[[Call], None] | None = None
    ending: str = ""
    ended_at: float = 0.0
    retry_after: float = 0.0

    @property
    def took(self) -> float:
        return self.ended_at - self.at


@attrs.define(eq=False)
class Flight:
    """All attempts for one account; the callers only wait for it."""

    account: Account
    number: int
    calls: list[Call] = attrs.field(factory=list[Call])
    attempts: int = 0
    waits_for: str = "TrialsExhausted"
    retry_after: float = 0.0
    in_flight: bool = False


class Client:
    """One worker process: a queue that is ordered by priority, single flight, and a circuit breaker."""

    _ids = iter(range(10**12))

    def __init__(self, events: Events, server: Server, store: Store, delay: tuple[float, float] = DELAY) -> None:
        self.events, self.server, self.store, self.delay = events, server, store, delay
        self.circuit = Circuit()
        self.opened = 0
        self.killed = False
        self._flights: dict[Account, Flight] = {}
        self._waiting: list[Flight] = []
        self._pump_at = float("inf")

    def call(self, account: Account, deadline: float = DEADLINE, done: Callable[[Call], None] | None = None) -> Call:
        call = Call(account, self.events.now, deadline, done)
        flight = self._flights.get(account)
        if flight is None:
            flight = self._flights[account] = Flight(account, next(self._ids))
            self._waiting.append(flight)
        flight.calls.append(call)
        self.events.after(deadline, lambda: self._deadline(flight, call))
        self.pump()
        return call

    def kill(self) -> None:
        self.killed = True

    def pump(self) -> None:
        """Let everybody go who may; ask again when something may have changed."""
        now = self.events.now
        rank = {
            flight: rules.priority(self.store.service, self.store.of(flight.account), now) for flight in self._waiting
        }
        retry_in, stuck = float("inf"), -1
        for flight in sorted(self._waiting, key=lambda each: (rank[each], each.number)):
            if rank[flight] == stuck:
                continue
            refused = self._try(flight)
            if refused is None:
                continue
            retry_in = min(retry_in, refused.retry_in or POLL)
            if not refused.own:
                stuck = rank[flight]
        if retry_in < float("inf"):
            self._pump_in(max(retry_in, 0.001))

    def _pump_in(self, seconds: float) -> None:
        at = self.events.now + seconds
        if at < self._pump_at:
            self._pump_at = at
            self.events.at(at, self._pump_due)

    def _pump_due(self) -> None:
        if self.events.now >= self._pump_at and not self.killed:
            self._pump_at = float("inf")
            self.pump()

    def _try(self, flight: Flight) -> Refused | None:
        """Send it, or return why not; as a store does it, in one step."""
        now, store, request = self.events.now, self.store, f"{flight.number}.{flight.attempts}"
        credentials = store.of(flight.account)
        place = rules.check(store.service, credentials, request, now)
        if isinstance(place, Refused):
            return self._refuse(flight, place, REFUSALS[place.cause])
        if rest := store.next_token(flight.account.login, now):
            return self._refuse(flight, Refused(rules.Cause.TRIALS, rest, own=True), "QuotaExhausted")
        if rest := self.circuit.wait(now):
            return self._refuse(flight, Refused(rules.Cause.TRIALS, rest), "CircuitOpen")
        rules.enter(store.service, credentials, place)
        store.tokens[flight.account.login][request] = now + EXCHANGE + 66.0
        self._waiting.remove(flight)
        self.circuit.start(place.request, flight.account.login, now)
        self._send(flight, place)
        return None

    def _refuse(self, flight: Flight, refused: Refused, name: str) -> Refused | None:
        flight.waits_for, flight.retry_after = name, refused.retry_in
        for call in list(flight.calls):
            is_too_late = self.events.now + refused.retry_in > call.at + call.deadline
            if refused.final or (is_too_late and not refused.may_end_sooner):
                self._end_call(flight, call, name)
        if not flight.calls:
            self._waiting.remove(flight)
            self._flights.pop(flight.account, None)
            return None if refused.own else refused
        return refused

    def _send(self, flight: Flight, place: Place) -> None:
        flight.in_flight = True
        flight.attempts += 1
        trip = self.events.random.uniform(*self.delay)
        self.events.after(trip / 2, lambda: self._arrive(flight, place, trip / 2))

    def _arrive(self, flight: Flight, place: Place, trip: float) -> None:
        fate = self.server.fault(flight.account)
        verdict, arrived_at = Verdict.UNANSWERED, self.events.now
        if fate in {None, "gateway"}:
            verdict = self.server.reply(flight.account)
        takes = trip + self.server.takes
        if fate == "unreachable":
            verdict = Verdict.NOT_SENT
        elif fate == "silent":
            takes = EXCHANGE - trip
            self.events.at(place.sent_at + Circuit.SILENCE, lambda: self._failed(place))
        elif fate is not None:
            verdict = Verdict.UNANSWERED
            self.events.after(takes, lambda: self._failed(place))
        self.events.after(takes, lambda: self._settle(flight, place, verdict, arrived_at))

    def _failed(self, place: Place) -> None:
        was_open = self.circuit.is_open
        self.circuit.settle(place.request, self.events.now, responds=False)
        self.opened += self.circuit.is_open and not was_open

    def _settle(self, flight: Flight, place: Place, verdict: Verdict, arrived_at: float) -> None:
        if self.killed:
            return
        if verdict is Verdict.REFUSED:
            self.server.known.append(arrived_at)
        now, store = self.events.now, self.store
        if verdict is Verdict.NOT_SENT:
            self.circuit.settle(place.request, now, responds=None)
            del store.tokens[place.login][place.request]
        elif verdict is Verdict.UNANSWERED:
            store.tokens[place.login][place.request] = now + 66.0
        else:
            self.circuit.settle(place.request, now, responds=True)
            store.tokens[place.login][place.request] = now + 61.0
        rules.settle(store.service, store.of(flight.account), place, verdict, now)
        flight.in_flight = False
        if not self._retry(flight, verdict):
            self._flights.pop(flight.account)
            for call in list(flight.calls):
                self._end_call(flight, call, ENDINGS[verdict])
        self.pump()

    def _retry(self, flight: Flight, verdict: Verdict) -> bool:
        standing = rules.standing(self.store.service, self.store.of(flight.account), self.events.now)
        tested = standing not in {rules.Standing.UNTESTED, rules.Standing.REFUSED}
        again = verdict is Verdict.NOT_SENT or (verdict is Verdict.UNANSWERED and tested)
        if not (again and flight.calls and flight.attempts <= RETRIES):
            return False
        self.events.after(RETRY_PAUSE, lambda: self._queue_again(flight))
        return True

    def _queue_again(self, flight: Flight) -> None:
        if not flight.calls:
            self._flights.pop(flight.account)
        elif not self.killed:
            self._waiting.append(flight)
            self.pump()

    def _deadline(self, flight: Flight, call: Call) -> None:
        if call not in flight.calls:
            return
        self._end_call(flight, call, "DeadlineExceeded" if flight.attempts else flight.waits_for)
        if not flight.calls and flight in self._waiting:
            self._waiting.remove(flight)
            self._flights.pop(flight.account)

    def _end_call(self, flight: Flight, call: Call, ending: str) -> None:
        flight.calls.remove(call)
        call.ending, call.ended_at, call.retry_after = ending, self.events.now, flight.retry_after
        if call.done is not None:
            self.events.after(0.0, lambda: call.done and call.done(call))


class World:
    """One server, one store, one client."""

    def __init__(self, seed: int = 0, *, delay: tuple[float, float] = DELAY) -> None:
        self.events = Events(seed)
        self.server = Server(self.events)
        self.store = Store()
        self.delay = delay
        self.client = self.new_client()
        self.calls: list[Call] = []

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.events.now - START

    def new_client(self) -> Client:
        return Client(self.events, self.server, self.store, self.delay)

    def run(self, until: float) -> None:
        self.events.run(START + until)

    def call(self, account: Account, deadline: float = DEADLINE, done: Callable[[Call], None] | None = None) -> Call:
        self.calls.append(self.client.call(account, deadline, done))
        return self.calls[-1]

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        self.events.at(START + seconds, action)

    def bulk(
        self, accounts: Sequence[Account], *, at_once: int = IN_BULK, then: Callable[[Call], None] | None = None
    ) -> None:
        """Call for each account, so many at a time."""
        rest: Iterator[Account] = iter(accounts)

        def go_on(ended: Call | None = None) -> None:
            if ended is not None and then is not None:
                then(ended)
            following = next(rest, None)
            if following is not None:
                self.call(following, done=go_on)

        for _ in range(at_once):
            go_on()

    def endings(self) -> Counter[str]:
        return Counter(call.ending for call in self.calls)

    def served(self) -> set[Account]:
        return {call.account for call in self.calls if call.ending == "list"}

    def longest_wait(self) -> float:
        """The longest time from a call to its list, without the exchange itself."""
        exchange = self.delay[1] + self.server.takes
        return max((max(0.0, call.took - exchange) for call in self.calls if call.ending == "list"), default=0.0)

    def span(self) -> float:
        return max((call.ended_at for call in self.calls), default=START) - START
