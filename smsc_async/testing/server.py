"""A simulated service for a test: its accounts, its faults, and its log."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

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

_LOGIN: Final = "alex"
_PASSWORD: Final = "123"  # noqa: S105  # of no real account


class SmscServer(serve):
    """The simulated service on a free port of this machine, while a ``with`` block runs.

    The fixture ``smsc_server`` gives one to each test. Make one yourself if it should live longer, as in a fixture of
    the scope ``session``; then call ``reset()`` between two tests. It has its own thread: use it from synchronous tests
    and from any event loop, and change it while requests are in progress.

    Attributes:
        account: A valid account with the sample list.
        store: The store of its clients: they share one quota, as the clients of a process do.
        simulator: The service itself, with more methods.

    Args:
        rules: The limits; ``None`` for the provider's, with their minute of 60 seconds.
        latency: Seconds from the arrival of a request to its reply, as for ``Simulator``.

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
        self.store: Store = MemoryStore()
        self.simulator: Simulator = Simulator([first], rules=rules, latency=latency)
        self._accounts = {first.login: first}
        super().__init__(self.simulator)

    @property
    def quota(self) -> Quota:
        """The quota that fits the limits of this server: pass it to a client under test together with ``base_url``.

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
            account: The default account of the client, or ``None`` for ``account``.
            store: The store of the quota and of the cached lists, or ``None`` for that of this server.
            max_age: Seconds for which a list is fresh.
            deadline: Seconds that a call may take: fewer than the default of ``Client``, so that a test of a hanging service
                ends.
            retries: The number of further attempts after a failed request.

        Raises:
            ValueError: A number is out of its range.
        """
        return Client(
            account or self.account,
            base_url=self.base_url,
            quota=self.quota,
            store=self.store if store is None else store,
            max_age=max_age,
            deadline=deadline,
            retries=retries,
        )

    def add_account(
        self,
        login: str,
        password: str,
        *,
        tariffs: Tariffs | None = None,
        api_key: str | None = None,
        accepts_md5: bool = False,
    ) -> Account:
        """Add an account, or replace the one with this login; return it for a client.

        Args:
            login: The login.
            password: The password.
            tariffs: Its list, or ``None`` for the sample list.
            api_key: An API key that replaces login and password, as in ``Account.with_api_key``, or ``None``.
            accepts_md5: Whether the MD5 of the password is accepted too, as for old accounts.

        Raises:
            ValueError: The login, password or key is empty, or another account has this key.

        Example:
            >>> from smsc_async.simulator import make_tariffs
            >>> from smsc_async.testing import SmscServer
            >>> SmscServer().add_account("boris", "456", tariffs=make_tariffs(300))
            Account('boris')
        """
        account = Account(login, password)
        simulated = SimulatedAccount(
            login, password, tariffs=tariffs or sample_tariffs(), api_key=api_key, accepts_md5=accepts_md5
        )
        self.simulator.put(simulated)
        self._accounts[login] = simulated
        return account

    def set_tariffs(self, tariffs: Tariffs, *, login: str = _LOGIN) -> None:
        """Replace the list of an account, as when a price changes.

        Args:
            tariffs: The list.
            login: The login of the account.

        Raises:
            KeyError: There is no such account.

        Example:
            >>> from decimal import Decimal
            >>> from smsc_async.simulator import sample_tariffs
            >>> from smsc_async.testing import SmscServer
            >>> SmscServer().set_tariffs(sample_tariffs(Decimal("1.10")))  # every price rises by a tenth
        """
        self._accounts[login] = simulated = attrs.evolve(self._accounts[login], tariffs=tariffs)
        self.simulator.put(simulated)

    def fail(self, fault: Fault, *, times: int | None = None, login: str | None = None) -> None:
        """Inject a fault into the next replies; several faults take effect one after another.

        Args:
            fault: The fault, such as ``Fault.http_status(503)`` or ``Fault.hang()``.
            times: The number of requests, or ``None`` for all until ``heal()``.
            login: The login whose requests are affected, or ``None`` for all.

        Raises:
            ValueError: ``times`` is below 1.

        Example:
            >>> from smsc_async.testing import Fault, SmscServer
            >>> SmscServer().fail(Fault.http_status(503, retry_after=2), times=1)
        """
        self.simulator.fail(fault, times=times, login=login)

    def heal(self) -> None:
        """Remove all faults."""
        self.simulator.heal()

    def reset(self) -> None:
        """Clear the log, the blocks and the faults; accounts and lists stay.

        The next ``client()`` has a new store, with a full quota; clients made before keep the old one.
        """
        self.simulator.reset()
        self.store = MemoryStore()

    @property
    def log(self) -> list[Arrival]:
        """The requests that arrived, in order, without credentials."""
        return self.simulator.log

    def violations(self) -> list[Violation]:
        """Return the requests that broke a limit; empty if none did."""
        return self.simulator.violations()
