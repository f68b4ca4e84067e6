"""The password is in the body that is sent, and nowhere else: the search can find it, and does not."""

from __future__ import annotations

import asyncio
import gc
import html
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote_plus

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from smsc_async import Account, ApiError, CallEnded, Client, MemoryStore, Quota, RequestEnded, Secret, SmscError
from smsc_async.http.redaction import Redactor
from tests.faults.hostile import LIST, Act, answer, hostile, nothing, says, says_and_resets
from tests.support.secret_search import SECRET, all_logs, found_in, shown_by, spellings

pytestmark = pytest.mark.usefixtures("quick_retries")

ALEX: Final = Account("alex", SECRET)
QUOTA: Final = Quota(per=0.05, guard=0.0, linger=0.05)
PERCENT: Final = quote(SECRET)


def _echo(status: str = "200 OK", body: bytes = b"", **headers: str) -> Act:
    return says(answer(body, status=status, length=True, **headers))


# What a server says that gives back what it was sent, and what it does in mid-air.
ACTS: Final[dict[str, Act]] = {
    "list": says(answer()),
    "page": _echo(body=f"<html><p>{html.escape(SECRET)}".encode()),
    "raw": _echo(body=f"you sent {SECRET}".encode()),
    "windows-1251": _echo(body=f"you sent {SECRET}".encode("windows-1251", "replace")),
    "JSON": _echo(body=json.dumps({"error": f"bad password {SECRET}", "error_code": 1}).encode()),
    "JSON list": _echo(body=LIST.replace(b'"2.50"', json.dumps(SECRET).encode(), 1)),
    "JSON that it breaks": _echo(body=f'{{"error": "bad {SECRET}", "error_code": 1}}'.encode()),
    "UTF-16": _echo(body=f"\ufeffyou sent {'x' * 30}{SECRET}".encode("utf-16-le")),
    "UTF-16, the other way": _echo(body=f"\ufeffyou sent {'x' * 30}{SECRET}".encode("utf-16-be")),
    "cp866": _echo(body=f"sent {SECRET}".encode("cp866", "replace"), content_type="text/html; charset=cp866"),
    "cut by its length": _echo(body=(b"x" * 30 + SECRET.encode() + b"x" * 40)),
    "plain": _echo(body=f"ERROR = 1 ({'x' * 185}{SECRET})".encode()),
    "percent": _echo(body=f"zone = {PERCENT}, name".encode()),
    "500": _echo("500 Error", SECRET.encode()),
    "encoding": _echo(content_encoding=PERCENT),
    "charset": _echo(content_type=f"text/html; charset={PERCENT}", body=b"?"),
    "redirect": _echo("307 Temporary", location="/elsewhere"),
    "banner": says(f"SSH-2.0-{PERCENT}\r\n\r\n".encode(), then_close=True),
    "status line": says(f"HTTP/1.1 {PERCENT}\r\n\r\n".encode(), then_close=True),
    "bad header": says(f"HTTP/1.1 200 OK\r\n{PERCENT}\r\n\r\n".encode(), then_close=True),
    "status line, decoded": says(f"HTTP/1.1 {SECRET}\r\n\r\n".encode(), then_close=True),
    "bad header, decoded": says(
        f"HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n".encode("windows-1251", "replace"), then_close=True
    ),
    "chunk, decoded": says(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n".encode(), then_close=True
    ),
    "encoding, garbled": says(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: %s\r\n\r\n" % SECRET.encode("cp1251", "replace")
    ),
    "reset": says_and_resets(b"HTTP/1.1 200 OK\r\n"),
    "cut": says(answer()[:-20], then_close=True),
    "deadline": nothing,
    "refused": says(answer(b"ERROR = 2 (authorise error)")),
}


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


class _Net:
    """Everything that a call shows, and the search through it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def add(self, where: str, *texts: str) -> None:
        self.shown += [(where, text) for text in texts]

    def leaks(self) -> list[tuple[str, str]]:
        return [(where, text[:3000]) for where, text in self.shown if found_in(text, SECRET)]


async def _call(client: Client, net: _Net, **options: Any) -> None:
    try:
        tariffs = await client.tariffs(**options)
        net.add("list", repr(tariffs), repr(pickle.dumps(tariffs)))
    except SmscError as error:
        net.add("error", *shown_by(error))
    net.add("statistics", repr(client.statistics()), repr(pickle.dumps(client.lockouts())))
    net.add("client", repr(client), repr(vars(client)))


@pytest.mark.anyio
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("transport", [None, httpx.AsyncHTTPTransport], ids=["own", "httpx"])
async def test_the_password_shows_nowhere_but_in_the_body(
    act: str, transport: Callable[[], httpx.AsyncBaseTransport] | None, spans: InMemorySpanExporter
) -> None:
    net = _Net()
    events: list[CallEnded | RequestEnded] = []
    with hostile(ACTS[act]) as server, all_logs() as lines:
        async with Client(
            ALEX,
            base_url=server.base_url,
            quota=QUOTA,
            retries=1,
            store=MemoryStore(),
            on_event=events.append,
            tracing=True,
            transport=transport and transport(),
        ) as client:
            await _call(client, net, deadline=0.3 if act == "deadline" else 5.0)
            await _call(client, net, deadline=0.1, stale_ok=True)
        net.add("log", *lines)
        for event in events:
            net.add("event", repr(event), repr(pickle.dumps(event)))
            if event.error is not None:
                net.add("event's error", *shown_by(event.error))
        net.add("request targets", *(each.partition(b"\r\n\r\n")[0].decode("latin-1") for each in server.requests))
    assert events
    net.add("spans", *(each.to_json() for each in spans.get_finished_spans()))
    spans.clear()
    assert net.leaks() == []
    assert server.requests or act == "deadline"
    assert all(unquote_plus(each.partition(b"\r\n\r\n")[2].decode()).count(SECRET) == 1 for each in server.requests)


class _Broken(httpx.AsyncBaseTransport):
    """A transport of a user that fails with the request in its hands."""

    def __init__(self, error: Callable[[str], Exception]) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = (await request.aread()).decode()
        fields = dict(each.split("=") for each in body.split("&"))
        raise self._error(unquote_plus(fields["psw"]))


BROKEN: Final[dict[str, Callable[[str], Exception]]] = {
    "read": lambda said: httpx.ReadError(f"while sending {said}"),
    "cut": lambda said: httpx.ConnectError("x" * 180 + said),
    "system": lambda said: OSError(f"cannot send {said}"),
    "a bug of the user's, whose words are the user's": lambda _: RuntimeError("a bug"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", BROKEN)
async def test_nor_does_it_show_when_a_transport_of_ones_own_fails(kind: str) -> None:
    net = _Net()
    with all_logs() as lines:
        async with Client(
            ALEX, base_url="http://127.0.0.1/", transport=_Broken(BROKEN[kind]), store=MemoryStore()
        ) as client:
            try:
                await _call(client, net, deadline=5)
            except RuntimeError as bug:
                net.add("bug", *shown_by(bug))
    net.add("log", *lines)
    assert net.leaks() == []


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"ERROR = 43 (no data)", b"ERROR = 4 (3)"])
async def test_a_refusal_keeps_its_number_though_the_password_is_a_part_of_it(body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    async with Client(Account("alex", "3"), transport=transport, store=MemoryStore()) as client:
        with pytest.raises(ApiError) as caught:
            await client.tariffs(deadline=5)
    assert caught.value.code == int(body.split()[2])
    assert "3" not in caught.value.description


@pytest.mark.anyio
async def test_nor_in_the_traceback_of_a_cancelled_caller_or_of_a_fault_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = _Net()

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MemoryStore, "release_lease", fail)

    with hostile(nothing) as server:
        async with Client(ALEX, base_url=server.base_url, store=MemoryStore()) as client:
            with anyio.move_on_after(0.2):
                try:
                    await client.tariffs()
                except BaseException as error:
                    net.add("cancelled", *shown_by(error))
                    raise
        server.act = says(answer())
        async with Client(ALEX, base_url=server.base_url, store=MemoryStore()) as client:
            try:
                await client.tariffs(deadline=5)
            except ZeroDivisionError as error:
                net.add("fault", *shown_by(error))
    assert {where for where, _ in net.shown} == {"cancelled", "fault"}
    assert net.leaks() == []


@pytest.fixture
def debugging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    yield
    gc.collect()


@pytest.mark.usefixtures("debugging")
def test_nor_in_the_debug_mode_of_asyncio() -> None:
    net = _Net()

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        with hostile(says(answer())) as server:
            async with Client(ALEX, base_url=server.base_url, store=MemoryStore()) as client:
                await _call(client, net)
                net.add("tasks", *(repr(task) for task in asyncio.all_tasks()))

    with all_logs() as lines:
        asyncio.run(main(), debug=True)
    net.add("log", *lines)
    assert any("asyncio" in text for where, text in net.shown if where == "log")
    assert net.leaks() == []


def test_nor_in_the_arguments_of_the_process() -> None:
    arguments = Path("/proc/self/cmdline")
    assert not found_in(arguments.read_bytes() if arguments.exists() else " ".join(sys.argv), SECRET)


def test_the_search_finds_what_is_planted() -> None:
    def leaky(password: str) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        leaky(SECRET)
    assert any(found_in(text, SECRET) for text in shown_by(caught.value))
    for text in (
        f"log: {SECRET}",
        f"https://smsc.ru/?psw={PERCENT}",
        json.dumps({"psw": SECRET}),
        html.escape(SECRET),
        SECRET[: len(SECRET) // 2] + "…",
        repr(pickle.dumps(SECRET)) + SECRET,
        ascii(SECRET),
    ):
        assert found_in(text, SECRET), text
    with all_logs() as lines:
        import logging

        logging.getLogger("httpcore.anything").debug("sent %s", SECRET)
    assert any(found_in(line, SECRET) for line in lines)
    assert len(spellings(SECRET)) > 10
    assert not found_in("nothing of the kind", SECRET)


def test_struck_out_is_every_spelling_and_nothing_else() -> None:
    scrubber = Redactor(Secret(SECRET))
    for spelling in (
        SECRET,
        PERCENT,
        PERCENT.lower(),
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
        ascii(SECRET)[1:-1],
    ):
        assert scrubber.text(f"before {spelling} after") == "before … after"
        assert scrubber.body(f"before {spelling} after".encode()) == b"before ... after"
    assert scrubber.text("nothing of the kind") == "nothing of the kind"
    assert scrubber.body("тайна".encode("windows-1251")) == "тайна".encode("windows-1251")
    assert Redactor(Secret("тайна")).body("это тайна".encode("koi8-r")) == "это ...".encode("koi8-r")
