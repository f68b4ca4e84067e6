"""The simulator on a real socket of this machine."""

from __future__ import annotations

import gc
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import httpx
import pytest

from smsc_async.simulator import Fault, Rules, Simulator, serve
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
        half.sendall(b"POST /sys/get.php HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
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
    connection.sendall(f"GET {path}?get_price=1&login=alex&psw=123 HTTP/1.1\r\nHost: simulator\r\n\r\n".encode())
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
