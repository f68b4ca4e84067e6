# Checked by mypy and pyright, never run: see README.md in this folder.

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from smsc_async import Account, Client, MemoryStore, Quota, Tariffs
from smsc_async.simulator import Arrival, Fault, Rules, Simulator, Violation
from smsc_async.stores import Store
from smsc_async.testing import SmscServer


async def test_kit(smsc_server: SmscServer, tariffs: Tariffs) -> None:
    assert_type(smsc_server.base_url, str)
    assert_type(smsc_server.quota, Quota)
    assert_type(smsc_server.env, Mapping[str, str])
    assert_type(smsc_server.client(), Client)
    async with smsc_server.client(
        Account("alex", "123"), store=MemoryStore(), max_age=0, deadline=5, retries=0
    ) as client:
        assert_type(await client.tariffs(), Tariffs)
    account = smsc_server.add_account("boris", "456", tariffs=tariffs, api_key="key")
    assert_type(account, Account)
    smsc_server.client(account=account)
    smsc_server.add_account(login="eva", password="789")
    smsc_server.add_account("old", "789", accepts_md5=True)
    assert_type(smsc_server.store, Store)
    smsc_server.set_tariffs(tariffs, login="boris")
    assert_type(smsc_server.log, list[Arrival])
    assert_type(smsc_server.violations(), list[Violation])
    smsc_server.set_tariffs(tariffs=tariffs)
    assert_type(smsc_server.heal(), None)
    assert_type(smsc_server.reset(), None)
    SmscServer(rules=Rules(per=1), latency=0.1)

    smsc_server.set_tariffs({})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smsc_server.client("boris")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Rules(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(Simulator().violations("alex"), list[Violation])


def faults(smsc_server: SmscServer) -> None:
    assert_type(Fault.http_status(503, retry_after=2), Fault)
    smsc_server.fail(Fault.http_status(status=503), times=1, login="alex")
    smsc_server.fail(fault=Fault.refusal(code=9))
    redirect = Fault.redirect(location="https://example.org", status=307)
    late = (Fault.truncated(keep=0.5), Fault.stalled(pause=1))
    for fault in (
        Fault.hang(),
        Fault.html_page(),
        Fault.empty(),
        Fault.mislabelled(content_type="text/plain"),
        redirect,
        *late,
    ):
        smsc_server.fail(fault)
    smsc_server.fail("hang")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    smsc_server.fail(Fault.hang(), 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def rules() -> None:
    first = Rules(requests=3, per=60, concurrent=14, counts_refused=False)
    second = Rules(wrong_passwords=5, wrong_password_window=1800, block=1800)
    assert_type((first, second), tuple[Rules, Rules])
