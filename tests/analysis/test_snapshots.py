"""A list as it was at an instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from smsc_async import Format, Service, Snapshot, Tariffs, compare, diff, render_report


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"taken_at=2026-11-24 00:00:00: must have a time zone"):
        Snapshot("alex", datetime(2026, 11, 24), Tariffs((), (), None))  # noqa: DTZ001  # what is refused


def test_values_of_another_type_are_named() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"taken_at must be a datetime, such as datetime.now\(UTC\), not int"):
        Snapshot("alex", wrong, Tariffs((), (), None))
    with pytest.raises(TypeError, match="account must be a name, such as a login, not int"):
        Snapshot(wrong, datetime(2026, 11, 24, tzinfo=UTC), Tariffs((), (), None))
    with pytest.raises(TypeError, match=r"tariffs must be a Tariffs, as Client.tariffs\(\) returns it, not int"):
        Snapshot("alex", datetime(2026, 11, 24, tzinfo=UTC), wrong)
    tariffs = Tariffs((), (), None)
    with pytest.raises(TypeError, match=r"old must be a Tariffs, as .+, not int"):
        diff(wrong, tariffs)
    with pytest.raises(TypeError, match=r"new must be a Tariffs, as .+, not int"):
        diff(tariffs, wrong)
    with pytest.raises(TypeError, match=r"lists must be a mapping of names to lists, such as .+, not int"):
        compare(wrong)
    with pytest.raises(TypeError, match=r"boris must be a Tariffs, as .+, not int"):
        compare({"alex": tariffs, "boris": wrong})
    with pytest.raises(TypeError, match=r"each of the snapshots must be a Snapshot, such as .+, not int"):
        render_report([wrong])


@pytest.mark.parametrize("call", [lambda: compare({}, service="sms"), lambda: Service("sms")])
def test_a_service_that_does_not_exist_comes_with_those_that_do(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"^'sms' is no service: must be one of api, mass, mms, hlr, call$"):
        call()
    names = "Format.PLAIN, Format.CSV, Format.XML, Format.JSON"
    with pytest.raises(ValueError, match=rf"^'json' is no format: must be one of {names}$"):
        Format("json")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_it_is_equal_by_what_it_holds() -> None:
    taken_at = datetime(2026, 11, 24, tzinfo=UTC)
    assert Snapshot("alex", taken_at, Tariffs((), (), None)) == Snapshot("alex", taken_at, Tariffs((), (), None))
