"""Arguments of a wrong type are refused by name, before anything else happens."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest

from smsc_async import Account, Client, History, LimitedTransport, MemoryStore, RedisStore, SQLiteStore
from smsc_async.fetch.bulk import BulkFetch
from smsc_async.sync import Client as SyncClient

ACCOUNT = Account("alex", "123")
CLIENT = Client(store=MemoryStore())
VALID: dict[Callable[..., object], tuple[object, ...]] = {
    Client: (),
    SyncClient: (),
    MemoryStore: (),
    SQLiteStore: ("store.db",),
    partial(RedisStore, pepper="a long random text"): ("redis://127.0.0.1:1",),
    History: ("history.db",),
    LimitedTransport: (httpx.AsyncHTTPTransport(),),
    CLIENT.tariffs_for: ([],),
    CLIENT.watch: (ACCOUNT,),
    CLIENT.watch_for: ([ACCOUNT],),
    CLIENT.tariffs: (ACCOUNT,),
    CLIENT.quota: (ACCOUNT,),
    CLIENT.reset_lockouts: (ACCOUNT,),
}
"""What takes arguments, with valid ones for those without a default."""


class Wrong:
    """A value that no argument takes; false, as an empty setting is."""

    def __bool__(self) -> bool:
        return False


async def _error_of(function: Callable[..., object], name: str, wrong: object) -> str:
    """Return what a wrong argument raises, with valid ones for those without a default."""
    signature = inspect.signature(Client if function is SyncClient else function)
    arguments = signature.bind(*VALID[function])
    arguments.arguments[name] = wrong
    try:
        result = function(*arguments.args, **arguments.kwargs)
        if inspect.isawaitable(result):
            await result
        elif isinstance(result, BulkFetch):
            await anext(result)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


@pytest.mark.anyio
@pytest.mark.parametrize("function", VALID, ids=lambda function: getattr(function, "__qualname__", "RedisStore"))
async def test_every_argument_of_a_wrong_type_is_named(function: Callable[..., object]) -> None:
    for name in inspect.signature(Client if function is SyncClient else function).parameters:
        for wrong in (Wrong(), [Wrong()], b"1", Decimal(1)):
            assert name.removesuffix("s") in await _error_of(function, name, wrong), (name, wrong)


async def _on_event(event: object) -> None:
    """Never called."""


class _AsyncCallable:
    async def __call__(self, event: object) -> None:
        """Never called."""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quota": 3}, r"quota must be a Quota, such as Quota\(requests=3\), not int"),
        ({"retries": "2"}, "retries must be a whole number, not str"),
        ({"retries": True}, "retries must be a whole number, not bool"),
        ({"on_event": 1}, "on_event must be a function of one event, not int"),
        ({"on_event": _on_event}, "on_event must be a plain function, which can start a task"),
        ({"on_event": partial(_on_event)}, "on_event must be a plain function, which can start a task"),
        ({"on_event": _AsyncCallable()}, "on_event must be a plain function, which can start a task"),
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


SECRET = "a long hunter2 text"
SECRETS: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "short pepper": (SQLiteStore, {"path": "x.db", "pepper": "hunter2"}),
    "list as pepper": (SQLiteStore, {"path": "x.db", "pepper": [SECRET]}),
    "number as path": (SQLiteStore, {"path": 5, "pepper": SECRET}),
    "bad lease": (SQLiteStore, {"path": "x.db", "pepper": SECRET, "lease": 0}),
    "short pepper for Redis": (RedisStore, {"url": "redis://h", "pepper": "hunter2"}),
    "bytes as URL": (RedisStore, {"url": b"redis://:hunter2@h", "pepper": SECRET}),
    "bad port": (RedisStore, {"url": "redis://:hunter2@h:99999", "pepper": SECRET}),
    "proxy of bytes": (Client, {"proxy": b"http://me:hunter2@h"}),
    "proxy without a scheme": (Client, {"proxy": "me:hunter2@h:3128"}),
    "proxy of another scheme": (SyncClient, {"proxy": "ftp://me:hunter2@h"}),
    "proxy and plain HTTP": (Client, {"proxy": "http://me:hunter2@h", "base_url": "http://127.0.0.1/"}),
    "base URL with a user": (Client, {"base_url": "https://alex:hunter2@smscentre.com/sys/"}),
    "base URL with a query": (SyncClient, {"base_url": "https://smscentre.com/sys/get.php?login=alex&psw=hunter2"}),
    "base URL with a space": (Client, {"base_url": "https://alex:hunter2@ smscentre.com/"}),
    "another mistake": (SyncClient, {"proxy": "http://me:hunter2@h", "retries": -1}),
    "bad start": (RedisStore, {"url": "redis://:hunter2@h", "pepper": SECRET, "cold_start": "no"}),
}


@pytest.mark.parametrize(("function", "arguments"), SECRETS.values(), ids=SECRETS)
def test_the_error_of_a_wrong_argument_shows_no_secret(
    function: Callable[..., object], arguments: dict[str, object]
) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        function(**arguments)
    assert "hunter2" not in repr(caught.value)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "hunter2" not in repr([frame.locals for frame in frames if frame.filename != __file__])


@pytest.mark.parametrize("url", ["http://me:hunter2@h:99999", "ftp://me:hunter2@h"])
def test_the_error_of_a_proxy_of_the_environment_shows_no_secret(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ValueError, match="HTTPS_PROXY names a proxy that cannot be used") as caught:
        Client(store=MemoryStore())
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "hunter2" not in repr([frame.locals for frame in frames if frame.filename != __file__])


@pytest.mark.parametrize("path", ["", ".", "/", "a\0b"])
@pytest.mark.parametrize("kind", [SQLiteStore, History])
def test_a_path_that_no_file_has_is_refused(kind: Callable[[str], object], path: str) -> None:
    with pytest.raises(ValueError, match=r"path=.*: must be the path of a file"):
        kind(path)


def test_a_format_may_be_its_number() -> None:
    number: Any = 3
    Client(reply_format=number, store=MemoryStore())
    number = 4
    with pytest.raises(ValueError, match=r"reply_format=4: must be a Format, such as Format\.JSON"):
        Client(reply_format=number, store=MemoryStore())


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
