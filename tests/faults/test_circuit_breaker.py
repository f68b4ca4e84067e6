"""A service that does not respond for an hour, and what is sent to it meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio
import httpx
import pytest

from smsc_async import Account, CircuitOpen, Client, DeadlineExceeded, Quota, SmscError, TransportError
from smsc_async.fetch import circuit_breaker
from smsc_async.fetch.circuit_breaker import CircuitBreaker
from smsc_async.limiter.attempt import Attempt
from tests.faults.scripted import Answer, Scripted, client_of, good, in_turn, status
from tests.support.slow import on_loops_in_turn
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend, BackendName, run_virtual

CALLERS: Final = 10
KINDS: Final[dict[str, Callable[[], Answer]]] = {
    "refused": lambda: httpx.ConnectError("refused"),
    "cut": lambda: httpx.ReadError("cut"),
    "hangs": lambda: httpx.ReadError("hung up"),
    "503": lambda: status(503),
    "page": lambda: httpx.Response(200, content=b"<html>Maintenance</html>"),
}


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def _confirm(client: Client, accounts: int = 5) -> None:
    for n in range(accounts):
        await client.tariffs(Account(f"login-{n}", "123"))


class _Run:
    """Accounts with ten callers each, who ask every minute or so, failing or not, for a time and a window after it."""

    def __init__(
        self, failure: Callable[[], Answer] | None, *, accounts: int, seconds: float, latency: float = 0.2
    ) -> None:
        self.failure = failure
        self.accounts = accounts
        self.seconds = seconds
        self.scripted = Scripted(self._answer, latency)
        self.good_at: list[float] = []
        self.begins = self.ends = 0.0

    def _answer(self, _: object) -> Answer:
        is_up = self.failure is None or not self.begins <= anyio.current_time() < self.ends
        return good() if is_up or self.failure is None else self.failure()

    async def run(self) -> None:
        # Two minutes in which the credentials of all accounts are confirmed.
        self.begins = anyio.current_time() + 120
        self.ends = self.begins + self.seconds
        chance = random.Random(1)
        async with client_of(self.scripted, None, max_age=60.0) as client, anyio.create_task_group() as group:
            for n in range(self.accounts):
                for _ in range(CALLERS):
                    group.start_soon(self._call, client, Account(f"login-{n}", "123"), random.Random(chance.random()))
            group.start_soon(self._recover)

    async def _call(self, client: Client, account: Account, chance: random.Random) -> None:
        await anyio.sleep(60 * chance.random())
        while anyio.current_time() < self.ends + Quota().window:
            try:
                await client.tariffs(account)
            except SmscError:
                pass
            else:
                if anyio.current_time() >= self.ends:
                    self.good_at.append(anyio.current_time() - self.ends)
            await anyio.sleep(chance.uniform(30, 90))

    async def _recover(self) -> None:
        latency, self.scripted.latency = self.scripted.latency, 0.2
        await anyio.sleep(120)
        self.scripted.latency = latency
        await anyio.sleep(self.seconds)
        self.scripted.latency = 0.2

    def sent(self) -> int:
        return sum(self.begins <= each.at < self.ends for each in self.scripted.requests)


@pytest.mark.no_cover
def test_an_hour_without_the_service_costs_no_more_requests_than_one_with_it() -> None:
    fine = _Run(None, accounts=2, seconds=3600)  # a tenth of them, who know nothing of the others
    down = _Run(KINDS["503"], accounts=20, seconds=3600)
    run_virtual("asyncio", fine.run)
    run_virtual("asyncio", down.run)
    counts = f"{down.sent()} requests in an hour of outage, {10 * fine.sent()} without"
    print(f"{counts}; back after {min(down.good_at):.1f} s")  # noqa: T201
    assert fine.sent() > 80
    assert down.sent() <= 1.1 * 10 * fine.sent()
    assert min(down.good_at) <= Quota().window


@pytest.mark.parametrize(("kind", "backend"), on_loops_in_turn(KINDS))
@pytest.mark.no_cover
def test_however_the_service_is_away_it_is_asked_seldom_and_found_again(backend: BackendName, kind: str) -> None:
    away = _Run(KINDS[kind], accounts=8, seconds=900, latency=1000.0 if kind == "hangs" else 0.2)
    run_virtual(backend, away.run)
    assert away.sent() <= 1.1 * 8 * 15
    assert min(away.good_at) <= Quota().window


@pytest.mark.anyio
async def test_five_failures_in_a_row_open_the_circuit_and_one_reply_closes_it() -> None:
    scripted = in_turn([good()] * 5 + [status(503)] * 5)
    async with client_of(scripted, None, retries=0) as client:
        await _confirm(client)
        for n in range(5):
            with pytest.raises(TransportError):
                await client.tariffs(Account(f"login-{n}", "123"))
        assert [each.cause for each in client.lockouts()] == ["outage"]
        with pytest.raises(CircuitOpen, match="did not respond to the last requests") as caught:
            await client.tariffs(Account("login-0", "123"), deadline=0.1)
        assert 0 < caught.value.retry_after <= 2
        assert len(scripted.requests) == 10
        await client.tariffs(Account("login-0", "123"))
        assert client.lockouts() == ()


@pytest.mark.anyio
async def test_calls_wait_through_an_outage_that_their_deadline_outlasts_and_go_on_together() -> None:
    begins = anyio.current_time() + 10
    ends = begins + 20
    scripted = Scripted(lambda _: status(503) if begins <= anyio.current_time() < ends else good())
    async with client_of(scripted, None) as client:
        await _confirm(client, 40)
        await anyio.sleep(begins - anyio.current_time())
        done: list[float] = []

        async def call(n: int) -> None:
            try:
                await client.tariffs(Account(f"login-{n}", "123"))
            except TransportError:
                return
            done.append(anyio.current_time() - ends)

        async with anyio.create_task_group() as group:
            for n in range(40):
                group.start_soon(call, n)
                await anyio.sleep(0.05)
    at_once = [each for each in done if each < 10]  # the others have used their tokens during the outage
    assert len(at_once) >= 30
    assert max(at_once) - min(at_once) < 5


@pytest.mark.anyio
async def test_failures_with_replies_between_them_do_not_open_the_circuit() -> None:
    scripted = in_turn([good()] * 15 + [status(503), status(503), status(503), status(503), good()] * 3)
    async with client_of(scripted, None, retries=0) as client:
        await _confirm(client, 15)
        for n in range(15):
            with suppress(TransportError):
                await client.tariffs(Account(f"login-{n}", "123"))
            assert client.lockouts() == ()


@pytest.mark.anyio
async def test_a_reset_lets_the_next_request_out_at_once() -> None:
    scripted = in_turn([good()] * 5 + [status(503)] * 5)
    async with client_of(scripted, None, retries=0) as client:
        await _confirm(client)
        for n in range(5):
            with pytest.raises(TransportError):
                await client.tariffs(Account(f"login-{n}", "123"))
        await client.reset_lockouts()
        began = anyio.current_time()
        await client.tariffs(Account("login-0", "123"))
        assert anyio.current_time() - began == pytest.approx(0.1)


@pytest.mark.anyio
async def test_a_request_that_is_silent_for_ten_seconds_is_a_failure_before_its_exchange_ends() -> None:
    breaker = CircuitBreaker()
    attempts = [Attempt(f"login-{n}", Quota()) for n in range(6)]
    assert all(map(breaker.try_start, attempts[:5]))
    await anyio.sleep(9.9)
    assert breaker.seconds() == 0
    await anyio.sleep(0.2)
    assert breaker.seconds() == pytest.approx(2.0)
    assert not breaker.try_start(attempts[5])
    for attempt in attempts[:5]:
        attempt.outcome = TransportError("cut")
        breaker.settle(attempt)
    assert breaker.seconds() == pytest.approx(2.0)


@pytest.mark.anyio
async def test_a_forked_child_knows_nothing_of_the_requests_and_the_lock_of_its_parent() -> None:
    breaker = CircuitBreaker()
    assert all(breaker.try_start(Attempt(f"login-{n % 2}", Quota())) for n in range(5))
    with breaker._lock:  # pyright: ignore[reportPrivateUsage]  # of a thread of the parent
        child = threading.Thread(target=circuit_breaker._after_fork)  # pyright: ignore[reportPrivateUsage]
        child.start()
        child.join(20.0)
        assert not child.is_alive()
    await anyio.sleep(10.1)
    # In the parent, five requests without a reply would open the circuit.
    assert breaker.seconds() == 0


@pytest.mark.anyio
async def test_short_deadlines_never_open_the_circuit() -> None:
    scripted = in_turn([])
    async with client_of(scripted, None, quota=Quota(requests=100)) as client:
        await _confirm(client)
        scripted.latency = 0.3
        for n in range(40):
            with pytest.raises(DeadlineExceeded):
                await client.tariffs(Account(f"login-{n % 5}", "123"), deadline=0.1)
            assert client.lockouts() == ()


@pytest.mark.anyio
async def test_a_reset_sends_the_calls_that_wait_for_a_probe() -> None:
    scripted = in_turn([*[good()] * 5, *[status(503)] * 5])
    async with client_of(scripted, None, retries=0) as client:
        await _confirm(client)
        for n in range(5):
            with suppress(SmscError):
                await client.tariffs(Account(f"login-{n}", "123"))
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tariffs, Account("login-0", "123"))
            await anyio.sleep(0.5)
            await client.reset_lockouts()
        assert anyio.current_time() - began < 1.0


@pytest.mark.anyio
async def test_a_call_whose_permit_comes_in_an_outage_gives_it_back_and_waits() -> None:
    scripted = in_turn([*[good()] * 7, *[status(503)] * 5, good()])
    async with client_of(scripted, None, retries=0) as client:
        await _confirm(client)
        for _ in range(2):
            await client.tariffs(Account("login-0", "123"), max_age=0)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.tariffs(Account("login-0", "123"), max_age=0))
            await anyio.sleep((await client.quota(Account("login-0", "123"))).next_in - 0.5)
            for n in (1, 2, 3, 4, 1):
                with suppress(SmscError):
                    await client.tariffs(Account(f"login-{n}", "123"), max_age=0)
            (outage,) = client.lockouts()
            assert outage.seconds > 0.5
            await anyio.sleep(0.6)
            # Its token has come, and nothing was sent.
            assert len(scripted.requests) == 12
        assert len(scripted.requests) == 13
        assert client.lockouts() == ()
