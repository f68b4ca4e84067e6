"""Durations and instants of a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from smsc_async.cli.cli_error import CliError

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw]?)", re.ASCII)
_NOW: Final = "now"
_LONGEST: Final = 36_525 * 86_400.0


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``90``, ``15m``, ``1.5h`` or ``30d``.

    Raises:
        CliError: It is not one, or it is nothing.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= _LONGEST:
        raise CliError(f"{text!r} is not a duration: must be such as 90s, 15m, 1.5h or 30d, 100 years at most")
    return seconds


def instant_or_none(text: str) -> datetime | None:
    """Return an instant in UTC: of ``2026-11-01``, ``2026-11-01T12:30+05:00`` or ``now``; without a time zone it is UTC."""
    if text.lower() == _NOW:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the second: in UTC it is not in the calendar
        return None


def parse_instant(text: str) -> datetime:
    """Return an instant, as ``instant_or_none`` reads it.

    Raises:
        CliError: It is not one.
    """
    instant = instant_or_none(text)
    if instant is None:
        raise CliError(f"{text!r} is not an instant: must be such as 2026-11-01 or 2026-11-01T12:30")
    return instant


def shown(instant: datetime) -> str:
    """Return an instant for a reader, in UTC, to the minute."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"
