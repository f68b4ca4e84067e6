"""What a client reports about its calls: log records, events, and spans of OpenTelemetry.

The logger ``smsc_async`` gets one record for each call and each refresh: DEBUG if the list was cached, otherwise INFO.
Failures are INFO too: the caller has the error, and Python prints a WARNING on the terminal of every program that
configures no logging. The library adds no handler and sets no level.

Invariants: no event, record or span contains a credential; the span of a call is current while the call runs, so spans of
its HTTP requests are children, and log records and events carry its id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import attrs

from smsc_async.errors import NotSent, SmscError, TransportError
from smsc_async.limiter.attempt import Attempt
from smsc_async.limiter.clock import now

_LOG: Final = logging.getLogger("smsc_async")

CallOutcome: TypeAlias = Literal["cached", "fetched", "shared", "stale", "failed", "cancelled"]
RequestOutcome: TypeAlias = Literal["fetched", "failed", "not_sent", "cancelled"]


@attrs.frozen
class RequestEnded:
    """A request has ended, or was refused before it was sent.

    Attributes:
        login: The login.
        attempt: 0 for the first request of a fetch, then 1, 2, …
        sent: Whether the transport has read the request.
        waited: Seconds that the request waited for its permit.
        error: Why there is no list, or ``None``.
        status: The HTTP status of a reply that is not a list, or ``None``.
        outcome: ``"fetched"``, ``"failed"``, ``"not_sent"`` if the library refused it locally, or ``"cancelled"`` by a deadline,
            by closing the client or by a bug in user code.
        refresh: Whether the fetch began as a refresh in the background.

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
    outcome: RequestOutcome = "fetched"
    refresh: bool = False


@attrs.frozen
class CallEnded:
    """A call has ended, or a refresh in the background.

    Attributes:
        login: The login.
        outcome: ``"cached"`` from the store, ``"fetched"`` by this call, ``"shared"`` with an earlier call of this process
            or another one, ``"stale"`` if an older list replaces an error, ``"failed"``, or ``"cancelled"`` by the caller.
        seconds: The duration.
        waited: Seconds of them that all requests waited for permits; those of the earlier call if the result is shared.
        attempts: Requests that got a permit; those of the earlier call if the result is shared.
        error: Why there is no fresh list, or ``None``.
        refresh: Whether this is a refresh in the background, and not a call of the program.

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
    refresh: bool = False


OnEvent: TypeAlias = Callable[[CallEnded | RequestEnded], object]


@attrs.define(eq=False, repr=False)
class CallSpan:
    """A call in progress, with the values of its event."""

    outcome: CallOutcome = "cancelled"
    waited: float = 0.0
    attempts: int = 0
    error: Exception | None = None

    def fail(self, result: BaseException) -> None:
        """Note why there is no list."""
        self.outcome = "failed"
        self.error = result if isinstance(result, Exception) else None


class Telemetry:
    """Reports the calls of one client.

    Args:
        on_event: Called with each event, in the event loop of the call; its exceptions are logged and have no other effect.
        tracing: Whether each call is a span of OpenTelemetry.
        url: The URL of the service.

    Raises:
        ImportError: ``tracing`` without the extra ``otel``.
    """

    def __init__(self, on_event: OnEvent | None, *, tracing: bool, url: str) -> None:
        self._on_event = on_event
        self._trace: Any = None
        self._new_span: Callable[[], AbstractContextManager[Any]] = nullcontext
        if tracing:
            self._trace = otel_module("trace", "tracing=True")
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            self._new_span = partial(
                self._trace.get_tracer("smsc_async").start_as_current_span,
                "smsc_async.tariffs",
                kind=self._trace.SpanKind.CLIENT,
                attributes={"server.address": parts.hostname or "", "server.port": port},
                record_exception=False,
                set_status_on_exception=False,
            )

    def cached(self, login: str) -> None:
        """Report a call that the cache answered."""
        # There are many, and each event takes half a microsecond.
        if self._on_event is not None or self._trace is not None or _LOG.isEnabledFor(logging.DEBUG):
            with self.call(login) as span:
                span.outcome = "cached"

    def request(self, attempt: Attempt, login: str, *, is_refresh: bool) -> None:
        """Report a request that has ended."""
        error = attempt.outcome if isinstance(attempt.outcome, SmscError) else None
        status = error.status if isinstance(error, TransportError) else None
        outcome: RequestOutcome = "cancelled" if attempt.outcome is None else "fetched"
        if error is not None:
            outcome = "not_sent" if isinstance(error, NotSent) else "failed"
        sent, waited = attempt.may_have_counted, attempt.waited
        self._notify(RequestEnded(login, attempt.number, sent, waited, error, status, outcome, refresh=is_refresh))

    @contextmanager
    def call(self, login: str, *, is_refresh: bool = False) -> Generator[CallSpan]:
        """Report a call when the block ends."""
        call = CallSpan()
        began = now()
        with self._new_span() as span:
            try:
                yield call
            finally:
                seconds = now() - began
                event = CallEnded(
                    login, call.outcome, seconds, call.waited, call.attempts, call.error, refresh=is_refresh
                )
                fields = _fields(event)
                if span is not None:
                    span.set_attributes(fields)
                    if event.error is not None:
                        span.set_status(self._trace.StatusCode.ERROR, str(event.error))
                self._log(event, fields)
                self._notify(event)

    def _log(self, event: CallEnded, fields: dict[str, str | float]) -> None:
        level = logging.DEBUG if event.outcome == "cached" else logging.INFO
        if not _LOG.isEnabledFor(level):
            return
        subject = f"{'refresh' if event.refresh else 'tariffs'} of {event.login}"
        reason = "" if event.error is None else f": {type(event.error).__name__}: {event.error}"
        values = (subject, event.outcome, event.seconds, event.waited, event.attempts, reason)
        extra = {**fields, "smsc.seconds": event.seconds}
        _LOG.log(level, "%s: %s in %.3f s (waited %.3f s, %d requests)%s", *values, extra=extra)

    def _notify(self, event: CallEnded | RequestEnded) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # a bug in user code must not end the call; pytest.fail() is no Exception
            _LOG.exception("on_event failed; the call goes on")


def otel_module(name: str, feature: str) -> Any:
    """Return a module of OpenTelemetry.

    Args:
        name: The module.
        feature: What needs the module, for the error.

    Raises:
        ImportError: The extra ``otel`` is not installed.
    """
    with suppress(ModuleNotFoundError):
        return import_module(f"opentelemetry.{name}")
    raise ImportError(f'{feature} needs OpenTelemetry: pip install "smsc-async[otel]"')


def _fields(event: CallEnded) -> dict[str, str | float]:
    """Return the attributes of a span, which are also the fields of a log record."""
    names = ("login", "outcome", "attempts", "waited", "refresh")
    fields: dict[str, str | float] = {f"smsc.{name}": getattr(event, name) for name in names}
    if event.error is not None:
        fields["error.type"] = type(event.error).__name__
    return fields
