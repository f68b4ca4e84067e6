"""What a command fetches with: the client, and the store that it shares with other commands.

The client and all that it needs is imported when a request is due: help and completion are quick.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import platformdirs
from rich.console import Console

from smsc_async.accounts import Account, Secret
from smsc_async.cli.cli_error import CliError, ExitCode, checked, exit_code, sentence_of
from smsc_async.cli.console import notes, progress
from smsc_async.cli.files import expanded, user_folder
from smsc_async.cli.passwords import account_of
from smsc_async.cli.profiles import Profile
from smsc_async.records import Tariffs

if TYPE_CHECKING:
    from smsc_async.client import Client
    from smsc_async.history import History
    from smsc_async.stores.shared import SharedStore

# Seconds after which a command explains why nothing happens.
PATIENCE = 3.0


def _state_file(path: Path | None, name: str, variable: str) -> Path:
    """Return the path of a file of the commands' state: the given one, else one in the user's state folder.

    Looks nothing up and makes no folder: the writer of the file does.

    Raises:
        CliError: There is no home folder, so ``variable`` has to name the file.
    """
    if path is not None and str(path) != ".":  # as Path("") is, of a variable that is set and empty
        return expanded(str(path))
    folder = user_folder(platformdirs.user_state_path)
    if folder is not None:
        return folder / name
    raise CliError(f"there is no home folder (HOME is not set): set {variable} to the path of a file", ExitCode.STORE)


def new_store(*, only_looks: bool = False) -> SharedStore:
    """Return the store of a command; a command that only looks changes and creates no file.

    Each command is a process of its own: commands that run within a minute of each other share one quota and the lists
    that they fetched.

    Raises:
        CliError: There is no home folder, ``SMSC_STORE`` or ``SMSC_PEPPER`` cannot be used, or the extra for Redis is missing.
    """
    place = os.environ.get("SMSC_STORE", "")
    if "://" not in place:
        place = str(_state_file(Path(place), "store.sqlite3", "SMSC_STORE"))
    from smsc_async.stores import store_at

    pepper = Secret(os.environ.get("SMSC_PEPPER", ""))
    try:
        return checked(ExitCode.STORE, store_at, Secret(place), pepper, only_looks=only_looks)
    except ImportError as error:
        problem = str(error)
    raise CliError(problem)


def new_history(path: Path | None, *, is_needed: bool = True) -> History:
    """Return the history of a command: the given file, or one beside the default store.

    Args:
        path: The given file, or ``None``.
        is_needed: Whether the command can do nothing without one; otherwise it is an empty one if there is no home folder.

    Raises:
        CliError: There is no home folder.
    """
    from smsc_async.history import History

    try:
        return History(_state_file(path, "history.sqlite3", "SMSC_HISTORY"))
    except CliError:
        if is_needed:
            raise
    return History(Path(os.devnull) / "history.sqlite3")  # no file can exist there


def fetch(profile: Profile, *, fresh: bool, deadline: float) -> Tariffs:
    """Return the list of an account, and note whose list it is and from when.

    Raises:
        CliError: Its password is not there, or an argument is out of its range.
        SmscError: The list was not fetched.
    """
    outcome = fetch_all([profile], fresh=fresh, deadline=deadline)[profile.name]
    if isinstance(outcome, Exception):
        raise outcome
    notes().print(f"{profile.name}, fetched at {outcome.fetched_at:%Y-%m-%d %H:%M:%S} UTC")
    return outcome


def fetch_each(profiles: Sequence[Profile], *, fresh: bool, deadline: float) -> tuple[dict[str, Tariffs], ExitCode]:
    """Return the lists of accounts, and the exit code of the first account without one; note each failure.

    Raises:
        CliError: An argument is out of its range.
    """
    lists: dict[str, Tariffs] = {}
    code = ExitCode.OK
    for name, outcome in fetch_all(profiles, fresh=fresh, deadline=deadline).items():
        if isinstance(outcome, Tariffs):
            lists[name] = outcome
        else:
            code = code or exit_code(outcome)
            notes().print(f"{name}: {sentence_of(outcome)}", soft_wrap=True)
    return lists, code


def fetch_all(
    profiles: Sequence[Profile], *, fresh: bool, deadline: float, again: bool = False
) -> dict[str, Tariffs | Exception]:
    """Return the list of each account, or why there is none, by the names of their profiles and in their order; shows how far it is.

    Args:
        profiles: The accounts.
        fresh: Whether a list that was fetched before will not do.
        deadline: Seconds of each call.
        again: Whether refused credentials are sent again.

    Raises:
        CliError: An argument is out of its range.
    """
    accounts: list[tuple[Profile, Account]] = []
    outcomes: dict[str, Tariffs | Exception] = {}
    for profile in profiles:
        try:
            accounts.append((profile, account_of(profile)))
        except (CliError, OSError) as error:
            outcomes[profile.name] = error
    if accounts:
        outcomes |= anyio.run(partial(_fetch_all, again=again), accounts, 0.0 if fresh else None, deadline)
    return {profile.name: outcomes[profile.name] for profile in profiles}


async def _fetch_all(
    accounts: Sequence[tuple[Profile, Account]], max_age: float | None, deadline: float, *, again: bool
) -> dict[str, Tariffs | Exception]:
    places = dict.fromkeys((profile.base_url, account) for profile, account in accounts)
    outcomes: dict[tuple[str, Account], Tariffs | Exception] = {}
    what = accounts[0][0].name if len(accounts) == 1 else f"{len(accounts)} accounts"
    err = notes()

    async def fetch_from(base_url: str, client: Client) -> None:
        own = [account for host, account in places if host == base_url]
        async for outcome in client.tariffs_for(own, max_age=max_age):
            result = outcome.tariffs or outcome.error
            assert result is not None
            outcomes[base_url, outcome.account] = result
            advance()

    async with open_clients([profile for profile, _ in accounts], deadline) as clients:
        if again:
            for profile, account in accounts:
                await clients[profile.base_url].reset_lockouts(account)
        with progress(err, f"fetching the list of {what}", len(places)) as advance:
            async with anyio.create_task_group() as group_with_advice:
                group_with_advice.start_soon(_explain_waiting, err)
                async with anyio.create_task_group() as group:
                    for base_url, client in clients.items():
                        group.start_soon(fetch_from, base_url, client)
                group_with_advice.cancel_scope.cancel()
    return {profile.name: outcomes[profile.base_url, account] for profile, account in accounts}


async def _explain_waiting(err: Console) -> None:
    await anyio.sleep(PATIENCE)
    err.print(
        "no answer yet: the service is slow, or the fourth list of a login within a minute waits for its turn",
        soft_wrap=True,
    )


@asynccontextmanager
async def open_clients(
    profiles: Iterable[Profile], deadline: float, store: SharedStore | None = None
) -> AsyncGenerator[dict[str, Client]]:
    """Give a client for each host of these accounts; the clients share a store, and so the quota.

    Args:
        profiles: The accounts.
        deadline: Seconds of each call.
        store: The store, which is closed at the end; ``None`` for a new one.

    Raises:
        CliError: An argument is out of its range.
    """
    from smsc_async.client import Client

    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(new_store() if store is None else store)
        clients: dict[str, Client] = {}
        for host in dict.fromkeys(profile.base_url for profile in profiles):
            client = checked(ExitCode.USAGE, Client, base_url=host, store=shared, deadline=deadline)
            clients[host] = await stack.enter_async_context(client)
        yield clients
