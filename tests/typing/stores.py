# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from smsc_async import (
    Account,
    Client,
    History,
    MemoryStore,
    Period,
    PricePoint,
    RedisStore,
    Service,
    Snapshot,
    SQLiteStore,
)
from smsc_async.stores import Store


async def stores() -> None:
    memory: Store = MemoryStore(keep_bytes=1 << 20, cold_start="wait")
    file: Store = SQLiteStore(
        Path("quota.db"), pepper="a long random text", keep_bytes=1 << 20, lease=30, cold_start="wait"
    )
    redis: Store = RedisStore(
        "redis://localhost", pepper=b"a long random text", keep_bytes=1 << 20, lease=30, cold_start="grant"
    )
    SQLiteStore(path="quota.db")
    RedisStore(url="rediss://localhost", pepper="a long random text")
    for store in (memory, file, redis):
        Client(store=store)
    assert_type(await SQLiteStore("quota.db").aclose(), None)
    assert_type(await RedisStore("redis://localhost").aclose(), None)

    SQLiteStore()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SQLiteStore("quota.db", "a long random text")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RedisStore(6379)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    MemoryStore(cold_start="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def histories(instant: datetime, snapshot: Snapshot) -> None:
    async with History("history.db") as history:
        assert_type(history, History)
        assert_type(history.path, Path)
        assert_type(await history.add(snapshot), None)
        assert_type(await history.accounts(), tuple[str, ...])
        assert_type(await history.snapshots(), tuple[Snapshot, ...])
        await history.snapshots("main", since=instant, until=instant, limit=10)
        await history.snapshots(account="main")
        assert_type(await history.at("main", instant), Snapshot | None)
        await history.at(account="main", instant=instant)
        assert_type(await history.last("main"), Snapshot | None)
        await history.last(account="main")
        periods = await history.periods()
        assert_type(periods, tuple[Period, ...])
        assert_type(periods[0].count, int)
        await history.periods(account="main", since=instant, until=instant)
        points = await history.prices("main", zone="1")
        assert_type(points, tuple[PricePoint, ...])
        assert_type(points[0].price, Decimal | None)
        await history.prices("main", zone="1", operator="25001", service=Service.API, since=instant, until=instant)
        await history.prices(account="main", mail=True, service="hlr")
        assert_type(await history.prune(instant), int)
        await history.prune(before=instant, account="main", keep_changes=False)
        assert_type(await history.reported("main"), Snapshot | None)
        await history.reported(account="main", reader="mail")
        assert_type(await history.mark_reported(snapshot, reader="mail"), None)
        await history.mark_reported(snapshot=snapshot)
        await history.add(snapshot=snapshot)
        account = Account("alex", "123")
        await history.add(snapshot, credentials=account)
        assert_type(await history.record(snapshot=snapshot, credentials=account), Snapshot | None)
        await history.snapshots("main", credentials=account)
        await history.at("main", instant, credentials=account)
        await history.last("main", credentials=account)
        await history.periods("main", credentials=account)
        await history.prices("main", zone="1", credentials=account)
        assert_type(await history.forget(account=account), int)
        await history.reported("main", credentials=account)
        await history.mark_reported(snapshot, credentials=account)
        history.deliveries(account="main", reader="watch", target="webhook", credentials=account)
        await history.aclose()

        await history.at("main", "2026-11-24")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await history.snapshots("main", instant)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        await history.prune(90)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    History(path=Path("history.db"))
    History()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def points(instant: datetime) -> None:
    assert_type(PricePoint(instant, instant, Decimal(1)), PricePoint)
    PricePoint(since=instant, until=instant, price=None)
    PricePoint(instant, instant, 1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
