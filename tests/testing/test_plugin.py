"""The plugin in the hands of a stranger: pytest runs of their own, in a folder of their own."""

from __future__ import annotations

import socket

import pytest

import smsc_async.testing.server  # here, so that the inner runs find it imported and leave it so

assert smsc_async.testing.server


@pytest.fixture(autouse=True)
def _no_word_from_another_plugin(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")


def test_installed_it_is_found_and_imports_nothing_until_it_is_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("""
        import sys

        import smsc_async

        HEAVY = {"attrs", "anyio", "httpx", "h11", "smsc_async.client", "smsc_async.simulator.app"}

        def test_before():
            assert not HEAVY & set(sys.modules)

        def test_use(smsc_server):
            assert HEAVY <= set(sys.modules)
    """)
    # Without the other plugins that are installed here: some import as much.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.runpytest_subprocess("-p", "smsc_async", "-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_sync_asyncio_and_anyio_tests_use_it_alike(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio

        import pytest
        import trio


        async def ask(smsc_server):
            async with smsc_server.client() as client:
                tariffs = await client.tariffs()
            assert tariffs.zone("1").api
            assert [arrival.code for arrival in smsc_server.log] == [0]

        def test_sync(smsc_server):
            asyncio.run(ask(smsc_server))

        def test_sync_with_trio(smsc_server):
            trio.run(ask, smsc_server)

        @pytest.mark.asyncio
        async def test_asyncio(smsc_server):
            await ask(smsc_server)

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
        async def test_anyio(smsc_server, anyio_backend):
            await ask(smsc_server)
    """)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=5)


def test_the_rules_come_from_the_fixture_and_then_from_the_markers_the_closest_last(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        from smsc_async.testing import Rules

        def test_default(smsc_server):
            assert smsc_server.simulator.rules == Rules(per=2.0)
            assert smsc_server.quota.per == 2.0

        @pytest.mark.smsc_rules(requests=7, concurrent=2)
        class TestOverridden:
            @pytest.fixture
            def smsc_rules(self):
                return Rules(per=5.0, requests=1)

            @pytest.mark.smsc_rules(concurrent=3)
            def test_marked(self, smsc_server):
                assert smsc_server.simulator.rules == Rules(per=5.0, requests=7, concurrent=3)
    """)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=2)


def test_an_unknown_rule_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.smsc_rules(minutes=1)
        def test_it(smsc_server):
            pass

        @pytest.mark.smsc_rules(5)
        def test_a_rule_without_a_name(smsc_server):
            pass
    """)
    result = pytester.runpytest()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'minutes'*"])


def test_what_one_test_used_of_the_quota_is_not_missing_in_the_next(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio

        import pytest

        from smsc_async import Client, QuotaExhausted

        @pytest.mark.smsc_rules(per=60.0)
        @pytest.mark.parametrize("turn", range(2))
        def test_three_at_once(smsc_server, turn):
            async def ask():
                # As an application may: a client made anew each time, with no store of its own.
                async with Client(smsc_server.account, base_url=smsc_server.base_url, deadline=10, max_age=0) as client:
                    await client.tariffs()

            for _ in range(3):
                asyncio.run(ask())
            with pytest.raises(QuotaExhausted):
                asyncio.run(ask())
            assert smsc_server.violations() == []
    """)
    pytester.runpytest().assert_outcomes(passed=2)


def test_the_server_is_gone_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        from pathlib import Path

        def test_it(smsc_server):
            Path("port").write_text(smsc_server.base_url.split(":")[2].partition("/")[0])
    """)
    pytester.runpytest().assert_outcomes(passed=1)
    port = int((pytester.path / "port").read_text())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_while_it_is_used_no_client_reaches_another_host(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio
        import socket

        import httpx
        import pytest
        from smsc_async import Account, Client, MemoryStore

        ALEX = Account("alex", "123")
        EARLIER = Client(ALEX, retries=0, deadline=5)
        URLS = ["https://smscentre.com/sys/", "https://sms.example/sys/", "https://192.0.2.1/sys/"]

        @pytest.mark.parametrize("url", URLS)
        def test_a_client_that_is_made_now(smsc_server, url):
            with pytest.raises(RuntimeError, match="this client would reach .*: use smsc_server.client"):
                Client(ALEX, base_url=url)

        def test_a_client_without_a_url(smsc_server):
            with pytest.raises(RuntimeError, match="this client would reach smscentre.com"):
                Client(ALEX)

        def test_a_client_that_was_made_before(smsc_server):
            with pytest.raises(Exception, match="looks up smscentre.com"):
                asyncio.run(EARLIER.tariffs())

        @pytest.mark.parametrize("name", ["smsc.ru", "WWW2.smsc.KZ.", b"smscentre.com"])
        def test_a_look_up(smsc_server, name):
            with pytest.raises(RuntimeError, match="looks up"):
                socket.getaddrinfo(name, 443)

        def test_what_stays_here_is_allowed(smsc_server):
            def answer(request):
                return httpx.Response(200, content=b'{"error": "no", "error_code": 1}')

            Client(ALEX, transport=httpx.MockTransport(answer))
            for url in ("http://127.0.0.1:9/sys/", "http://localhost:9/sys/", smsc_server.base_url):
                Client(ALEX, base_url=url)
            assert socket.getaddrinfo("127.0.0.1", 9)
            with pytest.raises(ValueError, match="base_url"):
                Client(ALEX, base_url="http://sms.example/sys/")
            with pytest.raises(TypeError):
                Client(nonsense=1)

            async def main():
                async with smsc_server.client() as client:
                    await client.tariffs()

            asyncio.run(main())

        def test_afterwards_all_is_as_before():
            for url in URLS:
                Client(ALEX, base_url=url)
            assert not hasattr(socket.getaddrinfo, "__wrapped__")
            assert not hasattr(Client.__init__, "__wrapped__")
    """)
    pytester.runpytest().assert_outcomes(passed=10)
