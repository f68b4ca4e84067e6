"""What a store must find before it grants a permit: a server that drops nothing, and peers with the same settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smsc_async import Account, Quota, RedisStore, SQLiteStore, StoreError, Tariffs, decode
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import Reply
from smsc_async.stores import FetchLease
from smsc_async.stores.redis import connection as redis_connection
from smsc_async.stores.redis import shards as redis_shards
from tests.stores.redis_address import answered_address
from tests.stores.redis_server import OVER_TLS, RedisServer
from tests.support.doc_examples import ROOT
from tests.support.stopwatch import stopwatch

pytestmark = pytest.mark.asyncio

PEPPER = "a long random text"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def _open(url: str, pepper: str = PEPPER) -> AsyncGenerator[RedisStore]:
    store = RedisStore(url, pepper=pepper, cold_start="grant")
    yield store
    await store.aclose()


async def _take(store: SQLiteStore | RedisStore, quota: Quota | None = None) -> object:
    return await store.acquire(Permit("alex", quota or Quota(), token=True), lease=5.0)


async def _refused(store: SQLiteStore | RedisStore, reason: str, quota: Quota | None = None) -> None:
    with pytest.raises(StoreError, match=reason) as caught:
        await _take(store, quota)
    assert not caught.value.retryable
    assert caught.value.store == store.name


@pytest.mark.parametrize(
    "policy",
    ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random"],
)
async def test_a_server_that_evicts_keys_is_refused_by_name(server: RedisServer, policy: str) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    async with _open(server.url) as store:
        for _ in range(2):
            await _refused(store, f"maxmemory-policy is {policy}.*noeviction")
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert isinstance(await _take(store), Permit)


@pytest.mark.parametrize("url", ["unix://:wrong@", "unix://"], ids=["wrong password", "no password"])
async def test_a_password_that_the_server_refuses_is_no_fault_that_passes(server: RedisServer, url: str) -> None:
    if OVER_TLS:
        pytest.skip("the URL has a user already")
    server.ask("CONFIG", "SET", "requirepass", "S3cr3t-word")
    async with _open(server.url.replace("unix://", url)) as store:
        for _ in range(2):
            await _refused(store, "Redis refuses the user or the password of the URL, or requires one$")


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("OOM|OutOfMemory", ("CONFIG", "SET", "maxmemory", "1")),
        ("READONLY|ReadOnly", ("REPLICAOF", "127.0.0.1", "1")),
    ],
    ids=["memory", "replica"],
)
async def test_a_fault_that_the_server_names_is_in_the_error(
    server: RedisServer, fault: str, settings: tuple[str, ...]
) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        server.ask(*settings)
        with pytest.raises(StoreError, match=rf"Redis cannot be used \(.*({fault})") as caught:
            await _take(store)
        assert caught.value.retryable


async def test_a_database_that_the_server_lacks_is_no_fault_that_passes(server: RedisServer) -> None:
    async with _open(f"{server.url}{'&' if OVER_TLS else '?'}db=99") as store:
        await _refused(store, "Redis cannot be used .*DB index is out of range")


async def test_a_policy_that_changes_is_seen_within_a_minute_and_closes_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        assert isinstance(await _take(store), Permit)
        monkeypatch.setattr(redis_shards, "_POLICY_SECONDS", 0.0)
        await _refused(store, "volatile-lru")
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        answers = await asyncio.gather(*[_take(store) for _ in range(3)])
        assert sum(isinstance(each, Permit) for each in answers) == 1


@pytest.fixture(params=["sqlite", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    server.ask("FLUSHALL")
    return server.url


def _store(address: str) -> SQLiteStore | RedisStore:
    kind = RedisStore if address.startswith("unix:") else SQLiteStore
    return kind(address, pepper=PEPPER, cold_start="grant")


@pytest.mark.parametrize(
    "other", [Quota(requests=2), Quota(per=30.0), Quota(guard=0.0), Quota(linger=1.0), Quota(concurrent=5)], ids=str
)
async def test_a_quota_that_differs_from_that_of_a_peer_is_refused_while_permits_are_in_use(
    address: str, other: Quota
) -> None:
    here, there = _store(address), _store(address)
    permit = await _take(here)
    assert isinstance(permit, Permit)
    await _refused(there, "pass the same Quota", other)
    if isinstance(there, RedisStore):
        with pytest.raises(StoreError, match="pass the same Quota"):
            await there.usage("alex", other)
    assert isinstance(await there.acquire(Permit("boris", other, token=True), lease=5.0), Permit)
    await here.release(permit, Completion.NOT_SENT)
    permit = await _take(there, other)
    assert isinstance(permit, Permit)
    permit.seen = now()
    await there.release(permit, Completion.COMPLETE)
    await _refused(here, "pass the same Quota")
    await here.aclose()
    await there.aclose()


async def test_a_file_of_another_format_is_refused_with_advice_for_a_rollout(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SQLiteStore(path, pepper=PEPPER) as store:
        await _take(store)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    async with SQLiteStore(path, pepper=PEPPER) as store:
        await _refused(store, "format 2.*stop all workers.*wait two minutes")


async def test_a_server_of_another_format_is_refused_both_ways(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask("HSET", "{smsc}:store", "salt", "00", "pepper", "abc")  # as version 1 wrote it
    async with _open(server.url) as store:
        await _refused(store, "format 1.*stop all workers.*wait two minutes")
    server.ask("DEL", "{smsc}:store")
    async with _open(server.url) as store:
        assert isinstance(await _take(store), Permit)
        monkeypatch.setattr(redis_shards, "_FORMAT", "4")
        async with _open(server.url) as newer:
            await _refused(newer, "format 3, and this version needs 4")
        assert isinstance(await _take(store), Permit)
    # Version 1 begins with these commands, and ends with a StoreError.
    assert b"WRONGTYPE" in server.ask("HSETNX", "{smsc}:store", "pepper", "abc")


async def test_the_access_list_of_the_docs_is_enough_and_a_missing_rule_is_named(server: RedisServer) -> None:
    page = (ROOT / "docs" / "stores-operation.md").read_text("utf-8")
    rules = re.findall(r"\+[a-z]+", page.partition("the commands `")[2].partition("`")[0])
    assert "+evalsha" in rules
    server.ask("ACL", "SETUSER", "worker", "on", ">secret", "~{smsc}*", *rules)
    url = f"{server.url.replace('unix://', 'unix://worker:secret@')}?db=3"
    credentials, endpoint = Credentials("smsc", Account("alex", "123")), "https://smsc.example/sys/get.php"
    async with _open(url) as store:
        permit = await store.acquire(Permit("alex", Quota(), token=True, credentials=credentials), lease=5.0)
        assert isinstance(permit, Permit)
        await store.release(permit, Completion.NOT_SENT)
        await store.drain_tokens("alex", Quota())
        lease = await store.lease_or_reply(endpoint, credentials.account, 60.0)
        assert isinstance(lease, FetchLease)
        reply = Reply(200, "", None, b'{"zones": [{"zone": "1", "name": "x", "api": "1"}], "codes": [], "mail": "1"}')
        lease.reply, lease.tariffs = reply, decode(reply.body)
        await store.release_lease(lease)
        assert isinstance(await store.lease_or_reply(endpoint, credentials.account, 60.0), Tariffs)
        await store.forget(credentials.account)
    server.ask("ACL", "SETUSER", "worker", "-info")
    async with _open(url) as store:
        await _refused(store, r"\+info")


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("redis://203.0.113.7/0", True),
        ("redis://redis.example:6379", True),
        ("redis://127.0.0.1", False),
        ("redis://localhost:1", False),
        ("redis://[::1]:1", False),
        ("rediss://redis.example", False),
        ("unix:///run/redis.sock", False),
    ],
)
async def test_a_way_without_tls_over_a_network_is_seen(url: str, *, is_warned: bool) -> None:
    assert RedisStore(url, pepper=PEPPER)._redis.is_open_to_listeners == is_warned  # pyright: ignore[reportPrivateUsage]


async def test_a_way_without_tls_is_a_warning_once(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with _open(server.url) as store:
        store._redis.is_open_to_listeners = True  # pyright: ignore[reportPrivateUsage]
        with caplog.at_level(logging.WARNING, logger="smsc_async"):
            await _take(store)
            server.ask("DEL", "{smsc}:store")
            await asyncio.sleep(0)
            with pytest.raises(StoreError):
                await _take(store)
    assert sum("without TLS" in record.message for record in caplog.records) == 1


# Answers of the wrong shape


@pytest.mark.parametrize(
    "answer",
    [
        b":1\r\n",
        b"*0\r\n",
        b"*1\r\n:7\r\n",
        b"*2\r\n$7\r\ngranted\r\n:1\r\n",
        b"*2\r\n$17\r\ngranted 0 x 1 0 0\r\n:1\r\n",
        b"+granted 0 x 1 0 0\r\n",
        b"+granted 0 0\r\n",
        b"$-1\r\n",
        b"*1\r\n" * 2000 + b":1\r\n",
        b"-WRONGPASS a word of the server\r\n",
    ],
    ids=range(10),
)
async def test_an_answer_of_the_wrong_shape_is_an_error_of_the_store(tmp_path: Path, answer: bytes) -> None:
    opened: list[asyncio.StreamWriter] = []

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        while command := await reader.read(10_000):
            if greetings := command.count(
                b"SETINFO"
            ):  # redis-py introduces itself, in a number of pieces of its own choice
                writer.write(b"+OK\r\n" * greetings)
                continue
            info = b"run_id:abc\r\nrole:master\r\nuptime_in_seconds:1\r\n"
            body = b"$%d\r\n%s\r\n" % (len(info), info)
            count = command.count(b"$4\r\nINFO")
            writer.write(
                body * count
                if count
                else b"*2\r\n$4\r\nopen\r\n$2\r\nid\r\n"
                if b"format number" in command
                else answer
            )

    async with answered_address(tmp_path / "s", answer_all) as url, _open(url) as store:
        await (await store._redis.owner("")).info()  # pyright: ignore[reportPrivateUsage]
        shard = store._shards._shards["{smsc}"]  # pyright: ignore[reportPrivateUsage]
        shard.identity = redis_shards._Identity("id", "abc")  # pyright: ignore[reportPrivateUsage]
        shard.policy_read_at = math.inf
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await _take(store)
            assert "a word of the server" not in str(caught.value)
        assert len(opened) >= 2  # a connection that is out of step is not used again


async def test_an_answer_to_another_call_is_never_taken_for_ones_own(server: RedisServer) -> None:
    async with _open(server.url) as store:
        permits = [await _take(store) for _ in range(3)]
        assert all(isinstance(each, Permit) for each in permits)
        pool = (await store._redis.owner(""))._pool()  # pyright: ignore[reportPrivateUsage]
        (connection,) = pool.idle
        # An answer of an earlier call that comes late: it would grant a fourth permit.
        any_permit: Any = permits[0]
        granted = await store._shards.run(store._acquire_part(any_permit, 0.0))  # pyright: ignore[reportPrivateUsage]
        assert granted[0] == b"granted"
        record = server.ask("GET", "{smsc}:store")
        assert record
        late = redis_connection._packed(("ECHO", "granted 0 1 1764000000 0 0"))  # pyright: ignore[reportPrivateUsage]
        await connection.send_packed_command(late, check_health=False)
        with pytest.raises(StoreError, match="wrong shape"):
            await _take(store)
        assert not isinstance(await _take(store), Permit)


# Closing


def _open_descriptors(folder: Path) -> int:
    """Return how many descriptors lead into a folder, also to files that are deleted: other tests may close others meanwhile."""
    links: list[str] = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing
            links.append(os.readlink(each))  # noqa: PTH115  # a path would lose the mark of a deleted file
    return sum(link.startswith(str(folder)) for link in links)


async def test_deleting_files_in_use_leaks_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SQLiteStore(path, pepper=PEPPER) as store:
        await store.reset_lockouts("smsc", None)
        before = _open_descriptors(tmp_path)
        assert before
        for _ in range(100):
            path.unlink()
            await store.reset_lockouts("smsc", None)
        assert _open_descriptors(tmp_path) == before


async def _granted(store: RedisStore, login: str) -> object:
    try:
        return await store.acquire(Permit(login, Quota(), token=True), lease=5.0)
    except StoreError as error:
        return error


_TLS_SERVER = """
import asyncio, ssl, sys
async def serve(reader, writer):
    there, to = await asyncio.open_unix_connection(sys.argv[3])
    async def forward(source, target):
        while data := await source.read(65536):
            target.write(data)
    await asyncio.gather(forward(reader, to), forward(there, writer))
async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_closing_waits_for_no_server_that_is_stopped(server: RedisServer, tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    command = [sys.executable, "-c", _TLS_SERVER, str(tmp_path / "cert.pem"), "-", str(server.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            store = RedisStore(
                f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'ca.pem'}", pepper=PEPPER, cold_start="grant"
            )
            # On a busy machine a handshake may take longer than a call waits for it: it continues in the background.
            while not isinstance(first := await _granted(store, "first"), Permit):
                pass
            others = await asyncio.gather(*[_granted(store, str(number)) for number in range(3)])
            permits = [first, *others]
            releasing = [
                asyncio.create_task(store.release(each, Completion.NOT_SENT))
                for each in permits[:3]
                if isinstance(each, Permit)
            ]
            process.send_signal(signal.SIGSTOP)
            with stopwatch() as watch:
                await store.aclose()
            assert watch.seconds < 1.0
        finally:
            process.kill()
        await asyncio.gather(*releasing)


@pytest.mark.usefixtures("usual_seconds")
async def test_closing_ends_what_is_still_connecting(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with answered_address(tmp_path / "s", silent) as url:
        store = RedisStore(url, pepper=PEPPER)
        with pytest.raises(StoreError, match="did not accept a connection"):
            await _take(store)
        with stopwatch() as watch:
            await store.aclose()
        assert watch.seconds < 1.0
