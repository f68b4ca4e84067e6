"""Compare the prices of several accounts, from cron, and write them side by side as CSV.

Needs accounts, or the simulator:

smsc-async simulator --port 8025 --login alex --login boris
export SMSC_BASE_URL=http://127.0.0.1:8025/sys/ SMSC_PASSWORD_ALEX=123 SMSC_PASSWORD_BORIS=123
python -m examples.cron_compare prices.csv alex boris

Exits with 0, or with 1 if the list of an account is not available; then the file does not change. Times out after two
minutes, so that it has ended when cron starts it again.
"""

import asyncio
import csv
import os
import sys
from pathlib import Path

from smsc_async import Account, Client, Compared, ComparedOperator, SQLiteStore, Tariffs, compare


async def fetch(accounts: list[Account]) -> dict[str, Tariffs]:
    """Return the list of each login; report the failures, and leave them out."""
    lists: dict[str, Tariffs] = {}
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = SQLiteStore(os.environ.get("SMSC_STORE", "tariffs.db"))  # the quota counts the last run too
    try:
        async with Client(base_url=base_url, store=store) as client:
            async for outcome in client.tariffs_for(accounts, deadline=120):
                if outcome.tariffs is None:
                    print(f"{outcome.account.login}: {outcome.error}", file=sys.stderr)
                else:
                    lists[outcome.account.login] = outcome.tariffs
    finally:
        await store.aclose()
    return lists


def rows(lists: dict[str, Tariffs], logins: list[str]) -> list[list[str]]:
    """Return a table: a zone and its name, or an operator, with the price of each login and the cheapest login."""

    def priced(row: Compared | ComparedOperator) -> list[str]:
        costs = zip(logins, row.prices, strict=True)
        cheapest = [login for login, cost in costs if cost is not None and cost == row.cheapest]
        return [*("" if cost is None else str(cost) for cost in row.prices), " ".join(cheapest)]

    table = [["zone", "name", *logins, "cheapest", "mccmnc"]]
    comparison = compare({login: lists[login] for login in logins})
    for row in comparison.rows:
        # A spreadsheet would execute a name that begins like a formula.
        safe = f"'{row.name}" if row.name.startswith(("=", "+", "-", "@")) else row.name
        table.append([row.zone, safe, *priced(row), ""])
    # A login without an individual tariff pays the price of a zone, which the service does not name: none is the cheapest.
    table += [["", "", *priced(row), row.mccmnc] for row in comparison.codes]
    return table


def main(path: Path, logins: list[str]) -> int:
    """Write the file and return the exit code."""
    accounts = [Account(login, os.environ[f"SMSC_PASSWORD_{login.upper()}"]) for login in logins]
    lists = asyncio.run(fetch(accounts))
    if len(lists) < len(logins):
        return 1
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows(lists, logins))
    unfinished.replace(path)  # a reader has the old file or the new one
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
