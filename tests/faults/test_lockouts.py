"""What the service has refused is not sent again, and no address is blocked by it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

import anyio
import attrs
import httpx
import pytest

from smsc_async import (
    Account,
    AddressBlocked,
    AddressPaused,
    AuthenticationError,
    CircuitOpen,
    Client,
    CredentialsRefused,
    MemoryStore,
    QuotaExhausted,
    SmscError,
    StoreNotReady,
    TooManyRequests,
    TransportError,
    TrialsExhausted,
)
from smsc_async.fetch.lockout import BACKOFF
from smsc_async.limiter.clock import now
from smsc_async.simulator import SimulatedAccount, Simulator
from tests.faults.scripted import ALEX, URL, Answer, Scripted, client_of, good, in_turn, refusal, status
from tests.limiter.counts import usage_counts
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


async def test_a_store_that_may_have_lost_permits_is_shown_until_it_grants_again() -> None:
    async with client_of(in_turn([good()]), store=MemoryStore(cold_start="wait")) as client:
        assert client.lockouts() == ()
        with pytest.raises(StoreNotReady):
            await client.tariffs(deadline=1.0)
        (seen,) = client.lockouts()
        assert (seen.cause, seen.login, seen.service) == ("store", None, "smsc.example")
        assert 50.0 < seen.seconds <= 70.0
        await anyio.sleep(seen.seconds + 0.1)
        assert client.lockouts() == ()
        assert (await client.tariffs()).zones


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
    assert usage_counts(store._buckets)["slots"] == 0  # pyright: ignore[reportPrivateUsage]


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


@attrs.frozen
class Refusals:
    """What the first and the second call raise for one cause.

    Attributes:
        answers: What the service answers to the calls before and to the first call.
        accounts: The accounts of the calls before, and of the first and the second call.
        kinds: The two classes.
        flags: For both: ``retryable``, ``may_have_counted``, and the range of ``retry_after`` or ``None``.
        texts: What the two texts contain.
        cause: The cause in ``lockouts()``, or ``None``.
    """

    answers: list[Answer]
    accounts: list[Account]
    kinds: tuple[type[SmscError], type[SmscError]]
    flags: tuple[Flags, Flags]
    texts: tuple[str, str]
    cause: str | None


Flags: TypeAlias = tuple[bool, bool, tuple[float, float] | None]
NEW: Final = [Account(f"login-{n}", "123") for n in range(5)]
WRONG: Final = Account("wrong", "wrong")
CAUSES: Final = {
    "credentials": Refusals(
        [refusal(2)],
        [WRONG, WRONG],
        (AuthenticationError, CredentialsRefused),
        ((False, True, None), (False, False, None)),
        (r"error 2 \(no\): check login and password", r"not sent: .*error 2.*reset_lockouts\(account\)"),
        "credentials",
    ),
    "trials, known errors": Refusals(
        [refusal(2)] * 4,
        [*NEW[:4], NEW[4], NEW[4]],
        (TrialsExhausted, TrialsExhausted),
        ((True, False, (1790, 1800)), (True, False, (1790, 1800))),
        ("not sent: all places .* fifth authorization error; try again in 1[78]", "not sent: all places .* 1[78]"),
        "trials",
    ),
    "trials, errors of one login": Refusals(
        [refusal(2)] * 2,
        [Account("alex", "a"), Account("alex", "b"), Account("alex", "c"), Account("alex", "c")],
        (TrialsExhausted, TrialsExhausted),
        ((True, False, (1790, 1800)), (True, False, (1790, 1800))),
        (
            "not sent: two requests of this login .*reset_lockouts.* 1[78]",
            "not sent: two requests of this login .* 1[78]",
        ),
        "trials",
    ),
    "trials, no replies": Refusals(
        [httpx.ReadError("")] * 4,
        [*NEW[:4], NEW[4], NEW[4]],
        (TrialsExhausted, TrialsExhausted),
        ((True, False, (1, 5)), (True, False, (1, 5))),
        ("not sent: .* try again in [1-5] s", "not sent: .* try again in [1-5] s"),
        "trials",
    ),
    "address": Refusals(
        [good(), refusal(4)],
        [BORIS, ALEX, ALEX],
        (AddressBlocked, AddressPaused),
        ((True, True, (1800, 1800)), (True, False, (890, 1800))),
        (r"error 4 \(no\): send nothing from this address", r"not sent: .* blocked this address.* reset_lockouts\(\)"),
        "address",
    ),
    "outage": Refusals(
        [*[good()] * 5, *[status(503)] * 5],
        [*NEW, *NEW[:4], NEW[4], NEW[4]],
        (TransportError, CircuitOpen),
        ((True, True, None), (True, False, (1, 2))),
        ("503", "not sent: the service did not respond .* next probe is sent in [12] s"),
        "outage",
    ),
    "quota": Refusals(
        [good()] * 3,
        [ALEX, ALEX, ALEX, ALEX, ALEX],
        (QuotaExhausted, QuotaExhausted),
        ((True, False, (55, 61)), (True, False, (55, 61))),
        ("not sent: this login has used its requests", "not sent: this login has used its requests"),
        None,
    ),
    "error 9": Refusals(
        [refusal(9)],
        [ALEX, ALEX],
        (TooManyRequests, QuotaExhausted),
        ((True, True, (60, 60)), (True, False, (55, 61))),
        (r"error 9 \(no\): another program uses this login", "not sent: this login has used its requests"),
        None,
    ),
}


async def _failure(client: Client, account: Account) -> SmscError | None:
    try:
        await client.tariffs(account, deadline=1.0)
    except SmscError as error:
        return error
    return None


@pytest.mark.parametrize("case", CAUSES.values(), ids=CAUSES)
async def test_the_first_and_the_second_call_have_the_class_the_flags_and_the_text_of_the_cause(case: Refusals) -> None:
    scripted = in_turn(case.answers)
    async with client_of(scripted, None, retries=0) as client:
        failures = [await _failure(client, account) for account in case.accounts]
        sent = len(scripted.requests)
        for error, kind, flags, text in zip(failures[-2:], case.kinds, case.flags, case.texts, strict=True):
            assert error is not None
            assert type(error) is kind
            retryable, may_have_counted, seconds = flags
            assert (error.retryable, error.may_have_counted) == (retryable, may_have_counted)
            if seconds is None:
                assert error.retry_after is None
            else:
                assert error.retry_after is not None
                assert seconds[0] <= error.retry_after <= seconds[1]
            assert re.search(text, str(error)), str(error)
        causes = {each.cause for each in client.lockouts()}
        assert case.cause in causes if case.cause else not causes
        assert await _failure(client, case.accounts[-1]) is not None
        assert len(scripted.requests) == sent, "nothing is sent while the cause lasts"


@pytest.mark.parametrize("name", [name for name, case in CAUSES.items() if case.cause])
async def test_a_reset_ends_every_cause_that_lockouts_name(name: str) -> None:
    case = CAUSES[name]
    scripted = in_turn(case.answers)
    async with client_of(scripted, None, retries=0) as client:
        for account in case.accounts:
            await _failure(client, account)
        assert case.cause in {each.cause for each in client.lockouts()}
        assert all(each.service == "smsc.example" and each.seconds > 0 for each in client.lockouts())
        await client.reset_lockouts()
        assert client.lockouts() == ()
        began = anyio.current_time()
        assert await _failure(client, case.accounts[-1]) is None
        assert anyio.current_time() - began < 0.2


async def test_a_lockout_ends_by_itself_at_the_time_that_it_names() -> None:
    for name, case in CAUSES.items():
        if case.cause is None or name == "credentials":
            continue
        async with client_of(in_turn(case.answers), None, retries=0) as client:
            for account in case.accounts:
                await _failure(client, account)
            error = await _failure(client, case.accounts[-1])
            assert error is not None
            assert error.retry_after is not None
            await anyio.sleep(error.retry_after + 0.01)
            assert await _failure(client, case.accounts[-1]) is None, name


LOCKED_ACCOUNTS: Final = {
    "credentials": ([refusal(2)], [WRONG], WRONG),
    "trials, errors of one login": (
        [refusal(2)] * 2,
        [Account("alex", "a"), Account("alex", "b")],
        Account("alex", "123"),
    ),
    "trials, no replies": ([httpx.ReadError("")] * 2, [WRONG, WRONG], WRONG),
}


@pytest.mark.parametrize("case", LOCKED_ACCOUNTS.values(), ids=LOCKED_ACCOUNTS)
async def test_a_reset_for_an_account_ends_the_lockouts_that_name_its_login(
    case: tuple[list[Answer], list[Account], Account],
) -> None:
    answers, before, account = case
    async with client_of(in_turn(answers), None, retries=0) as client:
        for each in before:
            await _failure(client, each)
        assert isinstance(await _failure(client, account), CredentialsRefused | TrialsExhausted)
        assert account.login in {each.login for each in client.lockouts()}
        await client.reset_lockouts(Account("other", "123"))
        assert isinstance(await _failure(client, account), CredentialsRefused | TrialsExhausted)
        await client.reset_lockouts(account)
        # The passwords that were refused stay refused.
        left = {(each.cause, each.login) for each in client.lockouts()}
        assert left == ({("credentials", "alex")} if account not in before else set())
        assert await _failure(client, account) is None


async def test_waiting_calls_go_in_the_order_of_what_is_known_about_their_credentials() -> None:
    known, new, unanswered = Account("known", "123"), Account("new", "123"), Account("unanswered", "123")
    store = MemoryStore()
    cut = {"unanswered"}
    scripted = Scripted(lambda request: httpx.ReadError("cut") if request.login in cut else good(), latency=1.0)
    async with client_of(scripted, None, store=store, retries=0) as client:
        await client.tariffs(known)
        await anyio.sleep(2 * HALF_AN_HOUR)
        assert isinstance(await _failure_of(client, unanswered), TransportError)
        cut.clear()
        await anyio.sleep(61)
        scripted.answers = lambda request: refusal(1) if request.login.startswith("holder") else good()
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(_failure_of, client, Account(f"holder-{n}", "123"))
            await anyio.sleep(0.1)
            for account in (unanswered, new):
                group.start_soon(_failure_of, client, account)
                await anyio.sleep(0.1)
    logins = [request.login for request in scripted.requests]
    assert logins.index("new") <= logins.index("unanswered", 2)


async def _failure_of(client: Client, account: Account) -> SmscError | None:
    try:
        await client.tariffs(account)
    except SmscError as error:
        return error
    return None
