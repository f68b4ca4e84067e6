"""A clock to move by hand, and a way to ask a simulator in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import attrs
import httpx
import pytest

from smsc_async.simulator import Simulator


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@attrs.define
class Caller:
    """Asks for the list of ``alex``, unless told otherwise; ``None`` leaves a parameter out."""

    simulator: Simulator
    address: str = "127.0.0.1"

    async def __call__(
        self, path: str = "/sys/get.php", method: str = "POST", /, **parameters: str | None
    ) -> httpx.Response:
        given = {"get_price": "1", "login": "alex", "psw": "123", "charset": "utf-8", **parameters}
        told = {name: value for name, value in given.items() if value is not None}
        transport = httpx.ASGITransport(self.simulator, client=(self.address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            if method == "POST":
                return await client.post(path, data=told)
            return await client.request(method, path, params=told)

    @asynccontextmanager
    async def under_way(self, *paths: str) -> AsyncGenerator[None, None]:
        """Ask, and hang up at the end of the block; it begins when all the requests have arrived."""
        until = len(self.simulator.log) + len(paths)
        async with anyio.create_task_group() as group:
            for path in paths:
                group.start_soon(self, path)
            while len(self.simulator.log) < until:  # noqa: ASYNC110  # the server sets no event
                await anyio.sleep(0.001)
            yield
            group.cancel_scope.cancel()


@pytest.fixture
def caller() -> type[Caller]:
    return Caller
