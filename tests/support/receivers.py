"""A server that takes what a watch delivers, answers as a test says, and remembers what came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver", "receiver_server"]


class Receiver:
    """What came, and what is answered: ``200``, or ``429-30`` with that as Retry-After; the last answer again and again."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.statuses: list[str] = []
        self.delay = 0.0
        self._server = server
        self._answers = deque(["200"])
        self._lock = threading.Lock()

    def answers(self, *statuses: str) -> None:
        """Answer the next requests with these."""
        with self._lock:
            self._answers = deque(statuses)

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        with self._lock:
            self.got.append((path, body, headers))
            self.statuses.append(self._answers.popleft() if len(self._answers) > 1 else self._answers[0])
            return self.statuses[-1]

    def close(self) -> None:
        self._server.server_close()


@contextmanager
def receiver_server() -> Generator[Receiver]:
    """Serve on loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # its sender was killed
                return
            status, _, wanted = receiver.take(
                self.path, body, {name.lower(): value for name, value in self.headers.items()}
            ).partition("-")
            threading.Event().wait(receiver.delay)
            self.send_response(int(status))
            if wanted:
                self.send_header("retry-after", wanted)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
