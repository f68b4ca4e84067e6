"""A tariff list as it was at an instant: what a history keeps, a watch reports and a report draws. Pure."""

from __future__ import annotations

from datetime import datetime

import attrs

from smsc_async.records import Tariffs

__all__ = ["Snapshot"]


def _in_utc(_: object, attribute: attrs.Attribute[datetime], value: datetime) -> None:
    offset = value.utcoffset()
    if offset is None:
        raise ValueError(f"{attribute.name}={value}: must have a time zone, such as datetime.now(UTC)")


@attrs.frozen
class Snapshot:
    """The list of an account at an instant.

    Attributes:
        account: Whose list, by the name under which it is kept: a login, or a name of the user's.
        taken_at: When the service sent it, with its time zone.
        tariffs: The list.

    Raises:
        ValueError: ``taken_at`` has no time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from smsc_async import Snapshot, decode
        >>> tariffs = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> Snapshot("alex", datetime(2026, 11, 24, tzinfo=UTC), tariffs).tariffs.zone("1").api
        Decimal('2.50')
    """

    account: str
    taken_at: datetime = attrs.field(validator=_in_utc)
    tariffs: Tariffs
