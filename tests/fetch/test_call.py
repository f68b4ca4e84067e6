"""Flights that end in an unusual way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from smsc_async import (
    Account,
    Client,
    DeadlineExceeded,
    MemoryStore,
    ParameterError,
    SmscError,
    SQLiteStore,
    StoreError,
    Tariffs,
)
from smsc_async.fetch.call import Calls
from tests.faults.hostile import LIST
from tests.faults.scripted import Scripted, client_of, in_turn, refusal


@pytest.mark.anyio
async def test_a_store_that_cannot_be_used_is_the_error_of_the_call_and_nothing_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database, and stays as it is" * 100)
    scripted = in_turn([])
    async with SQLiteStore(path, pepper="a long random text") as store, client_of(scripted, store=store) as client:
        with pytest.raises(StoreError, match=r"store\.db"):
            await client.tariffs()
    assert scripted.requests == []


@pytest.mark.anyio
async def test_an_error_that_comes_after_the_deadline_of_its_flight_reaches_the_callers_with_more_time(
    tmp_path: Path,
) -> None:
    scripted = Scripted(lambda _: refusal(1), latency=0.6)
    ends: list[type[SmscError]] = []
    async with SQLiteStore(tmp_path / "store.db") as store, client_of(scripted, store=store) as client:

        async def call(deadline: float) -> None:
            with pytest.raises(SmscError) as caught:
                await client.tariffs(deadline=deadline)
            ends.append(type(caught.value))

        async with anyio.create_task_group() as group:
            group.start_soon(call, 0.3)
            await anyio.sleep(0.1)
            group.start_soon(call, 30.0)
    assert ends == [DeadlineExceeded, ParameterError]
    assert len(scripted.requests) == 1


@pytest.mark.asyncio
async def test_a_flight_that_the_interpreter_drops_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coroutine of a flight is closed at the end of the interpreter, or with its closed event loop."""
    real, runs = Calls._run, list[Account]()  # pyright: ignore[reportPrivateUsage]

    async def run(self: Calls, account: Account, *arguments: Any) -> Tariffs | SmscError:
        runs.append(account)
        if len(runs) == 1:
            raise GeneratorExit
        return await real(self, account, *arguments)

    monkeypatch.setattr(Calls, "_run", run)
    account, transport = Account("alex", "123"), httpx.MockTransport(lambda _: httpx.Response(200, content=LIST))
    async with Client(
        account, base_url="https://smsc.example/sys/", transport=transport, store=MemoryStore()
    ) as client:
        assert (await client.tariffs()).zones
    assert len(runs) == 2
