"""The service itself, as an ASGI app.

Invariant: a request is in progress from the moment it has arrived whole until just before the last byte of its answer
is sent, so that a caller who has read an answer to its end is never still counted.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NoReturn, TypeAlias

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from smsc_async.records import Format
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.faults import Fault, FaultQueue
from smsc_async.simulator.rendering import render
from smsc_async.simulator.request_log import Arrival, RequestLog
from smsc_async.simulator.requests import ParsedRequest, read_request
from smsc_async.simulator.responses import Response, response_to
from smsc_async.simulator.rules import Rules
from smsc_async.simulator.violations import Violation, violations_in

__all__ = ["Latency", "Simulator"]

Latency: TypeAlias = float | tuple[float, float] | Callable[[], float]
"""Seconds that the service works on an answer: so many, between two numbers, or what a function returns each time."""

_NO_FAULT: Final = Fault("none")


class Simulator:
    """The service as an ASGI app, with the provider's limits, for demonstrations and for tests.

    Answers GET and POST of ``…/get.php`` with the account's list, and any other ``….php`` with a word. It writes down
    what it saw, credentials aside. May be configured and read from any thread while it serves in another.

    Attributes:
        rules: The limits.
        ignores_hang_ups: Whether a request stays in progress for its whole latency when the caller has hung up, as
            with the usual PHP server; otherwise it ends with the connection.

    Args:
        accounts: The accounts; ``None`` for one, ``alex`` with the password ``123`` and the sample list.
        rules: The limits; those of the provider by default.
        clock: Seconds that never go back, with any origin.
        latency: Seconds from a request's arrival to its answer, refusals included; see ``Latency``.
        seed: What a latency between two numbers is drawn from; ``None`` for another every time.
        ignores_hang_ups: See above.
        faults: What goes wrong with the answers from the start, until ``heal()``.
        keep: Arrivals that the log holds; the oldest go first.

    Raises:
        ValueError: Two accounts share a login or a key, or a number is out of its range.

    Example:
        >>> import asyncio, httpx
        >>> from smsc_async.simulator import Simulator
        >>> simulator = Simulator()
        >>> async def ask():
        ...     async with httpx.AsyncClient(transport=httpx.ASGITransport(simulator)) as client:
        ...         form = {"get_price": "1", "login": "alex", "psw": "wrong"}
        ...         return await client.post("http://testserver/sys/get.php", data=form)
        >>> asyncio.run(ask()).text
        'ERROR = 2 (authorise error)'
        >>> [(arrival.login, arrival.code) for arrival in simulator.log]
        [('alex', 2)]
    """

    def __init__(
        self,
        accounts: Iterable[SimulatedAccount] | None = None,
        *,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.monotonic,
        latency: Latency = 0.0,
        seed: int | None = None,
        ignores_hang_ups: bool = True,
        faults: Iterable[Fault] = (),
        keep: int = 100_000,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep!r}")
        self.rules: Rules = Rules() if rules is None else rules
        self.ignores_hang_ups = ignores_hang_ups
        self._clock = clock
        self._latency = _latency_source(latency, random.Random(seed))  # noqa: S311  # delays, not secrets
        self._request_log = RequestLog(self.rules, keep=keep)
        self._faults = FaultQueue()
        self._by_login: dict[str, SimulatedAccount] = {}
        self._by_key: dict[str, SimulatedAccount] = {}
        # Per account, format and charset, as long as it is the same account: put() replaces it.
        self._rendered = functools.lru_cache(maxsize=1024)(_render)
        self._app = Starlette(routes=[Route("/{path:path}", _Endpoint(self._respond), methods=["GET", "POST"])])
        for account in (SimulatedAccount("alex", "123"),) if accounts is None else accounts:
            if account.login in self._by_login:
                raise ValueError(f"two accounts have the login {account.login!r}")
            self.put(account)
        for fault in faults:
            self.fail(fault)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI app."""
        await self._app(scope, receive, send)

    @property
    def log(self) -> list[Arrival]:
        """The requests that arrived, in order; the oldest may be gone (see ``keep``)."""
        return self._request_log.log()

    def arrivals(self, login: str) -> list[Arrival]:
        """Return the requests of one login that arrived, in order; empty where there were none."""
        return [arrival for arrival in self.log if arrival.login == login]

    def violations(self, login: str | None = None) -> list[Violation]:
        """Return the requests in the log that a careful caller would not have sent.

        Told from when they arrived, not from how they were answered; wrong passwords are those refused with error 2.

        Args:
            login: Whose, or ``None`` for everybody's.

        Returns:
            The requests with the rule that each broke, in the order of arrival; empty where all rules were kept.
        """
        return violations_in(self.log if login is None else self.arrivals(login), self.rules)

    def in_progress(self, login: str) -> int:
        """Return how many requests of a login are in progress now."""
        return self._request_log.in_progress(login, self._clock())

    def peak(self, login: str) -> int:
        """Return the largest number of requests of a login in progress at the same time, refused ones included."""
        return self._request_log.peak(login)

    def put(self, account: SimulatedAccount) -> None:
        """Add an account, or replace the one of the same login: a new list, a new password.

        Raises:
            ValueError: Another account has its API key.
        """
        by_key = {key: each for key, each in self._by_key.items() if each.login != account.login}
        if account.api_key is not None:
            if account.api_key in by_key:
                raise ValueError(f"{account.login!r} has the API key of {by_key[account.api_key].login!r}")
            by_key[account.api_key] = account
        self._by_login = {**self._by_login, account.login: account}
        self._by_key = by_key

    def fail(self, fault: Fault, *, times: int | None = None, login: str | None = None) -> None:
        """Let something go wrong with the answers to come; several faults have their turns one after the other.

        Args:
            fault: What.
            times: With how many requests; ``None`` until ``heal()``.
            login: Of which login; ``None`` for all requests, those without a login included.

        Raises:
            ValueError: ``times`` is below 1.
        """
        self._faults.add(fault, times=times, login=login)

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def reset(self) -> None:
        """Forget all requests: the log, the windows, the blocked addresses, what is in progress; and heal."""
        self._request_log.clear()
        self.heal()

    async def _respond(self, request: ParsedRequest, receive: Receive, send: Send) -> None:
        account = self._account_of(request)
        fault = self._faults.take(request.login if account is None else account.login)
        now, seconds = self._clock(), self._latency()
        arrival = self._request_log.record_arrival(request, account, now=now, fault=fault)
        response = response_to(request, arrival.code, fault, functools.partial(self._rendered, account))
        try:
            await self._send_all_but_the_last_byte(response, fault or _NO_FAULT, seconds, receive, send)
        except _DisconnectError:
            self._request_log.record_end(arrival, self._clock())
            return
        except BaseException:
            # Where the service runs in the caller's own task, hanging up is a cancellation, which must not wait.
            until = max(self._clock(), now + seconds) if self.ignores_hang_ups else self._clock()
            self._request_log.record_end(arrival, until)
            raise
        self._request_log.record_end(arrival, self._clock())
        await send({"type": "http.response.body", "body": response.body[-1:]})

    def _account_of(self, request: ParsedRequest) -> SimulatedAccount | None:
        if request.api_key is not None:
            return self._by_key.get(request.api_key)
        return None if request.login is None else self._by_login.get(request.login)

    async def _send_all_but_the_last_byte(
        self, response: Response, fault: Fault, seconds: float, receive: Receive, send: Send
    ) -> None:
        if fault.silent:
            await _wait_for_disconnect(receive)
        await self._work(seconds, receive)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body[:-1], "more_body": True})
        await self._work(fault.pause, receive)

    async def _work(self, seconds: float, receive: Receive) -> None:
        if seconds <= 0:
            return
        if self.ignores_hang_ups:
            await anyio.sleep(seconds)
            return
        with anyio.move_on_after(seconds):
            await _wait_for_disconnect(receive)


class _DisconnectError(Exception):
    """The caller closed the connection before the answer."""


async def _wait_for_disconnect(receive: Receive) -> NoReturn:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _DisconnectError


class _Endpoint:
    # A class, since Starlette takes a function for one that returns a response and sends it itself.
    def __init__(self, respond: Callable[[ParsedRequest, Receive, Send], Awaitable[None]]) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_request = Request(scope, receive)
        if not scope["path"].endswith(".php"):
            await PlainTextResponse("no such page", status_code=404)(scope, receive, send)
            return
        try:
            body = await http_request.body()
        except ClientDisconnect:
            return  # it never arrived whole
        request = read_request(
            method=http_request.method,
            path=scope["path"],
            address="" if http_request.client is None else http_request.client.host,
            query=scope["query_string"],
            content_type=http_request.headers.get("content-type", ""),
            body=body,
        )
        await self._respond(request, receive, send)


def _latency_source(latency: Latency, chance: random.Random) -> Callable[[], float]:
    if callable(latency):
        return latency
    low, high = latency if isinstance(latency, tuple) else (latency, latency)
    if not (0 <= low <= high < math.inf):
        raise ValueError(f"latency must be seconds, or two numbers of seconds in order, not {latency!r}")
    return lambda: chance.uniform(low, high)


def _render(account: SimulatedAccount, format: Format, charset: str) -> bytes:  # noqa: A002  # the word of the request
    return render(account.tariffs, format, charset=charset, missing=account.missing)
