"""A long list is read in a worker thread, so that the loop goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from smsc_async import Account, DeadlineExceeded, Secret, Tariffs
from smsc_async.fetch import interpret
from smsc_async.http.redaction import Redactor
from smsc_async.protocol import Reply
from smsc_async.simulator import SimulatedAccount, Simulator, make_tariffs
from tests.support.simulated import client_of

pytestmark = pytest.mark.anyio
ALEX = Account("alex", "123")
Judge = Callable[[Reply], object]


def serving(tariffs: Tariffs) -> Simulator:
    return Simulator([SimulatedAccount("alex", "123", tariffs=tariffs)])


@pytest.mark.parametrize(("zones", "apart"), [(50, False), (2000, True)])
async def test_the_length_of_an_answer_decides_where_it_is_read(
    zones: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    real: Judge = interpret.interpret_reply

    def watched(reply: Reply) -> object:
        threads.append(threading.get_ident())
        return real(reply)

    monkeypatch.setattr(interpret, "interpret_reply", watched)
    tariffs = make_tariffs(zones=zones)
    async with client_of(serving(tariffs), ALEX) as client:
        assert await client.tariffs() == tariffs
    assert [thread != threading.get_ident() for thread in threads] == [apart]


async def test_a_deadline_does_not_wait_for_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    reading = threading.Event()

    def endless(_: Reply) -> object:
        reading.set()
        return done.wait(120.0)

    monkeypatch.setattr(interpret, "interpret_reply", endless)
    async with client_of(serving(make_tariffs(zones=2000)), ALEX) as client:
        try:
            # The longer one where a machine that is busy with other things has not come to the reading before.
            for deadline in (1.0, 20.0):
                if not reading.is_set():
                    with pytest.raises(DeadlineExceeded), anyio.fail_after(60.0):
                        await client.tariffs(deadline=deadline)
            assert reading.is_set()
        finally:
            done.set()


async def test_an_error_in_a_long_answer_is_the_same_as_in_a_short_one() -> None:
    body = b'{"error": "authorise error", "error_code": 2, "padding": "' + b"x" * 200_000 + b'"}'
    short = interpret.interpret_reply(Reply(200, "", None, body))
    long = await interpret.interpret_redacted(Reply(200, "", None, body), Redactor(Secret("123")))
    assert repr(long) == repr(short)
