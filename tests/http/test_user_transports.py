"""Transports of the user: whatever they raise and wherever they are used, the quota holds and errors tell the truth."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import re
import socket
import ssl
import traceback
import warnings
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from typing import Any, Final

import anyio
import httpx
import pytest

from smsc_async import (
    Account,
    Client,
    DecodeError,
    LimitedTransport,
    MemoryStore,
    Quota,
    QuotaExhausted,
    SmscError,
    StoreError,
    TransportError,
)
from smsc_async.limiter.bucket import Permit
from smsc_async.simulator import Rules, SimulatedAccount, Simulator, sample_tariffs, serve
from tests.faults.hostile import LIST, answer, hostile, says
from tests.support.secret_search import SECRET, all_logs, found_in, shown_by
from tests.support.slow import EXHAUSTIVE_CASE, on_loops_in_turn

pytestmark = pytest.mark.usefixtures("quick_retries")

ALEX: Final = Account("alex", SECRET)
STAGES: Final = ("before the body is read", "while it is read", "after it was sent", "in the reply", "at the close")


class Bug(Exception):
    """A bug of the user's."""


class Failing(httpx.AsyncBaseTransport):
    """Sends by httpx, and raises at one stage."""

    def __init__(self, stage: str, error: Callable[[], BaseException]) -> None:
        self._stage = stage
        self._error = error
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._stage == STAGES[0]:
            raise self._error()
        if self._stage == STAGES[1]:
            async for _ in request.stream:  # type: ignore[union-attr]  # it is an asynchronous one
                raise self._error()
        response = await self._inner.handle_async_request(request)
        if self._stage == STAGES[2]:
            await response.aclose()
            raise self._error()
        response.stream = _FailingStream(response.stream, self._error if self._stage == STAGES[3] else None)  # type: ignore[arg-type]  # likewise
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
        if self._stage == STAGES[4]:
            raise self._error()


class _FailingStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, error: Callable[[], BaseException] | None) -> None:
        self._inner = inner
        self._error = error

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        body = b"".join([chunk async for chunk in self._inner])
        yield body[:10]
        if self._error is not None:
            raise self._error()
        yield body[10:]

    async def aclose(self) -> None:
        await self._inner.aclose()


BUGS: Final[dict[str, Callable[[], BaseException]]] = {
    "an exception": lambda: Bug("of the user's"),
    "a lookup": lambda: KeyError("psw"),
    "a value": lambda: ValueError("of the user's"),
    "a file": lambda: FileNotFoundError(errno.ENOENT, "no such file", "/etc/ca.pem"),
    "a folder": lambda: IsADirectoryError(errno.EISDIR, "is a directory"),
    "a right": lambda: PermissionError(errno.EACCES, "permission denied", "/etc/key.pem"),
    "an assertion": lambda: AssertionError("of the user's"),
    "memory": MemoryError,
    "a group": lambda: ExceptionGroup("of the user's", [Bug("in a group")]),
    "recursion": lambda: RecursionError("too deep"),
    "a stream of httpx": httpx.StreamConsumed,
    "a url": lambda: httpx.InvalidURL("of the user's"),
}
FAILURES: Final[dict[str, Callable[[], BaseException]]] = {
    "reset": lambda: ConnectionResetError(errno.ECONNRESET, "reset"),
    "refused": lambda: ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    "unreachable": lambda: OSError(errno.EHOSTUNREACH, "no route"),
    "slow": TimeoutError,
    "name": lambda: socket.gaierror(socket.EAI_NONAME, "no such name"),
    "eof": EOFError,
    "broken": anyio.BrokenResourceError,
    "closed": anyio.ClosedResourceError,
    "end": anyio.EndOfStream,
    "tls eof": lambda: ssl.SSLEOFError(8, "EOF occurred"),
    "connect": lambda: httpx.ConnectError(f"cannot connect with {SECRET}"),
    "connect timeout": lambda: httpx.ConnectTimeout(""),
    "pool": lambda: httpx.PoolTimeout(""),
    "read": lambda: httpx.ReadError(f"cannot send {SECRET}"),
    "read timeout": lambda: httpx.ReadTimeout(""),
    "write": lambda: httpx.WriteError(""),
    "close": lambda: httpx.CloseError(""),
    "protocol of the server": lambda: httpx.RemoteProtocolError(f"illegal line {SECRET}"),
    "protocol of the transport": lambda: httpx.LocalProtocolError("too little data"),
    "proxy": lambda: httpx.ProxyError("403 Forbidden"),
    "unsupported": lambda: httpx.UnsupportedProtocol("https"),
}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(per=0.15)


def service(rules: Rules) -> Simulator:
    return Simulator([SimulatedAccount("alex", SECRET), SimulatedAccount("boris", "456")], rules=rules)


def quota_of(rules: Rules) -> Quota:
    return Quota(per=rules.per, guard=0.05, linger=0.05)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("case", "anyio_backend"),
    on_loops_in_turn(
        [("an exception", stage) for stage in STAGES] + [(name, STAGES[2]) for name in list(BUGS)[1:]],
        ", ".join,
    ),
)
async def test_a_bug_surfaces_as_it_is_without_the_form_in_any_frame(
    case: tuple[str, str], rules: Rules, request: pytest.FixtureRequest
) -> None:
    name, stage = case
    # Four calls wait for a window. By default one kind does, and with --exhaustive each of them.
    calls = 4 if name == "an exception" or request.config.getoption("exhaustive") else 2
    raised: list[BaseException] = []

    def make() -> BaseException:
        raised.append(BUGS[name]())
        return raised[-1]

    transports = iter([httpx.AsyncHTTPTransport()])  # the first reply proves the credentials
    simulator = service(rules)
    shown: list[str] = []
    with serve(simulator) as server, all_logs() as lines:
        async with Client(
            ALEX,
            base_url=server.base_url,
            store=MemoryStore(),
            quota=quota_of(rules),
            max_age=0,
            transport=lambda: next(transports, None) or Failing(stage, make),
        ) as client:
            assert (await client.tariffs()).zones
            for number in range(calls):
                with pytest.raises(BaseException) as caught:  # noqa: PT011  # of every kind
                    await client.tariffs(deadline=20)
                assert caught.value is raised[number]
                assert {"handle_async_request", "__aiter__", "aclose"} & {each.name for each in _frames(caught.value)}
                shown += shown_by(caught.value)
        assert len(raised) == calls
        assert not simulator.violations()
        assert len(simulator.log) == (1 if stage in STAGES[:2] else 1 + calls)
    assert not [each for each in (*shown, *lines) if found_in(each, SECRET)]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("stage", [STAGES[0], STAGES[2]])
async def test_the_cancellation_of_a_task_of_the_transport_is_a_failure_and_not_one_of_the_call(stage: str) -> None:
    made: list[Failing] = []

    def make() -> Failing:
        made.append(Failing(stage, asyncio.CancelledError))
        return made[-1]

    with serve(service(Rules())) as server:
        async with Client(ALEX, base_url=server.base_url, store=MemoryStore(), transport=make, retries=0) as client:
            with pytest.raises(TransportError, match="a task of the transport was cancelled") as caught:
                await client.tariffs(deadline=20)
    assert len(made) == 1
    assert (caught.value.retryable, caught.value.may_have_counted) == (True, stage == STAGES[2])


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "stage"),
    [
        # Each before the body is read, and after that at one of the three stages in turn.
        pytest.param(name, stage, marks=[] if n in {0, 1 + number % 3} else EXHAUSTIVE_CASE)
        for number, name in enumerate(FAILURES)
        for n, stage in enumerate(STAGES[:4])
    ],
)
async def test_a_failure_of_the_network_says_by_the_body_alone_whether_it_was_sent(name: str, stage: str) -> None:
    with hostile(says(answer())) as server, all_logs() as lines:
        async with Client(
            ALEX,
            base_url=server.base_url,
            store=MemoryStore(),
            retries=0,
            transport=lambda: Failing(stage, FAILURES[name]),
        ) as client:
            with pytest.raises(TransportError) as caught:
                await client.tariffs(deadline=20)
    error = caught.value
    assert error.may_have_counted is (stage != STAGES[0])
    assert ("nothing was sent" in str(error)) is (stage == STAGES[0])
    assert re.search(r"\(.+\)", str(error))  # a reason, always
    assert len(server.requests) == (0 if stage in STAGES[:2] else 1)
    shown = [*shown_by(error), *lines]
    if stage != STAGES[0]:  # before it is read the form is in nobody's hands
        assert not [each for each in shown if found_in(each, SECRET)]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["reset", "read timeout"])
async def test_failures_and_retries_keep_the_quota(name: str, rules: Rules) -> None:
    transports = iter([httpx.AsyncHTTPTransport()])
    simulator = service(rules)
    with serve(simulator) as server:
        async with Client(
            ALEX,
            base_url=server.base_url,
            store=MemoryStore(),
            quota=quota_of(rules),
            max_age=0,
            retries=1,
            transport=lambda: next(transports, None) or Failing(STAGES[2], FAILURES[name]),
        ) as client:
            assert (await client.tariffs()).zones
            for _ in range(2):
                with pytest.raises(TransportError):
                    await client.tariffs(deadline=20)
    assert len(simulator.log) == 5
    assert not simulator.violations()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["pool", "protocol of the transport", "unsupported"])
async def test_a_fault_of_this_side_is_not_put_on_the_server(name: str, rules: Rules) -> None:
    with serve(service(rules)) as server:
        transport = Failing(STAGES[2], FAILURES[name])
        async with Client(
            ALEX, base_url=server.base_url, store=MemoryStore(), retries=0, transport=lambda: transport
        ) as client:
            with pytest.raises(TransportError, match="because of the transport"):
                await client.tariffs()


class Slow(httpx.AsyncBaseTransport):
    """Answers after a while, in the event loop in which it was made."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.requests = 0
        self._seconds = seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests += 1
        await anyio.sleep(self._seconds)
        return httpx.Response(200, content=LIST)


@pytest.mark.parametrize(
    "backends", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "trio"), ("trio", "asyncio")]
)
def test_an_instance_is_refused_in_a_second_event_loop_before_anything_is_sent(backends: tuple[str, str]) -> None:
    store, transport = MemoryStore(), Slow()
    client = Client(ALEX, base_url="http://127.0.0.1/", store=store, max_age=0, transport=transport)

    async def first() -> None:
        assert (await client.tariffs()).zones

    async def second() -> None:
        for _ in range(4):
            with pytest.raises(RuntimeError, match=r"first used in another event loop\. Pass a factory"):
                await client.tariffs(deadline=30)

    anyio.run(first, backend=backends[0])
    anyio.run(second, backend=backends[1])
    assert transport.requests == 1
    state = store.queue  # no token was taken for what was refused
    quota = Quota()
    assert state.try_acquire(Permit("127.0.0.1 alex", quota, token=True)) is not None
    assert state.try_acquire(Permit("127.0.0.1 alex", quota, token=True)) is not None
    assert state.try_acquire(Permit("127.0.0.1 alex", quota, token=True)) is None


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "asyncio")])
def test_a_factory_works_in_every_event_loop(backends: tuple[str, str], rules: Rules) -> None:
    simulator = service(rules)
    with serve(simulator) as server:
        client = Client(
            ALEX,
            base_url=server.base_url,
            store=MemoryStore(),
            quota=quota_of(rules),
            max_age=0,
            transport=httpx.AsyncHTTPTransport,
        )

        async def calls() -> None:
            for _ in range(2):
                assert await client.tariffs() == sample_tariffs()

        for backend in backends:
            anyio.run(calls, backend=backend)
    assert len(simulator.log) == 4  # one more than a window has
    assert not simulator.violations()


def _in_a_child(work: Callable[[], None]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12: a fork beside threads
        child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001  # for the log of the test
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("package", ["httpx", "aiohttp"])
def test_in_a_forked_child_an_instance_is_refused_and_a_factory_works(package: str, rules: Rules) -> None:
    from httpx_aiohttp import AiohttpTransport

    make: Callable[[], httpx.AsyncBaseTransport] = {"httpx": httpx.AsyncHTTPTransport, "aiohttp": AiohttpTransport}[
        package
    ]
    simulator = service(rules)
    with serve(simulator) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "quota": quota_of(rules), "max_age": 0}
        shared = make()
        borrowed = Client(ALEX, store=MemoryStore(), transport=shared, **options)
        fresh = Client(Account("boris", "456"), store=MemoryStore(), transport=make, **options)

        async def parent() -> None:
            assert (await borrowed.tariffs()).zones
            assert (await fresh.tariffs()).zones
            await shared.aclose()
            await asyncio.sleep(0)

        async def child() -> None:
            with pytest.raises(RuntimeError, match=r"this process was forked after its first use\. Pass a factory"):
                await borrowed.tariffs()
            assert (await fresh.tariffs()).zones

        asyncio.run(parent())
        assert _in_a_child(lambda: asyncio.run(child())) == 0
    assert [each.login for each in simulator.log] == ["alex", "boris", "boris"]
    assert not simulator.violations()
    gc.collect()


def test_aiohttp_underneath_keeps_the_quota_and_gives_each_account_its_own_list(rules: Rules) -> None:
    from httpx_aiohttp import AiohttpTransport

    simulator = Simulator(rules=rules)
    for number in range(8):
        tariffs = sample_tariffs(Decimal(number + 1))
        simulator.put(SimulatedAccount(f"login-{number}", "123", tariffs=tariffs))

    async def calls(client: Client, number: int) -> None:
        for _ in range(6):
            assert await client.tariffs(Account(f"login-{number}", "123")) == sample_tariffs(Decimal(number + 1))

    async def main() -> None:
        shared = AiohttpTransport()
        store = MemoryStore()
        options: dict[str, Any] = {"base_url": server.base_url, "quota": quota_of(rules), "max_age": 0, "store": store}
        async with Client(transport=shared, **options) as one, Client(transport=AiohttpTransport, **options) as other:
            await asyncio.gather(*(calls(client, n) for n in range(8) for client in (one, other)))
        await shared.aclose()

    with serve(simulator) as server:
        asyncio.run(main())
    assert not simulator.violations()


def test_a_certificate_file_that_is_not_there_is_not_put_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from httpx_aiohttp import AiohttpTransport

    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")

    async def main() -> None:
        store = MemoryStore()
        async with Client(ALEX, base_url="https://127.0.0.1:9/", store=store, transport=AiohttpTransport) as client:
            for _ in range(4):
                with pytest.raises(FileNotFoundError):
                    await client.tariffs()
        async with Client(ALEX, base_url="https://127.0.0.1:9/", store=store) as client:
            with pytest.raises(SmscError, match=r"SSL_CERT_FILE=/nowhere/ca\.pem") as caught:
                await client.tariffs()
            assert not caught.value.may_have_counted

    asyncio.run(main())


@pytest.mark.anyio
@pytest.mark.parametrize("error", [StoreError("it is down"), DecodeError("not a list"), QuotaExhausted(7.0)])
async def test_an_error_of_ours_from_a_transport_is_returned_unless_it_says_that_nothing_was_sent(
    error: SmscError,
) -> None:
    store = MemoryStore()
    with hostile(says(answer())) as server:
        for stage in (STAGES[0], STAGES[2]):
            transport = Failing(stage, lambda: error)
            async with Client(
                ALEX,
                base_url=server.base_url,
                store=store,
                retries=0,
                transport=lambda: transport,  # noqa: B023  # used at once
            ) as client:
                with pytest.raises(SmscError) as caught:
                    await client.tariffs(deadline=3)
                if stage == STAGES[0]:
                    assert caught.value is error
                else:
                    assert caught.value.may_have_counted


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: None, "must return an httpx.AsyncBaseTransport, not NoneType"),
        (httpx.HTTPTransport, "must return an httpx.AsyncBaseTransport, not HTTPTransport"),
        (lambda: LimitedTransport(Slow()), "must not return a LimitedTransport"),
    ],
)
async def test_a_factory_that_returns_no_transport_is_a_type_error_of_the_call(
    made: Callable[[], Any], problem: str
) -> None:
    async with Client(ALEX, base_url="http://127.0.0.1/", store=MemoryStore(), transport=made) as client:
        for _ in range(4):
            with pytest.raises(TypeError, match=problem):
                await client.tariffs()
