# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import assert_type

import httpx
from opentelemetry.sdk.metrics import MeterProvider

from smsc_async import (
    Account,
    CallEnded,
    Client,
    Format,
    History,
    LimitedTransport,
    Lockout,
    MemoryStore,
    OpenTelemetryMetrics,
    Outcome,
    Quota,
    QuotaState,
    RequestEnded,
    SmscError,
    Snapshot,
    SQLiteStore,
    Statistics,
    Tariffs,
    Update,
    sync,
)
from smsc_async.history.watch import Watch
from smsc_async.history.watch_many import WatchMany
from smsc_async.telemetry.events import RequestOutcome

ACCOUNT = Account("alex", "123")


async def constructors() -> None:
    Client()
    Client(ACCOUNT)
    Client(account=ACCOUNT)
    Client(None, base_url="https://smsc.ru/sys/", reserve_url=None)
    Client(reserve_url="https://smsc.kz/sys/", reply_format=Format.XML, quota=Quota(requests=2))
    Client(refresh_after=20)
    Client(store=MemoryStore(), max_age=60, deadline=90.0, retries=0, tracing=True)
    Client(store=SQLiteStore("quota.db"), on_event=print)
    Client(transport=httpx.AsyncHTTPTransport())
    Client(transport=httpx.AsyncHTTPTransport)
    Client(transport=lambda: httpx.AsyncHTTPTransport(http2=False))
    Client(proxy="http://proxy.example:3128", ssl_context=ssl.create_default_context())

    assert_type(Client.from_env(), Client)
    Client.from_env(environ={"SMSC_LOGIN": "alex"})
    Client("alex", "123")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Client("alex")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(ACCOUNT, "https://smsc.ru/sys/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Client(quota=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(store=MemoryStore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(store={})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(transport="aiohttp")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(transport=httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(ssl_context=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(deadline="90")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def lists() -> None:
    async with Client(ACCOUNT) as client:
        assert_type(client, Client)
        assert_type(await client.tariffs(), Tariffs)
        assert_type(await client.tariffs(ACCOUNT), Tariffs)
        assert_type(await client.tariffs(account=ACCOUNT, max_age=0, deadline=5, stale_ok=True), Tariffs)

        tariffs = await client.tariffs()
        assert_type(tariffs.zone("1").api, Decimal | None)

        await client.tariffs("alex")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await client.tariffs(ACCOUNT, 0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        await client.tariffs(max_age="0")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        print(client.tariffs().zones)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


async def _accounts() -> AsyncIterator[Account]:
    yield ACCOUNT


async def many() -> None:
    async with Client() as client:
        given: AsyncIterator[Outcome] = client.tariffs_for(_accounts(), max_age=0, deadline=5)
        async with aclosing(client.tariffs_for([ACCOUNT])) as outcomes:
            assert_type([outcome async for outcome in outcomes], list[Outcome])
        assert_type(await anext(given), Outcome)
        async for outcome in client.tariffs_for(accounts={ACCOUNT}):
            assert_type(outcome, Outcome)
            assert_type(outcome.account, Account)
            assert_type(outcome.tariffs, Tariffs | None)
            assert_type(outcome.error, Exception | None)

        client.tariffs_for(ACCOUNT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.tariffs_for(["alex"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        list(client.tariffs_for([ACCOUNT]))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


async def watches(history: History) -> None:
    async with Client(ACCOUNT) as client:
        assert_type(client.watch(), Watch)
        async for update in client.watch(ACCOUNT, every=900, history=history, name="main", reader="mail", deadline=90):
            assert_type(update.account, str)
            assert_type(update.before, Snapshot | None)
            assert_type(update.snapshot, Snapshot | None)
            assert_type(update.error, SmscError | None)
            assert_type([change.difference for change in update.changes], list[Decimal | None])
        client.watch(account=ACCOUNT)
        assert_type(client.watch_for([ACCOUNT]), WatchMany)
        async for update in client.watch_for({"main": ACCOUNT}, every=900, history=history, reader="mail", deadline=90):
            assert_type(update, Update)
        client.watch_for(accounts=(account for account in [ACCOUNT]))
        assert_type(await client.watch_for([]).aclose(), None)

        client.watch(history="history.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.watch(every="15m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.watch_for(ACCOUNT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.watch_for([ACCOUNT], 900)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def states(client: Client) -> None:
    assert_type(client.statistics(), Statistics)
    assert_type(client.statistics().waited, float)
    assert_type(client.statistics().refreshes, int)
    assert_type(Lockout(cause="address", service="smsc", login=None, seconds=1800).seconds, float)
    assert_type(await client.quota(), QuotaState)
    assert_type((await client.quota(account=ACCOUNT)).lockouts, tuple[Lockout, ...])
    assert_type(client.lockouts(), tuple[Lockout, ...])
    assert_type(await client.reset_lockouts(), None)
    await client.reset_lockouts(account=ACCOUNT)
    assert_type(await client.aclose(), None)


def events() -> None:
    def on_event(event: CallEnded | RequestEnded) -> None:
        match event:
            case RequestEnded():
                assert_type(event.attempt, int)
                assert_type(event.outcome, RequestOutcome)
                assert_type(event.sent, bool)
                assert_type(event.status, int | None)
                assert_type(event.error, Exception | None)
            case CallEnded():
                assert_type(event.login, str)
                assert_type(event.seconds, float)
                assert_type(event.waited, float)
                assert_type(event.attempts, int)
                assert_type(event.refresh, bool)

    def only_calls(event: CallEnded) -> None: ...

    Client(on_event=on_event)
    Client(on_event=OpenTelemetryMetrics())
    Client(on_event=OpenTelemetryMetrics(meter_provider=MeterProvider()))
    OpenTelemetryMetrics("http://127.0.0.1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(OpenTelemetryMetrics()(CallEnded("alex", "cached", 0.0, refresh=True)), None)
    Client(on_event=only_calls)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def own_requests() -> None:
    transport = LimitedTransport(httpx.AsyncHTTPTransport(), quota=Quota(), store=MemoryStore())
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get("https://smscentre.com/sys/balance.php")
        assert_type(await transport.handle_async_request(request=response.request), httpx.Response)
    LimitedTransport(transport=transport, host="smsc.ru", exchange_limit=60, accounts=[ACCOUNT])
    LimitedTransport(httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    LimitedTransport(transport, Quota())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def synchronous() -> None:
    with sync.Client(ACCOUNT, max_age=3600, refresh_after=20, store=SQLiteStore("quota.db")) as client:
        assert_type(client, sync.Client)
        assert_type(client.tariffs(account=ACCOUNT, max_age=0, deadline=5, stale_ok=True), Tariffs)
        assert_type(client.quota(), QuotaState)
        assert_type(list(client.tariffs_for([ACCOUNT], max_age=0)), list[Outcome])
        assert_type(next(client.watch(every=900)), Update)
        assert_type(next(client.watch_for({"main": ACCOUNT}, every=900)), Update)
        assert_type(client.reset_lockouts(ACCOUNT), None)
        client.tariffs(max_ages=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        client.watch(every="900")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.close()
    sync.Client(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sync.Client(max_age="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
