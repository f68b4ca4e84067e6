"""Compare the prices of several accounts, from cron, and write them side by side as CSV.

SMSC_PASSWORD_ALEX=123 SMSC_PASSWORD_BORIS=456 python -m examples.cron_compare prices.csv alex boris

Ends with 0, or with 1 where an account's list could not be had: then the file is left as it was. Times out after two
minutes, so that cron's next run does not meet this one.
"""

import asyncio
import csv
import os
import sys
from pathlib import Path

from smsc_async import Account, Client, Compared, ComparedOperator, SQLiteStore, Tariffs, compare


async def fetch(accounts: list[Account]) -> dict[str, Tariffs]:
    """Return the list of each login; what could not be had is told and left out."""
    lists: dict[str, Tariffs] = {}
    base_url = os.environ.get("SMSC_BASE_URL", "https://smscentre.com/sys/")
    store = SQLiteStore(os.environ.get("TARIFFS_DB", "tariffs.db"))  # what the last run used of the quota is known
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
    """Return a table: a zone and its name, or an operator, with a price for each login and who is the cheapest."""

    def priced(row: Compared | ComparedOperator) -> list[str]:
        costs = zip(logins, row.prices, strict=True)
        cheapest = [login for login, cost in costs if cost is not None and cost == row.cheapest]
        return [*("" if cost is None else str(cost) for cost in row.prices), " ".join(cheapest)]

    table = [["zone", "name", *logins, "cheapest", "mccmnc"]]
    comparison = compare({login: lists[login] for login in logins})
    for row in comparison.rows:
        # A spreadsheet would run a name that begins like a formula.
        safe = f"'{row.name}" if row.name.startswith(("=", "+", "-", "@")) else row.name
        table.append([row.zone, safe, *priced(row), ""])
    # Where a login has no individual tariff, it pays the price of a zone that is not told: none is the cheapest.
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
    unfinished.replace(path)  # whoever reads it meanwhile has the old file or the new one
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
