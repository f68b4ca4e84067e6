"""The limiter in front of your own requests, such as balances and statuses. Needs an account, or the simulator:

smsc-async simulator --port 8025
SMSC_BASE_URL=http://127.0.0.1:8025/sys/ SMSC_LOGIN=alex SMSC_PASSWORD=123 python -m examples.own_requests

At most fourteen requests of the login are in progress, those of a ``Client`` with the same store included.
"""

import asyncio
import os
import socket

import httpx

from smsc_async import Account, Client, LimitedTransport, MemoryStore

# The kernel drops a connection 5 s after its peer has gone, so that no request arrives later. The `linger` of the quota is
# just as long. Only Linux has this option.
BOUNDED = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5_000)] if hasattr(socket, "TCP_USER_TIMEOUT") else None


async def call(http: httpx.AsyncClient, account: Account, page: str) -> dict[str, object]:
    """Return the JSON reply of a page; the credentials go in the body, because httpx logs whole URLs."""
    form = {"login": account.login, "psw": account.secret.reveal(), "fmt": "3"}
    reply = await http.post(page, data=form)
    answer: dict[str, object] = reply.raise_for_status().json()
    return answer


async def main() -> None:
    """Print a balance, the number of twenty statuses, and a price."""
    account = Account.from_env()
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = MemoryStore()  # the same for both: they share the login's fourteen
    limited = LimitedTransport(httpx.AsyncHTTPTransport(socket_options=BOUNDED), store=store)
    async with (
        httpx.AsyncClient(transport=limited, base_url=base_url) as http,
        Client(account, base_url=base_url, store=store) as client,
    ):
        print("balance:", (await call(http, account, "balance.php"))["balance"])
        states = await asyncio.gather(*(call(http, account, "status.php") for _ in range(20)))
        print("states:", len(states))
        print("price:", (await client.tariffs()).zone("1").api)


if __name__ == "__main__":
    asyncio.run(main())
