"""A program that a test starts: 20 calls of an account and a fleet of 40, in two event loops in turn, around a fork.

Usage: ``python -m tests.http.exchanges_process BASE_URL BACKEND,BACKEND``
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
import threading
import warnings

import anyio

from smsc_async import Account, Client, MemoryStore, Quota

FAST = Quota(requests=1000, concurrent=1000)
ALEX = Account("alex", "123")


def context() -> ssl.SSLContext:
    """Trust anybody: this program is about connections."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def main(base_url: str, backends: list[str]) -> None:
    client = Client(ALEX, base_url=base_url, quota=FAST, store=MemoryStore(), max_age=0, ssl_context=context())

    async def calls() -> None:
        for _ in range(20):
            assert (await client.tariffs()).zones

    async def all_calls() -> None:
        await calls()
        fleet = [Account(f"login-{number}", "123") for number in range(40)]
        outcomes = [each async for each in client.tariffs_for(fleet)]
        assert len(outcomes) == 40
        assert all(each.tariffs is not None for each in outcomes), [str(each.error) for each in outcomes]

    for backend in backends:
        anyio.run(all_calls, backend=backend)
        gc.collect()  # sockets that were left open warn here
    before = client.statistics().requests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12: a fork beside threads
        child = os.fork()
    if not child:
        code = 1
        try:
            anyio.run(calls, backend=backends[-1])
            gc.collect()
            code = 0 if client.statistics().requests == before + 20 else 2
        finally:
            sys.stderr.flush()
            os._exit(code)
    anyio.run(calls, backend=backends[0])
    gc.collect()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert threading.active_count() >= 1
    print(json.dumps({"parent": client.statistics().requests, "child": 20}))  # noqa: T201  # read by the test


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","))
