"""``status``: the accounts, what is left of their quotas, and the files that commands share. Sends and creates nothing."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.console import Console

from smsc_async.accounts import Account
from smsc_async.cli import console
from smsc_async.cli import options as o
from smsc_async.cli.accounts import ACCOUNT_COLUMNS, NO_ACCOUNTS, account_row, account_table
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.durations import shown
from smsc_async.cli.formats import Output, with_columns, write_json, write_rows
from smsc_async.cli.passwords import account_of, is_read_silently
from smsc_async.cli.profiles import Profile, all_profiles, find_profile
from smsc_async.cli.session import new_history, new_store, open_clients
from smsc_async.cli.tables import Record, pair_table, show
from smsc_async.environment import BASE_URL
from smsc_async.errors import StoreError

if TYPE_CHECKING:
    from smsc_async.telemetry.statistics import Lockout, QuotaState

_COLUMNS = (*ACCOUNT_COLUMNS, "remaining", "next_in", "lockouts")

_SENTENCES = ("problem", "lockouts")  # too long for a column
_CAUSES = {
    "credentials": "the service refused these credentials",
    "trials": "too many untested credentials were refused or have no reply",
    "address": "the service has blocked this address",
    "outage": "the service does not respond",
    "store": "the store lost its state",
}


@o.command("status", "status", "status main -o json")
def status(
    accounts: o.AllAccounts = None,
    *,
    history: o.HistoryFile = None,
    data: o.Rows,
) -> None:
    """Show accounts, where their passwords are, what is left of their quotas, and files. Sends and creates nothing."""
    shape = data.shape(_COLUMNS)
    profiles = [find_profile(name) for name in dict.fromkeys(accounts)] if accounts else all_profiles()
    now = datetime.now(UTC).replace(microsecond=0)
    quotas, store = anyio.run(_look, profiles)
    rows = with_columns(list(map(_row, profiles, quotas, repeat(now))), shape.columns)
    try:
        files = {"store": store, "history": _file(str(new_history(history).path))}
    except CliError as error:
        files = {"store": store, "history": _file(None, str(error))}
    if shape.output is Output.JSON:
        documents = [
            {**row, "lockouts": _documents(quota, now)} if "lockouts" in row else row
            for row, quota in zip(rows, quotas, strict=True)
        ]
        write_json({"accounts": documents, **files})
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    else:
        _print(rows, files, console.output(), hidden=() if shape.columns else _SENTENCES)


async def _look(profiles: Sequence[Profile]) -> tuple[list[QuotaState | None], Record]:
    """Return what is left for each account, and where the store is."""
    quotas: list[QuotaState | None] = [None] * len(profiles)
    name = None
    try:
        store = new_store(only_looks=True)
        name = store.name
        async with open_clients(profiles, o.DEADLINE, store) as clients:
            for place, profile in enumerate(profiles):
                account = _account(profile)
                quotas[place] = None if account is None else await clients[profile.base_url].quota(account)
    except (CliError, StoreError) as error:
        return quotas, _file(name, str(error))
    return quotas, _file(name)


def _account(profile: Profile) -> Account | None:
    """Return an account to look up: the quota belongs to the login, so it is known without the password."""
    with contextlib.suppress(CliError, OSError):
        if is_read_silently(profile):
            return account_of(profile)
    return Account(profile.login, secrets.token_hex()) if profile.login.strip() else None


def _row(profile: Profile, quota: QuotaState | None, now: datetime) -> Record:
    row: Record = {**account_row(profile), "remaining": None, "next_in": None, "lockouts": None}
    if quota is None:
        return row if profile.login else {**row, "problem": row["problem"] or "without the key, its quota is unknown"}
    lockouts = [f"not sent until {shown(_end(each, now))} UTC: {_CAUSES[each.cause]}" for each in quota.lockouts]
    numbers = {"remaining": quota.remaining, "next_in": math.ceil(quota.next_in)}
    return {**row, **numbers, "lockouts": "; ".join(lockouts) or None}


def _documents(quota: QuotaState | None, now: datetime) -> list[object]:
    return [
        {
            "cause": each.cause,
            "login": each.login,
            "seconds": math.ceil(each.seconds),
            "until": _end(each, now).isoformat(),
        }
        for each in (quota.lockouts if quota else ())
    ]


def _end(lockout: Lockout, now: datetime) -> datetime:
    return now + timedelta(seconds=math.ceil(lockout.seconds))


def _print(rows: Sequence[Record], files: Mapping[str, Record], out: Console, *, hidden: Sequence[str]) -> None:
    """Write tables; the hidden columns as sentences in a table of their own."""
    if not rows:
        out.print(NO_ACCOUNTS)
    usual = {"base_url"} if hidden and all(row["base_url"] == BASE_URL for row in rows) else set[str]()
    short = [{name: value for name, value in row.items() if name not in {*hidden, *usual}} for row in rows]
    show(out, account_table(short, out))
    sentences = {str(row.get("account")): "; ".join(str(row[name]) for name in hidden if row[name]) for row in rows}
    for table in (sentences, {name: _sentence(file) for name, file in files.items()}):
        if any(table.values()):
            out.print()
            show(out, pair_table({name: text or None for name, text in table.items()}, out))


def _file(name: str | None, problem: str | None = None) -> Record:
    """Return where a file or a server is, and how many bytes a file has that exists."""
    size: int | None = None
    with contextlib.suppress(OSError):  # such as a name that is too long
        size = Path(name).stat().st_size if name and Path(name).is_file() else None
    return {"path": name, "bytes": size, "problem": problem}


def _sentence(file: Record) -> str:
    path, size, problem = map(str, file.values())
    is_missing = Path(path).is_absolute() and not os.path.lexists(path)  # not the address of a server
    note = " (does not exist yet)" if is_missing else "" if file["bytes"] is None else f" ({size} bytes)"
    return "; ".join(([f"{path}{note}"] if file["path"] else []) + ([problem] if file["problem"] else []))
