"""``watch``: the changes of accounts, each delivered once to each receiver, for as long as the command runs.

A round records the list of an account. Each receiver (standard output, ``--run``, ``--webhook``, ``--notify``) then gets the
changes that it has not got, in their order: what one of them refuses delays no other. A delivery is recorded as soon as it
has ended, and Ctrl-C waits for both; so only a process that is killed in between repeats one.
"""

from __future__ import annotations

import contextlib
import io
import re
import select
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
import attrs

from smsc_async.accounts import Account
from smsc_async.analysis.diff import Change, ChangeKind, diff
from smsc_async.analysis.filters import ChangeFilter
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.cli.cli_error import CliError, ExitCode, exit_code
from smsc_async.cli.console import notes, output, show
from smsc_async.cli.diff_output import change_table, changes_document, counted
from smsc_async.cli.durations import lasting, shown
from smsc_async.cli.formats import Direction
from smsc_async.cli.notify import Receiver
from smsc_async.cli.profiles import Profile, account_of, filed_under
from smsc_async.cli.selection import match_operators, match_zones
from smsc_async.cli.session import new_client, new_store
from smsc_async.cli.webhook import Undelivered
from smsc_async.errors import AuthenticationError, SmscError
from smsc_async.history import History
from smsc_async.history.watch import RETRY_SECONDS, Reader, Recorder, Rounds, Update
from smsc_async.networks import fold
from smsc_async.records import Service

if TYPE_CHECKING:
    from smsc_async.client import Client

__all__ = ["Lines", "Plan", "new_filter", "run_watch"]

# For a delivery in progress, after Ctrl-C.
GRACE_SECONDS: Final = 10.0
# A pipe that is writable takes as much at once.
_PIECE: Final = getattr(select, "PIPE_BUF", 512)


@attrs.frozen
class Lines:
    """The zones and operators that are watched, by the names that were given; none for all lines."""

    zones: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    def contain(self, change: Change) -> bool:
        """Return whether a change belongs to one of them."""
        if not self.zones and not self.operators:
            return True
        if change.line == "operator":
            return any(_matches(match_operators, [change.id], [name], "") for name in self.operators)
        names = fold(f"{change.name}\n{change.old_name}")
        return change.line == "zone" and any(
            change.id == zone if zone.isdigit() else fold(zone) in names for zone in self.zones
        )

    def unknown(self, snapshot: Snapshot) -> list[str]:
        """Return a sentence for each name that nothing in a list has."""
        codes = [code.mccmnc for code in snapshot.tariffs.codes]
        problems = [_matches(match_zones, snapshot.tariffs.zones, zone) for zone in self.zones]
        problems += [_matches(match_operators, codes, [name], "its list") for name in self.operators]
        return [f"{problem}; changes are reported once there is one" for problem in problems if problem is not True]


def new_filter(
    lines: Lines, *, services: Sequence[Service], min_change: str | None, only: Direction | None
) -> ChangeFilter:
    """Return which changes are reported.

    Raises:
        CliError: The threshold is not a percentage.
    """
    match = re.fullmatch(r"(\d{1,9}(?:[.,]\d{1,9})?) ?%?", min_change or "0", re.ASCII)
    if match is None:
        raise CliError(f"--min-change {min_change}: must be a percentage such as 1% or 0.5%", ExitCode.USAGE)
    kinds = {None: (), Direction.INCREASES: [ChangeKind.DEARER], Direction.DECREASES: [ChangeKind.CHEAPER]}[only]
    return ChangeFilter(
        lines=lines.contain,
        services=frozenset(services),
        kinds=frozenset(kinds),
        min_ratio=Fraction(match[1].replace(",", ".")) / 100,
    )


def _matches(match: Callable[..., object], *arguments: object) -> object:
    try:
        match(*arguments)
    except CliError as error:
        return error
    return True


@attrs.frozen(kw_only=True)
class Plan:
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
    lines: Lines
    changes: ChangeFilter
    quiet: bool

    def note(self, text: str) -> None:
        """Write how it goes on standard error, unless that is not wanted."""
        if not self.quiet:
            notes().print(text, soft_wrap=True)


def run_watch(profiles: Sequence[Profile], plan: Plan) -> ExitCode:
    """Watch until there is nothing left to watch, or until interrupted, which is the ordinary end.

    Returns:
        What the process is to end with: that of the first account which went wrong, if any.

    Raises:
        CliError: A password is not there, or an argument is out of its range.
        BrokenPipeError: Nobody reads standard output any more, and nobody else is told.
    """
    accounts = [(profile, account_of(profile)) for profile in profiles]
    names = ", ".join(filed_under(profile) for profile in profiles)
    how = "once" if plan.once else f"every {lasting(plan.every)}, until Ctrl-C"
    plan.note(f"watching {names} {how}; lists are kept in {plan.history.path}")
    # Also if SIGINT is ignored, as in the background of a script; SIGTERM is what a supervisor sends.
    former = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _as_if_interrupted),
    }
    try:
        return anyio.run(_watch_all, accounts, plan)
    except KeyboardInterrupt:
        plan.note("ended")
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
    faults: list[OSError] = []

    def end(fault: OSError) -> None:
        faults.append(fault)
        group.cancel_scope.cancel()

    # Without a reader of standard output nobody is left to deliver to, unless there are others.
    stdout = _Stdout(as_json=plan.as_json, end=None if plan.receivers else end)

    async def watch(place: int, profile: Profile, account: Account) -> None:
        watched = _Watched(clients[profile.base_url], profile, account, plan, stdout)
        try:
            codes.append(await watched.run(place / len(accounts) * plan.every if place else None))
        finally:
            watched.close()

    try:
        async with anyio.create_task_group() as group:
            for place, (profile, account) in enumerate(accounts):
                group.start_soon(watch, place, profile, account)
    finally:
        for client in clients.values():
            await client.aclose()
        await store.aclose()
    if faults:
        raise faults[0]
    return _first_failure(codes)


def _first_failure(codes: Sequence[ExitCode]) -> ExitCode:
    return next((code for code in codes if code is not ExitCode.OK), ExitCode.OK)


class _Watched:
    """One account: its rounds, and the deliveries to each receiver."""

    def __init__(self, client: Client, profile: Profile, account: Account, plan: Plan, stdout: _Stdout) -> None:
        self._plan = plan
        # As Client.watch() has it: what another command has just fetched will do.
        fetch = partial(client.tariffs, account, max_age=min(60.0, plan.every / 2))
        self._recorder = Recorder(filed_under(profile), fetch, plan.history, account)
        receivers = plan.receivers
        # If standard output is closed from the start, nobody reads it and nothing counts as delivered to it.
        if sys.__stdout__ is not None:
            receivers = (Receiver("standard output", "", stdout.write), *receivers)
        self._deliveries = [_Delivery(self._recorder, receiver, plan) for receiver in receivers]
        self._unknown: list[str] | None = None

    def close(self) -> None:
        """Let other watches deliver."""
        for delivery in self._deliveries:
            delivery.close()

    async def run(self, phase: float | None) -> ExitCode:
        """Watch; returns after the only round, or if the credentials are refused."""
        if self._plan.once:
            # What the last run left behind comes before the round.
            codes = await self._deliver()
            codes.append(await self._round(Rounds(self._recorder, self._plan.every)))
            return _first_failure([*codes, *await self._deliver()])
        async with anyio.create_task_group() as group:
            for delivery in self._deliveries:
                group.start_soon(delivery.run)
            rounds = Rounds(self._recorder, self._plan.every, phase)
            while await self._round(rounds) is not ExitCode.AUTHENTICATION:
                for delivery in self._deliveries:
                    delivery.wake()
            for delivery in self._deliveries:
                delivery.end()
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
        name = self._recorder.account
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
            self._unknown = self._plan.lines.unknown(snapshot)
            for sentence in self._unknown:
                _warn(name, sentence)
        return ExitCode.OK


class _Delivery:
    """The changes of one account on their way to one receiver."""

    def __init__(self, recorder: Recorder, receiver: Receiver, plan: Plan) -> None:
        self._receiver = receiver
        # Standard output has the name of the reader for itself, as in Client.watch().
        name = f"{plan.reader} {receiver.option}" if receiver.target else plan.reader
        self._reader: Reader = recorder.reader(name, plan.changes, target=receiver.target)
        self._woken = anyio.Event()
        self._scope = anyio.CancelScope()

    def close(self) -> None:
        """Let other watches deliver."""
        self._reader.release()

    def end(self) -> None:
        """Let ``run()`` return, after the delivery in progress."""
        self._scope.cancel()

    def wake(self) -> None:
        """Look for changes again."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver changes until ``end()``."""
        with self._scope:
            while True:
                code = await self.deliver()
                seconds = self._reader.retry_in or (None if code is ExitCode.OK else RETRY_SECONDS)
                with anyio.move_on_after(seconds):
                    await self._woken.wait()
                self._woken = anyio.Event()

    async def deliver(self) -> ExitCode:
        """Deliver the changes that were not delivered yet, as far as it goes; explain what went wrong."""
        code = ExitCode.OK
        try:
            while (update := await self._reader.next()) is not None:
                problem = await _finished(partial(self._attempt, update))
                if problem is None:
                    continue
                code = ExitCode.NOTIFY_FAILED
                if problem.is_final:
                    _warn(update.account, f"refused by {self._receiver.option}: {problem.reason}; not sent again")
                    continue
                _warn(update.account, f"not delivered to {self._receiver.option}: {problem.reason}; tried again later")
                if problem.retry_after is None:
                    self._reader.release()
                else:
                    await self._reader.postpone(problem.retry_after)
                break
        except SmscError as error:
            _warn(self._reader.account, f"{error}; tried again later")
            return exit_code(error)
        return code if self._reader.retry_in is None else ExitCode.NOTIFY_FAILED

    async def _attempt(self, update: Update) -> Undelivered | None:
        problem = await self._receiver.deliver(update)
        if problem is None or problem.is_final:
            await self._reader.reported()
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


class _Stdout:
    """Standard output, as the receiver that all accounts share.

    Args:
        as_json: Whether changes are written as lines of JSON.
        end: Ends the command, once nobody reads it.
    """

    def __init__(self, *, as_json: bool, end: Callable[[OSError], None] | None) -> None:
        self._as_json = as_json
        self._end = end
        self._lock = anyio.Lock()

    async def write(self, update: Update) -> Undelivered | None:
        """Write a change, whole before that of another account."""
        data = changes_document(update) if self._as_json else await anyio.to_thread.run_sync(_table_of, update)
        try:
            async with self._lock:
                sys.stdout.flush()
                raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
                while data:
                    # A pipe that nobody reads must not block the rounds. Files cannot be waited for, and never block.
                    with contextlib.suppress(OSError, NotImplementedError):
                        await anyio.wait_writable(sys.stdout.fileno())
                    data = data[raw.write(data[:_PIECE]) or 0 :]
        except OSError as error:
            if self._end is not None and isinstance(error, BrokenPipeError):
                self._end(error)
            return Undelivered(f"{error.strerror or error}")
        return None


def _table_of(update: Update) -> bytes:
    assert update.before is not None
    assert update.snapshot is not None
    stream = _LikeStdout()
    out = output(stream)
    since, until = shown(update.before.taken_at), shown(update.snapshot.taken_at)
    out.print(f"{update.account}: {counted(update.changes)} between {since} and {until} UTC", style="bold")
    out.print()
    show(out, change_table(update.changes, out))
    return f"{stream.getvalue()}\n".encode(sys.stdout.encoding, "replace")


class _LikeStdout(io.StringIO):
    """A text with the encoding of standard output, and as wide and as colourful."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of the base it is None
        return sys.stdout.encoding

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def _warn(account: str, text: str) -> None:
    notes().print(_timed(account, text), soft_wrap=True)


def _timed(account: str, text: str) -> str:
    return f"{datetime.now(UTC):%H:%M:%S} {account}: {text}"
