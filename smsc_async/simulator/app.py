"""The simulated service as an ASGI app.

Invariant: a request is in progress from the moment it has arrived completely until just before the last byte of its
reply is sent. Otherwise a client that has read a reply to its end would still count as in progress.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NoReturn, TypeAlias

import anyio

from smsc_async.records import Format
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.faults import Fault, FaultQueue
from smsc_async.simulator.rendering import render
from smsc_async.simulator.request_log import Arrival, RequestLog
from smsc_async.simulator.requests import PAGES, ParsedRequest, read_request
from smsc_async.simulator.responses import Response, response_to
from smsc_async.simulator.rules import Rules
from smsc_async.simulator.violations import Violation, violations_in

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Latency: TypeAlias = float | tuple[float, float] | Callable[[], float]
"""Seconds that the service works on a reply: a number, a random number between two, or the result of a function."""


class Simulator:
    """The service as an ASGI app, with the provider's limits, for demonstrations and for tests.

    Answers GET and POST of ``…/get.php`` with the account's tariff list, and ``balance.php``, ``send.php`` and
    ``status.php`` in the shape of the real service; it sends nothing. Parameters are read as PHP reads them: from the
    query and from a form, plain or multipart, in UTF-8, windows-1251 or koi8-r. It logs every request without its
    credentials. All methods are thread-safe.

    Attributes:
        rules: The limits.
        ignores_hang_ups: Whether a request stays in progress for its whole latency after the client disconnected, as
            with the usual PHP server; otherwise it ends with the connection.

    Args:
        accounts: The accounts; ``None`` for one, ``alex`` with the password ``123`` and the sample list.
        rules: The limits; those of the provider by default.
        clock: A monotonic clock in seconds, with any origin.
        latency: Seconds from the arrival of a request to its reply, refusals included; see ``Latency``.
        seed: Seed of a random latency, or ``None``.
        ignores_hang_ups: See above.
        faults: Faults in the replies, until ``heal()``.
        keep: Size of the log; the oldest entries are removed first.

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
        # By account, format and charset; put() makes a new account object, so a changed list is rendered again.
        self._rendered = functools.lru_cache(maxsize=1024)(_render)
        for account in (SimulatedAccount("alex", "123"),) if accounts is None else accounts:
            if account.login in self._by_login:
                raise ValueError(f"two accounts have the login {account.login!r}")
            self.put(account)
        for fault in faults:
            self.fail(fault)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI app."""
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["method"] not in {"GET", "HEAD", "POST"}:
            await _refuse(405, send)
        elif scope["path"].rpartition("/")[2] not in PAGES:
            await _refuse(404, send)
        elif (body := await _body(receive)) is not None:
            request = read_request(
                method=scope["method"],
                path=scope["path"],
                address=scope["client"][0] if scope.get("client") else "",
                query=scope["query_string"],
                content_type=dict(scope["headers"]).get(b"content-type", b"").decode("latin-1"),
                body=body,
            )
            await self._respond(request, receive, send)

    @property
    def log(self) -> list[Arrival]:
        """The requests that arrived, in order; the oldest may be gone (see ``keep``)."""
        return self._request_log.log()

    def arrivals(self, login: str) -> list[Arrival]:
        """Return the requests of one login, in the order of arrival; empty if there were none."""
        return [arrival for arrival in self.log if arrival.login == login]

    def violations(self, login: str | None = None) -> list[Violation]:
        """Return the requests in the log that broke a limit.

        Computed from their arrival times, not from their replies; a wrong password is a request refused with error 2.

        Args:
            login: A login, or ``None`` for all.

        Returns:
            The requests with the rule that each broke, in the order of arrival; empty if no rule was broken.
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
        """Inject a fault into the next replies; several faults take effect one after another.

        Args:
            fault: The fault.
            times: The number of requests, or ``None`` for all until ``heal()``.
            login: The login whose requests are affected, or ``None`` for all requests, also those without a login.

        Raises:
            ValueError: ``times`` is below 1.
        """
        self._faults.add(fault, times=times, login=login)

    def heal(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def reset(self) -> None:
        """Clear the log, the windows, the blocked addresses, the requests in progress and all faults."""
        self._request_log.clear()
        self.heal()

    async def _respond(self, request: ParsedRequest, receive: Receive, send: Send) -> None:
        account = self._account_of(request)
        fault = self._faults.take(request.login if account is None else account.login)
        now, seconds = self._clock(), self._latency()
        arrival = self._request_log.record_arrival(request, account, now=now, fault=fault)
        response = response_to(request, arrival, account, fault, self._rendered)
        try:
            await self._send_all_but_the_last_byte(response, fault, seconds, receive, send)
        except _DisconnectError:
            self._request_log.record_end(arrival, self._clock())
            return
        except BaseException:
            # If the app runs in the client's own task, a disconnect is a cancellation, during which it must not wait.
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
        with anyio.move_on_after(seconds):
            await (anyio.sleep_forever() if self.ignores_hang_ups else _wait_for_disconnect(receive))


class _DisconnectError(Exception):
    """The client closed the connection before the response."""


async def _wait_for_disconnect(receive: Receive) -> NoReturn:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _DisconnectError


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, or ``None`` if the client disconnected before its end."""
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
    return None


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": f"{message['type']}.complete"})


async def _refuse(status: int, send: Send) -> None:
    headers = [(b"content-length", b"0"), *([(b"allow", b"GET, HEAD, POST")] if status == 405 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _latency_source(latency: Latency, chance: random.Random) -> Callable[[], float]:
    if callable(latency):
        return latency
    low, high = latency if isinstance(latency, tuple) else (latency, latency)
    if not (0 <= low <= high < math.inf):
        raise ValueError(f"latency must be seconds, or two numbers of seconds in order, not {latency!r}")
    return lambda: chance.uniform(low, high)


def _render(account: SimulatedAccount, format: Format, charset: str) -> bytes:  # noqa: A002  # the word of the request
    return render(account.tariffs, format, charset=charset, missing=account.missing)
