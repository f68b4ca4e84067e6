"""The lists that a watch sees in the tests, and what its receivers get."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from smsc_async import Tariffs, Zone
from smsc_async.records import OperatorTariff
from smsc_async.simulator import SimulatedAccount, Simulator
from tests.support.receivers import Receiver


def list_of(api: int) -> Tariffs:
    return Tariffs((Zone("1", "Russia", Decimal(api)),), (OperatorTariff("25001", Decimal("1.85")),), Decimal("0.10"))


def put(simulator: Simulator, api: int, login: str = "alex", password: str = "123") -> None:
    simulator.put(SimulatedAccount(login, password, tariffs=list_of(api)))


def reports(stdout: str) -> list[tuple[str, str, str]]:
    """The account, the old and the new price of each line."""
    documents: list[dict[str, Any]] = [json.loads(line) for line in stdout.splitlines()]
    return [(each["account"], each["changes"][0]["old"], each["changes"][0]["new"]) for each in documents]


def prices_at(receiver: Receiver) -> list[str]:
    """The new prices that a receiver was sent."""
    return [json.loads(body)["changes"][0]["new"] for _, body, _ in receiver.got]


def ids_at(receiver: Receiver) -> list[str]:
    return [json.loads(body)["event_id"] for _, body, _ in receiver.got]


def until(condition: Callable[[], object]) -> None:
    """Wait up to a minute for a condition."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
