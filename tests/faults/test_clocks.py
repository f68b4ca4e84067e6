"""The wall clock may step as it likes: the quota goes by another, and nobody waits longer for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest

from smsc_async import Quota
from tests.faults.scripted import client_of, in_turn
from tests.support.server_log_checks import windows_broken
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

HOUR: Final = 3600.0


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


@pytest.mark.anyio
@pytest.mark.parametrize("step", [-HOUR, HOUR, -24 * HOUR, 24 * HOUR])
async def test_a_step_of_the_clock_changes_nothing_about_the_quota(
    step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall)
    scripted = in_turn([])
    async with client_of(scripted) as client:
        for n in range(9):
            wall += step * (n % 2)
            await client.tariffs()
    assert windows_broken([(at, None) for at in scripted.times()]) == []
    assert scripted.times()[-1] < 2 * (Quota().window + 1)
