"""A service to point the commands at, and nothing of the accounts and colours of whoever runs the tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from smsc_async.simulator import Rules, SimulatedAccount, Simulator, sample_tariffs, serve
from tests.support.receivers import Receiver, receiver_server

CLEARED = (
    "SMSC_LOGIN",
    "SMSC_PASSWORD",
    "SMSC_API_KEY",
    "SMSC_BASE_URL",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "SMSC_NOTIFY",
    "SMSC_WEBHOOK",
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the configuration file is; nothing is in it yet."""
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config.toml"
    config.touch()
    monkeypatch.setenv("SMSC_CONFIG", str(config))
    monkeypatch.setenv("SMSC_STORE", str(tmp_path / "store.sqlite3"))
    monkeypatch.setenv("SMSC_HISTORY", str(tmp_path / "history.sqlite3"))
    return config


@pytest.fixture(autouse=True)
def loops_in_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Python 3.11 coverage.py loses the frames under an event loop once an exception is thrown into a coroutine.

    In a thread there are none: the lines of a command that follow its requests are counted.
    """
    real = anyio.run

    def run(function: Callable[..., Awaitable[object]], *arguments: object) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(real, function, *arguments).result()

    monkeypatch.setattr(anyio, "run", run)


@pytest.fixture
def simulator() -> Simulator:
    accounts = [
        SimulatedAccount("alex", "123", api_key="k-4711"),
        SimulatedAccount("boris", "456", tariffs=sample_tariffs(Decimal("0.9"))),
    ]
    return Simulator(accounts, rules=Rules(requests=1000))


@pytest.fixture
def base_url(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The service, and its address in the environment."""
    with serve(simulator) as server:
        monkeypatch.setenv("SMSC_BASE_URL", server.base_url)
        yield server.base_url


@pytest.fixture
def alex(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account in the environment."""
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")


@pytest.fixture
def both(base_url: str, plain_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two accounts in the configuration file."""
    monkeypatch.setenv("A", "123")
    monkeypatch.setenv("B", "456")
    plain_environment.write_text(
        'default = "mine"\n'
        f'[accounts.mine]\nlogin = "alex"\npassword_from = "env:A"\nbase_url = "{base_url}"\n'
        f'[accounts.theirs]\nlogin = "boris"\npassword_from = "env:B"\nbase_url = "{base_url}"\n',
        "utf-8",
    )


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of reports: a web server that takes notifications."""
    with receiver_server() as receiver:
        yield receiver
