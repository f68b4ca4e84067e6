"""``watch``: the changes of accounts, each delivered once to each receiver, for as long as the command runs.

A round records the list of an account. Each receiver (standard output, ``--run``, ``--webhook``, ``--notify``) then gets the
changes that it has not got, in their order: what one of them refuses delays no other. A delivery is recorded as soon as it
has ended, and Ctrl-C waits for both; so only a process that is killed in between repeats one.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import attrs
import typer

from smsc_async.accounts import Account
from smsc_async.analysis.diff import Change, ChangeKind, diff
from smsc_async.analysis.filters import ChangeFilter
from smsc_async.analysis.networks import fold
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.cli.console import notes
from smsc_async.cli.durations import parse_duration
from smsc_async.cli.exit import end_once
from smsc_async.cli.files import checked_text
from smsc_async.cli.formats import Output
from smsc_async.cli.notify import Receiver, command_receiver, notification_receiver, stdout_receiver, webhook_receiver
from smsc_async.cli.passwords import account_of
from smsc_async.cli.profiles import Profile, all_profiles, filed_under, find_profile, secret_variables
from smsc_async.cli.selection import check_names, match_operators, match_zones
from smsc_async.cli.session import new_history, open_clients
from smsc_async.cli.webhook import Undelivered
from smsc_async.errors import AuthenticationError, SmscError
from smsc_async.history import History
from smsc_async.history.watch import RETRY_SECONDS, Reader, Recorder, Rounds, Update
from smsc_async.records import Tariffs

if TYPE_CHECKING:
    from smsc_async.client import Client

# For a delivery in progress, after Ctrl-C.
GRACE_SECONDS: Final = 10.0


class _Direction(StrEnum):
    """The ways that a price can go."""

    INCREASES = "increases"
    DECREASES = "decreases"


@o.command("watch", "watch main --every 15m", "watch main --once -o json")
def watch(
    accounts: Annotated[list[str] | None, o.account(o.NAMES)] = None,
    *,
    all_accounts: Annotated[bool, typer.Option("--all")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION")] = "15m",
    once: Annotated[bool, typer.Option("--once")] = False,
    lines: o.Lines,
    min_change: Annotated[str | None, typer.Option(metavar="PERCENT")] = None,
    only: Annotated[_Direction | None, typer.Option()] = None,
    run: Annotated[str | None, typer.Option(metavar="COMMAND")] = None,
    webhook: Annotated[str | None, typer.Option(envvar="SMSC_WEBHOOK", metavar="URL")] = None,
    notify: Annotated[str | None, typer.Option(envvar="SMSC_NOTIFY", metavar="URL")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    history: o.HistoryFile = None,
    reader: Annotated[str, typer.Option()] = "watch",
    output: o.OutputOption = Output.TABLE,
    access: o.Access,
) -> None:
    """Report what changes in the lists of accounts, each change once, until Ctrl-C.

    Lists are recorded in a history; what changed while no watch ran is reported by the next one.

    Options:
        all_accounts: Watch all accounts of the configuration file.
        every: How often to look, such as 90s, 15m or 1h.
        once: Look once and end, as a job for cron.
        min_change: The smallest change of a price to report, such as 1%.
        only: Report prices that went this way.
        run: Run for each report, which it gets as JSON on standard input; no shell.
        webhook: Post each report as JSON to an https:// URL.
        notify: Send each report as text to a service that apprise knows, such as Telegram, Slack or mail (the extra
            notify).
        quiet: Write nothing but changes and errors, so that cron sends no mail.
        reader: The name under which deliveries are recorded: each name gets all changes.
    """
    if output not in {Output.TABLE, Output.JSON}:
        raise CliError("a watch writes -o table, or -o json with a line for each report")
    if all_accounts and accounts:
        raise CliError("which accounts? Name some of them, or --all")
    if all_accounts and access.password_from is not None:
        raise CliError("--password-from is for accounts that are named: with --all each has its own source")
    check_names(zones=lines.zone or (), operators=lines.operator or ())
    names: Iterable[str | None] = dict.fromkeys(accounts or ()) or (None,)
    profiles = all_profiles() if all_accounts else [find_profile(name, source=access.password_from) for name in names]
    receivers = [
        *([] if run is None else [command_receiver(run, secret_variables(profiles))]),
        *([] if webhook is None else [webhook_receiver(webhook)]),
        *([] if notify is None else [notification_receiver(notify)]),
    ]
    plan = _Plan(
        every=parse_duration(every),
        once=once,
        deadline=access.deadline,
        history=new_history(history),
        reader=checked_text(reader, "--reader"),
        as_json=output is Output.JSON,
        receivers=tuple(receivers),
        lines=lines,
        changes=_new_filter(lines, min_change, only),
        quiet=quiet,
    )
    watched = [(profile, account_of(profile)) for profile in profiles]
    how = "once" if once else f"every {every}, until Ctrl-C"
    plan.note(f"watching {', '.join(map(_label, profiles))} {how}; lists are recorded in {plan.history.path}")
    raise typer.Exit(_run(watched, plan))


def _label(profile: Profile) -> str:
    """Return the name of an account on the command line, and the name in the history if that is another one."""
    return profile.name if filed_under(profile) == profile.name else f"{profile.name} ({filed_under(profile)})"


def _is_watched(lines: o.Lines, change: Change) -> bool:
    """Return whether a change belongs to one of the lines that were named; without any, all lines are watched."""
    if not lines.zone and not lines.operator:
        return True
    if change.line == "operator":
        return not all(_problem(match_operators, [change.id], [name], "") for name in lines.operator or ())
    names = fold(f"{change.name}\n{change.old_name}")
    return change.line == "zone" and any(
        change.id == zone if zone.isdigit() else fold(zone) in names for zone in lines.zone or ()
    )


def _unknown_lines(lines: o.Lines, tariffs: Tariffs) -> list[str]:
    """Return a sentence for each name that nothing in a list has."""
    codes = [code.mccmnc for code in tariffs.codes]
    problems = [_problem(match_zones, tariffs.zones, zone) for zone in lines.zone or ()]
    problems += [_problem(match_operators, codes, [name], "its list") for name in lines.operator or ()]
    return [f"{problem}; changes are reported once there is one" for problem in problems if problem]


def _new_filter(lines: o.Lines, min_change: str | None, only: _Direction | None) -> ChangeFilter:
    """Return which changes are reported.

    Raises:
        CliError: The threshold is not a percentage.
    """
    match = re.fullmatch(r"(\d{1,9}(?:[.,]\d{1,9})?) ?%?", min_change or "0", re.ASCII)
    if match is None:
        raise CliError(f"--min-change {min_change}: must be a percentage such as 1% or 0.5%")
    kinds = {None: (), _Direction.INCREASES: [ChangeKind.DEARER], _Direction.DECREASES: [ChangeKind.CHEAPER]}[only]
    return ChangeFilter(
        lines=partial(_is_watched, lines),
        services=frozenset(lines.service or ()),
        kinds=frozenset(kinds),
        min_ratio=Fraction(match[1].replace(",", ".")) / 100,
    )


def _problem(match: Callable[..., object], *arguments: object) -> str:
    try:
        match(*arguments)
    except CliError as error:
        return str(error)
    return ""


@attrs.frozen(kw_only=True)
class _Plan:
    """What a watch is to do.

    Attributes:
        every: Seconds between rounds.
        once: Whether one round is all.
        deadline: Seconds for the list of each round.
        history: Where lists and deliveries are recorded.
        reader: The name under which deliveries are recorded.
        as_json: Whether changes are written as lines of JSON.
        receivers: The receivers beside standard output.
        lines: The zones and operators that are watched.
        changes: The changes that are reported.
        quiet: Whether nothing but changes and errors is written.
    """

    every: float
    once: bool
    deadline: float
    history: History
    reader: str
    as_json: bool
    receivers: tuple[Receiver, ...]
    lines: o.Lines
    changes: ChangeFilter
    quiet: bool

    def note(self, text: str) -> None:
        """Write how it goes on standard error, unless that is not wanted."""
        if not self.quiet:
            notes().print(text, soft_wrap=True)


def _run(accounts: Sequence[tuple[Profile, Account]], plan: _Plan) -> ExitCode:
    """Watch until there is nothing left to watch, or until interrupted, which is the ordinary end.

    Returns:
        What the process is to end with: that of the first account which went wrong, if any.

    Raises:
        CliError: An argument is out of its range.
        BrokenPipeError: The reader of standard output has ended, and there is no other receiver.
    """
    # Also if SIGINT is ignored, as in the background of a script; SIGTERM is what a supervisor sends.
    former = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return anyio.run(_watch_all, accounts, plan)
    except KeyboardInterrupt:
        plan.note("ended")
        return ExitCode.OK
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


async def _watch_all(accounts: Sequence[tuple[Profile, Account]], plan: _Plan) -> ExitCode:
    interrupt = signal.getsignal(signal.SIGINT)  # of the event loop: it cancels this task
    assert callable(interrupt)
    end_once(interrupt)
    codes: list[ExitCode] = []
    faults: list[OSError] = []

    def end(fault: OSError) -> None:
        faults.append(fault)
        group.cancel_scope.cancel()

    receivers = plan.receivers
    # If standard output is closed from the start, nothing counts as delivered to it.
    if sys.__stdout__ is not None:
        # The end of the reader of standard output ends the command, unless there are other receivers.
        receivers = (stdout_receiver(as_json=plan.as_json, end=None if receivers else end), *receivers)

    async def watch(place: int, profile: Profile, account: Account) -> None:
        watched = _Watched(clients[profile.base_url], profile, account, plan, receivers)
        codes.append(await watched.run(place / len(accounts) * plan.every if place else None))

    async with (
        open_clients([profile for profile, _ in accounts], plan.deadline) as clients,
        anyio.create_task_group() as group,
    ):
        for place, (profile, account) in enumerate(accounts):
            group.start_soon(watch, place, profile, account)
    if faults:
        raise faults[0]
    return next(filter(None, codes), ExitCode.OK)


class _Watched:
    """One account: its rounds, and the deliveries to each receiver."""

    def __init__(
        self, client: Client, profile: Profile, account: Account, plan: _Plan, receivers: Iterable[Receiver]
    ) -> None:
        self._plan = plan
        self._name = _label(profile)
        # As Client.watch() has it: what another command has just fetched will do.
        fetch = partial(client.tariffs, account, max_age=min(60.0, plan.every / 2))
        self._recorder = Recorder(filed_under(profile), fetch, plan.history, account)
        self._deliveries = [_Delivery(self._name, self._recorder, receiver, plan) for receiver in receivers]
        self._unknown: list[str] | None = None

    async def run(self, phase: float | None) -> ExitCode:
        """Watch; returns after the only round, or if the credentials are refused."""
        try:
            return await (self._once() if self._plan.once else self._until_refused(phase))
        finally:
            for delivery in self._deliveries:
                delivery.reader.release()

    async def _once(self) -> ExitCode:
        # What the last run left behind comes before the round.
        codes = await self._deliver()
        codes.append(await self._round(Rounds(self._recorder, self._plan.every)))
        codes += await self._deliver()
        for delivery in self._deliveries:
            if delivery.reader.retry_in is not None:
                option = delivery.receiver.option
                _warn(self._name, f"{option} wants no attempt for {delivery.reader.retry_in:.0f} s; tried again later")
        return next(filter(None, codes), ExitCode.OK)

    async def _until_refused(self, phase: float | None) -> ExitCode:
        async with anyio.create_task_group() as group:
            for delivery in self._deliveries:
                group.start_soon(delivery.run)
            rounds = Rounds(self._recorder, self._plan.every, phase)
            while await self._round(rounds) is not ExitCode.AUTHENTICATION:
                for delivery in self._deliveries:
                    delivery.woken.set()
            group.cancel_scope.cancel()  # which a delivery in progress outlasts
        return ExitCode.AUTHENTICATION

    async def _deliver(self) -> list[ExitCode]:
        codes: list[ExitCode] = []

        async def deliver(delivery: _Delivery) -> None:
            codes.append(await delivery.deliver())

        async with anyio.create_task_group() as group:
            for delivery in self._deliveries:
                group.start_soon(deliver, delivery)
        return codes

    async def _round(self, rounds: Rounds) -> ExitCode:
        name = self._name
        try:
            snapshot = await rounds.next()
        except AuthenticationError as error:
            _warn(name, f"{error}; it is not watched any more")
            return ExitCode.AUTHENTICATION
        except SmscError as error:
            _warn(name, str(error))
            return exit_code(error)
        before = self._recorder.before
        if before is None:
            self._plan.note(_timed(name, "the first list: what changes from now on is reported"))
        elif not diff(before.tariffs, snapshot.tariffs):
            self._plan.note(_timed(name, "no changes"))
        if self._unknown is None:
            self._unknown = _unknown_lines(self._plan.lines, snapshot.tariffs)
            for sentence in self._unknown:
                _warn(name, sentence)
        return ExitCode.OK


class _Delivery:
    """The changes of one account on their way to one receiver."""

    def __init__(self, label: str, recorder: Recorder, receiver: Receiver, plan: _Plan) -> None:
        self._label = label
        self.receiver = receiver
        # Standard output has the name of the reader for itself, as in Client.watch().
        name = f"{plan.reader} {receiver.option}" if receiver.target else plan.reader
        self.reader: Reader = recorder.reader(name, plan.changes, target=receiver.target)
        self.woken = anyio.Event()

    async def run(self) -> None:
        """Deliver changes, and look for more of them when ``woken`` is set; until it is cancelled."""
        while True:
            code = await self.deliver()
            seconds = self.reader.retry_in or (None if code is ExitCode.OK else RETRY_SECONDS)
            with anyio.move_on_after(seconds):
                await self.woken.wait()
            self.woken = anyio.Event()

    async def deliver(self) -> ExitCode:
        """Deliver the changes that were not delivered yet, as far as it goes; explain what went wrong."""
        code = ExitCode.OK
        try:
            while (update := await self.reader.next()) is not None:
                problem = await _finished(partial(self._attempt, update))
                if problem is None:
                    continue
                code = ExitCode.NOTIFY_FAILED
                if problem.is_final:
                    _warn(self._label, f"refused by {self.receiver.option}: {problem.reason}; not sent again")
                    continue
                _warn(self._label, f"not delivered to {self.receiver.option}: {problem.reason}; tried again later")
                if problem.retry_after is None:
                    self.reader.release()
                else:
                    await self.reader.postpone(problem.retry_after)
                break
        except SmscError as error:
            _warn(self._label, f"{error}; tried again later")
            return exit_code(error)
        return code if self.reader.retry_in is None else ExitCode.NOTIFY_FAILED

    async def _attempt(self, update: Update) -> Undelivered | None:
        problem = await self.receiver.deliver(update)
        if problem is None or problem.is_final:
            await self.reader.reported()
        return problem


async def _finished(work: Callable[[], Awaitable[Undelivered | None]]) -> Undelivered | None:
    """Return the result of work that goes on for some seconds after Ctrl-C: a delivery without a record is repeated."""
    outcome: Undelivered | SmscError | None = Undelivered("interrupted")
    work_ended = anyio.CancelScope()

    async def limit() -> None:
        with work_ended:
            try:
                await anyio.sleep_forever()
            finally:
                scope.deadline = anyio.current_time() + GRACE_SECONDS

    async with anyio.create_task_group() as group:
        with anyio.CancelScope(shield=True) as scope:
            group.start_soon(limit)
            try:
                outcome = await work()
            except SmscError as error:  # which a group would wrap
                outcome = error
        work_ended.cancel()
    if isinstance(outcome, SmscError):
        raise outcome
    return outcome


def _warn(account: str, text: str) -> None:
    notes().print(_timed(account, text), soft_wrap=True)


def _timed(account: str, text: str) -> str:
    return f"{datetime.now(UTC):%H:%M:%S} UTC {account}: {text}"
