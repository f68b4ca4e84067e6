"""A document handed to somebody else's service, which may do anything with it."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import types
from base64 import b64encode
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest

from smsc_async.cli import webhook
from smsc_async.cli.webhook import Undelivered, checked_webhook, post_document
from tests.faults.hostile import refusing_port
from tests.support.secret_search import all_logs

pytestmark = pytest.mark.anyio

SECRET = "T0K3N-4711"


class Receiver(BaseHTTPRequestHandler):
    """Answers with what the path says, and remembers what came."""

    got: list[tuple[str, bytes, dict[str, str]]]

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        status, _, wanted = self.path.split("/")[1].partition("-")
        self.send_response(int(status))
        self.send_header("location", "/200/elsewhere")
        if wanted:
            self.send_header("retry-after", wanted)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, bytes, dict[str, str]]]]]:
    got: list[tuple[str, bytes, dict[str, str]]] = []
    handler = type("Remembering", (Receiver,), {"got": got})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


Received = tuple[str, list[tuple[str, bytes, dict[str, str]]]]


async def test_it_arrives_as_json_with_its_event_and_without_credentials(receiver: Received) -> None:
    url, got = receiver
    assert await post_document(f"{url}/204/{SECRET}?x=1", json.dumps({"a": 1}).encode(), "e-4711") is None
    ((path, body, headers),) = got
    assert (path, body) == (f"/204/{SECRET}?x=1", b'{"a": 1}')
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "e-4711"
    assert headers["host"] == url.removeprefix("http://")
    assert {"authorization", "cookie"} & set(headers) == set()


@pytest.mark.parametrize(
    ("userinfo", "pair"), [("user:pass", b"user:pass"), ("us%40er:p%3Ass%20", b"us@er:p:ss "), ("user", b"user:")]
)
async def test_a_user_and_a_password_in_the_url_are_sent_as_authorization(
    receiver: Received, userinfo: str, pair: bytes
) -> None:
    url, got = receiver
    assert await post_document(f"{url}/204/".replace("//", f"//{userinfo}@"), b"{}", "") is None
    assert got[0][2]["authorization"] == f"Basic {b64encode(pair).decode()}"


@pytest.mark.parametrize(
    ("status", "is_final", "wanted"),
    [
        ("302", True, None),
        ("307", True, None),
        ("400", True, None),
        ("404", True, None),
        ("410-60", True, 60),
        ("408", False, None),
        ("425", False, None),
        ("429-7", False, 7),
        ("429-soon", False, None),
        ("500", False, None),
        ("503-120", False, 120),
    ],
)
async def test_a_refusal_says_whether_and_when_to_try_again_and_no_redirect_is_followed(
    receiver: Received, status: str, *, is_final: bool, wanted: float | None
) -> None:
    url, got = receiver
    with all_logs() as logged:
        problem = await post_document(f"{url}/{status}/{SECRET}", b"{}", "")
    assert problem == Undelivered(f"{url.removeprefix('http://')} answered {status[:3]}", is_final, wanted)
    assert len(got) == 1
    assert SECRET not in "".join(line for line in logged if line.startswith("HTTP Request"))


async def test_nobody_there_is_a_problem_that_does_not_show_the_url() -> None:
    with refusing_port() as port:
        url = f"127.0.0.1:{port}"
        for scheme in ("http", "https"):
            assert await post_document(f"{scheme}://{url}/{SECRET}", b"{}", "") == Undelivered(
                f"{url}: no answer (ConnectError)"
            )


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "POST_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with anyio.fail_after(10):
            problem = await post_document(f"http://localhost:{port}/", b"{}", "")
    assert problem == Undelivered(f"localhost:{port}: no answer within 0 s")


async def test_no_instrumentation_sees_the_url(receiver: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    suppressed: list[str] = []

    @contextlib.contextmanager
    def suppress() -> Generator[None]:
        suppressed.append("begins")
        yield
        suppressed.append("ends")

    module = types.SimpleNamespace(suppress_http_instrumentation=suppress)
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.utils", module)
    assert await post_document(f"{receiver[0]}/204/{SECRET}", b"{}", "") is None
    assert suppressed == ["begins", "ends"]


@pytest.mark.parametrize("url", ["https://hooks.example/T0K3N", "http://127.0.0.1:8000/x", "http://localhost/"])
def test_https_will_do_and_plain_http_on_this_machine(url: str) -> None:
    assert checked_webhook(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/T0K3N",
        "ftp://x/T0K3N",
        "hooks.example/T0K3N",
        "https://",
        "",
        "https://hooks.example:44E3/T0K3N",
        "https://hooks.example:0/T0K3N",
        "https://[::1/T0K3N",
        "https://\u2488com/T0K3N",
        "https:///T0K3N",
    ],
)
def test_anything_else_will_not(url: str) -> None:
    with pytest.raises(ValueError, match="webhook") as caught:
        checked_webhook(url)
    assert "T0K3N" not in str(caught.value)
