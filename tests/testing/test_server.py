"""The running service of a test: what it is told, and what it tells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal

import pytest

import smsc_async.testing
from smsc_async import (
    Account,
    AuthenticationError,
    Client,
    DeadlineExceeded,
    MemoryStore,
    Quota,
    QuotaExhausted,
    TooManyRequests,
    TransportError,
)
from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, Rules, SmscServer


@pytest.fixture
def server() -> Iterator[SmscServer]:
    with SmscServer() as server:
        yield server


@pytest.mark.anyio
async def test_its_account_works(server: SmscServer) -> None:
    async with server.client() as client:
        assert await client.tariffs() == sample_tariffs()
    assert [(arrival.login, arrival.code) for arrival in server.log] == [("alex", 0)]


@pytest.mark.anyio
async def test_its_clients_share_one_store_unless_another_is_given(server: SmscServer) -> None:
    store = MemoryStore()
    for given in (None, None, store, store, server.store):
        async with server.client(store=given) as client:
            await client.tariffs()
    assert len(server.log) == 2


@pytest.mark.anyio
async def test_clients_of_one_server_share_its_quota_until_it_is_reset(server: SmscServer) -> None:
    for _ in range(3):
        async with server.client(max_age=0) as client:
            await client.tariffs()
    async with server.client(max_age=0) as client:
        with pytest.raises(QuotaExhausted):
            await client.tariffs()
    server.reset()
    async with server.client(max_age=0) as client:
        await client.tariffs()
    assert len(server.log) == 1
    assert server.violations() == []


@pytest.mark.anyio
async def test_an_old_account_may_send_the_md5_of_its_password(server: SmscServer) -> None:
    server.add_account("old", "456", accepts_md5=True)
    digest = hashlib.md5(b"456").hexdigest()
    async with server.client() as client:
        assert await client.tariffs(Account("old", digest)) == sample_tariffs()


@pytest.mark.anyio
async def test_an_added_account_has_its_list_and_its_key(server: SmscServer) -> None:
    dear = sample_tariffs(Decimal(2))
    boris = server.add_account("boris", "456", tariffs=dear, api_key="k-boris")
    async with server.client() as client:
        assert await client.tariffs(boris) == dear
        assert await client.tariffs(Account.with_api_key("k-boris")) == dear
        with pytest.raises(AuthenticationError):
            await client.tariffs(Account("clara", "456"))


@pytest.mark.anyio
async def test_a_list_changes_from_one_request_to_the_next(server: SmscServer) -> None:
    async with server.client(max_age=0) as client:
        before = await client.tariffs()
        server.set_tariffs(sample_tariffs(Decimal("1.1")))
        assert await client.tariffs() != before


def test_a_list_cannot_be_set_for_nobody(server: SmscServer) -> None:
    with pytest.raises(KeyError):
        server.set_tariffs(sample_tariffs(), login="boris")


@pytest.mark.anyio
async def test_it_fails_as_told_until_it_is_healed(server: SmscServer) -> None:
    server.fail(Fault.http_status(503))
    async with server.client(retries=0) as client:
        with pytest.raises(TransportError):
            await client.tariffs()
        server.heal()
        await client.tariffs()


@pytest.mark.anyio
async def test_a_hanging_service_does_not_hang_a_test(server: SmscServer) -> None:
    server.fail(Fault.hang())
    async with server.client(deadline=0.1) as client:
        with pytest.raises(DeadlineExceeded):
            await client.tariffs()


@pytest.mark.anyio
async def test_a_call_past_the_quota_is_refused_at_once(server: SmscServer) -> None:
    async with server.client(max_age=0) as client:
        for _ in range(3):
            await client.tariffs()
        with pytest.raises(QuotaExhausted):
            await client.tariffs()
    assert server.violations() == []


@pytest.mark.anyio
async def test_it_shows_what_a_careless_caller_did_and_forgets_it_when_told(server: SmscServer) -> None:
    for _ in range(3):
        async with server.client(store=MemoryStore()) as client:
            await client.tariffs()
    async with server.client(store=MemoryStore(), retries=0) as client:
        with pytest.raises(TooManyRequests):
            await client.tariffs()
    assert [violation.rule for violation in server.violations()] == ["identical"]
    server.reset()
    assert server.log == []


def test_its_quota_is_that_of_the_library_where_its_rules_are_those_of_the_provider() -> None:
    assert SmscServer().quota == Quota()


def test_the_quota_fits_the_rules() -> None:
    quota = SmscServer(rules=Rules(requests=2, per=3.0, concurrent=5)).quota
    assert (quota.requests, quota.concurrent, quota.per, quota.guard) == (2, 5, 3.0, 0.05)


@pytest.mark.anyio
async def test_a_program_finds_it_by_the_environment(server: SmscServer) -> None:
    account = Account.from_env(server.env)
    async with Client(account, base_url=server.env["SMSC_BASE_URL"], store=MemoryStore()) as client:
        await client.tariffs()
    assert len(server.log) == 1


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Servant'"):
        getattr(smsc_async.testing, "Servant")  # noqa: B009  # a type checker would refuse the name


def test_without_the_extra_it_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError("no", name="h11")

    monkeypatch.setattr(smsc_async.testing, "import_module", missing)
    with pytest.raises(ImportError, match=r'SmscServer needs h11: pip install "smsc-async\[testing\]"'):
        getattr(smsc_async.testing, "SmscServer")  # noqa: B009  # as an import does
