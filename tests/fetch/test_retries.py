"""The waits between the attempts of a fetch."""

from __future__ import annotations

import pytest

from smsc_async import TransportError
from smsc_async.fetch.retries import backoff


@pytest.mark.parametrize("number", [1, 2, 5_000])
def test_the_wait_before_a_repetition_is_bounded_however_many_there_were(number: int) -> None:
    assert 0.0 <= backoff(TransportError("cut"), number) <= 20.0
