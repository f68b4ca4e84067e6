"""Workers of the process tests, all forked from one process that has everything imported: so they start together.

Reads lines ``NAME CALL ARGUMENTS`` and forks a process for each, which says ``NAME …`` on the common standard output.

    fetch STORE BASE_URL PER CALLS     so many requests of one login, through the limiter alone
    hang STORE BASE_URL PER            takes a permit, says its pid, and never ends
    one_list STORE BASE_URL PER MAX_AGE   fetches the list once with a client
    hang_list STORE BASE_URL PER       leads a flight, says its pid, and never lands
    refresh STORE BASE_URL PER AFTER SECONDS   asks for the list every 4 ms, with ``refresh_after``, and counts the outcomes
    load STORE BASE_URL PER SECONDS DEADLINE LOGIN,LOGIN…   fetches the lists of many logins over and over
    guess STORE BASE_URL PER LOGIN,LOGIN…   calls each login once, with a wrong password, all at once
    hang_trials STORE BASE_URL PER LEASE   sends four untested passwords, takes the tokens of a login, says when it began, and never ends
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from smsc_async import (
    Account,
    CallEnded,
    Client,
    LimitedTransport,
    RedisStore,
    SmscError,
    SQLiteStore,
    StoreError,
    Tariffs,
)
from smsc_async.limiter.bucket import Permit
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.protocol import endpoint, quota_key, service_of
from smsc_async.stores.redis import connection
from smsc_async.stores.sqlite import file as sqlite_file
from smsc_async.stores.sqlite import worker_thread as worker
from tests.support.stopwatch import Stopwatch

ALEX: Final = Account("alex", "123")
FORM: Final = {"get_price": "1", "login": "alex", "psw": "123", "fmt": "3"}
LEASE: Final = 0.6


def open_store(name: str) -> SQLiteStore | RedisStore:
    for module in (sqlite_file, worker):
        # Room for a machine that is busy with other things.
        setattr(module, "PATIENCE", 20.0)  # noqa: B010  # a constant, to a checker
    if name.startswith(("unix:", "redis")):
        return RedisStore(name, pepper="a long random text", lease=LEASE, cold_start="grant")
    return SQLiteStore(name, pepper="a long random text", lease=LEASE)


def quota(per: float) -> Quota:
    """Return the rule of the service for 60 s, else one with short pauses."""
    return Quota() if per == Quota().per else Quota(per=per, guard=0.05, linger=0.1)


async def fetch(store: str, base_url: str, per: str, calls: str) -> str:
    shared = open_store(store)
    transport = LimitedTransport(httpx.AsyncHTTPTransport(verify=False), quota=quota(float(per)), store=shared)
    async with httpx.AsyncClient(transport=transport, base_url=base_url, timeout=30) as client:
        replies = await asyncio.gather(*[client.post("get.php", data=FORM) for _ in range(int(calls))])
    await shared.aclose()
    return f"{sum('error_code' not in reply.text for reply in replies)} answers"


async def hang(store: str, _base_url: str, per: str) -> str:
    await open_store(store).queue.acquire(Permit("alex", quota(float(per)), token=True))
    return "holds"


async def one_list(store: str, base_url: str, per: str, max_age: str) -> str:
    shared = open_store(store)
    shared.LEASE_SECONDS = 20.0  # room for a machine that is busy with other things
    async with Client(ALEX, base_url=base_url, store=shared, quota=quota(float(per)), max_age=float(max_age)) as client:
        tariffs = await client.tariffs()
    await shared.aclose()
    return f"{len(tariffs.zones)} zones"


async def hang_list(store: str, base_url: str, _per: str) -> str:
    shared = open_store(store)
    shared.LEASE_SECONDS = 1.5  # until then the others wait for a process that is killed
    await shared.lease_or_reply(f"{base_url}get.php", ALEX, 60.0)
    return "leads"


async def refresh(store: str, base_url: str, per: str, after: str, seconds: str) -> str:
    shared = open_store(store)
    outcomes: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, CallEnded) and not event.refresh:
            outcomes.append(event.outcome)

    async with Client(
        ALEX,
        base_url=base_url,
        store=shared,
        quota=quota(float(per)),
        max_age=3600,
        refresh_after=float(after),
        on_event=note,
    ) as client:
        await client.tariffs()
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            await client.tariffs()
            await asyncio.sleep(0.004)
    await shared.aclose()
    return f"{len(outcomes)} {set(outcomes[1:])}"


async def load(  # noqa: PLR0917  # the words of a line
    store: str, base_url: str, per: str, seconds: str, deadline: str, logins: str
) -> str:
    """Say how many lists and errors there were, and by how many seconds a call outlasted its deadline at most."""
    ends, limit = time.monotonic() + float(seconds), float(deadline)
    counts, late, watch = Counter[str](), 0.0, Stopwatch()
    watch.start()
    async with (
        open_store(store) as shared,
        Client(base_url=base_url, store=shared, quota=quota(float(per)), retries=0) as client,
    ):
        shared.LEASE_SECONDS = 0.5  # else a lease that a failover brought back would cover what the permits are for

        async def fetch_one(login: str) -> None:
            nonlocal late
            while time.monotonic() < ends:
                began, stalled = time.monotonic(), watch.stalled
                try:
                    await client.tariffs(Account(login, "123"), max_age=0.0, deadline=limit)
                    counts["lists"] += 1
                except SmscError as error:
                    counts[type(error).__name__] += 1
                late = max(late, time.monotonic() - began - (watch.stalled - stalled) - limit)
                await asyncio.sleep(0.05)

        await asyncio.gather(*map(fetch_one, logins.split(",")))
    watch.stop()
    return json.dumps({**counts, "late": late})


async def guess(store: str, base_url: str, per: str, logins: str) -> str:
    async with (
        open_store(store) as shared,
        Client(base_url=base_url, store=shared, quota=quota(float(per)), retries=0) as client,
    ):
        calls = [client.tariffs(Account(login, "wrong"), deadline=5.0) for login in logins.split(",")]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    return json.dumps(
        Counter(str(answer) if type(answer) is StoreError else type(answer).__name__ for answer in answers)
    )


async def hang_trials(store: str, base_url: str, per: str, lease: str) -> str:
    shared, rule = open_store(store), quota(float(per))
    client = Client(base_url=base_url, store=shared, quota=rule, deadline=3600.0)
    began = now()
    _tasks.extend(asyncio.create_task(client.tariffs(Account(f"new-{number}", "123"))) for number in range(4))
    for _ in range(3):
        await shared.queue.acquire(
            Permit(quota_key(service_of(endpoint(base_url)), "alex"), rule, token=True), lease=float(lease)
        )
    return f"holds {began!r}"


_tasks: Final[list[asyncio.Task[Tariffs]]] = []

CALLS: Final[dict[str, Callable[..., Awaitable[str]]]] = {
    call.__name__: call for call in (fetch, hang, one_list, hang_list, refresh, load, guess, hang_trials)
}


async def _tell(name: str, call: str, *arguments: str) -> None:
    try:
        told = await CALLS[call](*arguments)
    except Exception as error:  # noqa: BLE001  # the test waits for a word
        told = f"failed: {error!r}"
    os.write(1, f"{name} {os.getpid()} {told}\n".encode())
    if call.startswith("hang"):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    open_store("unix:///")  # what it imports, before the forks
    setattr(connection, "SECONDS", 20.0)  # noqa: B010  # as PATIENCE
    children: list[int] = []
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(_tell(*line.split()))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
