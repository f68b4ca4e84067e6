from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from smsc_async.cli.cli_error import CliError
from smsc_async.cli.durations import parse_duration, parse_instant, shown


def test_a_duration_has_a_unit_or_is_in_seconds() -> None:
    told = ["90", "90s", "15m", "1.5h", "30d", "2W", " 1 h "]
    assert [parse_duration(each) for each in told] == [90, 90, 900, 5_400, 2_592_000, 1_209_600, 3_600]


@pytest.mark.parametrize("told", ["", "m", "-5m", "0", "0.0s", "5y", "1e3", "inf", "5m3s", "5219w", "999999999w"])
def test_what_is_no_duration_is_told(told: str) -> None:
    with pytest.raises(CliError, match="is not a duration"):
        parse_duration(told)


def test_an_instant_is_in_utc_unless_it_says_otherwise() -> None:
    assert parse_instant("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)
    there = parse_instant("2026-11-01T12:30+05:00")
    assert there == datetime(2026, 11, 1, 12, 30, tzinfo=timezone(timedelta(hours=5)))
    assert shown(there) == "2026-11-01 07:30"
    assert abs(datetime.now(UTC) - parse_instant("now")) < timedelta(minutes=1)
    # The others are in no calendar once they are in UTC.
    for text in ("yesterday", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"):
        with pytest.raises(CliError, match="is not an instant"):
            parse_instant(text)
