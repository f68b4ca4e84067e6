"""A running service for a test: its accounts, what is to go wrong, and what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

import attrs

from smsc_async.accounts import Account
from smsc_async.client import Client
from smsc_async.limiter.quota import Quota
from smsc_async.records import Tariffs
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.app import Latency, Simulator
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.request_log import Arrival
from smsc_async.simulator.rules import Rules
from smsc_async.simulator.sample import sample_tariffs
from smsc_async.simulator.serving import serve
from smsc_async.simulator.violations import Violation
from smsc_async.stores import MemoryStore, Store

__all__ = ["SmscServer"]

_LOGIN: Final = "alex"
_PASSWORD: Final = "123"  # noqa: S105  # of nobody


class SmscServer:
    """The simulated service on a free port of this machine, while a ``with`` block runs.

    The fixture ``smsc_server`` gives one to each test. Make one yourself where it shall live longer, as in a fixture of
    the scope ``session``; ``reset()`` then stands between two tests. It has a thread of its own: use it from synchronous
    tests and from any event loop, and change it while requests are under way.

    Attributes:
        account: An account that works, with the sample list.
        simulator: The service itself, for what is not here.

    Args:
        rules: The limits; ``None`` for the provider's, with their minute of 60 seconds.
        latency: Seconds from a request's arrival to its answer, as for ``Simulator``.

    Raises:
        OSError: On entering: there is no free port.

    Example:
        >>> import asyncio
        >>> from smsc_async.testing import SmscServer
        >>> async def main(server: SmscServer) -> None:
        ...     async with server.client() as client:
        ...         print((await client.tariffs()).zone("1").api)
        >>> with SmscServer() as server:
        ...     asyncio.run(main(server))
        3.85
    """

    def __init__(self, *, rules: Rules | None = None, latency: Latency = 0.0) -> None:
        first = SimulatedAccount(_LOGIN, _PASSWORD)
        self.account: Account = Account(_LOGIN, _PASSWORD)
        self.simulator: Simulator = Simulator([first], rules=rules, latency=latency)
        self._accounts = {first.login: first}
        self._serving = serve(self.simulator)

    def __enter__(self) -> Self:
        self._serving.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._serving.__exit__(kind, error, traceback)

    @property
    def base_url(self) -> str:
        """What ``Client`` takes as ``base_url``."""
        return self._serving.base_url

    @property
    def quota(self) -> Quota:
        """The quota that fits the limits of this server: what a client under test has to be given with its URL.

        Its ``guard`` is a sixtieth of the minute and its ``linger`` a twelfth, at least a second, as with the defaults.
        """
        rules = self.simulator.rules
        return Quota(
            requests=rules.requests,
            per=rules.per,
            guard=rules.per / 60,
            linger=max(rules.per / 12, 1.0),
            concurrent=rules.concurrent,
        )

    @property
    def env(self) -> Mapping[str, str]:
        """``SMSC_LOGIN``, ``SMSC_PASSWORD`` and ``SMSC_BASE_URL``, for a program that reads them.

        Example:
            >>> from smsc_async import Account
            >>> from smsc_async.testing import SmscServer
            >>> with SmscServer() as server:
            ...     Account.from_env(server.env)
            Account('alex')
        """
        return MappingProxyType({"SMSC_LOGIN": _LOGIN, "SMSC_PASSWORD": _PASSWORD, "SMSC_BASE_URL": self.base_url})

    def client(
        self,
        account: Account | None = None,
        *,
        store: Store | None = None,
        max_age: float = 60.0,
        deadline: float = 10.0,
        retries: int = 2,
    ) -> Client:
        """Return a client of this server, to be closed by ``async with`` or ``aclose()``.

        Args:
            account: Whose list it fetches where it is told nothing else, or ``None`` for ``account``.
            store: Where the quota and the last answers live, or ``None`` for a new one of its own.
            max_age: Seconds for which a list is fresh.
            deadline: Seconds that a call may take: fewer than in earnest, so that a test of a hanging service ends.
            retries: How many more attempts a failed request may have.

        Raises:
            ValueError: A number is out of its range.
        """
        return Client(
            account or self.account,
            base_url=self.base_url,
            quota=self.quota,
            store=MemoryStore() if store is None else store,
            max_age=max_age,
            deadline=deadline,
            retries=retries,
        )

    def add_account(
        self, login: str, password: str, *, tariffs: Tariffs | None = None, api_key: str | None = None
    ) -> Account:
        """Let another account in, or replace the one with this login; return it as a client takes it.

        Args:
            login: The login.
            password: The password.
            tariffs: Its list, or ``None`` for the sample list.
            api_key: A key that works in place of the two, as in ``Account.with_api_key``, or ``None``.

        Raises:
            ValueError: The login, password or key is empty, or another account has this key.

        Example:
            >>> from smsc_async.simulator import make_tariffs
            >>> from smsc_async.testing import SmscServer
            >>> SmscServer().add_account("boris", "456", tariffs=make_tariffs(300))
            Account('boris')
        """
        account = Account(login, password)
        simulated = SimulatedAccount(login, password, tariffs=tariffs or sample_tariffs(), api_key=api_key)
        self.simulator.put(simulated)
        self._accounts[login] = simulated
        return account

    def set_tariffs(self, tariffs: Tariffs, *, login: str = _LOGIN) -> None:
        """Give an account another list from now on, as when a price changes.

        Args:
            tariffs: The list.
            login: Whose.

        Raises:
            KeyError: There is no such account.

        Example:
            >>> from decimal import Decimal
            >>> from smsc_async.simulator import sample_tariffs
            >>> from smsc_async.testing import SmscServer
            >>> SmscServer().set_tariffs(sample_tariffs(Decimal("1.10")))  # everything a tenth dearer
        """
        self._accounts[login] = simulated = attrs.evolve(self._accounts[login], tariffs=tariffs)
        self.simulator.put(simulated)

    def fail(self, fault: Fault, *, times: int | None = None, login: str | None = None) -> None:
        """Let something go wrong with the answers to come; several faults have their turns one after the other.

        Args:
            fault: What, such as ``Fault.http_status(503)`` or ``Fault.hang()``.
            times: With how many requests; ``None`` until ``heal()``.
            login: Of which login; ``None`` for all.

        Raises:
            ValueError: ``times`` is below 1.

        Example:
            >>> from smsc_async.testing import Fault, SmscServer
            >>> SmscServer().fail(Fault.http_status(503, retry_after=2), times=1)
        """
        self.simulator.fail(fault, times=times, login=login)

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.simulator.heal()

    def reset(self) -> None:
        """Forget all requests and blocks, and heal; accounts and lists stay.

        What a client's store knows of the quota stays too: give each test a store, or a client, of its own.
        """
        self.simulator.reset()

    @property
    def log(self) -> list[Arrival]:
        """The requests that arrived, in order; no credential among them."""
        return self.simulator.log

    def violations(self) -> list[Violation]:
        """Return the requests that a careful caller would not have sent; empty where all limits were kept."""
        return self.simulator.violations()
