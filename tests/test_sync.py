"""The synchronous client: scripts, threads, running event loops, forks, and the exit of the interpreter."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from smsc_async import Account, AuthenticationError, MemoryStore, Quota, SQLiteStore, Tariffs, TransportError, sync
from smsc_async import Client as AsyncClient
from smsc_async.simulator import Fault, Rules, sample_tariffs
from smsc_async.sync import Client
from smsc_async.testing import SmscServer
from tests.stores.redis_server import RedisServer
from tests.support.slow import exhaustive_after
from tests.support.stopwatch import stopwatch


@pytest.fixture(params=["memory", "sqlite"])
def client(request: pytest.FixtureRequest, smsc_server: SmscServer, tmp_path: Path) -> Client:
    store = (
        MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "store.db", pepper="a long random text")
    )
    return Client(smsc_server.account, base_url=smsc_server.base_url, store=store, retries=0, deadline=20)


@pytest.fixture
def own_loop() -> Iterator[None]:
    """A loop thread that starts in this test: a test that coverage leaves out ends the measurement of threads that run then."""
    sync._after_fork()  # pyright: ignore[reportPrivateUsage]
    yield
    sync._current.stop()  # type: ignore[union-attr]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    sync._after_fork()  # pyright: ignore[reportPrivateUsage]


def test_a_script_gets_lists_and_errors(client: Client, smsc_server: SmscServer) -> None:
    with client:
        assert client.tariffs() == sample_tariffs()
        assert client.quota().remaining == 2
        with pytest.raises(AuthenticationError):
            client.tariffs(Account("boris", "wrong"))
        assert [each.cause for each in client.lockouts()] == ["credentials"]
        client.reset_lockouts()
        assert client.lockouts() == ()
        assert client.statistics().requests == 2
    with pytest.raises(RuntimeError, match="closed"):
        client.tariffs()
    with client:
        assert client.tariffs(max_age=600) == sample_tariffs()
    assert len(smsc_server.log) == 2


def test_it_has_the_methods_and_parameters_of_the_asynchronous_client() -> None:
    for name, method in vars(AsyncClient).items():
        if inspect.isfunction(method) and not name.startswith("_") and name != "aclose":
            assert (
                inspect.signature(getattr(Client, name)).parameters.keys()
                == inspect.signature(method).parameters.keys()
            )
    options = set(inspect.signature(AsyncClient).parameters) - {"account"}
    assert set(sync._Options.__annotations__) == options  # pyright: ignore[reportPrivateUsage]


def test_fifty_threads_that_ask_at_once_cause_one_request() -> None:
    together = threading.Barrier(50)

    def ask(client: Client) -> Tariffs:
        together.wait()
        return client.tariffs()

    with (
        SmscServer(latency=0.3) as server,
        Client(server.account, base_url=server.base_url, store=MemoryStore()) as client,
        ThreadPoolExecutor(50) as pool,
    ):
        lists = list(pool.map(ask, [client] * 50))
        assert lists == [sample_tariffs()] * 50
        assert len(server.log) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_works_inside_a_running_event_loop(client: Client, backend: str) -> None:
    async def cell() -> Tariffs:
        return client.tariffs()

    assert anyio.run(cell, backend=backend) == sample_tariffs()


@pytest.mark.usefixtures("own_loop")
def test_the_lists_of_many_accounts_are_an_iterator(client: Client, smsc_server: SmscServer) -> None:
    accounts = [smsc_server.account, smsc_server.add_account("boris", "456"), Account("clara", "wrong")]
    outcomes = {outcome.account.login: type(outcome.error) for outcome in client.tariffs_for(iter(accounts))}
    assert outcomes == {"alex": type(None), "boris": type(None), "clara": AuthenticationError}
    with pytest.raises(TypeError, match="many accounts"):
        client.tariffs_for(smsc_server.account)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_watch_is_an_iterator() -> None:
    quota = Quota(requests=100)
    with (
        SmscServer(rules=Rules(requests=100)) as server,
        Client(server.account, base_url=server.base_url, store=MemoryStore(), quota=quota) as client,
    ):

        def change_after_the_first_round() -> None:
            while not server.log:
                time.sleep(0.01)
            server.set_tariffs(sample_tariffs(Decimal("1.10")))

        change = threading.Thread(target=change_after_the_first_round)
        change.start()
        update = next(client.watch(every=0.1))
        change.join()
    assert {change.name for change in update.changes} > {"Latvia"}


def test_a_watch_of_many_accounts_is_an_iterator(client: Client, smsc_server: SmscServer) -> None:
    accounts = [Account("clara", "wrong"), Account("boris", "wrong"), smsc_server.account]
    updates = client.watch_for(accounts, every=3)
    assert [(update.account, type(update.error)) for update in itertools.islice(updates, 2)] == [
        ("clara", AuthenticationError),
        ("boris", AuthenticationError),
    ]


def test_accounts_are_read_in_the_thread_of_the_caller(client: Client, smsc_server: SmscServer) -> None:
    threads: list[threading.Thread] = []

    def source() -> Any:
        threads.append(threading.current_thread())
        yield smsc_server.account

    assert len(list(client.tariffs_for(source()))) == 1
    assert threads == [threading.current_thread()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_it_works_in_a_forked_worker(client: Client, smsc_server: SmscServer) -> None:
    client.tariffs()
    pids: list[int] = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = 0 if client.tariffs(max_age=0) == client.tariffs() == sample_tariffs() else 2
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    assert client.tariffs() == sample_tariffs()
    # With a shared store, the two children may share a request.
    assert 2 <= len(smsc_server.log) <= 3


EXIT = """
import contextlib, sys, threading
from smsc_async import Account, MemoryStore
from smsc_async.sync import Client
client = Client(Account("alex", "123"), base_url=sys.argv[1], store=MemoryStore(), deadline=60)
def ask():
    with contextlib.suppress(BaseException):
        client.tariffs()
print(client.tariffs().zone("32").api, flush=True)
"""


@pytest.mark.parametrize(
    "then", exhaustive_after(1, ["import os; os.fork() or sys.exit(0); os.wait()", "", "sys.exit(0)"])
)
def test_the_interpreter_exits_cleanly_without_a_close(then: str, smsc_server: SmscServer) -> None:
    began = time.monotonic()
    command = [sys.executable, "-W", "error", "-c", EXIT + then, smsc_server.base_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "4.10")
    assert done.stderr == ""
    assert time.monotonic() - began < 30


def test_a_request_that_hangs_does_not_hold_back_the_exit(smsc_server: SmscServer) -> None:
    program = EXIT.replace("print(", "threading.Thread(target=ask, daemon=True).start()\nsys.stdin.readline()\n#")
    smsc_server.fail(Fault.hang())
    command = [sys.executable, "-c", program, smsc_server.base_url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        due = time.monotonic() + 60
        while not smsc_server.log:
            assert time.monotonic() < due
            time.sleep(0.01)
        with stopwatch() as watch:
            _, errors = process.communicate("\n", timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert watch.seconds < 10


@pytest.mark.usefixtures("own_loop")
def test_a_call_from_the_event_loop_of_the_client_is_refused_and_not_a_deadlock(smsc_server: SmscServer) -> None:
    errors: list[BaseException] = []

    def on_event(_: object) -> None:
        try:
            made.tariffs(max_age=0)
        except RuntimeError as error:
            errors.append(error)

    made = Client(smsc_server.account, base_url=smsc_server.base_url, store=MemoryStore(), on_event=on_event)
    made.tariffs()
    assert "use smsc_async.Client there" in str(errors[0])


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_a_transport_that_ends_the_program_reaches_the_caller_and_the_next_call_works(
    signal: Callable[[], BaseException], smsc_server: SmscServer
) -> None:
    class Ends(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise signal()

    ends = Client(smsc_server.account, base_url=smsc_server.base_url, store=MemoryStore(), transport=Ends)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        ends.tariffs()
    works = Client(smsc_server.account, base_url=smsc_server.base_url, store=MemoryStore())
    assert works.tariffs() == sample_tariffs()


def test_a_service_that_fails_is_an_error(client: Client, smsc_server: SmscServer) -> None:
    smsc_server.fail(Fault.http_status(503))
    with pytest.raises(TransportError):
        client.tariffs()


def test_a_loop_that_stops_cancels_its_tasks_and_a_fork_leaves_it_to_the_parent(client: Client) -> None:
    client.tariffs()
    of_parent = sync._current  # pyright: ignore[reportPrivateUsage]
    assert of_parent is not None
    sync._after_fork()  # pyright: ignore[reportPrivateUsage]
    client.tariffs(max_age=0)
    assert sync._current is not of_parent  # pyright: ignore[reportPrivateUsage]
    assert not of_parent.loop.is_closed()
    hanging = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), of_parent.loop)
    of_parent.stop()
    assert hanging.cancelled()
    assert of_parent.loop.is_closed()
    assert not of_parent.thread.is_alive()
    # Without tasks, and without a loop.
    sync._current.stop()  # type: ignore[union-attr]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    for _ in range(2):
        sync._after_fork()  # pyright: ignore[reportPrivateUsage]
    with client:  # the end of the loop has closed it
        assert client.tariffs(max_age=600) == sample_tariffs()


def test_the_end_of_a_loop_gives_each_task_of_a_client_its_first_step(
    client: Client, recwarn: pytest.WarningsRecorder
) -> None:
    stopping = object.__new__(sync._LoopThread)  # pyright: ignore[reportPrivateUsage]
    stopping.loop = asyncio.new_event_loop()
    stopping.is_stopping = False
    background = client._client._calls.tasks  # pyright: ignore[reportPrivateUsage]

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever, name="as the connection to an address")
            stopping.is_stopping = True
            stopping.loop.stop()

    async def begin() -> None:
        background.start(work)

    beginning = stopping.loop.create_task(begin())
    stopping._work()  # pyright: ignore[reportPrivateUsage]
    assert (beginning.done(), len(background)) == (True, 0)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_close_at_exit_after_the_end_of_the_loop_does_nothing_and_a_call_says_why_it_fails(client: Client) -> None:
    client.tariffs()
    sync._current.stop()  # type: ignore[union-attr]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    try:
        client.close()
        with pytest.raises(RuntimeError, match="the interpreter exits"):
            client.tariffs(max_age=0)
    finally:
        sync._after_fork()  # pyright: ignore[reportPrivateUsage]


def test_a_watch_that_waits_at_exit_for_its_next_round_says_why_it_ends(client: Client) -> None:
    errors: list[Exception] = []

    def follow() -> None:
        try:
            next(client.watch(every=3600))
        except Exception as error:  # noqa: BLE001  # whatever it is
            errors.append(error)

    client.tariffs()
    thread = threading.Thread(target=follow)
    thread.start()
    due = time.monotonic() + 60
    while client.statistics().hits < 1:  # the first round
        assert time.monotonic() < due
        time.sleep(0.01)
    sync._current.stop()  # type: ignore[union-attr]  # pyright: ignore[reportPrivateUsage, reportOptionalMemberAccess]
    thread.join(60)
    sync._after_fork()  # pyright: ignore[reportPrivateUsage]
    assert [str(error) for error in errors] == [
        "the interpreter exits, and its synchronous clients are closed: make the call before that"
    ]


def test_the_connections_of_a_store_are_closed_at_exit(smsc_server: SmscServer) -> None:
    store = 'RedisStore(sys.argv[2], pepper="a long random text", cold_start="grant")'
    program = EXIT.replace("MemoryStore", "RedisStore").replace("RedisStore()", store)
    with RedisServer() as redis:
        command = [sys.executable, "-W", "always", "-c", program, smsc_server.base_url, redis.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4.10\n", "")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_end_of_a_loop_cancels_what_is_left_of_its_tasks(count: int) -> None:
    # In this thread, which coverage traces to its end.
    stopping = object.__new__(sync._LoopThread)  # pyright: ignore[reportPrivateUsage]
    stopping.loop = asyncio.new_event_loop()
    stopping.is_stopping = True
    tasks = [stopping.loop.create_task(asyncio.sleep(60)) for _ in range(count)]
    stopping._work()  # pyright: ignore[reportPrivateUsage]
    assert [task.cancelled() for task in tasks] == [True] * count
    assert stopping.loop.is_closed()
