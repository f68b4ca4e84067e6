from __future__ import annotations

import hashlib
import signal
import subprocess
import sys

import httpx
import pytest

from smsc_async.analysis.diff import diff
from smsc_async.cli import simulator as simulating
from smsc_async.decoder import decode
from smsc_async.records import Tariffs
from smsc_async.simulator import Simulator, sample_tariffs, serve
from tests.cli.running import environment, invoke

FORM = {"get_price": "1", "login": "alex", "psw": "123", "fmt": "3", "charset": "utf-8"}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_at_the_address_that_it_writes_until_it_is_told_to_end(ending: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "smsc_async", "simulator", "--port", "0"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    base_url = process.stdout.readline().strip()
    assert httpx.post(f"{base_url}get.php", data=FORM).json()["mail"] == "0.10"
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stdout) == (0, "")
    assert f"export SMSC_BASE_URL={base_url}\n  export SMSC_LOGIN=alex SMSC_PASSWORD=123\n" in stderr
    assert stderr.endswith("ended\n")


def test_it_tells_what_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    asked: list[int] = []

    def look(_: float) -> None:
        if len(asked) == 5:
            raise KeyboardInterrupt
        login = "nobody" if len(asked) == 4 else "boris"
        asked.append(httpx.post(f"{urls[0]}get.php", data={**FORM, "login": login}).status_code)

    with serve(Simulator()) as former:
        port = former.port  # free once it has ended
    urls.append(former.base_url)
    monkeypatch.setattr(simulating, "sleep", look)
    ran = invoke("simulator", "--login", "alex", "--login", "boris", "--port", str(port))
    assert (ran.code, ran.stdout) == (0, f"{urls[0]}\n")
    told = [line.split()[1:] for line in ran.stderr.splitlines() if "/sys/get.php" in line]
    assert told == [
        *[["boris", "/sys/get.php", "JSON", "answered"]] * 3,
        ["boris", "/sys/get.php", "JSON", "error", "9"],
        ["nobody", "/sys/get.php", "JSON", "error", "2"],
    ]


def test_prices_change_every_so_often_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    clock = [0.0]
    lists: list[Tariffs] = []

    def look(_: float) -> None:
        if len(lists) == 3:
            raise KeyboardInterrupt
        lists.append(decode(httpx.post(f"{urls[0]}get.php", data=FORM).content))
        clock[0] += 30.0

    with serve(Simulator()) as former:
        port = former.port
    urls.append(former.base_url)
    monkeypatch.setattr(simulating, "sleep", look)
    monkeypatch.setattr(simulating, "monotonic", lambda: clock[0])
    ran = invoke("simulator", "--change-every", "30s", "--port", str(port))
    assert ran.code == 0
    assert ran.stderr.count("a few prices have changed") == 3
    assert lists[0] == sample_tariffs()
    dearer, others = diff(lists[0], lists[1]), diff(lists[1], lists[2])
    assert {change.kind.value for change in dearer} == {"dearer"}
    assert {change.kind.value for change in others} == {"dearer", "cheaper"}
    assert 0 < len(dearer) <= len(others) < 10


def test_accounts_that_cannot_be_and_a_port_that_is_taken_are_told() -> None:
    ran = invoke("simulator", "--login", "alex", "--login", "alex")
    assert (ran.code, "two accounts have the login 'alex'" in ran.stderr) == (2, True)
    assert invoke("simulator", "--login", "").stderr == "smsc-async: login is empty\n"
    assert invoke("simulator", "--change-every", "often").code == 2
    for window in ("0", "-1", "nan", "inf"):
        ran = invoke("simulator", "--window", window)
        assert ran.code == 2
        assert ran.stderr.startswith(f"smsc-async: window={float(window)}: must be a finite number of seconds")
    for host in ("\udcff", "a" * 64, "a..b"):
        ran = invoke("simulator", "--host", host, "--port", "0")
        assert (ran.code, "is no address" in ran.stderr) == (2, True), ran
    with serve(Simulator()) as server:
        ran = invoke("simulator", "--port", str(server.port))
    assert ran.code == 14
    assert ran.stderr.startswith("smsc-async: Address already in use")
    assert f"('127.0.0.1', {server.port})" in ran.stderr


def test_it_accepts_api_keys_the_md5_of_a_password_and_further_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    errors: list[int] = []

    def look(_: float) -> None:
        url, form = f"{urls[0]}get.php", {"get_price": "1", "fmt": "3", "charset": "utf-8"}
        digest = hashlib.md5(b"123").hexdigest()
        for credentials in ({"login": "boris", "psw": digest}, {"apikey": "k-4711"}, {"apikey": "k=1"}):
            reply = httpx.post(url, data={**form, **credentials}, headers={"host": "sim"})
            errors.append(reply.json().get("error_code", 0))
        raise KeyboardInterrupt

    with serve(Simulator()) as former:
        port = former.port
    urls.append(former.base_url)
    monkeypatch.setattr(simulating, "sleep", look)
    options = ["--login", "alex", "--login", "boris", "--md5", "--api-key", "alex=k-4711", "--api-key", "boris=k=1"]
    assert invoke("simulator", *options, "--accept-host", "sim", "--port", str(port)).code == 0
    assert errors == [0, 0, 0]


@pytest.mark.parametrize("key", ["k-4711", "boris=k-4711", "alex="])
def test_an_api_key_needs_a_login_of_the_simulator(key: str) -> None:
    ran = invoke("simulator", "--api-key", key)
    assert ran.code == 2
    assert "--api-key needs a login of --login and a key, such as alex=KEY" in " ".join(ran.stderr.split())


def test_a_login_acts_on_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    logins = iter(["\x1b]0;pwn\x07", "a\nb", "\u202ea", "\x9b31m"])

    def look(_: float) -> None:
        login = next(logins, None)
        if login is None:
            raise KeyboardInterrupt
        httpx.post(f"{urls[0]}get.php", data={**FORM, "login": login})

    with serve(Simulator()) as former:
        port = former.port
    urls.append(former.base_url)
    monkeypatch.setattr(simulating, "sleep", look)
    ran = invoke("simulator", "--port", str(port))
    assert ran.code == 0
    arrivals = [line for line in ran.stderr.split("\n") if "/sys/get.php" in line]
    assert len(arrivals) == 4
    assert all(line.isprintable() for line in ran.stderr.split("\n"))


def test_a_network_address_is_warned_of_and_nobody_to_read_the_address_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(_: float) -> None:
        raise KeyboardInterrupt

    def on_loopback(app: Simulator, *, host: str, port: int, hosts: object) -> serve:
        return serve(app, port=port)

    def fails(_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulating, "sleep", look)
    monkeypatch.setattr("smsc_async.simulator.serve", on_loopback)
    monkeypatch.setattr(simulating, "detach_stdout", lambda: None)
    ran = invoke("simulator", "--host", "0.0.0.0", "--port", "0")
    assert (ran.code, ran.stderr.startswith("0.0.0.0 is open to the network")) == (0, True)
    monkeypatch.setattr(simulating, "write_text", fails)
    assert invoke("simulator", "--port", "0").code == 0
