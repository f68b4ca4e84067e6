# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import assert_type

from smsc_async import (
    Account,
    Change,
    ChangeKind,
    Compared,
    ComparedOperator,
    Comparison,
    Extra,
    Format,
    OperatorTariff,
    Price,
    Quota,
    Secret,
    Service,
    Snapshot,
    Tariffs,
    Zone,
    compare,
    decode,
    diff,
    render_report,
)


def accounts() -> None:
    assert_type(Account("alex", "123"), Account)
    Account("alex", Secret("123"))
    Account(login="alex", password="123", uses_api_key=False)
    assert_type(Account.with_api_key("key"), Account)
    Account.with_api_key(Secret("key"), name="main")
    Account.with_api_key(key="key")
    assert_type(Account.from_env(), Account)
    Account.from_env({"SMSC_LOGIN": "alex"})
    Account.from_env(environ={})
    assert_type(Account("alex", "123").login, str)
    assert_type(Account("alex", "123").secret, Secret)
    assert_type(Account("alex", "123").uses_api_key, bool)
    assert_type(Secret(value="123").reveal(), str)

    Account("alex")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Account("alex", 123)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Account("alex", b"123")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Account("alex", "123", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Account("alex", "123").login = "boris"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Account.with_api_key("key", "main")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def quotas() -> None:
    quota = Quota(requests=2, per=60, guard=1.0, linger=5.0, concurrent=10)
    assert_type(quota, Quota)
    assert_type(quota.per, float)
    assert_type(quota.requests, int)
    Quota(requests="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    quota.requests = 4  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def records(tariffs: Tariffs) -> None:
    assert_type(tariffs.zones, tuple[Zone, ...])
    assert_type(tariffs.codes, tuple[OperatorTariff, ...])
    assert_type(tariffs.mail, Decimal | None)
    assert_type(tariffs.fetched_at, datetime | None)
    assert_type(tariffs.stale, bool)
    assert_type(tariffs.error, Exception | None)
    assert_type(tariffs.extra, Extra)
    assert_type(tariffs.extra["balance"], str)
    assert_type(tariffs.zone("1"), Zone)
    assert_type(tariffs.zone(zone="1").call, Decimal | None)
    assert_type(tariffs.operator("25001"), OperatorTariff)
    assert_type(tariffs.operator(mccmnc="25001").cost, Decimal | None)
    assert_type(tariffs.price("1"), Price | None)
    assert_type(tariffs.price(zone="1", operator="25001", service=Service.HLR), Price | None)
    assert_type(tariffs.price(operator="25001", service="hlr"), Price | None)
    assert_type(tariffs.to_dict(), dict[str, object])
    assert_type(tariffs.to_json(), str)
    rows = tariffs.to_rows()
    assert_type(rows[0]["api"], str | Decimal | None)
    price = tariffs.price("1")
    if price is not None:
        assert_type(price.cost, Decimal)
        assert_type(price.source, Zone | OperatorTariff)
        assert_type(price.service, Service)
        assert_type(price.is_individual, bool)

    tariffs.zone(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tariffs.operator(25001)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tariffs.price("1", "25001")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    print(tariffs.price("1").cost)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    tariffs.mail = None  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(tariffs.zones[0].api + 1)  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnknownArgumentType]


def own_records(taken_at: datetime) -> None:
    zone = Zone("1", "Russia", Decimal("2.50"), mass=None, mms=None, hlr=None, call=None, extra=Extra({"a": "b"}))
    Zone(zone="1", name="Russia", api=Decimal("2.50"))
    code = OperatorTariff("25001", Decimal("2.25"), extra=Extra(items=None))
    OperatorTariff(mccmnc="25001", cost=None)
    tariffs = Tariffs((zone,), (code,), Decimal("0.10"), extra=Extra())
    Tariffs(zones=(zone,), codes=(code,), mail=None, fetched_at=taken_at, stale=True, error=LookupError())
    assert_type(Price(Decimal("2.50"), zone, Service.API), Price)
    Price(cost=Decimal("2.50"), source=code, service=Service.API)
    assert_type(Snapshot("main", taken_at, tariffs), Snapshot)
    Snapshot(account="main", taken_at=taken_at, tariffs=tariffs)

    Zone("1", "Russia", 2.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Tariffs(zones=[zone])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Tariffs((zone,), (), None, Extra(), taken_at)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def replies(body: bytes) -> None:
    assert_type(decode(body), Tariffs)
    assert_type(decode(body=body, format=Format.JSON, charset="utf-8"), Tariffs)
    decode("{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    decode(body, Format.JSON)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    decode(body, format="json")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def differences(old: Tariffs, new: Tariffs) -> None:
    assert_type(diff(old, new), tuple[Change, ...])
    for change in diff(old=old, new=new):
        assert_type(change.kind, ChangeKind)
        assert_type(change.line, str)
        assert_type(change.id, str)
        assert_type(change.old, Decimal | None)
        assert_type(change.difference, Decimal | None)
        assert_type(change.percent, Decimal | None)
    diff(old)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    diff(old, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def comparisons(lists: Mapping[str, Tariffs]) -> None:
    comparison = compare(lists)
    assert_type(comparison, Comparison)
    assert_type(compare(lists=lists, service="hlr"), Comparison)
    assert_type(compare(lists, service=Service.CALL).service, Service)
    assert_type(comparison.names, tuple[str, ...])
    assert_type(comparison.rows, tuple[Compared, ...])
    assert_type(comparison.rows[0].cheapest, Decimal | None)
    assert_type(comparison.codes, tuple[ComparedOperator, ...])
    assert_type(comparison.codes[0].cheapest, Decimal | None)
    assert_type(comparison.totals({"1": 1000}), tuple[Decimal | None, ...])
    comparison.totals(mix={"1/25001": 1000})
    compare([lists["a"]])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    comparison.totals({"1": 0.5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def reports(snapshots: list[Snapshot], at: datetime) -> None:
    assert_type(render_report(snapshots), str)
    render_report(snapshots=iter(snapshots), title="Prices", service=Service.MMS, generated_at=at)
    render_report(snapshots, service="mms", since=at)
    render_report(snapshots[0])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    render_report(snapshots, "Prices")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
