"""What a server and a network can do wrong: each ends in its error, by its deadline, and leaves the client usable."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from decimal import Decimal
from typing import Final

import anyio
import attrs
import httpx
import pytest

from smsc_async import (
    Account,
    ApiError,
    Client,
    DeadlineExceeded,
    DecodeError,
    Format,
    IncompleteReply,
    LimitedTransport,
    MemoryStore,
    Quota,
    SmscError,
    TransportError,
)
from tests.faults.hostile import (
    LIST,
    SAMPLES,
    Act,
    answer,
    dribbles,
    floods,
    hostile,
    nothing,
    refusing_port,
    says,
    says_and_resets,
)
from tests.support.stopwatch import stopwatch

pytestmark = pytest.mark.usefixtures("quick_retries")

ALEX: Final = Account("alex", "s3cret-of-alex")
BRIEF: Final = Quota(per=0.2, guard=0.05, linger=0.1)
MARGIN: Final = 0.2  # what is promised; a machine that is busy with other things adds nothing: see `stopwatch`
PAGE: Final = b"<!DOCTYPE html><html><body>Maintenance</body></html>"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
NO_LENGTH: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


def bomb(size: int) -> bytes:
    """The beginning of a gzip stream of so many zero bytes: a mebibyte's worth, over and over."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (size // 2**20)


@attrs.frozen
class Row:
    """One thing that goes wrong after a request, and what the call ends in."""

    name: str
    act: Act
    ends_in: type[SmscError]
    says: str = ""
    deadline: float = 10.0
    counted: bool = True
    format: Format = Format.JSON


PACKED: Final = gzip.compress(LIST)
ROWS: Final = [
    Row(
        "a byte now and then in the head",
        dribbles(b"HTTP/1.1 200 OK\r\nx-long: ", b"a"),
        DeadlineExceeded,
        deadline=0.5,
    ),
    Row(
        "a byte now and then in the body",
        dribbles(answer(b"{", content_length="100000"), b" "),
        DeadlineExceeded,
        deadline=0.5,
    ),
    Row("a byte now and then in chunks", dribbles(CHUNKED, b"1\r\n \r\n"), DeadlineExceeded, deadline=0.5),
    Row("no answer", nothing, DeadlineExceeded, "sent, and has no reply yet", deadline=0.5),
    Row("cut short of its length", says(answer()[:-20], then_close=True), TransportError, "cut its reply short"),
    Row("cut in a chunk", says(CHUNKED + b"ffff\r\n{", then_close=True), TransportError, "cut its reply short"),
    Row("cut between chunks", says(CHUNKED + b"1\r\n{\r\n", then_close=True), TransportError, "cut its reply short"),
    Row("JSON cut with no length", says(NO_LENGTH + LIST[:-20], then_close=True), IncompleteReply),
    Row(
        "plain text cut with no length",
        says(NO_LENGTH + (SAMPLES / "tariffs.txt").read_bytes()[:-20], then_close=True),
        IncompleteReply,
        format=Format.PLAIN,
    ),
    Row("gzip cut short", says(answer(PACKED[:-30], content_encoding="gzip")), IncompleteReply, "before its end"),
    Row("bad gzip", says(answer(LIST, content_encoding="gzip")), DecodeError, "cannot be decompressed"),
    Row("gzip twice, told", says(answer(gzip.compress(PACKED), content_encoding="gzip, gzip")), DecodeError, "gzip"),
    Row("gzip twice, not told", says(answer(gzip.compress(PACKED), content_encoding="gzip")), DecodeError),
    Row(
        "gzip with a tail",
        says(answer(PACKED + b"more", content_encoding="gzip")),
        DecodeError,
        "with other bytes behind it",
    ),
    Row("brotli", says(answer(LIST, content_encoding="br")), DecodeError, "did not allow"),
    Row("reset in the head", says_and_resets(b"HTTP/1.1 200 OK\r\nconte"), TransportError, "without a reply"),
    Row("reset in the body", says_and_resets(answer()[:-100]), TransportError, "cut its reply short"),
    Row("reset at once", says_and_resets(b""), TransportError, "without a reply"),
    Row("closed without a word", says(b"", then_close=True), TransportError, "without a reply"),
    Row("a banner", says(b"SSH-2.0-OpenSSH_9.2p1\r\n", then_close=True), TransportError, "without a reply"),
    Row("an HTML page", says(answer(PAGE, content_type="text/html")), DecodeError, "not an answer of this service"),
    Row("an empty body", says(answer(b"")), IncompleteReply, "empty"),
    Row("a JSON array", says(answer(b"[1, 2]")), DecodeError, "JSON"),
    Row("a refusal in plain text", says(answer(b"ERROR = 1 (parameters error)")), ApiError, "error 1"),
    Row("a refusal in commas", says(answer(b"0,-1")), ApiError, "error 1"),
    Row("a refusal in XML", says(answer(b"<result><error>no</error><error_code>1</error_code></result>")), ApiError),
    Row("404", says(answer(PAGE, status="404 Not Found")), TransportError, "404"),
    Row("503", says(answer(PAGE, status="503 Service Unavailable", retry_after="7")), TransportError, "503"),
    Row("prices that are none", says(answer(LIST.replace(b'"2.50"', b'"NaN"', 1))), DecodeError, "zones[0]"),
    Row("nesting without end", says(answer(b'{"a":' + b"[" * 100_000)), DecodeError),
]
HEAVY: Final = [
    Row(
        "a gzip bomb of a gigabyte",
        says(answer(bomb(2**30), content_encoding="gzip")),
        DecodeError,
        "when decompressed",
    ),
    Row(
        "a hundred megabytes of text",
        floods(answer(b"", content_length=str(100 * 2**20)), b"zone = 1\n" * 8192, 1422),
        DecodeError,
        "no tariff list is",
    ),
    Row(
        "a head of two megabytes", floods(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 65_000 + b"\r\n", 32), TransportError
    ),
]


def client_of(base_url: str, *, retries: int = 0, quota: Quota = BRIEF, reply_format: Format = Format.JSON) -> Client:
    return Client(
        ALEX,
        base_url=base_url,
        retries=retries,
        quota=quota,
        store=MemoryStore(),
        max_age=0,
        reply_format=reply_format,
    )


async def failure_of(client: Client, deadline: float) -> SmscError:
    """The error that a call ends in; it has to end by its deadline."""
    with stopwatch() as watch, pytest.raises(SmscError) as caught:
        await client.tariffs(deadline=deadline)
    assert watch.seconds < deadline + MARGIN
    return caught.value


@pytest.mark.anyio
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_what_goes_wrong_ends_in_its_error_and_the_next_call_is_fine(row: Row) -> None:
    with hostile(row.act) as server:
        async with client_of(server.base_url, reply_format=row.format) as client:
            error = await failure_of(client, row.deadline)
            assert type(error) is row.ends_in or (row.ends_in is ApiError and isinstance(error, ApiError))
            assert row.says in str(error)
            assert str(error)
            assert error.may_have_counted is row.counted
            assert len(server.requests) == 1
            server.act = says(answer())
            server.abort_connections()  # an exchange outlives the deadline of its caller
            assert (await client.tariffs(deadline=10)).zone("1").api == Decimal("2.50")


@pytest.mark.anyio
@pytest.mark.parametrize("row", HEAVY, ids=lambda row: row.name)
async def test_however_much_comes_little_of_it_is_kept(row: Row) -> None:
    with hostile(row.act) as server:
        async with client_of(server.base_url) as client:
            tracemalloc.start()
            try:
                error = await failure_of(client, row.deadline)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert type(error) is row.ends_in
            assert row.says in str(error)
            assert peak < 32 * 2**20
            server.act = says(answer())
            assert (await client.tariffs(deadline=10)).zones


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (LIST, "text/html; charset=windows-1251"),
        (b"\xef\xbb\xbf" + LIST, "application/json"),
        ((SAMPLES / "tariffs-windows-1251.json").read_bytes(), "application/json; charset=utf-8"),
        (LIST.replace(b"Russia", "Россия".encode("koi8-r")), "application/json; charset=koi8-r"),
        ((SAMPLES / "tariffs.xml").read_bytes(), "application/json"),
        (gzip.compress(LIST), "application/json"),
    ],
    ids=["wrong type and charset", "BOM", "windows-1251", "koi8-r", "another format", "gzip"],
)
async def test_what_is_only_odd_is_decoded(body: bytes, content_type: str) -> None:
    encoding = "gzip" if body.startswith(b"\x1f\x8b") else "identity"
    with hostile(says(answer(body, content_type=content_type, content_encoding=encoding))) as server:
        async with client_of(server.base_url) as client:
            assert (await client.tariffs()).zone("1").api == Decimal("2.50")


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_an_error_and_nothing_goes_to_the_other_host(status: str) -> None:
    with hostile(says(answer())) as other:
        for location in (f"{other.base_url}get.php", "/elsewhere/get.php"):
            with hostile(says(answer(b"", status=status, location=location))) as server:
                async with client_of(server.base_url, retries=2) as client:
                    error = await failure_of(client, 5.0)
                    assert type(error) is TransportError
                    assert status[:3] in str(error)
                    assert "set base_url" in str(error)
                    assert len(server.requests) == 1
        assert other.connections == 0


@pytest.mark.anyio
async def test_a_connection_that_is_refused_is_told_as_not_sent_and_costs_no_permit() -> None:
    with refusing_port() as port:
        async with client_of(f"http://127.0.0.1:{port}/sys/", quota=Quota()) as client:
            for _ in range(4):
                error = await failure_of(client, 5.0)
                assert type(error) is TransportError
                assert "no connection to 127.0.0.1" in str(error)
                assert not error.may_have_counted


@pytest.mark.anyio
@pytest.mark.parametrize("greets", [says_and_resets(b""), says(b"", then_close=True)], ids=["reset", "closed"])
async def test_a_connection_that_ends_as_it_is_made_is_told_as_perhaps_sent(greets: Act) -> None:
    with hostile(says(answer()), greets=greets) as server:
        async with client_of(server.base_url) as client:
            error = await failure_of(client, 5.0)
            assert type(error) is TransportError
            server.greets = None
            assert (await client.tariffs(deadline=10)).zones


@pytest.mark.anyio
async def test_a_server_that_closes_between_two_requests_costs_nothing() -> None:
    with hostile(says(answer(connection="close"), then_close=True)) as server:
        async with client_of(server.base_url) as client:
            for _ in range(3):
                assert (await client.tariffs()).zones
                await anyio.sleep(0.05)
        assert server.connections == 3


@pytest.mark.anyio
async def test_a_trace_of_ones_own_is_called_too() -> None:
    seen: list[str] = []

    async def note(event: str, _: object) -> None:
        seen.append(event)

    with hostile(says(answer())) as server:
        limited = LimitedTransport(httpx.AsyncHTTPTransport(), store=MemoryStore())
        async with httpx.AsyncClient(transport=limited) as own:
            form = {"get_price": "1", "login": "alex", "psw": "1"}
            await own.post(server.base_url + "get.php", data=form, extensions={"trace": note})
    assert "http11.send_request_headers.started" in seen
