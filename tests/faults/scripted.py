"""A service in virtual time that answers what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

import anyio
import attrs
import httpx

from smsc_async import Account, Client, MemoryStore, Quota
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.protocol import service_of
from tests.faults.hostile import LIST

ALEX: Final = Account("alex", "123")
URL: Final = "https://smsc.example/sys/"

Answer: TypeAlias = httpx.Response | Exception


@attrs.frozen
class Request:
    """What arrived."""

    at: float
    host: str
    login: str
    password: str


@attrs.define(eq=False)
class Scripted(httpx.AsyncBaseTransport):
    """Gives each request the answer of ``answers``, after ``latency`` seconds.

    An error of ``unreachable`` is raised before the body is read, as by a host that takes no connection.
    """

    answers: Callable[[Request], Answer]
    latency: float = 0.1
    unreachable: Callable[[str], Exception | None] = lambda _: None
    requests: list[Request] = attrs.field(factory=list[Request])
    in_progress: int = 0
    peak: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        error = self.unreachable(request.url.host)
        if error is not None:
            self.requests.append(Request(now(), request.url.host, "", ""))
            await anyio.sleep(self.latency)
            raise error
        fields = parse_qs((await request.aread()).decode())
        arrived = Request(now(), request.url.host, fields["login"][0], fields["psw"][0])
        self.requests.append(arrived)
        self.in_progress += 1
        self.peak = max(self.peak, self.in_progress)
        try:
            await anyio.sleep(self.latency)
        finally:
            self.in_progress -= 1
        answer = self.answers(arrived)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self) -> list[float]:
        """When requests arrived, counted from the first."""
        return [each.at - self.requests[0].at for each in self.requests]


def good() -> httpx.Response:
    return httpx.Response(200, content=LIST, headers={"content-type": "application/json"})


def refusal(code: int) -> httpx.Response:
    return httpx.Response(200, content=json.dumps({"error": "no", "error_code": code}).encode())


def status(number: int, retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(number, headers={} if retry_after is None else {"retry-after": retry_after})


def in_turn(answers: Iterable[Answer]) -> Scripted:
    """Each answer once, and the list from then on."""
    left = iter(answers)
    return Scripted(lambda _: next(left, None) or good())


def client_of(
    scripted: Scripted, account: Account | None = ALEX, *, confirmed: bool = False, **options: object
) -> Client:
    given: dict[str, Any] = {"store": MemoryStore(), "max_age": 0, "base_url": URL, **options}
    if confirmed and account is not None:
        confirm(given["store"], account, given["base_url"])
    return Client(account, transport=scripted, **given)


def confirm(store: MemoryStore, account: Account, base_url: str = URL) -> None:
    """Let a store know that these credentials work: only then a failed request is retried."""
    credentials = Credentials(service_of(base_url), account)
    permit = store.try_acquire(Permit("a request before the test", Quota(), token=False, credentials=credentials))
    assert permit is not None
    store.try_release(permit, Completion.COMPLETE, Verdict.LIST)
