"""The store of one machine: a file that all its processes share.

All processes of one boot have the same clock, so its instants are stored as they are. A thread does the work, so that the
event loop never waits for a disk or for another process.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVarTuple

import anyio.to_thread
import attrs

from smsc_async.accounts import Account
from smsc_async.errors import StoreError
from smsc_async.fetch import lockout as rules
from smsc_async.fetch.lockout import Place, Verdict
from smsc_async.limiter.attempt import LONGEST_EXCHANGE, FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.stores.keys import Keys, Pepper, checked_pepper
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.rows import Row, released, taken
from smsc_async.stores.shared import KEEP_BYTES, Closed, ColdStart, Ended, Lookup, OtherQuota, SharedStore
from smsc_async.stores.sqlite import tables
from smsc_async.stores.sqlite.worker_thread import Worker

if TYPE_CHECKING:
    import sqlite3

    from smsc_async.stores.sqlite.file import StoreFile

Ts = TypeVarTuple("Ts")

# Permits between two sweeps. A sweep looks at twice as many of the oldest rows, so rows of logins that never come back are
# deleted faster than they can be added.
_SWEEP_EVERY: Final = 64


@attrs.frozen
class _PermitId:
    """The identifier of a permit in the file."""

    number: int
    login: str
    names: CredentialNames | None = None


class SQLiteStore(SharedStore):
    """Stores quota, lists and lockouts in a file, for all processes of one machine.

    The store knows what an earlier process has used of the quota, so a program may restart at any time. The file contains
    logins and passwords as digests only, and is created with access for its owner only; a file or folder that other users
    can change is refused. It must be on a local disk. It belongs to its machine: after a boot, and if the file is a copy or
    was replaced during its use, it grants no permit for a window and a lease, counted from that event
    (``StoreNotReady``). A store can be pickled and copied; the pickle contains the pepper.

    A process that dies without the release of a permit (a crash, SIGKILL) holds the permit for the 30 s that an exchange
    lasts at most, and then a window longer.

    Args:
        path: The path of the file. Two more files stand beside it during the use.
        pepper: Your secret for digests and seals, at least 16 characters, the same for all processes that share the file.
            ``None`` creates one in a file beside it, ``PATH.key``, which only its owner can read.
        keep_bytes: Bytes of packed lists in the file, and a quarter of it for lists in this process; the least recently
            used lists are dropped first. The state of the quota is never dropped.
        lease: The most seconds that a request lasts: for a permit without a deadline, and for the requests that may be in
            flight when the store is lost. Raise it to the ``exchange_limit`` of a ``LimitedTransport``.
        cold_start: ``"grant"`` trusts that a missing file was never used. ``"wait"`` sends nothing for a window and a lease
            after the creation of the file, in case somebody has deleted it.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> from smsc_async import SQLiteStore
        >>> store = SQLiteStore("/var/lib/my-app/tariffs.db")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pepper: Pepper | None = None,
        keep_bytes: int = KEEP_BYTES,
        lease: float = 30.0,
        cold_start: ColdStart = "grant",
    ) -> None:
        self._pepper = None if pepper is None else checked_pepper(pepper)
        del pepper
        if os.fspath(path) == ":memory:":
            raise ValueError("path=':memory:': the processes must share a file; for one process use MemoryStore()")
        full_path = Path(path).absolute()
        super().__init__(str(full_path), keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        self._file = self._new_file(full_path, cold=cold_start == "wait")
        self._worker = Worker(self._file.close, "smsc_async SQLiteStore")
        self._acquired = 0

    def _new_file(self, path: Path, *, cold: bool) -> StoreFile:
        from smsc_async.stores.sqlite.file import StoreFile  # noqa: PLC0415  # SQLite is imported at its first use

        return StoreFile(path, cold=cold, pepper=self._pepper)

    def __repr__(self) -> str:
        name = getattr(self, "name", None)  # error reporters also show a store whose constructor has failed
        return f"SQLiteStore({'' if name is None else repr(name)})"

    def __reduce__(self) -> tuple[Callable[..., SharedStore], tuple[object, ...]]:
        return self._reduced(self.name, self._pepper)

    async def aclose(self) -> None:
        """Close the file. The next use opens it again; a store that is not used for a while closes it by itself."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._worker.close)

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit, or when to try again.

        Raises:
            StoreNotReady: The file lost its state, and grants nothing for longer than ``patience``.
            StoreError: The file cannot be used.
        """
        bounded = self._lease if lease == math.inf else max(lease, 0.0)
        names, started = await self._names_of(permit), now()

        def work() -> Permit | Refusal | Closed | OtherQuota:
            with self._file.writing() as connection:
                return self._acquire(connection, permit, started, bounded, names)

        answer = await self._worker.run(work, self._undo_acquire)
        if isinstance(answer, Closed | OtherQuota):
            return self._denied(answer, permit.quota, lease if patience is None else patience)
        if isinstance(answer, Permit) and now() - started >= bounded:
            # This process stood still for the whole lease: another process may have the permit by now.
            await self.release(answer, Completion.NOT_SENT, Verdict.NOT_SENT)
            return Refusal(0.0)
        return answer

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        """Release a permit. If the file cannot be used, the permit ends with its lease."""
        instant = now()
        row = released(instant, permit.quota, completion, token=permit.token, seen=permit.seen)
        unknown = Verdict.NOT_SENT if completion is Completion.NOT_SENT else Verdict.UNANSWERED
        ended = self._ended(lease)

        def finish(connection: sqlite3.Connection) -> None:
            self._release(connection, permit, instant, row, verdict or unknown)
            if ended is not None:
                tables.release_lease(connection, *ended, instant, (self._keep_bytes, self.LIST_TTL))

        with contextlib.suppress(StoreError):
            await self._write(finish)

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota.

        Raises:
            StoreError: The file cannot be used.
        """
        name = (await self._keys()).login(login)

        def work() -> Usage | Closed:
            with self._file.reading() as connection:
                return tables.usage(connection, name, now(), quota, closed_for=self._closed_for(quota))

        answer = await self._worker.run(work)
        return self._closed_usage(answer, quota) if isinstance(answer, Closed) else answer

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        name, instant = (await self._keys()).login(login), now()

        def drain(connection: sqlite3.Connection) -> None:
            for _ in range(quota.requests):
                tables.insert(connection, name, quota, instant, Row(instant + quota.window, 0.0, in_flight=False))

        await self._write(drain)

    async def load_lockouts(self, service: str, account: Account) -> None:
        """Let ``lockouts()`` know what other processes have learned about an account and its service."""
        names = await self._names(service, account)

        def work() -> None:
            with self._file.reading() as connection:
                self._lockout_view.note(tables.load_states(connection, names), tables.lockout_clock(connection))

        await self._worker.run(work)

    async def reset_lockouts(self, service: str, account: Account | None) -> None:
        """End the lockouts of an account, or with ``None`` all lockouts of the service."""
        names, instant = await self._names(service, account), now()

        def reset(connection: sqlite3.Connection) -> None:
            ahead = tables.lockout_clock(connection)
            states = tables.load_states(connection, names)
            rules.reset(states.service, None if account is None else states.credentials, instant + ahead)
            self._save(connection, states, instant, ahead)

        await self._write(reset)
        self.queue.notify(None, service)

    async def _names_of(self, permit: Permit) -> CredentialNames | None:
        credentials = permit.credentials
        return None if credentials is None else await self._names(credentials.service, credentials.account)

    def _acquire(
        self,
        connection: sqlite3.Connection,
        permit: Permit,
        instant: float,
        lease: float,
        names: CredentialNames | None,
    ) -> Permit | Refusal | Closed | OtherQuota:
        """Acquire a permit, in the thread."""
        login = self._open_keys().login(permit.login)
        ahead = tables.lockout_clock(connection)
        states = None if names is None else tables.load_states(connection, names)
        place = None if states is None else states.admit(secrets.token_hex(8), instant + ahead)
        if states is not None and isinstance(place, Refusal):
            self._lockout_view.note(states, ahead)
            return place
        row = taken(instant, permit.quota, token=permit.token, lease=lease)
        closed_for = self._closed_for(permit.quota)
        answer = tables.acquire(connection, login, instant, permit.quota, row, closed_for=closed_for)
        if not isinstance(answer, int):
            return answer
        if states is not None and isinstance(place, Place):
            states.enter(place)
            permit.place = place
            self._save(connection, states, instant, ahead)
        self._acquired += 1
        if self._acquired % _SWEEP_EVERY == 0:
            tables.sweep(connection, instant)
        permit.lease = _PermitId(answer, login, names)
        return permit

    def _undo_acquire(self, answer: Permit | Refusal | Closed | OtherQuota) -> None:
        if isinstance(answer, Permit):
            with self._file.writing() as connection:
                self._release(connection, answer, now(), None, Verdict.NOT_SENT)

    def _release(
        self, connection: sqlite3.Connection, permit: Permit, instant: float, row: Row | None, verdict: Verdict
    ) -> None:
        """Release a permit, in the thread."""
        permit_id = permit.lease
        assert isinstance(permit_id, _PermitId)
        tables.release(connection, permit_id.login, permit.quota, permit_id.number, instant, row)
        if permit_id.names is not None and permit.place is not None:
            ahead = tables.lockout_clock(connection)
            states = tables.load_states(connection, permit_id.names)
            states.settle(permit.place, verdict, instant + ahead)
            self._save(connection, states, instant, ahead)

    def _save(self, connection: sqlite3.Connection, states: LoadedStates, instant: float, ahead: float) -> None:
        tables.save_states(connection, states, instant + ahead, time.time())
        self._lockout_view.note(states, ahead)

    async def _write(self, change: Callable[[sqlite3.Connection, *Ts], None], *args: *Ts) -> None:
        def work() -> None:
            with self._file.writing() as connection:
                change(connection, *args)

        await self._worker.run(work)

    async def _keys(self) -> Keys:
        return await self._worker.run(self._open_keys) if self._file.keys is None else self._file.keys

    def _open_keys(self) -> Keys:
        with self._file.reading():
            assert self._file.keys is not None, "the open file has them"
            return self._file.keys

    async def _look(self, key: str, fresh: float, holder: int, permit: Permit | None, *, with_last: bool) -> Lookup:
        names = None if permit is None else await self._names_of(permit)
        instant = now()

        def is_fresh(stored: Lookup) -> bool:
            return stored.sealed is not None and stored.age < fresh

        def work() -> Lookup:
            with self._file.reading() as connection:
                stored, is_leased = tables.look(connection, key, instant)
            if is_leased and not is_fresh(stored):
                return Lookup(leads=False)
            with self._file.writing() as connection:
                # Once more, now that no other process writes.
                stored, is_leased = tables.look(connection, key, instant)
                if is_fresh(stored):
                    tables.use(connection, key, instant)
                    return stored
                if is_leased:
                    return Lookup(leads=False)
                tables.take_lease(connection, key, holder, instant, instant + self.LEASE_SECONDS)
                answer = permit and self._acquire(connection, permit, instant, LONGEST_EXCHANGE, names)
            last = stored if with_last else Lookup(leads=True)
            return attrs.evolve(last, leads=True, has_permit=isinstance(answer, Permit))

        def undo(lookup: Lookup) -> None:
            if lookup.has_permit and permit is not None:
                self._undo_acquire(permit)
            if lookup.leads:
                with self._file.writing() as connection:
                    tables.drop_lease(connection, key, holder)

        return await self._worker.run(work, undo)

    async def _renew(self, key: str, holder: int) -> None:
        await self._write(tables.renew, key, holder, now() + self.LEASE_SECONDS)

    async def _unlease(self, ended: Ended) -> None:
        await self._write(tables.release_lease, *ended, now(), (self._keep_bytes, self.LIST_TTL))

    async def _delete_lists(self, prefix: str) -> None:
        await self._write(tables.delete_lists, prefix, f"{prefix}\x7f")


class SQLiteSnapshot(SQLiteStore):
    """A copy of the store's state in memory, made at its first use, for commands that only look: the file stays as it is."""

    def _new_file(self, path: Path, *, cold: bool) -> StoreFile:
        from smsc_async.stores.sqlite.file import StoreSnapshot  # noqa: PLC0415  # as above

        return StoreSnapshot(path, cold=cold, pepper=self._pepper)
