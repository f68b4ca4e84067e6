"""The store of one machine: a file that all its processes share.

All processes of one boot have the same clock, so its instants are stored as they are. A thread does the work, so that the
event loop never waits for a disk or for another process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import anyio
import attrs

from smsc_async.accounts import Secret
from smsc_async.arguments import checked_path
from smsc_async.errors import StoreError
from smsc_async.fetch.lockout import Verdict
from smsc_async.http.threads import run_in_own_thread
from smsc_async.limiter.attempt import LONGEST_EXCHANGE
from smsc_async.limiter.bucket import Completion, Permit, Refusal, Row, Usage
from smsc_async.limiter.clock import now
from smsc_async.limiter.quota import Quota
from smsc_async.stores.base import KEEP_BYTES, ColdStart
from smsc_async.stores.keys import Keys, Pepper, checked_pepper, wrapped_pepper
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates
from smsc_async.stores.rows import released, taken
from smsc_async.stores.shared import Ended, Lookup, SharedStore, permit_id_of
from smsc_async.stores.sqlite.file import StoreFile, StoreSnapshot
from smsc_async.stores.sqlite.tables import Tables
from smsc_async.stores.sqlite.worker_thread import Worker

T = TypeVar("T")

# Permits between two sweeps. A sweep looks at twice as many of the oldest rows, so rows of logins that never come back are
# deleted faster than they can be added.
_SWEEP_EVERY: Final = 64


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
        lease: The most seconds that a request lasts: for a request without a limit, and for the requests that may be in
            flight when the store is lost. Raise it to the ``exchange_limit`` of a ``LimitedTransport``.
        cold_start: ``"grant"`` trusts that a missing file was never used. ``"wait"`` sends nothing for a window and a lease
            after the creation of the file, in case somebody has deleted it.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> from smsc_async import SQLiteStore
        >>> store = SQLiteStore("/var/lib/my-app/tariffs.db")
    """

    _FILE: type[StoreFile] = StoreFile

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pepper: Pepper | None = None,
        keep_bytes: int = KEEP_BYTES,
        lease: float = 30.0,
        cold_start: ColdStart = "grant",
    ) -> None:
        wrapped = None if pepper is None else wrapped_pepper(pepper)
        del pepper
        self._pepper = None if wrapped is None else checked_pepper(wrapped)
        full_path = checked_path(path, "the processes must share a file; for one process use MemoryStore()")
        self._address = Secret(str(full_path))
        super().__init__(str(full_path), keep_bytes=keep_bytes, lease=lease, cold_start=cold_start)
        self._file = self._FILE(full_path, cold=cold_start == "wait", pepper=self._pepper)
        self._worker = Worker(self._file.close, "smsc_async SQLiteStore")
        self._acquired = 0

    async def aclose(self) -> None:
        """Close the file. The next use opens it again; a store that is not used for a while closes it by itself."""
        with anyio.CancelScope(shield=True):
            await run_in_own_thread(self._worker.close)

    async def _acquire(self, permit: Permit, lease: float) -> Refusal | None:
        return await self._run(partial(self._take, permit, lease), partial(self._untake, permit))

    async def _release(self, permit: Permit, completion: Completion, verdict: Verdict, ended: Ended | None) -> None:
        row = released(now(), permit.quota, completion, token=permit.token, seen=permit.seen)

        def release(tables: Tables) -> None:
            self._return(permit, row, verdict, tables)
            if ended is not None:
                self._end_lease(tables, ended)

        with contextlib.suppress(StoreError):
            await self._run(release)

    async def usage(self, login: str, quota: Quota) -> Usage:
        """Return what is in use of a login's quota.

        Raises:
            StoreError: The file cannot be used.
        """
        name = (await self._keys()).login(login)

        def look(tables: Tables) -> Usage:
            closed = tables.closed(self._closed_for(quota))
            return tables.usage(name, quota) if closed is None else Usage(self._closed(*closed, quota).tokens_in)

        return await self._run(look, writes=False)

    async def drain_tokens(self, login: str, quota: Quota) -> None:
        """Grant no token of the login for a window."""
        name = (await self._keys()).login(login)

        def drain(tables: Tables) -> None:
            for _ in range(quota.requests):
                tables.insert(name, quota, Row(tables.instant + quota.window, 0.0, in_flight=False))

        await self._run(drain)

    def _take(self, permit: Permit, lease: float, tables: Tables) -> Refusal | None:
        """Take a permit and its place, in the thread."""
        permit_id = permit_id_of(permit)
        if permit_id.names is None:
            return self._take_token(permit, lease, tables)

        def take(states: LoadedStates) -> Refusal | None:
            place = states.take(permit_id.request)
            if isinstance(place, Refusal):
                return place
            refusal = self._take_token(permit, lease, tables)
            permit.place = place if refusal is None else None
            return refusal

        return self._change(tables, permit_id.names, take)

    def _take_token(self, permit: Permit, lease: float, tables: Tables) -> Refusal | None:
        permit_id, quota = permit_id_of(permit), permit.quota
        if (closed := tables.closed(self._closed_for(quota))) is not None:
            return self._closed(*closed, quota)
        row = taken(tables.instant, quota, token=permit.token, lease=lease)
        answer = tables.acquire(permit_id.login, quota, row)
        if isinstance(answer, str):
            raise self._other_quota(answer, quota)
        if isinstance(answer, Refusal):
            return answer
        permit_id.number = answer
        self._acquired += 1
        if self._acquired % _SWEEP_EVERY == 0:
            tables.sweep()
        return None

    def _untake(self, permit: Permit, tables: Tables, refusal: Refusal | None) -> None:
        if refusal is None:
            self._return(permit, None, Verdict.NOT_SENT, tables)

    def _return(self, permit: Permit, row: Row | None, verdict: Verdict, tables: Tables) -> None:
        """Release a permit and its place, in the thread."""
        permit_id, place = permit_id_of(permit), permit.place
        tables.release(permit_id.number, permit_id.login, permit.quota, row)
        if permit_id.names is not None and place is not None:
            self._change(tables, permit_id.names, lambda states: states.settle(place, verdict))

    async def _change_states(self, names: CredentialNames, change: Callable[[LoadedStates], object]) -> None:
        await self._run(lambda tables: self._change(tables, names, change))

    async def _load_states(self, names: CredentialNames) -> None:
        await self._run(lambda tables: self._lockout_view.note(tables.load_states(names)), writes=False)

    def _change(self, tables: Tables, names: CredentialNames, change: Callable[[LoadedStates], T]) -> T:
        states = tables.load_states(names)
        result = change(states)
        if not isinstance(result, Refusal):
            tables.save_states(states)
        elif result.locked_out is None:
            return result  # a token or a slot is missing: the states have a place that is not taken
        self._lockout_view.note(states)
        return result

    async def _run(
        self,
        work: Callable[[Tables], T],
        undo: Callable[[Tables, T], object] | None = None,
        *,
        writes: bool = True,
    ) -> T:
        """Return what ``work`` returns, in the thread and in a transaction of its own; ``undo`` as in ``Worker.run``."""
        opened = self._file.writing if writes else self._file.reading

        def run_work() -> T:
            with opened() as tables:
                return work(tables)

        def run_undo(result: T) -> None:
            if undo is not None:
                with opened() as tables:
                    undo(tables, result)

        return await self._worker.run(run_work, run_undo)

    async def _keys(self) -> Keys:
        if self._file.keys is None:
            await self._run(lambda _: None, writes=False)
        assert self._file.keys is not None, "an open file has them"
        return self._file.keys

    async def _look(self, key: str, fresh: float, holder: int, permit: Permit | None, *, with_last: bool) -> Lookup:
        if permit is not None:
            await self._name(permit)

        def is_fresh(stored: Lookup) -> bool:
            return stored.sealed is not None and stored.age < fresh

        def look(tables: Tables) -> Lookup:
            # First without a lock: processes that wait for another one look often.
            stored, is_leased = tables.look(key)
            if is_leased and not is_fresh(stored):
                return Lookup(leads=False)
            with self._file.writing() as locked:
                stored, is_leased = locked.look(key)
                if is_fresh(stored):
                    locked.use(key)
                    return stored
                if is_leased:
                    return Lookup(leads=False)
                locked.take_lease(key, holder, self.LEASE_SECONDS)
                has_permit = permit is not None and self._take(permit, LONGEST_EXCHANGE, locked) is None
            return attrs.evolve(stored if with_last else Lookup(leads=True), leads=True, has_permit=has_permit)

        def undo(_: Tables, lookup: Lookup) -> None:
            with self._file.writing() as tables:
                if lookup.has_permit and permit is not None:
                    self._untake(permit, tables, None)
                if lookup.leads:
                    tables.release_lease(key, holder)

        return await self._run(look, undo, writes=False)

    async def _renew(self, key: str, holder: int) -> None:
        await self._run(lambda tables: tables.renew_lease(key, holder, self.LEASE_SECONDS))

    async def _unlease(self, ended: Ended) -> None:
        await self._run(lambda tables: self._end_lease(tables, ended))

    def _end_lease(self, tables: Tables, ended: Ended) -> None:
        tables.release_lease(ended.key, ended.holder)
        if ended.shared is not None:
            tables.share(ended.key, ended.shared, self._keep_bytes, self.LIST_TTL)

    async def _delete_lists(self, prefix: str) -> None:
        await self._run(lambda tables: tables.delete_lists(prefix, f"{prefix}\x7f"))


class SQLiteSnapshot(SQLiteStore):
    """A copy of the store's state in memory, made at its first use, for commands that only look: the file stays as it is."""

    _FILE = StoreSnapshot
