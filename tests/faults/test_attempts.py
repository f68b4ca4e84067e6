"""What is tried again, when, how often and where."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

import anyio
import httpx
import pytest

from smsc_async import (
    Account,
    AddressBlocked,
    ApiError,
    AuthenticationError,
    Client,
    DeadlineExceeded,
    DecodeError,
    MemoryStore,
    Quota,
    QuotaExhausted,
    SmscError,
    TlsError,
    TooManyRequests,
    TransportError,
)
from tests.faults.scripted import ALEX, URL, Answer, client_of, good, in_turn, refusal, status
from tests.support.virtual_time import VIRTUAL, VIRTUAL_IDS, Backend

pytestmark = pytest.mark.anyio

WINDOW: Final = Quota().window


@pytest.fixture(params=VIRTUAL, ids=VIRTUAL_IDS)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    make: Callable[[], Backend] = request.param
    return make()


def _untrusted() -> httpx.ConnectError:
    error = httpx.ConnectError("")
    error.__cause__ = ssl.SSLCertVerificationError("certificate has expired")
    return error


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadError(""), httpx.ConnectError("refused"), status(429), status(500), status(502), status(503)],
    ids=["reset", "refused", "429", "500", "502", "503"],
)
async def test_what_may_help_is_tried_again(failure: Answer) -> None:
    scripted = in_turn([failure])
    async with client_of(scripted, confirmed=True) as client:
        assert (await client.tariffs()).zones
        assert client.statistics().retries == 1
    assert len(scripted.requests) == 2


@pytest.mark.parametrize(
    ("failure", "ends_in"),
    [
        (refusal(1), ApiError),
        (refusal(2), AuthenticationError),
        (refusal(4), AddressBlocked),
        (httpx.Response(200, content=b"<html></html>"), DecodeError),
        (status(404), TransportError),
        (status(302), TransportError),
    ],
    ids=["1", "2", "4", "undecodable", "404", "302"],
)
async def test_what_cannot_help_is_not_tried_again(failure: Answer, ends_in: type[SmscError]) -> None:
    scripted = in_turn([failure])
    async with client_of(scripted, confirmed=True) as client:
        with pytest.raises(ends_in):
            await client.tariffs()
    assert len(scripted.requests) == 1


async def test_a_server_without_a_proof_of_its_identity_gets_one_attempt() -> None:
    scripted = in_turn([])
    scripted.unreachable = lambda _: _untrusted()
    async with client_of(scripted, confirmed=True) as client:
        with pytest.raises(TlsError):
            await client.tariffs()
    assert len(scripted.requests) == 1


async def test_a_failed_call_has_made_one_attempt_more_than_its_retries() -> None:
    for retries in (0, 1, 2):
        scripted = in_turn([status(503)] * 9)
        async with client_of(scripted, confirmed=True, retries=retries) as client:
            with pytest.raises(TransportError, match="503"):
                await client.tariffs()
        assert len(scripted.requests) == 1 + retries


async def test_the_pauses_grow_and_are_drawn_at_random() -> None:
    first: set[float] = set()
    for _ in range(20):
        scripted = in_turn([status(503)] * 2)
        async with client_of(scripted, confirmed=True) as client:
            await client.tariffs()
        _, one, two = scripted.times()
        assert 0.1 <= one <= 0.61
        assert 0.1 <= two - one <= 1.11
        first.add(one)
    assert len(first) > 10


@pytest.mark.parametrize("told", ["7", "date", "7.0"])
async def test_retry_after_is_honoured(told: str) -> None:
    header = formatdate(time.time() + 8, usegmt=True) if told == "date" else told
    scripted = in_turn([status(503, header)])
    async with client_of(scripted, confirmed=True) as client:
        await client.tariffs()
    assert 6.0 <= scripted.times()[1] <= 8.2


@pytest.mark.parametrize("told", ["-5", "inf", "-inf", "nan", "soon", "", "1e400", "Mon, 01 Jan 0001 00:00:00 GMT"])
async def test_a_retry_after_that_means_nothing_is_no_wait(told: str) -> None:
    scripted = in_turn([status(429, told)])
    async with client_of(scripted, confirmed=True) as client:
        await client.tariffs()
    assert scripted.times()[1] < 1.0


@pytest.mark.parametrize("told", ["3600", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(told: str) -> None:
    scripted = in_turn([status(503, told)])
    began = anyio.current_time()
    async with client_of(scripted, confirmed=True) as client:
        with pytest.raises(TransportError) as caught:
            await client.tariffs(deadline=30)
    assert anyio.current_time() - began < 0.2
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 3000
    assert caught.value.status == 503


async def test_every_attempt_takes_a_permit_of_its_own() -> None:
    scripted = in_turn([status(503)] * 2)
    async with client_of(scripted, confirmed=True) as client:
        await client.tariffs()
        await client.tariffs()
    assert scripted.times()[3] >= WINDOW


async def test_where_a_retry_would_get_no_permit_in_time_the_failure_itself_is_told() -> None:
    scripted = in_turn([good(), good(), status(503)])
    async with client_of(scripted, confirmed=True) as client:
        await client.tariffs()
        await client.tariffs()
        began = anyio.current_time()
        with pytest.raises(TransportError, match="503"):
            await client.tariffs(deadline=30)
        assert anyio.current_time() - began < 1.0


async def test_error_nine_is_tried_once_more_after_its_window() -> None:
    scripted = in_turn([refusal(9)])
    async with client_of(scripted, confirmed=True) as client:
        assert (await client.tariffs()).zones
        assert client.statistics().refusals == {9: 1}
    assert WINDOW <= scripted.times()[1] <= WINDOW + 1


async def test_error_nine_twice_running_is_the_end_of_it() -> None:
    scripted = in_turn([refusal(9)] * 3)
    async with client_of(scripted, confirmed=True) as client:
        with pytest.raises(TooManyRequests):
            await client.tariffs(deadline=600)
    assert len(scripted.requests) == 2


async def test_error_nine_closes_the_window_for_everybody_who_shares_the_store() -> None:
    store = MemoryStore()
    scripted = in_turn([refusal(9)])
    async with client_of(scripted, store=store, retries=0) as one, client_of(scripted, store=store) as other:
        with pytest.raises(TooManyRequests):
            await one.tariffs()
        await other.tariffs()
    assert scripted.times()[1] >= WINDOW


async def test_error_nine_with_no_time_for_its_window_is_told_at_once() -> None:
    scripted = in_turn([refusal(9)])
    began = anyio.current_time()
    async with client_of(scripted, confirmed=True) as client:
        with pytest.raises(TooManyRequests) as caught:
            await client.tariffs(deadline=30)
    assert anyio.current_time() - began < 1
    assert caught.value.retry_after == 60.0


async def test_a_deadline_within_a_retry_tells_what_it_was_after() -> None:
    scripted = in_turn([status(503)])
    async with client_of(scripted, confirmed=True) as client:
        scripted.latency = 3.0
        with pytest.raises(DeadlineExceeded, match="after: answered with HTTP status 503"):
            await client.tariffs(deadline=5)
        await anyio.sleep(5)  # the exchange outlives the deadline of its caller
        assert client.statistics().requests == 2


async def test_a_host_without_a_connection_is_remembered_for_a_while() -> None:
    scripted = in_turn([])
    scripted.unreachable = lambda host: None if host.startswith("www2.") else httpx.ConnectError("refused")
    async with client_of(scripted, reserve_url="https://www2.smsc.example/sys/") as client:
        for _ in range(3):
            await client.tariffs()
        assert [each.host[:4] for each in scripted.requests] == ["smsc", "www2", "www2", "www2"]
        await anyio.sleep(100)
        await client.tariffs()
        assert [each.host[:4] for each in scripted.requests[4:]] == ["smsc", "www2"]


async def test_the_host_is_chosen_after_the_wait_for_the_permit() -> None:
    scripted = in_turn([])
    async with client_of(scripted, reserve_url="https://www2.smsc.example/sys/") as client:
        for _ in range(3):
            await client.tariffs()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tariffs)  # its permit comes in a minute
            await anyio.sleep(50)
            scripted.unreachable = lambda host: None if host.startswith("www2.") else httpx.ConnectError("refused")
            await client.tariffs(Account("boris", "456"))
    assert [(each.host[:4], each.login) for each in scripted.requests[3:]] == [
        ("smsc", ""),
        ("www2", "boris"),
        ("www2", "alex"),
    ]


async def test_a_host_that_takes_no_connection_is_passed_over_for_the_reserve() -> None:
    scripted = in_turn([])
    scripted.unreachable = lambda host: None if host.startswith("www2.") else httpx.ConnectError("refused")
    async with client_of(scripted, reserve_url="https://www2.smsc.example/sys/") as client:
        assert (await client.tariffs()).zones
    assert [each.host for each in scripted.requests] == ["smsc.example", "www2.smsc.example"]
    assert scripted.times()[1] == pytest.approx(0.1)


async def test_where_the_reserve_fails_too_the_first_is_asked_again() -> None:
    scripted = in_turn([])
    failures = iter([httpx.ConnectError(""), httpx.ConnectTimeout("")])
    scripted.unreachable = lambda _: next(failures, None)
    async with client_of(scripted, reserve_url="https://www2.smsc.example/sys/") as client:
        assert (await client.tariffs()).zones
    assert [each.host[:4] for each in scripted.requests] == ["smsc", "www2", "smsc"]


@pytest.mark.parametrize("failure", [httpx.ReadError(""), status(503), _untrusted()], ids=["cut", "503", "TLS"])
async def test_the_reserve_is_not_asked_after_anything_else(failure: Answer) -> None:
    scripted = in_turn([failure] * 3)
    async with client_of(scripted, reserve_url="https://www2.smsc.example/sys/") as client:
        with pytest.raises(TransportError):
            await client.tariffs()
    assert {each.host for each in scripted.requests} == {"smsc.example"}


@pytest.mark.parametrize(
    ("base_url", "hosts"),
    [
        ("https://smscentre.com/sys/", {"smscentre.com", "www2.smscentre.com"}),
        ("https://www.smsc.ru/sys/", {"www.smsc.ru", "www2.smsc.ru"}),
        ("https://www2.smsc.kz/sys/", {"www2.smsc.kz"}),
        ("https://smsc.example/sys/", {"smsc.example"}),
    ],
)
async def test_the_services_own_domains_have_a_reserve_and_others_only_if_told(base_url: str, hosts: set[str]) -> None:
    scripted = in_turn([])
    scripted.unreachable = lambda _: httpx.ConnectError("")
    async with client_of(scripted, base_url=base_url) as client:
        with pytest.raises(TransportError):
            await client.tariffs()
    assert {each.host for each in scripted.requests} == hosts


async def test_without_a_reserve_there_is_none() -> None:
    scripted = in_turn([])
    scripted.unreachable = lambda _: httpx.ConnectError("")
    async with client_of(scripted, base_url="https://smsc.ru/sys/", reserve_url=None) as client:
        with pytest.raises(TransportError):
            await client.tariffs()
    assert {each.host for each in scripted.requests} == {"smsc.ru"}


@pytest.mark.parametrize(
    "reserve_url",
    ["https://elsewhere.example/sys/", "http://www2.smsc.example/sys/", "https://www2.smsc.example.evil/"],
)
async def test_a_reserve_elsewhere_is_refused_since_the_password_would_go_there(reserve_url: str) -> None:
    with pytest.raises(ValueError, match=r"https|same domain"):
        Client(ALEX, base_url=URL, reserve_url=reserve_url)


async def test_a_reserve_on_loopback_has_the_scheme_of_its_base() -> None:
    with pytest.raises(ValueError, match="scheme of base_url"):
        Client(Account("a", "b"), base_url="http://127.0.0.1:1/", reserve_url="https://127.0.0.1:2/")


async def test_a_caller_with_too_little_time_leaves_a_flight_that_waits_for_its_token() -> None:
    scripted = in_turn([])
    async with client_of(scripted) as client, anyio.create_task_group() as group:
        for _ in range(3):
            await client.tariffs()
        other = Account("alex", "another password")
        group.start_soon(client.tariffs)
        await anyio.sleep(1)
        group.start_soon(client.tariffs, other)
        await anyio.sleep(1)
        began = anyio.current_time()
        with pytest.raises(QuotaExhausted) as caught:
            await client.tariffs(other, deadline=10)
        assert anyio.current_time() == began
        assert caught.value.retry_after > 50
