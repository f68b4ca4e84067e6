"""The simulated service without a socket, for clients in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

from smsc_async import Account, Client, MemoryStore
from smsc_async.limiter.clock import now
from smsc_async.simulator import Rules, SimulatedAccount, Simulator, sample_tariffs

ALEX = Account("alex", "123")
URL = "https://smsc.example/sys/"


def service(*, rules: Rules | None = None, latency: float | Callable[[], float] = 0.1) -> Simulator:
    """Return a simulator with the accounts alex and boris that counts by the clock of the running event loop."""
    accounts = [
        SimulatedAccount("alex", "123", api_key="k-alex"),
        SimulatedAccount("boris", "456", tariffs=sample_tariffs(Decimal("0.9"))),
    ]
    return Simulator(accounts, rules=rules, clock=now, latency=latency)


def client_of(simulator: Simulator, account: Account | None = ALEX, **options: object) -> Client:
    """Return a client of that simulator, with a new store if none is given."""
    given: dict[str, Any] = {"store": MemoryStore(), **options}
    return Client(account, base_url=URL, transport=httpx.ASGITransport(simulator), **given)
