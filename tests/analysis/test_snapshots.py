"""A list as it was at an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from smsc_async import Snapshot, Tariffs


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"taken_at=2026-11-24 00:00:00: must have a time zone"):
        Snapshot("alex", datetime(2026, 11, 24), Tariffs((), (), None))  # noqa: DTZ001  # what is refused


def test_values_of_another_type_are_named() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"taken_at must be a datetime, such as datetime.now\(UTC\), not int"):
        Snapshot("alex", wrong, Tariffs((), (), None))
    with pytest.raises(TypeError, match="account must be a name, such as a login, not int"):
        Snapshot(wrong, datetime(2026, 11, 24, tzinfo=UTC), Tariffs((), (), None))


def test_it_is_equal_by_what_it_holds() -> None:
    taken_at = datetime(2026, 11, 24, tzinfo=UTC)
    assert Snapshot("alex", taken_at, Tariffs((), (), None)) == Snapshot("alex", taken_at, Tariffs((), (), None))
