"""Faults that the simulated service can inject into a reply, and their queue."""

from __future__ import annotations

import math
import threading
from typing import Final, Self

import attrs
from attrs.validators import ge, le, lt

_PAGE: Final = "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"


def _http_status(_: object, field: attrs.Attribute[int], value: int) -> None:
    if not 200 <= value <= 599 or value in (204, 304):
        raise ValueError(f"{field.name} must be an HTTP status between 200 and 599 that has a body, not {value!r}")


@attrs.frozen
class Fault:
    """A fault in a reply: how the reply differs from the right one.

    The request counts as arrived and in progress like any other; only its reply differs. Use the class methods to make
    one, and pass it to ``Simulator.fail``.

    Attributes:
        name: Its name in the log.
        code: The error code of the refusal, or ``None``.
        status: The HTTP status.
        headers: Header fields, names in lower case, that replace or extend the right ones.
        body: The body, or ``None`` for the right one.
        keep: The share of the body that is sent, with the Content-Length of what is sent.
        pause: Seconds between all of the body and its last byte.
        silent: Whether there is no reply at all until the client disconnects.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> from smsc_async.simulator import Fault, Simulator
        >>> simulator = Simulator()
        >>> simulator.fail(Fault.http_status(503, retry_after=2), times=1)
        >>> simulator.fail(Fault.hang(), login="alex")
    """

    name: str
    code: int | None = attrs.field(default=None, kw_only=True)
    status: int = attrs.field(default=200, kw_only=True, validator=_http_status)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), kw_only=True)
    body: bytes | None = attrs.field(default=None, kw_only=True)
    keep: float = attrs.field(default=1.0, kw_only=True, validator=[ge(0.0), le(1.0)])
    pause: float = attrs.field(default=0.0, kw_only=True, validator=[ge(0.0), lt(math.inf)])
    silent: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def http_status(cls, status: int, *, retry_after: float | str | None = None) -> Self:
        """A page of a proxy with that status, such as 429, 502 or 503.

        Args:
            status: The HTTP status.
            retry_after: The value of the ``Retry-After`` field: seconds, a date, or nonsense; ``None`` for none.
        """
        return cls._page(f"HTTP {status}", status, () if retry_after is None else (("retry-after", str(retry_after)),))

    @classmethod
    def refusal(cls, code: int) -> Self:
        """A refusal with that error code, in the requested format, whether or not a rule was broken."""
        return cls(f"refusal {code}", code=code)

    @classmethod
    def html_page(cls) -> Self:
        """A web page with status 200, as from a captive portal or a maintenance notice."""
        return cls._page("HTML page", 200, ())

    @classmethod
    def truncated(cls, keep: float = 0.5) -> Self:
        """The first part of the right reply; the Content-Length matches, so that only its text shows the loss.

        Args:
            keep: The share of its bytes that is sent.
        """
        return cls("truncated", keep=keep)

    @classmethod
    def hang(cls) -> Self:
        """No reply: the request stays in progress until the client disconnects."""
        return cls("hang", silent=True)

    @classmethod
    def stalled(cls, pause: float) -> Self:
        """The right reply, its last byte late.

        Args:
            pause: Seconds of delay; the request stays in progress during them.
        """
        return cls("stalled", pause=pause)

    @classmethod
    def redirect(cls, location: str, *, status: int = 302) -> Self:
        """A redirect to that address."""
        return cls(f"redirect {status}", status=status, headers=(("location", location),), body=b"")

    @classmethod
    def empty(cls) -> Self:
        """Status 200 and no body."""
        return cls("empty", body=b"")

    @classmethod
    def mislabelled(cls, content_type: str = "text/html; charset=windows-1251") -> Self:
        """The right reply with a wrong ``Content-Type``."""
        return cls("mislabelled", headers=(("content-type", content_type),))

    @classmethod
    def _page(cls, title: str, status: int, headers: tuple[tuple[str, str], ...]) -> Self:
        html = ("content-type", "text/html; charset=utf-8")
        return cls(title, status=status, headers=(html, *headers), body=_PAGE.format(title=title).encode())


NO_FAULT: Final = Fault("")
"""The right reply."""


@attrs.define
class _Pending:
    fault: Fault
    left: float
    login: str | None


class FaultQueue:
    """Pending faults, first in, first out; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []

    def add(self, fault: Fault, *, times: int | None, login: str | None) -> None:
        """Append a fault for the next ``times`` requests, or until ``clear()``; of one login, or of all."""
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for until heal() is called, not {times!r}")
        with self._lock:
            self._pending.append(_Pending(fault, math.inf if times is None else times, login))

    def take(self, login: str | None) -> Fault:
        """Return the fault for a request of that login, or ``NO_FAULT``, and count the request."""
        with self._lock:
            for pending in self._pending:
                if pending.login in (None, login):
                    pending.left -= 1
                    if not pending.left:
                        self._pending.remove(pending)
                    return pending.fault
        return NO_FAULT

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._pending.clear()
