"""The limiter as a transport of an ``httpx.AsyncClient``: what it counts, streams, refunds and forwards."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import urlencode

import anyio
import httpx
import pytest

from smsc_async import Account, LimitedTransport, MemoryStore, Quota, QuotaExhausted
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.simulator import SimulatedAccount, Simulator
from tests.faults.hostile import answer, dribbles, hostile, refusing_port, says
from tests.support.virtual_time import BACKEND_NAMES, virtual_asyncio, virtual_trio

pytestmark = pytest.mark.anyio

URL: Final = "https://smsc.example/sys/get.php"
FORM: Final = {"get_price": "1", "login": "alex", "psw": "123"}
UNQUOTED: Final = "".join(
    f"--x\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n" for name, value in FORM.items()
)
QUOTA: Final = Quota()


class Inner(httpx.AsyncBaseTransport):
    """Reads the body, and answers; counts what it is called with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self.calls: list[str] = []
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._error is not None:
            raise self._error
        size = 0
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("a synchronous body")
        async for chunk in request.stream:
            size += len(chunk)
        self.sizes.append(size)
        return httpx.Response(200, content=b"OK")

    async def __aenter__(self) -> Self:
        self.calls.append("enter")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.calls.append("exit")

    async def aclose(self) -> None:
        self.calls.append("close")


def client_of(inner: httpx.AsyncBaseTransport, store: MemoryStore, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=LimitedTransport(inner, store=store, **options), timeout=10)


def left(store: MemoryStore, login: str, service: str = "smsc.example") -> int:
    """How many tokens a login has left; takes them."""
    taken = 0
    while store.try_acquire(Permit(f"{service} {login}", QUOTA, token=True)) is not None:
        taken += 1
    return taken


async def test_the_form_takes_precedence_over_the_query_as_in_the_service() -> None:
    simulator = Simulator([SimulatedAccount("alex", "123")])
    store = MemoryStore()
    async with client_of(httpx.ASGITransport(simulator), store) as client:
        for number in range(3):
            await client.post(f"{URL}?login=user{number}&get_price=1", data={"login": "alex", "psw": "123"})
        with pytest.raises(QuotaExhausted), anyio.fail_after(1):
            await client.post(f"{URL}?login=another&get_price=1", data={"login": "alex", "psw": "123"})
    assert not simulator.violations()
    assert [each.login for each in simulator.log] == ["alex"] * 3


@pytest.mark.parametrize(
    "body",
    [
        {"data": FORM},
        {"json": FORM},
        {"files": {name: (None, value) for name, value in FORM.items()}},
        {"data": {"phones": "7" * 200_000, **FORM}},
        {"json": {"phones": "7" * 200_000, **FORM}},
        {"content": urlencode(FORM), "headers": {"Content-Type": "Application/X-WWW-Form-URLEncoded"}},
        {"content": UNQUOTED, "headers": {"Content-Type": "Multipart/Form-Data; boundary=x"}},
    ],
    ids=["form", "JSON", "multipart", "login behind a long field", "JSON with a long field", "capitals", "no quotes"],
)
async def test_a_login_is_read_from_every_kind_of_body(body: dict[str, Any]) -> None:
    store = MemoryStore()
    async with client_of(Inner(), store) as client:
        await client.post(URL, **body)
    assert left(store, "alex") == 2


async def test_a_key_counts_under_the_login_of_its_account() -> None:
    store = MemoryStore()
    accounts = [Account.with_api_key("k-1", name="alex"), Account("boris", "456")]
    async with client_of(Inner(), store, accounts=accounts) as client:
        await client.post(URL, data={"get_price": "1", "apikey": "k-1"})
        await client.post(URL, data=FORM)
        await client.post(URL, data={"get_price": "1", "apikey": "k-2"})
    assert left(store, "alex") == 1


async def test_requests_to_other_hosts_or_without_a_login_are_not_limited() -> None:
    store = MemoryStore()
    inner = Inner()
    async with client_of(inner, store, host="SMSC.example.") as client:
        for _ in range(5):
            await client.post("https://elsewhere.example/get.php", data=FORM)
            await client.get("https://smsc.example/")
        await client.post(URL, data=FORM)
    assert len(inner.sizes) == 11
    assert left(store, "alex", "elsewhere.example") == 3
    assert left(store, "alex") == 2


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (
            "XN--E1AFMKFD.example",
            "https://\N{CYRILLIC SMALL LETTER PE}\u0440\u0438\u043c\u0435\u0440.example/sys/get.php",
        ),
        (
            "\N{CYRILLIC SMALL LETTER PE}\u0440\u0438\u043c\u0435\u0440.example",
            "https://xn--e1afmkfd.example/sys/get.php",
        ),
        ("[::1]", "http://[::1]:8000/get.php"),
        ("::1", "http://[::1]:8000/get.php"),
    ],
    ids=["encoded", "decoded", "IPv6", "IPv6 without brackets"],
)
async def test_a_host_is_limited_however_it_is_written(host: str, url: str) -> None:
    client = client_of(Inner(), MemoryStore(), host=host)
    for _ in range(3):
        await client.post(url, data=FORM)
    with pytest.raises(QuotaExhausted), anyio.fail_after(1):
        await client.post(url, data=FORM)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "https://smscentre.com/",
        "smscentre.com:443",
        "smscentre.com/sys",
        "a b",
        "me@a",
        "a#b",
        "[::1]:80",
        "[x]",
        "256.1.1.1",
    ],
)
def test_a_host_that_no_request_has_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"must be a host, such as smscentre\.com"):
        LimitedTransport(Inner(), host=host)


async def _upload(megabytes: int) -> AsyncIterator[bytes]:
    yield b"get_price=1&login=alex&psw=123&file="
    for _ in range(megabytes * 16):
        yield bytes(65536)


async def test_an_upload_is_streamed() -> None:
    inner, store = Inner(), MemoryStore()
    async with client_of(inner, store) as client:
        tracemalloc.start()
        try:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            await client.post(URL, content=_upload(200), headers=headers)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert inner.sizes == [200 * 2**20 + 36]
    assert peak < 2 * 2**20
    assert left(store, "alex") == 2


async def test_a_body_of_another_type_is_not_read_at_all() -> None:
    seen: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        seen.append(b"read")
        yield b"login=alex"

    async with client_of(Inner(httpx.ConnectError("no")), MemoryStore()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(URL, content=body())
    assert seen == []


class _Twice(Inner):
    """Sends each request again."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await super().handle_async_request(request)
        return await super().handle_async_request(request)


async def test_a_body_that_can_be_read_once_is_not_sent_again_as_an_empty_one() -> None:
    inner = _Twice()
    async with client_of(inner, MemoryStore()) as client:
        with pytest.raises(httpx.StreamConsumed):
            await client.post(URL, content=_upload(1), headers={"content-type": "application/x-www-form-urlencoded"})
        await client.post(URL, data=FORM)
        await client.post(URL, files={"file": b"x" * 100_000}, data=FORM)
    assert len(inner.sizes) == 5
    assert inner.sizes[1] == inner.sizes[2]
    assert inner.sizes[3] == inner.sizes[4]


async def test_a_request_that_was_refused_can_be_sent_again_later() -> None:
    inner, store = Inner(), MemoryStore()
    transport = LimitedTransport(inner, store=store)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    request = httpx.Request("POST", URL, content=_upload(1), headers=headers)
    taken = [store.try_acquire(Permit("smsc.example alex", QUOTA, token=True)) for _ in range(3)]
    with pytest.raises(QuotaExhausted), anyio.fail_after(1):
        await transport.handle_async_request(request)
    for permit in taken:
        assert permit is not None
        store.try_release(permit, Completion.NOT_SENT)
    await transport.handle_async_request(request)
    assert inner.sizes == [2**20 + 36]


async def test_the_transport_inside_is_entered_and_exited() -> None:
    inner = Inner()
    async with client_of(inner, MemoryStore()) as client:
        await client.post(URL, data=FORM)
    assert inner.calls == ["enter", "exit"]
    await LimitedTransport(inner, store=MemoryStore()).aclose()
    assert inner.calls == ["enter", "exit", "close"]


@pytest.mark.parametrize(
    ("make", "tokens"),
    [
        (httpx.AsyncHTTPTransport, 3),
        (lambda: Inner(httpx.ConnectError("no")), 2),
        (lambda: Inner(httpx.ConnectTimeout("no")), 2),
        (lambda: Inner(httpx.ReadError("no")), 2),
        (lambda: Inner(RuntimeError("no")), 2),
        (type("Sub", (httpx.AsyncHTTPTransport,), {}), 2),
    ],
    ids=["httpx", "ConnectError", "ConnectTimeout", "ReadError", "bug", "a subclass"],
)
async def test_only_a_connect_error_of_httpx_itself_refunds(
    make: Callable[[], httpx.AsyncBaseTransport], tokens: int
) -> None:
    store = MemoryStore()
    with refusing_port() as port:
        async with client_of(make(), store) as client:
            with pytest.raises((httpx.TransportError, RuntimeError)):
                await client.post(f"http://127.0.0.1:{port}/sys/get.php", data=FORM)
    assert left(store, "alex", f"127.0.0.1:{port}") == tokens


async def test_a_permit_is_held_until_the_reply_is_read_or_closed() -> None:
    store = MemoryStore()
    quota = Quota(concurrent=1)
    with hostile(says(answer())) as server:
        url = f"{server.base_url}get.php"
        async with client_of(httpx.AsyncHTTPTransport(), store, quota=quota) as client:
            for read in (True, False):
                async with client.stream("POST", url, data={"login": "alex"}) as response:
                    assert store.queue.try_acquire(Permit(f"127.0.0.1:{server.port} alex", quota, token=False)) is None
                    if read:
                        await response.aread()
            # The reply that was not read to its end still has its linger.
            assert store.queue.try_acquire(Permit(f"127.0.0.1:{server.port} alex", quota, token=False)) is None
            assert isinstance(response.stream, httpx.AsyncByteStream)
            await response.stream.aclose()  # a second time, which releases nothing


@pytest.mark.parametrize("tokens", ["head", "body", "stalled body", "bytes without end"])
async def test_an_exchange_ends_at_its_limit(tokens: str) -> None:
    async def silence(reader: Any, writer: Any) -> None:
        await reader.read()

    head = answer(b"{", content_length="100000")
    acts = {"head": silence, "body": dribbles(head, b" "), "stalled body": says(head), "bytes without end": says(head)}
    acts["bytes without end"] = dribbles(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n")
    with hostile(acts[tokens]) as server:
        async with client_of(httpx.AsyncHTTPTransport(), MemoryStore(), exchange_limit=0.3) as client:
            with pytest.raises(httpx.ReadTimeout, match="longer than exchange_limit"), anyio.fail_after(5):
                await client.post(f"{server.base_url}get.php", data=FORM)


class _Slow(httpx.AsyncBaseTransport):
    """Answers after 20 s, and sends a byte a second from then on."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(20.0)
        return httpx.Response(200, stream=_Trickle())


class _Trickle(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(1.0)
            yield b" "


@pytest.mark.parametrize("anyio_backend", [virtual_asyncio(), virtual_trio()], ids=BACKEND_NAMES)
async def test_the_limit_of_an_exchange_counts_from_its_beginning_and_is_its_lease() -> None:
    leases: list[float] = []

    class Watched(MemoryStore):
        def try_acquire(self, permit: Permit) -> None:
            """Return ``None``, as a shared store does."""

        async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
            leases.append(lease)
            return await super().acquire(permit, lease=lease, patience=patience)

    async with client_of(_Slow(), Watched(), exchange_limit=25.0) as client:
        began = anyio.current_time()
        with pytest.raises(httpx.ReadTimeout, match="longer than exchange_limit"):
            await client.post(URL, data=FORM)
        assert anyio.current_time() - began == pytest.approx(25.0)
    # Not the time of the caller: the reply may be read after the scope in which the request was sent.
    with anyio.move_on_after(5.0):
        await client_of(_Slow(), Watched(), exchange_limit=25.0).post(URL, data=FORM)
    assert leases == [25.0, 25.0]


async def test_what_cannot_be_a_transport_is_refused() -> None:
    limited = LimitedTransport(Inner(), store=MemoryStore())
    with pytest.raises(TypeError, match="limited already"):
        LimitedTransport(limited)
    with pytest.raises(TypeError, match="not AsyncClient"):
        LimitedTransport(httpx.AsyncClient())  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="exchange_limit=0"):
        LimitedTransport(Inner(), exchange_limit=0)


async def test_a_reply_without_an_asynchronous_body_is_a_type_error_and_counts() -> None:
    class Synchronous(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=_Plain())

    store = MemoryStore()
    async with client_of(Synchronous(), store) as client:
        with pytest.raises(TypeError, match="cannot be read in an event loop"):
            await client.post(URL, data=FORM)
    assert left(store, "alex") == 2


class _Plain(httpx.SyncByteStream):
    def __iter__(self) -> Any:
        yield b"OK"


async def test_a_synchronous_body_is_left_to_the_transport() -> None:
    inner = Inner()
    request = httpx.Request("POST", URL, stream=_Plain(), headers={"content-type": "application/json"})
    with pytest.raises(TypeError):
        await LimitedTransport(inner, store=MemoryStore()).handle_async_request(request)


async def test_the_stream_of_a_request_is_closed_through_the_prefix() -> None:
    closed: list[bool] = []

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield json.dumps(FORM).encode()

        async def aclose(self) -> None:
            closed.append(True)

    request = httpx.Request("POST", URL, stream=Stream(), headers={"content-type": "application/json"})
    store = MemoryStore()
    await LimitedTransport(Inner(), store=store).handle_async_request(request)
    assert left(store, "alex") == 2
    assert isinstance(request.stream, httpx.AsyncByteStream)
    with suppress(httpx.StreamConsumed):
        await request.stream.aclose()
    assert closed == [True]
