"""Arguments of a wrong type are refused by name, before anything else happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from smsc_async import Account, Client, LimitedTransport, MemoryStore, SQLiteStore


async def _on_event(event: object) -> None:
    """Never called."""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quota": 3}, r"quota must be a Quota, such as Quota\(requests=3\), not int"),
        ({"retries": "2"}, "retries must be a whole number, not str"),
        ({"retries": True}, "retries must be a whole number, not bool"),
        ({"on_event": 1}, "on_event must be a function of one event, not int"),
        ({"on_event": _on_event}, "on_event must be a plain function, which can start a task"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Client(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quota": 3}, r"quota must be a Quota, such as Quota\(requests=3\), not int"),
        ({"store": "tariffs.db"}, r"store must be a store, such as SQLiteStore\(path\) or MemoryStore\(\), not str"),
        ({"exchange_limit": "5"}, "exchange_limit='5': must be a number of seconds, not str"),
    ],
)
def test_a_limited_transport_names_an_argument_of_a_wrong_type(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LimitedTransport(httpx.AsyncHTTPTransport(), **wrong)


def test_other_arguments_are_named_as_well() -> None:
    seconds: Any = "5"
    with pytest.raises(TypeError, match="lease='5': must be a number of seconds, not str"):
        SQLiteStore("/nowhere/store.db", lease=seconds)
    with pytest.raises(ValueError, match="reserve_url must be https"):
        Client(reserve_url="http://www2.smscentre.com/sys/", store=MemoryStore())
    client = Client(store=MemoryStore())
    with pytest.raises(TypeError, match="every='5': must be a number of seconds, not str"):
        client.watch(Account("alex", "123"), every=seconds)
    with pytest.raises(TypeError, match="every='5': must be a number of seconds, not str"):
        client.watch_for([], every=seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", ["", 0, "alex"])
async def test_a_wrong_account_is_never_taken_for_that_of_the_client(wrong: Any) -> None:
    client = Client(Account("alex", "123"), store=MemoryStore())
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.tariffs(wrong),
        lambda: client.quota(wrong),
        lambda: client.reset_lockouts(wrong),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"account must be an Account, such as Account\(login, password\), not"):
            await call()
    with pytest.raises(TypeError, match="account must be an Account"):
        client.watch(wrong)
