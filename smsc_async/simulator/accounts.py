"""An account of the simulated service: its credentials, its tariff list, the addresses that may use it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import attrs

from smsc_async.records import Tariffs
from smsc_async.simulator.rendering import Missing
from smsc_async.simulator.sample import sample_tariffs

_Network: TypeAlias = IPv4Network | IPv6Network


def _networks(addresses: Iterable[str] | None) -> tuple[_Network, ...] | None:
    if isinstance(addresses, str):
        raise ValueError(f"allowed_addresses must be a list of addresses, such as [{addresses!r}]")  # noqa: TRY004  # a str is an iterable of str
    return None if addresses is None else tuple(ip_network(address, strict=False) for address in addresses)


def _not_empty(_: object, field: attrs.Attribute[str], value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError(f"{field.name} is empty")


# Compared by identity: it is a key of the render cache, and a tariff list takes long to compare.
@attrs.frozen(eq=False)
class SimulatedAccount:
    """An account of the simulated service.

    Attributes:
        login: The login.
        password: The password; never in a repr.
        api_key: An API key that replaces both, or ``None``; never in a repr.
        tariffs: The tariff list of the account; ``sample_tariffs()`` by default.
        allowed_addresses: The addresses, or networks such as ``"10.0.0.0/8"``, that may use the account; ``None`` for
            any.
        accepts_md5: Whether the hexadecimal MD5 of the password is accepted too, as for old accounts.
        balance: The amount that ``balance.php`` answers.
        missing: How the service writes a price that the account does not have; see ``render``.

    Raises:
        ValueError: The login, password or key is empty, or an address is invalid.

    Example:
        >>> from smsc_async.simulator import SimulatedAccount
        >>> SimulatedAccount("alex", "123").admits(password="123", address="127.0.0.1")
        True
    """

    login: str = attrs.field(validator=_not_empty)
    password: str = attrs.field(validator=_not_empty, repr=False)
    api_key: str | None = attrs.field(default=None, kw_only=True, validator=_not_empty, repr=False)
    tariffs: Tariffs = attrs.field(factory=sample_tariffs, kw_only=True, repr=False)
    allowed_addresses: tuple[_Network, ...] | None = attrs.field(default=None, kw_only=True, converter=_networks)
    accepts_md5: bool = attrs.field(default=False, kw_only=True)
    balance: Decimal = attrs.field(default=Decimal("1871.62"), kw_only=True, repr=False)
    missing: Missing = attrs.field(default="empty", kw_only=True)

    def admits(self, *, password: str | None = None, api_key: str | None = None, address: str) -> bool:
        """Return whether a request from this address with this password or key may use the account."""
        if api_key is None:
            known = password == self.password or (self.accepts_md5 and (password or "").lower() == self._md5())
        else:
            known = api_key == self.api_key
        return known and self._allows(address)

    def _md5(self) -> str:
        return hashlib.md5(self.password.encode(), usedforsecurity=False).hexdigest()

    def _allows(self, address: str) -> bool:
        if self.allowed_addresses is None:
            return True
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in network for network in self.allowed_addresses)
