"""The simulator on a real socket of this machine."""

from __future__ import annotations

import gc
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import anyio
import httpx
import pytest

from smsc_async.simulator import Fault, Rules, Simulator, serve
from smsc_async.simulator.app import Message, Receive, Scope, Send
from tests.support.stopwatch import Stopwatch

FORM = {"get_price": "1", "login": "alex", "psw": "123", "fmt": "3", "charset": "utf-8"}
GENEROUS = Rules(requests=100_000, concurrent=1000)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert "smsc_async simulator" not in [thread.name for thread in threading.enumerate()]


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60.0
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.002)


def test_a_server_listens_at_a_free_port_of_loopback_while_the_block_runs() -> None:
    with serve(Simulator()) as server:
        assert server.base_url == f"http://127.0.0.1:{server.port}/sys/"
        assert httpx.post(server.base_url + "get.php", data=FORM).json()["mail"] == "0.10"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))


def test_two_servers_run_beside_each_other() -> None:
    with serve(Simulator()) as one, serve(Simulator()) as other:
        assert one.port != other.port
        for server in (one, other):
            assert httpx.post(server.base_url + "get.php", data=FORM).status_code == 200


@pytest.mark.anyio
async def test_a_server_runs_beside_asyncio_and_trio() -> None:
    simulator = Simulator()
    async with serve(simulator) as server, httpx.AsyncClient(base_url=server.base_url) as client:
        replies: list[int] = []

        async def ask() -> None:
            replies.append((await client.post("get.php", data=FORM)).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
    assert replies == [200, 200, 200]
    assert [arrival.address for arrival in simulator.log] == ["127.0.0.1"] * 3


@pytest.mark.anyio
async def test_a_server_stops_when_the_block_is_cancelled() -> None:
    with anyio.move_on_after(0.05) as scope:
        async with serve(Simulator()):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


def test_a_server_can_listen_on_ipv6() -> None:
    with serve(Simulator(), host="::1") as server:
        assert server.base_url == f"http://[::1]:{server.port}/sys/"
        assert httpx.post(server.base_url + "get.php", data=FORM).status_code == 200


def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing_behind() -> None:
    with serve(Simulator()) as server, pytest.raises(OSError, match="in use"), serve(Simulator(), port=server.port):
        pass


def test_a_server_that_runs_is_not_started_twice_and_one_that_ended_starts_at_its_port_again() -> None:
    server = serve(Simulator())
    with server:
        port = server.port
        with pytest.raises(RuntimeError, match="already"):
            server.__enter__()
    server.__exit__(None, None, None)
    with server:
        assert server.port == port
        assert httpx.post(server.base_url + "get.php", data=FORM).status_code == 200


def test_a_server_with_hanging_idle_and_working_connections_stops_at_once_and_quietly(
    capfd: pytest.CaptureFixture[str],
) -> None:
    simulator = Simulator(rules=GENEROUS, latency=0.0)
    watch = Stopwatch()
    with serve(simulator) as server, httpx.Client(base_url=server.base_url) as idle:
        idle.post("get.php", data=FORM)
        simulator.fail(Fault.hang(), times=1)
        simulator.fail(Fault.stalled(60.0))
        open_ones = [send_request(server.port) for _ in range(2)]
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /sys/get.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n")
        eventually(lambda: simulator.in_progress("alex") == 2)
        send_request(server.port).close()
        eventually(lambda: simulator.in_progress("alex") == 3)
        watch.start()
    watch.stop()
    assert watch.seconds < 1.0
    for connection in (*open_ones, half):
        connection.close()
    assert capfd.readouterr() == ("", "")


def send_request(port: int, *, path: str = "/sys/get.php") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {path}?get_price=1&login=alex&psw=123 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection


def test_a_server_that_stops_while_callers_come_and_go_leaves_no_socket_open() -> None:
    for _ in range(5):
        with serve(Simulator(latency=0.01)) as server:
            for _ in range(100):
                send_request(server.port).close()
    gc.collect()  # a socket left open is a ResourceWarning, which is an error here


def test_a_server_goes_on_working_for_a_caller_who_hung_up() -> None:
    simulator = Simulator(latency=0.3)
    with serve(simulator) as server:
        send_request(server.port).close()
        eventually(lambda: simulator.log and simulator.log[0].finished_at is not None)
    arrival = simulator.log[0]
    assert arrival.finished_at is not None
    assert arrival.finished_at - arrival.at >= 0.3


def test_a_server_that_minds_hang_ups_lets_go_of_the_request_at_once() -> None:
    simulator = Simulator(latency=60.0, ignores_hang_ups=False)
    with serve(simulator) as server:
        connection = send_request(server.port)
        eventually(lambda: simulator.in_progress("alex") == 1)
        connection.close()
        eventually(lambda: simulator.in_progress("alex") == 0)


def test_a_caller_who_has_read_an_answer_to_its_end_is_not_counted_any_more() -> None:
    simulator = Simulator(rules=GENEROUS)
    with serve(simulator) as server, httpx.Client(base_url=server.base_url) as client:
        for _ in range(200):
            client.post("get.php", data=FORM)
            assert simulator.in_progress("alex") == 0
    assert simulator.peak("alex") == 1


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """A client and a server in one process have two for each connection; the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
def test_five_hundred_connections_are_held_at_once_and_one_more_is_served() -> None:
    simulator = Simulator(rules=GENEROUS)
    simulator.fail(Fault.hang(), times=500)
    with serve(simulator) as server:
        connections = [send_request(server.port) for _ in range(500)]
        eventually(lambda: simulator.in_progress("alex") == 500)
        assert httpx.post(server.base_url + "get.php", data=FORM).status_code == 200
        for connection in connections:
            connection.close()
        eventually(lambda: simulator.in_progress("alex") == 0)


GET = "GET /sys/get.php?get_price=1&login=alex&psw=123&fmt=1 HTTP/1.1\r\nHost: {host}\r\n\r\n"


def raw(port: int, request: bytes, *, until: bytes = b"") -> bytes:
    """Return what the server sends until it closes the connection or has sent ``until`` as its last bytes."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        received = b""
        while not until or not received.endswith(until):
            data = connection.recv(65536)
            if not data:
                break
            received += data
    return received


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost", "LOCALHOST:9", "10.1.2.3", "[::1]:8", "smsc.ru", "sim", ""]
)
def test_it_answers_for_its_own_hosts(host: str) -> None:
    with serve(Simulator(), hosts=["Sim"]) as server:
        assert raw(server.port, GET.format(host=host).encode(), until=b"\n0.10\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "smsc.ru.evil", "[", "a@b"]
)
def test_it_does_not_answer_for_another_host(host: str) -> None:
    simulator = Simulator()
    with serve(simulator) as server:
        for request in (GET.format(host=host), GET.format(host="localhost").replace("/sys", f"http://{host}/sys")):
            assert raw(server.port, request.encode()).startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 "))
    assert simulator.log == []


def test_its_address_is_one_that_a_client_can_use_where_it_listens_on_all() -> None:
    assert serve(Simulator(), host="0.0.0.0", port=8).base_url == "http://127.0.0.1:8/sys/"
    assert serve(Simulator(), host="::", port=8).base_url == "http://[::1]:8/sys/"


def test_pipelined_requests_are_answered_in_order() -> None:
    with serve(Simulator()) as server:
        request = GET.format(host="localhost").encode()
        received = raw(server.port, request * 3 + request.replace(b"Host", b"Connection: close\r\nHost"))
    assert received.count(b"HTTP/1.1 200 ") == 4
    assert received.endswith(b"\r\n\r\n0,-9")


def test_a_request_behind_a_hanging_one_is_no_disconnect() -> None:
    simulator = Simulator(rules=GENEROUS, latency=60.0, ignores_hang_ups=False)
    with serve(simulator) as server:
        connection = send_request(server.port)
        eventually(lambda: simulator.in_progress("alex") == 1)
        connection.sendall(GET.format(host="localhost").encode())
        time.sleep(0.05)
        assert simulator.in_progress("alex") == 1
        connection.close()
        eventually(lambda: simulator.in_progress("alex") == 0)


def test_a_head_request_gets_the_head_alone_and_the_connection_goes_on() -> None:
    with serve(Simulator()) as server:
        request = GET.format(host="localhost").encode()
        received = raw(server.port, request.replace(b"GET", b"HEAD") + request, until=b"\n0.10\n")
    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"content-length: " in head
    assert rest.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_", [b"\x16\x03\x01\x02\x00", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
)
def test_what_is_no_http_request_is_status_400(request_: bytes) -> None:
    with serve(Simulator()) as server:
        assert raw(server.port, request_ + b"\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_that_breaks_off_in_a_bad_chunk_is_status_400() -> None:
    simulator = Simulator()
    with serve(simulator) as server:
        head = b"POST /sys/get.php HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert raw(server.port, head + b"zz\r\n").startswith(b"HTTP/1.1 400 ")
    assert simulator.log == []


def test_a_body_that_nobody_reads_does_not_spoil_the_next_request() -> None:
    with serve(Simulator()) as server:
        put = b"PUT /sys/get.php HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
        received = raw(server.port, put + GET.format(host="localhost").encode(), until=b"\n0.10\n")
    assert received.startswith(b"HTTP/1.1 405 ")
    assert b"HTTP/1.1 200 " in received


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    if scope["path"] == "/silent":
        return
    raise ZeroDivisionError


def test_a_bug_of_the_app_ends_its_connection_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    with serve(broken) as server:
        for path, received in (("/", b"HTTP/1.1 500 "), ("/late", b"HTTP/1.1 200 "), ("/silent", b"")):
            reply = raw(server.port, GET.format(host="localhost").replace("/sys/get.php", path).encode())
            assert reply.startswith(received)
            assert (reply == b"") == (path == "/silent")
    assert [record.message for record in caplog.records] == ["the app raised an exception"] * 2


def test_any_asgi_app_can_be_served() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "more_body": True})
        await send({"type": "http.response.body", "body": body[3:]})

    with serve(app) as server:
        reply = httpx.put(f"http://127.0.0.1:{server.port}/a%20b?c=%20d", content=b"some bytes")
    assert (reply.status_code, reply.content) == (201, b"some bytes")
    scope = seen[0]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=%20d")
    assert (scope["method"], scope["scheme"], scope["client"][0], scope["server"][1]) == (
        "PUT",
        "http",
        "127.0.0.1",
        server.port,
    )


def test_a_connection_that_is_gone_before_it_is_accepted_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: socket.socket) -> NoReturn:
        monkeypatch.undo()
        raise ConnectionAbortedError

    with serve(Simulator()) as server:
        monkeypatch.setattr(socket.socket, "accept", gone)
        assert httpx.post(server.base_url + "get.php", data=FORM).status_code == 200


@pytest.mark.anyio
async def test_it_takes_the_events_of_other_asgi_servers() -> None:
    incoming: list[dict[str, str]] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await Simulator()({"type": "lifespan"}, receive, send)
    await Simulator()({"type": "websocket", "path": "/sys/get.php"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    head = b"POST /sys/get.php HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    body = b"get_price=1&login=alex&psw=123&fmt=1"
    with serve(Simulator()) as server, socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_hangs_up_in_the_middle_of_its_body_is_a_disconnect() -> None:
    messages: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not messages or messages[-1] != "http.disconnect":
            messages.append((await receive())["type"])

    with serve(app) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        eventually(lambda: messages and messages[-1] == "http.disconnect")
    assert messages == ["http.request", "http.disconnect"]
