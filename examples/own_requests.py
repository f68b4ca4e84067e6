"""The limiter alone, in front of requests of your own: balances, statuses, whatever the service answers.

SMSC_LOGIN=alex SMSC_PASSWORD=123 python -m examples.own_requests

Never more than fourteen requests of the login are under way, those of a ``Client`` with the same store among them.
"""

import asyncio
import os
import socket

import httpx

from smsc_async import Account, Client, LimitedTransport, MemoryStore

# A connection whose other end has gone is given up by the kernel after 5 s, and nothing of it is delivered later. The
# quota's `linger` is as long, which is why the two fit. Linux alone has it.
BOUNDED = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5_000)] if hasattr(socket, "TCP_USER_TIMEOUT") else None


async def ask(http: httpx.AsyncClient, account: Account, page: str) -> str:
    """Return what the service answers; the credentials go in the body, since httpx logs whole URLs."""
    form = {"login": account.login, "psw": account.secret.reveal(), "fmt": "3"}
    reply = await http.post(page, data=form)
    return reply.raise_for_status().text


async def main() -> None:
    """Print a balance, the states of twenty messages, and a price."""
    account = Account.from_env()
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = MemoryStore()  # the same for both: they share the login's fourteen
    limited = LimitedTransport(httpx.AsyncHTTPTransport(socket_options=BOUNDED), store=store)
    async with (
        httpx.AsyncClient(transport=limited, base_url=base_url) as http,
        Client(account, base_url=base_url, store=store) as client,
    ):
        print("balance:", await ask(http, account, "balance.php"))
        states = await asyncio.gather(*(ask(http, account, "status.php") for _ in range(20)))
        print("states:", len(states))
        print("price:", (await client.tariffs()).zone("1").api)


if __name__ == "__main__":
    asyncio.run(main())
