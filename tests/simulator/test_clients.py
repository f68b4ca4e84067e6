"""Requests as other programs send them, byte for byte, over a real socket: each gets the list."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import h11
import pytest

from smsc_async import Tariffs, decode
from smsc_async.simulator import SimulatedAccount, Simulator, sample_tariffs, serve

ACCOUNTS = [
    SimulatedAccount("alex", "123", accepts_md5=True, api_key="k-4711"),
    SimulatedAccount("бот", "пароль"),
]


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(ACCOUNTS)


@pytest.fixture
def port(simulator: Simulator) -> Iterator[int]:
    with serve(simulator) as server:
        yield server.port


def exchange(port: int, request: bytes) -> tuple[int, bytes]:
    """Send these bytes and return the status and the body of the first final reply."""
    parser = h11.Connection(h11.CLIENT)
    method = request.partition(b" ")[0]
    parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    status, body = 0, b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        while True:
            match parser.next_event():
                case h11.NEED_DATA:
                    parser.receive_data(connection.recv(65536))
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    return status, body
                case h11.InformationalResponse():
                    pass
                case event:
                    raise AssertionError(event)


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


# Recorded from form-data 4.0.6 on Node 20, which the provider's own Node library sends every request with. The length is
# that of the recording.
FORM_DATA = crlf("""\
POST /sys/get.php HTTP/1.1
content-type: multipart/form-data; boundary=--------------------------b360c66c08dca3229fd2155e
Host: 127.0.0.1:18555
Content-Length: 592
Connection: keep-alive

----------------------------b360c66c08dca3229fd2155e
Content-Disposition: form-data; name="login"

alex
----------------------------b360c66c08dca3229fd2155e
Content-Disposition: form-data; name="psw"

123
----------------------------b360c66c08dca3229fd2155e
Content-Disposition: form-data; name="fmt"

3
----------------------------b360c66c08dca3229fd2155e
Content-Disposition: form-data; name="charset"

utf-8
----------------------------b360c66c08dca3229fd2155e
Content-Disposition: form-data; name="get_price"

1
----------------------------b360c66c08dca3229fd2155e--
""")
# Recorded from node-smsc 0.2.3, `get({get_price: 1})`: it sends the MD5 of the password.
NODE_SMSC = crlf("""\
GET /sys/get.php?get_price=1&fmt=3&login=alex&psw=202cb962ac59075b964b07152d234b70&charset=utf-8 HTTP/1.1
Host: 127.0.0.1:18555
Connection: keep-alive

""")
# Recorded from curl 7.88.1, `curl -F get_price=1 -F login=alex …`.
CURL_F = crlf("""\
POST /sys/get.php HTTP/1.1
Host: 127.0.0.1:18555
User-Agent: curl/7.88.1
Accept: */*
Content-Length: 532
Content-Type: multipart/form-data; boundary=------------------------5040fd10cc93f765

--------------------------5040fd10cc93f765
Content-Disposition: form-data; name="get_price"

1
--------------------------5040fd10cc93f765
Content-Disposition: form-data; name="login"

alex
--------------------------5040fd10cc93f765
Content-Disposition: form-data; name="psw"

123
--------------------------5040fd10cc93f765
Content-Disposition: form-data; name="fmt"

3
--------------------------5040fd10cc93f765
Content-Disposition: form-data; name="charset"

utf-8
--------------------------5040fd10cc93f765--
""")


def post(body: bytes, *fields: str, target: str = "/sys/get.php", host: str = "127.0.0.1") -> bytes:
    kind = "Content-Type: application/x-www-form-urlencoded"
    head = [f"POST {target} HTTP/1.1", f"Host: {host}", kind, f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


ENCODED = b"get_price=1&login=alex&psw=123&fmt=3&charset=utf-8"
REQUESTS = {
    "form-data": FORM_DATA,
    "node-smsc": NODE_SMSC,
    "curl -F": CURL_F,
    "windows-1251 form": post("get_price=1&login=бот&psw=пароль&fmt=3".encode("windows-1251")),
    "windows-1251 form, escaped": post(
        b"get_price=1&login=%E1%EE%F2&psw=%EF%E0%F0%EE%EB%FC&fmt=3&charset=windows-1251"
    ),
    "raw UTF-8 form": post("get_price=1&login=бот&psw=пароль&fmt=3&charset=utf-8".encode()),
    "API key": post(b"get_price=1&apikey=k-4711&fmt=3"),
    "absolute form": post(ENCODED, target="http://smscentre.com/sys/get.php", host="smscentre.com"),
    "absolute form of the reserve host": post(ENCODED, target="HTTP://www2.smsc.ru:80/sys/get.php?x=1", host="other"),
    "upgrade to h2c": post(
        ENCODED, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
    ),
    "expect": post(ENCODED, "Expect: 100-continue"),
    "chunked": crlf("POST /sys/get.php HTTP/1.1\nHost: localhost:1\nTransfer-Encoding: chunked\n")
    + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    + f"{len(ENCODED):x}\r\n".encode()
    + ENCODED
    + b"\r\n0\r\n\r\n",
    "HTTP/1.0": b"GET /sys/get.php?" + ENCODED + b" HTTP/1.0\r\n\r\n",
    "long query": b"GET /sys/get.php?" + ENCODED + b"&x=" + b"y" * 60_000 + b" HTTP/1.1\r\nHost: [::1]:8025\r\n\r\n",
    "long body": post(ENCODED + b"&x=" + b"y" * 3_000_000),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_gets_the_list(simulator: Simulator, port: int, name: str) -> None:
    status, body = exchange(port, REQUESTS[name])
    assert status == 200
    assert_is_the_list(body)
    assert [arrival.code for arrival in simulator.log] == [0]


def assert_is_the_list(body: bytes) -> None:
    tariffs = decode(body)
    assert isinstance(tariffs, Tariffs)
    assert [zone.api for zone in tariffs.zones] == [zone.api for zone in sample_tariffs().zones]
    assert tariffs.codes == sample_tariffs().codes


CURL = shutil.which("curl")
CURLS = {
    "-F": ["-F", "get_price=1", "-F", "login=alex", "-F", "psw=123", "-F", "fmt=3"],
    "-d": ["-d", "get_price=1&login=бот&psw=пароль&fmt=3"],
    "-G": ["-G", "--data-urlencode", "login=бот", "--data-urlencode", "psw=пароль", "-d", "get_price=1&fmt=3"],
    "MD5": ["-d", f"get_price=1&login=alex&fmt=3&psw={hashlib.md5(b'123').hexdigest()}"],
    "--http2": ["--http2", "-d", "get_price=1&login=alex&psw=123&fmt=3"],
}


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("options", CURLS)
def test_curl_gets_the_list(port: int, options: str) -> None:
    assert_is_the_list(curl(*CURLS[options], f"http://127.0.0.1:{port}/sys/get.php"))


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_reaches_it_as_a_proxy_for_the_address_of_the_service(port: int) -> None:
    proxy = ["-x", f"http://127.0.0.1:{port}"]
    assert_is_the_list(curl(*proxy, *CURLS["-F"], "http://smscentre.com/sys/get.php"))


def curl(*arguments: str) -> bytes:
    assert CURL is not None
    return subprocess.run([CURL, "-sS", "-m", "30", *arguments], check=True, capture_output=True).stdout
