"""Whether the usual mocks of httpx see the requests of a client, each in a pytest run of its own."""

from __future__ import annotations

import pytest

import smsc_async.client  # here, so that the inner runs find it and httpx imported: each forgets what it imports
from tests.support.slow import exhaustive_after

assert smsc_async.client

TEST = """
    import httpx
    import pytest
    from smsc_async import Account, Client, MemoryStore

    URL = "https://smscentre.com/sys/get.php"
    LIST = {"zones": [{"zone": "32", "name": "Latvia", "api": "4.10"}], "codes": [], "mail": "0.10"}

    async def price():
        async with Client(Account("alex", "123"), store=MemoryStore(), retries=0, transport={transport}) as client:
            return str((await client.tariffs()).zone("32").api)

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_respx(respx_mock, anyio_backend):
        route = respx_mock.post(URL).respond(json=LIST)
        assert await price() == "4.10"
        assert b"psw=123" in route.calls.last.request.content

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_pytest_httpx(httpx_mock, anyio_backend):
        httpx_mock.add_response(method="POST", url=URL, json=LIST)
        assert await price() == "4.10"
        assert b"psw=123" in httpx_mock.get_request().content
"""


@pytest.mark.parametrize("mock", ["respx", "pytest_httpx"])
@pytest.mark.parametrize(
    "transport", exhaustive_after(1, ["None", "httpx.AsyncHTTPTransport()", "httpx.AsyncHTTPTransport"])
)
def test_a_mock_answers_a_client(pytester: pytest.Pytester, mock: str, transport: str) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(TEST.replace("{transport}", transport))
    pytester.runpytest("-k", mock).assert_outcomes(passed=2, deselected=2)
