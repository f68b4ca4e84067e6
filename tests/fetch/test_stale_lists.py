"""``stale_ok``: no call waits for a request that is refused while there is a list; one table over all causes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import anyio
import pytest

from smsc_async import (
    Account,
    AddressPaused,
    AuthenticationError,
    CircuitOpen,
    Client,
    MemoryStore,
    Quota,
    QuotaExhausted,
    SmscError,
    StoreNotReady,
    TransportError,
    TrialsExhausted,
)
from smsc_async.limiter.bucket import Permit
from smsc_async.limiter.clock import now
from smsc_async.protocol import quota_key, service_of
from tests.faults.scripted import ALEX, URL, Scripted, client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

Prepare: TypeAlias = Callable[[Client, Scripted, MemoryStore], Awaitable[object]]


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


async def no_token(client: Client, _: Scripted, __: MemoryStore) -> None:
    for _number in range(2):
        await client.tariffs()


async def no_slot(_: Client, __: Scripted, store: MemoryStore) -> None:
    login = quota_key(service_of(URL), ALEX.login)
    for _number in range(Quota().concurrent):
        assert store.try_acquire(Permit(login, Quota(), token=False)) is not None


async def no_place(client: Client, scripted: Scripted, _: MemoryStore) -> None:
    boris = Account("boris", "123")
    await client.tariffs(boris)
    await anyio.sleep(1801)  # the lists prove nothing any more
    scripted.answers = lambda request: good() if request.login == "alex" else refusal(2)
    # One place is for credentials that have worked.
    for account in (*(Account(f"login-{number}", "wrong") for number in range(3)), boris):
        with pytest.raises(AuthenticationError):
            await client.tariffs(account)


async def blocked_address(client: Client, scripted: Scripted, _: MemoryStore) -> None:
    scripted.answers = lambda _: refusal(4)
    with suppress(SmscError):
        await client.tariffs()


async def open_circuit(client: Client, scripted: Scripted, _: MemoryStore) -> None:
    scripted.answers = lambda _: status(503)
    while not client.lockouts():
        with suppress(SmscError):
            await client.tariffs()


async def new_store(_: Client, __: Scripted, store: MemoryStore) -> None:
    # As a store that was emptied after this process had fetched the list.
    store._waits = True  # pyright: ignore[reportPrivateUsage]


async def error_9(client: Client, scripted: Scripted, _: MemoryStore) -> None:
    scripted.answers = lambda _: refusal(9)
    with suppress(SmscError):
        await client.tariffs(deadline=10)


@pytest.mark.parametrize("joins", [False, True], ids=["alone", "joins-a-call-that-waits"])
@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (no_token, QuotaExhausted),
        (no_slot, QuotaExhausted),
        (no_place, TrialsExhausted),
        (blocked_address, AddressPaused),
        (open_circuit, CircuitOpen),
        (new_store, StoreNotReady),
        (error_9, QuotaExhausted),
    ],
)
async def test_a_call_does_not_wait_for_a_request_that_is_refused(
    prepare: Prepare, error: type[SmscError], *, joins: bool
) -> None:
    scripted, store = in_turn([]), MemoryStore()
    async with client_of(scripted, store=store, retries=0, deadline=7200) as client, anyio.create_task_group() as group:
        first = await client.tariffs()
        await prepare(client, scripted, store)
        if joins:
            group.start_soon(client.tariffs)
            await anyio.sleep(0.5)
        sent, began = len(scripted.requests), now()
        stale = await client.tariffs(stale_ok=True)
        assert now() == began
        assert stale.stale
        assert stale == first
        assert stale.error is not None
        assert type(stale.error) is error
        assert stale.error.retry_after is not None
        # Without it the call waits: each cause ends within the deadline.
        with anyio.move_on_after(0.5):
            await client.tariffs()
        assert now() - began == pytest.approx(0.5)
        assert len(scripted.requests) == sent
        group.cancel_scope.cancel()


async def test_a_call_does_not_wait_if_the_server_asks_for_a_pause() -> None:
    scripted = in_turn([good(), status(503, "30")])
    async with client_of(scripted) as client:
        await client.tariffs()
        began = now()
        stale = await client.tariffs(stale_ok=True)
        assert now() - began == pytest.approx(scripted.latency)
        assert isinstance(stale.error, TransportError)
        assert stale.error.retry_after == pytest.approx(30)
        await anyio.sleep(60)
        assert len(scripted.requests) == 2  # nobody waits, so nothing is retried


async def test_a_call_with_less_time_than_the_pause_leaves_at_once() -> None:
    scripted = in_turn([good(), status(503, "30")])
    async with client_of(scripted) as client, anyio.create_task_group() as group:
        await client.tariffs()
        group.start_soon(client.tariffs)
        await anyio.sleep(10)
        began = now()
        with pytest.raises(TransportError) as caught:
            await client.tariffs(deadline=19)
        assert now() == began
        assert caught.value.retry_after == 30
        await client.tariffs()
    assert len(scripted.requests) == 3
