"""What the service has refused is not sent again, and no address is blocked by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import httpx
import pytest

from smsc_async import (
    Account,
    AddressBlocked,
    AddressPaused,
    AuthenticationError,
    Client,
    CredentialsRefused,
    MemoryStore,
    SmscError,
    TrialsExhausted,
)
from smsc_async.fetch.lockout import BACKOFF
from smsc_async.limiter.clock import now
from smsc_async.simulator import SimulatedAccount, Simulator
from tests.faults.scripted import ALEX, URL, Scripted, client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

HALF_AN_HOUR: Final = 1800.0
BORIS: Final = Account("boris", "456")


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


def _by_password() -> Scripted:
    return Scripted(lambda request: refusal(2) if request.password.startswith("wrong") else good())


async def test_credentials_that_were_refused_are_not_sent_again_for_half_an_hour_and_others_are() -> None:
    scripted = _by_password()
    wrong = Account("alex", "wrong")
    async with client_of(scripted) as client:
        with pytest.raises(AuthenticationError):
            await client.tariffs(wrong)
        with pytest.raises(CredentialsRefused, match="error 2") as caught:
            await client.tariffs(wrong)
        assert caught.value.code == 2
        assert (caught.value.retryable, caught.value.retry_after) == (False, None)
        assert not caught.value.may_have_counted
        assert len(scripted.requests) == 1
        assert (await client.tariffs(ALEX)).zones
        (seen,) = client.lockouts()
        assert (seen.cause, seen.login, seen.service) == ("credentials", "alex", "smsc.example")
        await anyio.sleep(BACKOFF[0])
        assert client.lockouts() == ()
        with pytest.raises(AuthenticationError):
            await client.tariffs(wrong)


async def test_everybody_who_shares_the_store_knows_of_it() -> None:
    scripted, store = _by_password(), MemoryStore()
    wrong = Account("alex", "wrong")
    async with client_of(scripted, store=store) as one, client_of(scripted, store=store) as other:
        with pytest.raises(AuthenticationError):
            await one.tariffs(wrong)
        with pytest.raises(CredentialsRefused):
            await other.tariffs(wrong)
    async with client_of(scripted) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.tariffs(wrong)


async def test_another_service_is_not_told() -> None:
    scripted, store = _by_password(), MemoryStore()
    wrong = Account("alex", "wrong")
    async with client_of(scripted, store=store) as one:
        with pytest.raises(AuthenticationError):
            await one.tariffs(wrong)
    async with client_of(scripted, store=store, base_url="https://other.example/sys/") as other:
        with pytest.raises(AuthenticationError):
            await other.tariffs(wrong)


async def test_a_blocked_address_sends_nothing_until_the_block_ends() -> None:
    scripted = in_turn([good(), refusal(4)])
    async with client_of(scripted) as client:
        await client.tariffs(BORIS)
        with pytest.raises(AddressBlocked):
            await client.tariffs()
        for account in (ALEX, BORIS):
            with pytest.raises(AddressPaused, match="error 4") as caught:
                await client.tariffs(account)
            assert caught.value.code == 4
        assert [each.cause for each in client.lockouts()] == ["address"]
        assert len(scripted.requests) == 2
        await anyio.sleep(HALF_AN_HOUR)
        assert (await client.tariffs()).zones


async def test_who_waits_for_a_permit_when_the_address_is_blocked_sends_nothing_either() -> None:
    scripted = in_turn([good(), good(), good(), refusal(4)])
    async with client_of(scripted) as client:
        for _ in range(3):
            await client.tariffs()
        errors: list[SmscError] = []

        async def wait() -> None:
            with pytest.raises(AddressPaused) as caught:
                await client.tariffs()
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(1)
            with pytest.raises(AddressBlocked):
                await client.tariffs(BORIS)
        assert len(scripted.requests) == 4
        await client.reset_lockouts()
        await client.tariffs()  # its token came back


async def test_breakers_are_reset_by_hand_for_one_account_or_for_all() -> None:
    scripted = _by_password()
    one, other = Account("one", "wrong"), Account("other", "wrong")
    async with client_of(scripted) as client:
        for account in (one, other):
            with pytest.raises(AuthenticationError):
                await client.tariffs(account)
        await client.reset_lockouts(one)
        with pytest.raises(AuthenticationError):
            await client.tariffs(one)
        with pytest.raises(CredentialsRefused):
            await client.tariffs(other)
        await client.reset_lockouts()
        assert client.lockouts() == ()
        with pytest.raises(AuthenticationError):
            await client.tariffs(other)


async def test_at_most_four_authorization_errors_leave_an_address_in_half_an_hour() -> None:
    scripted = _by_password()
    async with client_of(scripted, None) as client:
        errors: list[Exception] = []

        async def call(n: int) -> None:
            try:
                await client.tariffs(Account(f"login-{n}", "wrong"))
            except SmscError as error:
                errors.append(error)

        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for n in range(30):
                group.start_soon(call, n)
        assert anyio.current_time() - began < 2.0, "the others are refused at once"
        assert sum(type(each) is AuthenticationError for each in errors) == 4
        assert sum(isinstance(each, TrialsExhausted) for each in errors) == 26
        assert len(scripted.requests) == 4
        assert "trials" in {each.cause for each in client.lockouts()}
        await anyio.sleep(HALF_AN_HOUR + 2)
        with pytest.raises(AuthenticationError):
            await client.tariffs(Account("login-40", "wrong"))


async def test_accounts_that_were_never_refused_wait_for_one_of_four_turns_and_all_get_one() -> None:
    scripted = _by_password()
    async with client_of(scripted, None) as client:
        accounts = [Account(f"login-{n}", "123") for n in range(60)]
        outcomes = [each async for each in client.tariffs_for(accounts)]
        assert all(each.tariffs is not None for each in outcomes)
        assert scripted.peak == 4
        scripted.peak = 0
        outcomes = [each async for each in client.tariffs_for(accounts)]
        assert all(each.tariffs is not None for each in outcomes)
        assert scripted.peak > 20  # a slow start, which doubles with each round trip


@pytest.mark.no_cover
async def test_five_wrong_passwords_among_two_hundred_leave_the_others_working_and_the_address_free() -> None:
    logins = [f"login-{n}" for n in range(200)]
    simulator = Simulator([SimulatedAccount(login, "123") for login in logins], clock=now, latency=0.1)
    transport = httpx.ASGITransport(simulator)
    async with Client(base_url=URL, transport=transport, store=MemoryStore(), max_age=0) as client:
        accounts = [Account(login, "123") for login in logins]
        assert all([each.tariffs is not None async for each in client.tariffs_for(accounts)])
        for n in range(0, 200, 40):
            accounts[n] = Account(logins[n], "wrong")
        outcomes = [each async for each in client.tariffs_for(accounts)]
        assert sum(each.tariffs is not None for each in outcomes) == 195
        outcomes = [each async for each in client.tariffs_for(accounts[:41])]
        assert sum(each.tariffs is not None for each in outcomes) == 39
    assert simulator.violations() == []
    assert sum(arrival.code == 2 for arrival in simulator.log) <= 4


async def test_accounts_new_among_four_wrong_ones_come_through_when_the_half_hour_is_over() -> None:
    scripted = _by_password()
    async with client_of(scripted, None) as client:
        for n in range(4):
            with pytest.raises(AuthenticationError):
                await client.tariffs(Account(f"login-{n}", "wrong"))
        with pytest.raises(TrialsExhausted) as caught:
            await client.tariffs(ALEX, deadline=90)
        assert caught.value.retry_after == pytest.approx(HALF_AN_HOUR, abs=2)
        await anyio.sleep(caught.value.retry_after)
        assert (await client.tariffs(ALEX)).zones


async def test_a_password_that_was_changed_counts_among_the_four() -> None:
    refused: set[str] = set()
    scripted = Scripted(lambda request: refusal(2) if request.login in refused else good())
    async with client_of(scripted) as client:
        late = Account("late", "123")
        await client.tariffs(ALEX)
        await client.tariffs(late)
        refused.add("alex")
        with pytest.raises(AuthenticationError):
            await client.tariffs(ALEX)
        for n in range(2):
            refused.add(f"login-{n}")
            with pytest.raises(AuthenticationError):
                await client.tariffs(Account(f"login-{n}", "wrong"))
        with pytest.raises(TrialsExhausted):
            await client.tariffs(BORIS)
        refused.add("late")
        with pytest.raises(AuthenticationError):
            await client.tariffs(late)


async def test_trials_that_are_cut_off_or_never_answered_come_back_soon() -> None:
    scripted = in_turn([httpx.ReadError("")] * 4)
    async with client_of(scripted, None, retries=0) as client:
        for n in range(4):
            with pytest.raises(SmscError):
                await client.tariffs(Account(f"login-{n}", "123"))
        began = anyio.current_time()
        assert (await client.tariffs(ALEX)).zones
        assert 4 < anyio.current_time() - began < 6  # one probe passes the unanswered trials


async def test_a_cancelled_client_gives_its_trial_back() -> None:
    scripted = Scripted(lambda _: good(), latency=5.0)
    store = MemoryStore()
    for _ in range(10):
        async with client_of(scripted, None, store=store) as client, anyio.create_task_group() as group:
            group.start_soon(client.aclose)
            with pytest.raises(SmscError):
                await client.tariffs(Account("alex", "123"))
    assert store._buckets.count()["slots"] == 0  # pyright: ignore[reportPrivateUsage]


async def test_a_stale_list_is_marked_and_given_only_where_it_was_asked_for() -> None:
    scripted = in_turn([good(), status(503), status(503), refusal(2)])
    async with client_of(scripted, retries=0) as client:
        fresh = await client.tariffs()
        assert not fresh.stale
        stale = await client.tariffs(stale_ok=True)
        assert stale == fresh
        assert stale.stale
        assert "503" in str(stale.error)
        assert stale.fetched_at == fresh.fetched_at
        with pytest.raises(SmscError, match="503"):
            await client.tariffs()
        await anyio.sleep(100)
        for refused in (AuthenticationError, CredentialsRefused):
            with pytest.raises(refused):
                await client.tariffs(stale_ok=True)


async def test_no_other_password_is_given_the_stale_list() -> None:
    scripted = in_turn([good(), status(503)])
    async with client_of(scripted, retries=0) as client:
        await client.tariffs()
        with pytest.raises(SmscError, match="503"):
            await client.tariffs(Account("alex", "other"), stale_ok=True)


async def test_a_stale_list_comes_at_once_where_there_is_no_permit_in_time() -> None:
    scripted = in_turn([])
    async with client_of(scripted) as client:
        for _ in range(3):
            await client.tariffs()
        began = anyio.current_time()
        tariffs = await client.tariffs(deadline=10, stale_ok=True)
        assert tariffs.stale
        assert anyio.current_time() == began
