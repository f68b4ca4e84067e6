"""What a client tells of its calls: log records, events for whoever asks, and spans.

One log record for each call, on the logger ``smsc_async``: at DEBUG where the list was kept, else at INFO, failures
too: their caller has the error, and Python prints a WARNING to the terminal of every program that has set up no logging.
The library adds no handler and sets no level.

Invariant: nothing here holds a credential: an account is told by its login, an error by its own words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias

import attrs

from smsc_async.limiter.clock import now

__all__ = ["CallEnded", "CallSpan", "OnEvent", "RequestEnded", "Telemetry"]

_LOG: Final = logging.getLogger("smsc_async")

CallOutcome: TypeAlias = Literal["cached", "fetched", "shared", "stale", "failed", "cancelled"]


@attrs.frozen
class RequestEnded:
    """A request has come to its end, or an attempt at one that was not let through.

    Attributes:
        login: Whose.
        attempt: 0 for the first of a fetch, then 1, 2, …
        sent: Whether the transport had it.
        waited: Seconds that it waited for its permit.
        error: Why it brought no list, or ``None``; also ``None`` where it was cut off by a deadline or by closing.
        status: The HTTP status where one came and was no list, else ``None``.

    Example:
        >>> import asyncio
        >>> from smsc_async import Client, MemoryStore, RequestEnded
        >>> from smsc_async.testing import SmscServer
        >>> def note(event: object) -> None:
        ...     if isinstance(event, RequestEnded):
        ...         print(event.login, event.attempt, event.sent, event.error)
        >>> async def main(server: SmscServer) -> None:
        ...     store = MemoryStore()
        ...     async with Client(server.account, base_url=server.base_url, store=store, on_event=note) as client:
        ...         await client.tariffs()
        >>> with SmscServer() as server:
        ...     asyncio.run(main(server))
        alex 0 True None
    """

    login: str
    attempt: int
    sent: bool
    waited: float
    error: Exception | None = None
    status: int | None = None


@attrs.frozen
class CallEnded:
    """A call has come to its end.

    Attributes:
        login: Whose list.
        outcome: ``"cached"`` from the store at once, ``"fetched"`` by this call, ``"shared"`` with a call that had asked
            before, ``"stale"`` an older one in place of an error, ``"failed"``, or ``"cancelled"`` by the caller.
        seconds: How long it took.
        waited: Of them, seconds for permits, of all attempts together; those of others where it was shared.
        attempts: Requests that were let through for it; those of others where it was shared.
        error: Why there is no fresh list, or ``None``.

    Example:
        >>> from smsc_async import CallEnded
        >>> def on_event(event):
        ...     if isinstance(event, CallEnded) and event.error is not None:
        ...         print(event.login, event.error)
        >>> on_event(CallEnded("alex", "failed", 1.0, error=TimeoutError("too slow")))
        alex too slow
    """

    login: str
    outcome: CallOutcome
    seconds: float
    waited: float = 0.0
    attempts: int = 0
    error: Exception | None = None


OnEvent: TypeAlias = Callable[[CallEnded | RequestEnded], object]


class CallSpan:
    """A call under way, as it will be told of."""

    __slots__ = ("attempts", "error", "outcome", "waited")

    def __init__(self) -> None:
        self.outcome: CallOutcome = "cancelled"
        self.waited: float = 0.0
        self.attempts: int = 0
        self.error: Exception | None = None


class Telemetry:
    """Tells of the calls of one client.

    Args:
        on_event: Called with each event, in the loop where it happens; what it raises is logged and goes no further.
        tracing: Whether each call is a span of OpenTelemetry.

    Raises:
        ImportError: ``tracing`` without the extra ``otel``.
    """

    def __init__(self, on_event: OnEvent | None, *, tracing: bool) -> None:
        self._on_event = on_event
        self._tracer: Any = _tracer() if tracing else None

    @property
    def wants_cached(self) -> bool:
        """Whether anybody wants to know of a list that was kept: there are many, and each takes half a microsecond."""
        return self._on_event is not None or self._tracer is not None or _LOG.isEnabledFor(logging.DEBUG)

    def cached(self, login: str) -> None:
        """Tell of a call that was answered from the store."""
        with self.call(login) as watched:
            watched.outcome = "cached"

    def request(self, event: RequestEnded) -> None:
        """Tell of a request."""
        self._tell(event)

    @contextmanager
    def call(self, login: str) -> Generator[CallSpan]:
        """Watch a call, and tell of it when the block ends."""
        watched = CallSpan()
        span = None if self._tracer is None else self._tracer.start_span("smsc_async.tariffs")
        began = now()
        try:
            yield watched
        finally:
            event = CallEnded(login, watched.outcome, now() - began, watched.waited, watched.attempts, watched.error)
            if span is not None:
                _end(span, event)
            self._log(event)
            self._tell(event)

    def _log(self, event: CallEnded) -> None:
        level = logging.DEBUG if event.outcome == "cached" else logging.INFO
        if _LOG.isEnabledFor(level):
            _LOG.log(
                level,
                "tariffs of %s: %s in %.3f s (waited %.3f s, %d requests)%s",
                event.login,
                event.outcome,
                event.seconds,
                event.waited,
                event.attempts,
                "" if event.error is None else f": {type(event.error).__name__}: {event.error}",
            )

    def _tell(self, event: CallEnded | RequestEnded) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # a user's, which must not end the call; pytest.fail() is no Exception
            _LOG.exception("on_event failed; the call goes on")


def _tracer() -> Any:
    try:
        return import_module("opentelemetry.trace").get_tracer("smsc_async")
    except ModuleNotFoundError:
        pass
    raise ImportError('tracing=True needs OpenTelemetry: pip install "smsc-async[otel]"')


def _end(span: Any, event: CallEnded) -> None:
    span.set_attribute("smsc.login", event.login)
    span.set_attribute("smsc.outcome", event.outcome)
    span.set_attribute("smsc.attempts", event.attempts)
    span.set_attribute("smsc.waited", event.waited)
    if event.error is not None:
        trace = import_module("opentelemetry.trace")
        span.set_attribute("error.type", type(event.error).__name__)
        span.set_status(trace.StatusCode.ERROR, str(event.error))
    span.end()
