"""The records that a caller gets: a tariff list and its parts.

Invariants: every record is frozen, slotted, hashable, and survives ``pickle`` and ``copy``; a price is a ``Decimal`` with
the digits that the service sent, or ``None`` if the account has no price; ``extra`` holds the undocumented members of the
reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Final, NoReturn, TypeAlias, TypeVar

import attrs

from smsc_async.pydantic_hook import SchemaHandler, record_schema

T = TypeVar("T")


class Format(IntEnum):
    """The formats of a reply; the value is the ``fmt`` parameter of the request.

    Prefer ``JSON`` or ``XML``: in the two text formats only the last line shows that the list is complete.

    Example:
        >>> from smsc_async import Format
        >>> Format.JSON.value
        3
    """

    PLAIN = 0
    CSV = 1
    XML = 2
    JSON = 3

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is no format: must be one of {', '.join(f'Format.{each.name}' for each in cls)}")


class Service(StrEnum):
    """The services that a zone has prices for; the value is the name of the member in a reply.

    Example:
        >>> from smsc_async import Service
        >>> Service("api") is Service.API
        True
    """

    API = "api"
    """An SMS sent through the API."""
    MASS = "mass"
    """An SMS sent from the personal account."""
    MMS = "mms"
    """An MMS message."""
    HLR = "hlr"
    """An HLR request."""
    CALL = "call"
    """A voice message."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is no service: must be one of {', '.join(cls)}")


class Extra(Mapping[str, str]):
    """Undocumented members of a reply, as text, in the order of the reply; read-only.

    A value of a JSON reply that is not a string is its JSON text. Equal to any mapping with the same items.

    Example:
        >>> from smsc_async import decode
        >>> reply = b'{"zones": [{"zone": "1", "api": "2", "vat": 20}], "mail": "0.1"}'
        >>> decode(reply).zone("1").extra["vat"]
        '20'
    """

    __slots__ = ("_items",)
    _items: dict[str, str]

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[Extra], tuple[dict[str, str]]]:
        return Extra, (self._items,)


NO_EXTRA: Final = Extra()

Row: TypeAlias = dict[str, "str | Decimal | None"]


@attrs.frozen
class Zone:
    """The prices of one tariff zone, per message or request, in the currency of the account.

    Attributes:
        zone: The zone's number, as text.
        name: Its name: an operator, a country, a region.
        api: An SMS sent through the API.
        mass: An SMS sent from the personal account.
        mms: An MMS message.
        hlr: An HLR request.
        call: A voice message.
        extra: The undocumented members of the reply.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import Zone
        >>> Zone("1", "Russia", api=Decimal("2.50")).mms is None
        True
    """

    zone: str
    name: str
    api: Decimal | None = None
    mass: Decimal | None = None
    mms: Decimal | None = None
    hlr: Decimal | None = None
    call: Decimal | None = None
    extra: Extra = NO_EXTRA

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: SchemaHandler, /) -> object:
        """Return the schema for pydantic, so that an endpoint can return zones."""
        return record_schema(cls, handler, _json_members)


@attrs.frozen
class OperatorTariff:
    """The individual tariff of an account for the messages to one operator.

    Attributes:
        mccmnc: Country and network code of the operator, such as ``"25001"``.
        cost: The price of a message, or ``None`` if none is set.
        extra: The undocumented members of the reply.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import OperatorTariff
        >>> OperatorTariff("25001", Decimal("1.85")).cost
        Decimal('1.85')
    """

    mccmnc: str
    cost: Decimal | None = None
    extra: Extra = NO_EXTRA

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: SchemaHandler, /) -> object:
        """Return the schema for pydantic, so that an endpoint can return individual tariffs."""
        return record_schema(cls, handler, _json_members)


@attrs.frozen
class Price:
    """The price of one message, and the line of the list that it comes from.

    Attributes:
        cost: The price of one message or request.
        source: The line that it comes from: an operator's individual tariff or a zone.
        service: The service.

    Example:
        >>> from smsc_async import decode
        >>> price = decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.1"}').price("1")
        >>> price.cost, price.is_individual
        (Decimal('2.50'), False)
    """

    cost: Decimal
    source: Zone | OperatorTariff
    service: Service

    @property
    def is_individual(self) -> bool:
        """Whether it is an operator's individual tariff rather than the zone's price."""
        return isinstance(self.source, OperatorTariff)


# An individual tariff is "the cost of the message" (spec/): the page names it for messages only, so it never answers
# for MMS, HLR requests and calls, which are priced by zone.
MESSAGES: Final = frozenset({Service.API, Service.MASS})
# A country code of three digits and a network code of two or three; one more or less, because not all are known.
MCCMNC: Final = re.compile(r"[0-9]{4,7}")


@attrs.frozen
class Tariffs:
    """A complete tariff list of one account.

    Two lists are equal if their prices are: ``fetched_at``, ``stale`` and ``error`` do not count.

    Attributes:
        zones: The zones, in the order of the reply; at least one.
        codes: The individual tariffs of operators, in the order of the reply; empty if the account has none.
        mail: The price of an e-mail message, or ``None`` if the account has no price.
        extra: The undocumented members of the reply.
        fetched_at: When the reply arrived (UTC), or ``None`` for a list that was not fetched.
        stale: Whether the list is older than the requested age, because a fresh one was not available.
        error: The error that prevented a fresh list, if ``stale``.

    Example:
        >>> from smsc_async import decode
        >>> tariffs = decode(
        ...     b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}],'
        ...     b' "codes": [{"mccmnc": "25001", "cost": "1.85"}], "mail": "0.10"}'
        ... )
        >>> tariffs.zone("1").api, tariffs.operator("25001").cost, tariffs.mail
        (Decimal('2.50'), Decimal('1.85'), Decimal('0.10'))
    """

    zones: tuple[Zone, ...]
    codes: tuple[OperatorTariff, ...] = ()
    mail: Decimal | None = None
    extra: Extra = NO_EXTRA
    fetched_at: datetime | None = attrs.field(default=None, eq=False, kw_only=True)
    stale: bool = attrs.field(default=False, eq=False, kw_only=True)
    error: Exception | None = attrs.field(default=None, eq=False, kw_only=True, repr=False)

    @cached_property
    def _by_zone(self) -> dict[str, Zone]:
        return {each.zone: each for each in self.zones}

    @cached_property
    def _by_code(self) -> dict[str, OperatorTariff]:
        return {each.mccmnc: each for each in self.codes}

    def zone(self, zone: str) -> Zone:
        """Return the zone of that number.

        Args:
            zone: The number as text, such as ``"1"``.

        Raises:
            KeyError: The list has no such zone.
            TypeError: The number is not text.

        Example:
            >>> from smsc_async import decode
            >>> decode(b'{"zones": [{"zone": "1", "name": "Russia"}], "mail": "0.1"}').zone("1").name
            'Russia'
        """
        _check_text("zone", zone, "1")
        try:
            return self._by_zone[zone]
        except KeyError:
            raise KeyError(f"no zone {zone!r} in this list of {len(self.zones)} zones; see .zones") from None

    def operator(self, mccmnc: str) -> OperatorTariff:
        """Return the individual tariff of an operator.

        Args:
            mccmnc: Country and network code, such as ``"25001"``.

        Raises:
            KeyError: The account has no individual tariff for it: the price is that of its zone.
            TypeError: The code is not text.

        Example:
            >>> from smsc_async import decode
            >>> reply = b'{"zones": [{"zone": "1"}], "codes": [{"mccmnc": "25001", "cost": "1.85"}], "mail": "0.1"}'
            >>> decode(reply).operator("25001").cost
            Decimal('1.85')
        """
        _check_text("operator", mccmnc, "25001")
        try:
            return self._by_code[mccmnc]
        except KeyError:
            raise KeyError(
                f"no individual tariff for operator {mccmnc!r} among {len(self.codes)}; its zone's price applies"
            ) from None

    def price(
        self, zone: str | None = None, *, operator: str | None = None, service: Service | str = Service.API
    ) -> Price | None:
        """Return the price of one message: the operator's individual tariff if there is one, else the price of the zone.

        An individual tariff is the price of an SMS; for MMS, HLR requests and calls the price of the zone applies always.
        A list does not say which zone an operator belongs to: pass both if you know both.

        Args:
            zone: The zone's number, or ``None`` to look at the individual tariffs only.
            operator: Country and network code, or ``None`` to look at the zone only. An operator without an
                individual tariff is not an error.
            service: The service, as ``Service`` or as its value, such as ``"hlr"``.

        Returns:
            The price and the line that it comes from, or ``None`` if the account has no price for it.

        Raises:
            KeyError: The list has no such zone.
            TypeError: Neither a zone nor an operator is given, or one that is not text.
            ValueError: No such service, or an operator that is no code of 4 to 7 digits.

        Example:
            >>> from smsc_async import decode
            >>> tariffs = decode(
            ...     b'{"zones": [{"zone": "1", "api": "2.50", "hlr": "0.30"}],'
            ...     b' "codes": [{"mccmnc": "25001", "cost": "1.85"}], "mail": "0.10"}'
            ... )
            >>> tariffs.price("1", operator="25001").cost
            Decimal('1.85')
            >>> tariffs.price("1", operator="25001", service="hlr").cost
            Decimal('0.30')
        """
        if zone is None and operator is None:
            raise TypeError('price() needs a zone, an operator or both, such as price("1", operator="25001")')
        service = Service(service)
        # Before the operator: a zone that does not exist is a mistake even if the operator has an individual tariff.
        line = None if zone is None else self.zone(zone)
        if operator is not None and service in MESSAGES:
            _check_text("operator", operator, "25001")
            individual = self._by_code.get(operator)
            if individual is None and not MCCMNC.fullmatch(operator):
                raise ValueError(
                    f'operator={operator!r}: must be a country and a network code, digits alone, such as "25001"'
                )
            if individual is not None and individual.cost is not None:
                return Price(individual.cost, individual, service)
        cost: Decimal | None = None if line is None else getattr(line, service.value)
        return None if line is None or cost is None else Price(cost, line, service)

    def to_dict(self) -> dict[str, object]:
        """Return the list as dicts, lists, text and ``None``, in the shape of the service's JSON.

        A price is text with the digits that the service sent, so that any JSON encoder writes it exactly; use the
        records or ``to_rows()`` to calculate. Members of ``extra`` stand beside the documented ones, which take
        precedence. Halves of surrogate pairs, which UTF-8 cannot hold, are escaped with a backslash.

        Example:
            >>> from smsc_async import decode
            >>> decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.10"}').to_dict()["mail"]
            '0.10'
        """
        return {
            **self._json_members(),
            "zones": [_json_members(each) for each in self.zones],
            "codes": [_json_members(each) for each in self.codes],
        }

    def to_json(self) -> str:
        """Return the list as JSON text, in the shape of the service's JSON; ``decode()`` reads it back.

        A price is text, as in ``to_dict()``. Characters that are not printable are escaped, so that the text is safe in
        a terminal, in a log and in UTF-8.

        Example:
            >>> from smsc_async import decode
            >>> decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.10"}').to_json()[-24:]
            'codes":[],"mail":"0.10"}'
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))
        if text.isprintable():
            return text
        return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)

    def _json_members(self) -> dict[str, object]:
        return {
            **{_encodable(name): _encodable(value) for name, value in self.extra.items()},
            "zones": list(self.zones),
            "codes": list(self.codes),
            "mail": _json_price(self.mail),
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: SchemaHandler, /) -> object:
        """Return the schema for pydantic, so that an endpoint can return a list with exact digits."""
        return record_schema(cls, handler, cls._json_members)

    def to_rows(self) -> list[Row]:
        """Return the list as flat rows of one shape: zones first, then operators, then the e-mail price.

        Every row has the same keys in the same order, so that the rows go into a ``csv.DictWriter`` or a DataFrame as
        they are: ``kind`` (``"zone"``, ``"operator"``, ``"mail"``), ``zone``, ``name``, ``mccmnc``, ``api``, ``mass``,
        ``mms``, ``hlr``, ``call``, ``cost``, then the members of ``extra`` of the zones and operators. A missing value is
        ``None``. A member of ``extra`` with the name of one of these columns goes into ``extra_<name>``, so that a
        column of prices holds only ``Decimal`` and ``None``. Text can be written as UTF-8, as in ``to_dict()``.

        Example:
            >>> from smsc_async import decode
            >>> rows = decode(b'{"zones": [{"zone": "1", "api": "2.50"}], "mail": "0.1"}').to_rows()
            >>> [(row["kind"], row["api"], row["cost"]) for row in rows]
            [('zone', Decimal('2.50'), None), ('mail', None, Decimal('0.1'))]
        """
        flat = [("zone", _flat(each, _COLUMNS)) for each in self.zones]
        flat += [("operator", _flat(each, _COLUMNS)) for each in self.codes]
        blank: Row = dict.fromkeys(_COLUMNS)
        for _, row in flat:
            for name in row:
                blank.setdefault(name, None)
        rows: list[Row] = [{**blank, **row, "kind": kind} for kind, row in flat]
        rows.append({**blank, "kind": "mail", "cost": self.mail})
        return rows


_COLUMNS: Final = ("kind", "zone", "name", "mccmnc", *(service.value for service in Service), "cost")


def checked_type(name: str, value: object, kind: type[T], description: str) -> T:
    """Return an argument that is of a type."""
    if isinstance(value, kind):
        return value
    # Not the value: it may be a password.
    raise TypeError(f"{name} must be {description}, not {type(value).__name__}")


def _check_text(name: str, value: object, example: str) -> None:
    # No list holds a number as a key: an operator given as a number would silently get the price of its zone.
    if not isinstance(value, str):
        raise TypeError(f'{name}={value!r}: must be text, such as "{example}", not {type(value).__name__}')


def _flat(record: Zone | OperatorTariff, taken: Collection[str] = ()) -> Row:
    values = {field.name: getattr(record, field.name) for field in attrs.fields(type(record)) if field.name != "extra"}
    row: Row = {name: _encodable(value) if isinstance(value, str) else value for name, value in values.items()}
    for name, value in record.extra.items():
        row.setdefault(_encodable(f"extra_{name}" if name in taken else name), _encodable(value))
    return row


def _json_members(record: Zone | OperatorTariff) -> dict[str, str | None]:
    return {name: value if isinstance(value, str) else _json_price(value) for name, value in _flat(record).items()}


def _json_price(price: Decimal | None) -> str | None:
    return None if price is None else f"{price:f}"


def _encodable(text: str) -> str:
    # A JSON reply can hold half of a surrogate pair. UTF-8 cannot: writing it to a file or a response would raise.
    return text.encode("utf-8", "backslashreplace").decode()
