"""``watch``: the changes of accounts, each reported once, for as long as the command runs.

A change is written to standard output, then told to the command and the webhook, and only then noted as reported: what
ends the command in between has it told again by the next one.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import anyio
import attrs

from smsc_async.accounts import Account
from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.cli.console import notes, output, show
from smsc_async.cli.diff_output import change_table, changes_document, counted
from smsc_async.cli.durations import lasting, shown
from smsc_async.cli.formats import write_line
from smsc_async.cli.notify import Tell
from smsc_async.cli.profiles import Profile, account_of, filed_under
from smsc_async.cli.session import new_client, new_store
from smsc_async.errors import SmscError
from smsc_async.history import History
from smsc_async.history.watch import Rounds, Update, Watcher

if TYPE_CHECKING:
    from smsc_async.client import Client

__all__ = ["Plan", "run_watch"]


@attrs.frozen(kw_only=True)
class Plan:
    """What a watch is to do.

    Attributes:
        every: Seconds between rounds.
        once: Whether one round is all.
        deadline: Seconds for the list of each round.
        history: Where lists and marks are kept.
        reader: Whose marks.
        as_json: Whether changes are written as lines of JSON.
        tells: Who is told beside standard output.
    """

    every: float
    once: bool
    deadline: float
    history: History
    reader: str
    as_json: bool
    tells: tuple[Tell, ...]


def run_watch(profiles: Sequence[Profile], plan: Plan) -> ExitCode:
    """Watch until there is nothing left to watch, or until interrupted, which is the ordinary end.

    Returns:
        What the process is to end with: that of the first account which went wrong, if any.

    Raises:
        CliError: A password is not there, or an argument is out of its range.
        OSError: Standard output is gone.
    """
    accounts = [(profile, account_of(profile)) for profile in profiles]
    names = ", ".join(filed_under(profile) for profile in profiles)
    how = "once" if plan.once else f"every {lasting(plan.every)}, until Ctrl-C"
    notes().print(f"watching {names} {how}; lists are kept in {plan.history.path}", soft_wrap=True)
    # Also where SIGINT is ignored, as in the background of a script; SIGTERM is what a supervisor sends.
    former = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _as_if_interrupted),
    }
    try:
        return anyio.run(_watch_all, accounts, plan)
    except KeyboardInterrupt:
        notes().print("ended")
        return ExitCode.OK
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _as_if_interrupted(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


async def _watch_all(accounts: Sequence[tuple[Profile, Account]], plan: Plan) -> ExitCode:
    store = new_store()
    clients = {profile.base_url: new_client(profile.base_url, store, plan.deadline) for profile, _ in accounts}
    codes: list[ExitCode] = []
    faults: list[Exception] = []

    async def watch(profile: Profile, account: Account) -> None:
        try:
            codes.append(await _watch_one(_watcher(clients[profile.base_url], profile, account, plan), plan))
        except (OSError, CliError) as fault:
            # Of all accounts: there is nobody left to write to.
            faults.append(fault)
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for profile, account in accounts:
                group.start_soon(watch, profile, account)
    finally:
        for client in clients.values():
            await client.aclose()
        await store.aclose()
    if faults:
        raise faults[0]
    return next((code for code in codes if code is not ExitCode.OK), ExitCode.OK)


def _watcher(client: Client, profile: Profile, account: Account, plan: Plan) -> Watcher:
    # As Client.watch() has it: what another command has just fetched will do.
    fetch = partial(client.tariffs, account, max_age=min(60.0, plan.every / 2))
    return Watcher(filed_under(profile), fetch, plan.history, plan.reader)


async def _watch_one(watcher: Watcher, plan: Plan) -> ExitCode:
    """Watch one account; returns where only the user can help, or after the one round that was asked for."""
    rounds, reporter = Rounds(watcher, plan.every), _Reporter(watcher, plan)
    try:
        await watcher.begin()
        # What the last run left behind comes before the first round.
        code = await reporter.report()
        while True:
            quiet = "the first list: what changes from now on is reported" if watcher.is_new else "no changes"
            came = await rounds.next()
            if isinstance(came, SmscError):
                _note(watcher.account, str(came))
                code = exit_code(came)
            else:
                if not watcher.unreported:
                    _note(watcher.account, quiet)
                code = await reporter.report()
            if plan.once:
                return code
    except SmscError as error:
        _note(watcher.account, f"{error}; it is not watched any more")
        return exit_code(error)


class _Reporter:
    """Reports the changes of one account in their order, and remembers how far it has come with one that was not told."""

    def __init__(self, watcher: Watcher, plan: Plan) -> None:
        self._watcher = watcher
        self._plan = plan
        # Of the first of what is unreported: whether it is written, and how many have been told.
        self._is_written = False
        self._told = 0

    async def report(self) -> ExitCode:
        """Report what is not reported yet, as far as it goes; tell what went wrong."""
        while self._watcher.unreported:
            update = self._watcher.unreported[0]
            if not self._is_written:
                _write(update, as_json=self._plan.as_json)
                self._is_written = True
            problem = await self._tell(update)
            if problem is not None:
                _note(update.account, f"not told: {problem}; the next round tries again")
                return ExitCode.NOTIFY_FAILED
            self._is_written, self._told = False, 0
            try:
                await self._watcher.reported()
            except SmscError as error:
                _note(update.account, f"{error}; the next round tries again")
        return ExitCode.OK

    async def _tell(self, update: Update) -> str | None:
        """Tell those who have not been told; return why one could not be."""
        assert update.snapshot is not None
        variables = {
            "SMSC_ACCOUNT": update.account,
            "SMSC_CHANGES": str(len(update.changes)),
            "SMSC_TAKEN_AT": update.snapshot.taken_at.isoformat(),
        }
        for tell in self._plan.tells[self._told :]:
            problem = await tell(changes_document(update), variables)
            if problem is not None:
                return problem
            self._told += 1
        return None


def _write(update: Update, *, as_json: bool) -> None:
    if as_json:
        write_line(changes_document(update))
        return
    assert update.before is not None
    assert update.snapshot is not None
    out = output()
    since, until = shown(update.before.taken_at), shown(update.snapshot.taken_at)
    out.print(f"{update.account}: {counted(update.changes)} between {since} and {until} UTC", style="bold")
    out.print()
    show(out, change_table(update.changes, out))
    out.print()
    out.file.flush()


def _note(account: str, said: str) -> None:
    notes().print(f"{datetime.now(UTC):%H:%M:%S} {account}: {said}", soft_wrap=True)
