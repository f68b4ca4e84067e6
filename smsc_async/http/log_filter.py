"""Keeps the words of the server out of the log records that httpx and httpcore write during an exchange of ours.

A server may repeat the form in a status line or a header, and at DEBUG httpcore logs both. The filter keeps the name of
the event and drops the rest, whatever the library writes there.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# The loggers that the documentation of httpx names (its page "Logging").
_LOGGERS: Final = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
_is_active: Final[ContextVar[bool]] = ContextVar("smsc_async exchange", default=False)


@contextmanager
def quiet_logs() -> Generator[None]:
    """Filter the log records of the running task while the block runs."""
    token = _is_active.set(True)
    try:
        yield
    finally:
        _is_active.reset(token)


def _without_details(record: logging.LogRecord) -> bool:
    if _is_active.get():
        event = "HTTP request of smsc_async" if record.name == "httpx" else str(record.msg).partition(" ")[0]
        record.msg, record.args = event, None
    return True


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_without_details)
