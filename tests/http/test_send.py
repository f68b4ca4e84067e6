"""One exchange, with httpx mocked by respx: what is sent, and what each reply and each failure becomes."""

from __future__ import annotations

import gzip
import math
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

import anyio
import httpx
import pytest
import respx

from smsc_async import (
    Account,
    AuthenticationError,
    Client,
    DecodeError,
    Format,
    MemoryStore,
    QuotaExhausted,
    TransportError,
)
from smsc_async.http import form, send
from smsc_async.http.body import read_body
from smsc_async.http.form import FormStream
from smsc_async.protocol import REPLY_BYTES
from tests.faults.hostile import LIST

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_retries")]

ALEX: Final = Account("alex", "p&ss wörd")
URL: Final = "https://smscentre.com/sys/get.php"
RESERVE: Final = "https://www2.smscentre.com/sys/get.php"


@pytest.fixture
def service() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


def client_of(account: Account = ALEX, **options: Any) -> Client:
    given: dict[str, Any] = {"store": MemoryStore(), "max_age": 0, **options}
    return Client(account, **given)


async def test_a_list(service: respx.MockRouter) -> None:
    route = service.post(URL).respond(200, content=LIST)
    async with client_of() as client:
        assert (await client.tariffs()).zones
    request = route.calls.last.request
    assert dict(parse_qsl(request.content.decode())) == {
        "get_price": "1",
        "login": "alex",
        "psw": "p&ss wörd",
        "fmt": str(Format.JSON.value),
        "charset": "utf-8",
    }
    assert request.headers["connection"] == "close"
    assert request.headers["content-length"] == str(len(request.content))
    assert request.headers["host"] == "smscentre.com"
    assert request.url.query == b""


async def test_an_api_key_takes_the_place_of_login_and_password(service: respx.MockRouter) -> None:
    route = service.post(URL).respond(200, content=LIST)
    async with client_of(Account.with_api_key("k-1", name="alex")) as client:
        assert (await client.tariffs()).zones
    assert route.calls.last.request.content == b"get_price=1&apikey=k-1&fmt=3&charset=utf-8"


async def test_a_refusal(service: respx.MockRouter) -> None:
    route = service.post(URL).respond(200, json={"error": "authorise error", "error_code": 2})
    async with client_of() as client:
        with pytest.raises(AuthenticationError):
            await client.tariffs()
    assert route.call_count == 1


async def test_503_is_retried(service: respx.MockRouter) -> None:
    # The first reply proves the credentials.
    replies = [
        httpx.Response(200, content=LIST),
        httpx.Response(503, headers={"retry-after": "0"}),
        httpx.Response(200, content=LIST),
    ]
    route = service.post(URL).mock(side_effect=replies)
    async with client_of() as client:
        assert (await client.tariffs()).zones
        assert (await client.tariffs()).zones
        assert client.statistics().retries == 1
    assert route.call_count == 3


class _Unread(httpx.AsyncBaseTransport):
    """Raises one instance again and again for a host, before the body is read; respx always reads it."""

    error: Final = httpx.ConnectError("refused")

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host in self._hosts:
            raise self.error
        await request.aread()
        return httpx.Response(200, content=LIST)


async def test_a_connect_error_turns_to_the_reserve_host_and_costs_no_token() -> None:
    store = MemoryStore()
    async with client_of(store=store, transport=_Unread("smscentre.com")) as client:
        for _ in range(3):
            assert (await client.tariffs(deadline=5)).zones
        assert client.statistics().retries == 1


async def test_one_instance_of_an_error_can_be_raised_again_and_again() -> None:
    async with client_of(transport=_Unread("smscentre.com", "www2.smscentre.com"), retries=1) as client:
        for _ in range(2):
            with pytest.raises(TransportError, match=r"\(refused\): nothing was sent"):
                await client.tariffs(deadline=10)


async def test_a_connect_error_of_respx_counts_because_respx_reads_the_body(service: respx.MockRouter) -> None:
    service.post(URL).mock(side_effect=httpx.ConnectError("refused"))
    async with client_of(retries=0) as client:
        with pytest.raises(TransportError, match="without a reply") as caught:
            await client.tariffs(deadline=10)
        assert caught.value.may_have_counted


async def test_a_read_timeout_after_the_body_was_read_counts(service: respx.MockRouter) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await request.aread()
        raise httpx.ReadTimeout("", request=request)

    route = service.post(URL).respond(200, content=LIST)
    async with client_of(retries=0) as client:
        assert (await client.tariffs()).zones
        route.mock(side_effect=hang)
        for _ in range(2):
            with pytest.raises(TransportError, match="without a reply") as caught:
                await client.tariffs(deadline=5)
            assert caught.value.may_have_counted
        with pytest.raises(QuotaExhausted):
            await client.tariffs(deadline=5)


async def test_a_reply_that_was_read_already_is_bounded_too(service: respx.MockRouter) -> None:
    service.post(URL).respond(200, content=b" " * (REPLY_BYTES + 1))
    async with client_of() as client:
        with pytest.raises(DecodeError, match="no tariff list is"):
            await client.tariffs()


@pytest.mark.parametrize("is_respx", [True, False], ids=["respx", "httpx"])
async def test_a_compressed_reply_of_a_mock_is_unpacked_once(service: respx.MockRouter, *, is_respx: bool) -> None:
    packed: dict[str, Any] = {"content": gzip.compress(LIST), "headers": {"Content-Encoding": "gzip"}}
    service.post(URL).respond(200, **packed)
    mock = httpx.MockTransport(lambda _: httpx.Response(200, **packed))
    async with client_of(transport=None if is_respx else mock) as client:
        assert (await client.tariffs()).zones


class _Endless(httpx.AsyncByteStream):
    def __aiter__(self) -> _Endless:
        return self

    async def __anext__(self) -> bytes:
        return bytes(65536)


class _Once(httpx.AsyncByteStream):
    """A body whose iterator is no generator, and so has no ``aclose()``."""

    def __aiter__(self) -> _Pieces:
        return _Pieces()


class _Pieces:
    def __init__(self) -> None:
        self._left = [LIST[100:], LIST[:100]]

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def test_a_body_need_not_be_a_generator() -> None:
    async with client_of(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=_Once()))) as client:
        assert (await client.tariffs()).zones


async def test_a_reply_that_goes_on_after_its_close_is_left(service: respx.MockRouter) -> None:
    async def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Endless())

    async with client_of(transport=httpx.MockTransport(reply)) as client:
        with pytest.raises(DecodeError, match="no tariff list is"):
            await client.tariffs()


async def test_the_exchange_has_a_limit_of_its_own(service: respx.MockRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await request.aread()
        await anyio.sleep(10)
        raise AssertionError

    monkeypatch.setattr(send, "LONGEST_EXCHANGE", 0.2)
    service.post(URL).mock(side_effect=hang)
    async with client_of(retries=0) as client:
        with pytest.raises(TransportError, match="timed out"):
            await client.tariffs()


async def test_a_body_that_trickles_ends_with_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickle(httpx.AsyncByteStream):
        is_closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while not self.is_closed:
                await anyio.sleep(0.01)
                yield b" "

        async def aclose(self) -> None:
            self.is_closed = True

    monkeypatch.setattr(form, "LONGEST_EXCHANGE", 0.6)  # the check between two chunks comes half a second earlier
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Trickle()))
    async with client_of(transport=transport, retries=0) as client:
        with pytest.raises(TransportError, match="timed out") as caught:
            await client.tariffs()
    assert caught.value.may_have_counted


async def test_a_reply_of_many_small_chunks_takes_little_memory() -> None:
    class Crumbs(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for number in range(100_000):
                yield b"%d" % (10 + number % 90)

    response = httpx.Response(200, stream=Crumbs())
    tracemalloc.start()
    try:
        body = await read_body(response, math.inf)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(body, bytes)
    assert len(body) == 200_000
    assert peak < 5 * len(body)


async def test_a_reader_of_the_form_is_an_iterator_of_one_piece() -> None:
    class Exchange:
        async def allow_reading(self) -> None: ...

    stream = FormStream(ALEX, Format.XML, Exchange(), 1.0)  # type: ignore[arg-type]  # all that is used of one
    reader = aiter(stream)
    assert aiter(reader) is reader
    assert [chunk async for chunk in reader] == [stream.encode()]
    assert [chunk async for chunk in stream] == [stream.encode()]
