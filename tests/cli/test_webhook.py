"""A document handed to somebody else's service, which may do anything with it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest

from smsc_async import TransportError
from smsc_async.cli import webhook
from smsc_async.cli.webhook import checked_webhook, post_document
from tests.support.secret_search import all_logs

pytestmark = pytest.mark.anyio

SECRET = "T0K3N-4711"


class Receiver(BaseHTTPRequestHandler):
    """Answers with what the path says, and remembers what came."""

    got: list[tuple[str, bytes, dict[str, str]]]

    def do_POST(self) -> None:  # the library's name
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        status = int(self.path.split("/")[1])
        self.send_response(status)
        self.send_header("location", "/200/elsewhere")
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


async def test_it_arrives_as_json_without_credentials(receiver: Received) -> None:
    url, got = receiver
    await post_document(f"{url}/204/{SECRET}?x=1", json.dumps({"a": 1}).encode())
    ((path, body, headers),) = got
    assert (path, body) == (f"/204/{SECRET}?x=1", b'{"a": 1}')
    assert headers["content-type"] == "application/json"
    assert headers["host"] == url.removeprefix("http://")
    assert {"authorization", "cookie"} & set(headers) == set()


@pytest.mark.parametrize(("status", "retryable"), [(302, False), (307, False), (404, False), (429, True), (500, True)])
async def test_what_is_not_taken_is_an_error_and_no_redirect_is_followed(
    receiver: Received, status: int, *, retryable: bool
) -> None:
    url, got = receiver
    with all_logs() as logged, pytest.raises(TransportError) as caught:
        await post_document(f"{url}/{status}/{SECRET}", b"{}")
    assert (caught.value.status, caught.value.retryable) == (status, retryable)
    assert str(caught.value) == f"{url.removeprefix('http://')} answered {status}"
    assert len(got) == 1
    assert SECRET not in "".join(line for line in logged if line.startswith("HTTP Request"))


async def test_nobody_there_is_an_error_that_does_not_show_the_url() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{free.getsockname()[1]}"
    for scheme in ("http", "https"):
        with pytest.raises(TransportError) as caught:
            await post_document(f"{scheme}://{url}/{SECRET}", b"{}")
        assert str(caught.value) == f"{url}: no answer (ConnectError)"
        assert caught.value.retryable


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "POST_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with anyio.fail_after(10), pytest.raises(TransportError, match="no answer within 0 s"):
            await post_document(f"http://localhost:{silent.getsockname()[1]}/", b"{}")


@pytest.mark.parametrize("url", ["https://hooks.example/T0K3N", "http://127.0.0.1:8000/x", "http://localhost/"])
def test_https_will_do_and_plain_http_on_this_machine(url: str) -> None:
    assert checked_webhook(url) == url


@pytest.mark.parametrize("url", ["http://hooks.example/T0K3N", "ftp://x/", "hooks.example/T0K3N", "https://", ""])
def test_anything_else_will_not(url: str) -> None:
    with pytest.raises(ValueError, match="webhook") as caught:
        checked_webhook(url)
    assert "T0K3N" not in str(caught.value)
