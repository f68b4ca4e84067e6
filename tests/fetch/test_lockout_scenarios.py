"""The scenarios of the simulation have their required outcomes, with fewer seeds than the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks import lockout as simulation
from benchmarks import lockout_wordings
from benchmarks.lockout import Row
from smsc_async.fetch import lockout


@pytest.mark.parametrize("scenario", simulation.SCENARIOS)
def test_a_scenario_has_its_required_outcome(scenario: Callable[[], Row]) -> None:
    row = scenario()
    assert row.ok, row


def test_changed_passwords_rarely_cost_a_fifth_error() -> None:
    assert simulation.changed(10, simulation.PROVEN, 50, 0.03).ok


@pytest.mark.parametrize(
    ("wording", "scenario"),
    [
        ("Rules 2 and 4 with n + 4, whatever rule 3 has admitted", simulation.moved_mixed),
        ("Any list of suspended credentials clears the refusals of the burst", simulation.changed_one),
    ],
)
def test_a_wording_that_was_replaced_fails_its_scenario(
    wording: str, scenario: Callable[[], Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    for function, replacement in lockout_wordings.WORDINGS[wording].items():
        monkeypatch.setattr(lockout, function, replacement)
    assert not scenario().ok
