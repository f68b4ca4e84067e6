"""The file of a SQLite store: whatever befalls it, a ``StoreError`` that names it, or closed until it cannot matter."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smsc_async import Account, Quota, SQLiteStore, StoreError, StoreNotReady
from smsc_async.accounts import Secret
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter import clock
from smsc_async.limiter.bucket import Completion, Permit, Refusal
from smsc_async.limiter.clock import now
from smsc_async.limiter.credentials import Credentials
from smsc_async.stores import FetchLease, base
from smsc_async.stores.shared import Lookup
from smsc_async.stores.sqlite import file as sqlite_file
from smsc_async.stores.sqlite import worker_thread as worker
from smsc_async.stores.sqlite.boot import boot_id, is_same_boot
from smsc_async.stores.sqlite.tables import Tables
from smsc_async.stores.sqlite.worker_thread import Worker
from tests.stores.conftest import QUOTA
from tests.support.stopwatch import stopwatch

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def _open(
    path: Path, *, cold: bool = False, pepper: str | None = "a long random text"
) -> AsyncGenerator[SQLiteStore]:
    store = SQLiteStore(path, pepper=pepper, lease=0.2, cold_start="wait" if cold else "grant")
    yield store
    await store.aclose()


def _files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def _take(
    store: SQLiteStore, login: str = "alex", *, quota: Quota = QUOTA, lease: float = 30.0
) -> Permit | Refusal:
    return await store.acquire(Permit(login, quota, token=True), lease=lease)


async def _is_closed(store: SQLiteStore) -> bool:
    # A window that no stall of the machine outlasts.
    long = Quota(per=60.0)
    try:
        await _take(store, "a login that nobody has used", quota=long)
    except StoreNotReady as error:
        return 0 < store.closed_for <= (error.retry_after or 0.0) <= long.absence + 0.4
    return False


async def test_the_file_is_its_owners_alone_whatever_the_umask_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "made" / "store.db"
    before = os.umask(0)
    try:
        async with _open(path) as store:
            await _take(store)
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


async def test_a_new_file_is_written_without_waiting_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    real = sqlite_file._Connection.execute  # pyright: ignore[reportPrivateUsage]

    def execute(self: sqlite3.Connection, statement: str, *parameters: object) -> sqlite3.Cursor:
        statements.append(f"{real(self, 'PRAGMA synchronous').fetchone()[0]} {statement}")  # type: ignore[arg-type]
        return real(self, statement, *parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite_file._Connection, "execute", execute)  # pyright: ignore[reportPrivateUsage]
    async with _open(tmp_path / "store.db") as store:
        await _take(store)
    written = [each for each in statements if any(word in each for word in ("WAL", "CREATE", "INSERT", "COMMIT"))]
    assert len(written) > 5
    assert {each[0] for each in written} == {"0"}


async def test_a_new_file_is_trusted_or_closed_as_it_is_told(tmp_path: Path) -> None:
    async with _open(tmp_path / "one.db") as store:
        assert isinstance(await _take(store), Permit)
    async with _open(tmp_path / "two.db", cold=True) as store:
        assert await _is_closed(store)
    async with _open(tmp_path / "one.db", cold=True) as store:
        assert isinstance(await _take(store), Permit)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_a_file_of_garbage_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    path.chmod(0o600)
    async with _open(path, pepper=None) as store:
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                await _take(store)
            assert caught.value.store == str(path)
            assert not caught.value.retryable
    assert path.read_bytes() == content
    assert _files_in(tmp_path) == [path]


async def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    path.chmod(0o600)
    content = path.read_bytes()
    async with _open(path, pepper=None) as store:
        with pytest.raises(StoreError, match="another program"):
            await _take(store)
    assert path.read_bytes() == content
    assert _files_in(tmp_path) == [path]


async def test_a_store_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with _open(path) as store:
        await _take(store)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 1")
    other.close()
    async with _open(path) as store:
        with pytest.raises(StoreError, match="format 1"):
            await _take(store)


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    async with _open(tmp_path / "folder") as store:
        with pytest.raises(StoreError, match="a folder or a device"):
            await _take(store)
    (tmp_path / "file").write_bytes(b"")
    async with _open(tmp_path / "file" / "store.db") as store:
        with pytest.raises(StoreError) as caught:
            await _take(store)
    assert str(tmp_path / "file" / "store.db") in str(caught.value)


async def _with(store: SQLiteStore, statement: str) -> None:
    await _take(store, "another")
    connection = store._file._connection  # pyright: ignore[reportPrivateUsage]
    assert connection is not None
    connection.execute(statement).fetchall()


async def test_a_full_disk_is_told_and_over_when_there_is_room_again(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db") as store:
        permit = await _take(store)
        assert isinstance(permit, Permit)
        await _with(store, "PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="full") as caught:
            await asyncio.gather(*[_take(store, f"login{i}") for i in range(300)])
        assert caught.value.retryable
        await store.release(permit, Completion.NOT_SENT)
        await _with(store, "PRAGMA max_page_count = 100000")
        assert isinstance(await _take(store), Permit)


async def test_a_file_that_has_become_read_only_is_told(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db") as store:
        await _with(store, "PRAGMA query_only = 1")
        with pytest.raises(StoreError, match="readonly") as caught:
            await _take(store)
        assert not caught.value.retryable


async def test_a_deleted_file_is_missed_at_once_and_made_anew_closed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with _open(path, pepper=None) as store:
        assert isinstance(await _take(store), Permit)
        path.unlink()
        assert await _is_closed(store)
        await asyncio.sleep(QUOTA.absence + 0.21)
        assert isinstance(await _take(store), Permit)


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_file_that_was_deleted_while_nobody_had_it_open_is_missed_in_the_same_place_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, made_anew: bool
) -> None:
    path = tmp_path / "store.db"

    def one_inode(file: Path) -> str | None:
        return "1:2" if file.exists() else None  # as many file systems do: the next file has that of the deleted one

    monkeypatch.setattr(sqlite_file, "_place", one_inode)
    async with _open(path) as store:
        assert isinstance(await _take(store), Permit)
        await store.aclose()
        path.unlink()
        if made_anew:
            async with _open(path) as newcomer:
                assert isinstance(await _take(newcomer, "boris"), Permit)
        assert await _is_closed(store)


async def test_remains_of_a_deleted_file_tell_a_new_process_that_it_was_used(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with _open(path) as former, _open(path) as store:
        await _take(former)
        path.unlink()
        assert await _is_closed(store)


async def test_a_copy_that_takes_the_place_of_the_file_is_closed(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    async with _open(path) as store:
        await _take(store)
    shutil.copy(path, copy)
    async with _open(copy) as store:
        assert await _is_closed(store)
    async with _open(path) as store:
        assert isinstance(await _take(store, "boris"), Permit)
        copy.replace(path)
        assert await _is_closed(store)


async def test_after_another_boot_permits_are_not_trusted_and_lockouts_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    wrong = Credentials("smsc", Account("alex", "wrong"))
    async with _open(path) as store:
        permit = await store.acquire(Permit("smsc alex", QUOTA, token=True, credentials=wrong), lease=30.0)
        assert isinstance(permit, Permit)
        await store.release(permit, Completion.COMPLETE, Verdict.REFUSED)
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: "another boot")
    monkeypatch.setattr(clock, "_read", lambda: 5.0)  # the clock of a new boot begins again
    async with _open(path) as store:
        assert await _is_closed(store)
        refusal = await store.acquire(Permit("smsc alex", QUOTA, token=True, credentials=wrong), lease=30.0)
        assert isinstance(refusal, Refusal)
        assert refusal.locked_out is not None
        assert 2600.0 < refusal.locked_out.retry_in <= 2700.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "a", True), ("a", "b", False), ("since 1000", "since 1020", True), ("since 1000", "since 1031", False)],
)
async def test_boots_are_told_apart(one: str, other: str, *, same: bool) -> None:
    assert is_same_boot(one, other) == same
    assert is_same_boot(boot_id(), boot_id())


async def test_a_boot_has_a_name_where_the_system_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_async.stores.sqlite.boot._NAMESPACE", tmp_path / "none")
    assert " " not in boot_id()
    monkeypatch.setattr("smsc_async.stores.sqlite.boot._LINUX", tmp_path / "none")
    assert boot_id().startswith("since ")
    assert is_same_boot(boot_id(), boot_id())


@pytest.fixture
def usual_patience(patience: float, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the store wait no longer than a user's does, from when it is called."""

    def become_usual() -> None:
        for module in (worker, sqlite_file):
            monkeypatch.setattr(module, "PATIENCE", patience)

    return become_usual


async def test_another_process_that_holds_the_file_is_waited_for_and_then_told(
    tmp_path: Path, usual_patience: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    async with _open(path) as store:
        await _take(store)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.1, lambda: other.execute("COMMIT"))
        assert isinstance(await _take(store), Permit)
        other.execute("BEGIN IMMEDIATE")
        usual_patience()
        with stopwatch() as watch, pytest.raises(StoreError):
            await _take(store)
        assert watch.seconds < 1.0
        answers = await asyncio.gather(*[_take(store, f"login{i}") for i in range(20)], return_exceptions=True)
        assert all(isinstance(answer, StoreError) for answer in answers)
        # Two of them wait for the file, one after the other. The time of the others is over when their turn comes.
        assert sum("busy for too long" in str(answer) for answer in answers) >= 18
        other.execute("COMMIT")
        other.close()
        monkeypatch.undo()
        assert isinstance(await _take(store), Permit)


async def test_a_file_being_made_by_another_process_is_waited_for(
    tmp_path: Path, usual_patience: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    async with _open(tmp_path / "store.db") as store:
        usual_patience()
        with pytest.raises(StoreError):
            await _take(store)
        monkeypatch.undo()
        asyncio.get_running_loop().call_later(0.1, os.close, folder)
        assert isinstance(await _take(store), Permit)


async def test_a_new_file_that_another_process_sets_up_at_the_same_time_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o600)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    async with _open(path) as store:
        asyncio.get_running_loop().call_later(0.1, lambda: other.execute("COMMIT"))
        assert isinstance(await _take(store), Permit)
    other.close()


# A process that repairs the log: the header of the index is gone, and its locks are those of the repair (byte 120 and 122).
REPAIR = """
import fcntl, sys, time
with open(sys.argv[1] + "-shm", "r+b", buffering=0) as index:
    for byte in (120, 122):
        fcntl.lockf(index, fcntl.LOCK_EX, 1, byte)
    index.write(bytes(96))
    print("repairs", flush=True)
    time.sleep(0.3)
"""


async def test_a_process_that_repairs_the_log_of_a_killed_one_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "store.db"
    async with _open(path) as store:
        await _take(store)
        for look in (
            lambda: store.usage("alex", QUOTA),
            lambda: store.lease_or_reply("https://smsc.example/sys/get.php", Account("alex", "123"), 60.0),
        ):
            pipe = asyncio.subprocess.PIPE
            repair = await asyncio.create_subprocess_exec(sys.executable, "-c", REPAIR, str(path), stdout=pipe)
            assert repair.stdout is not None
            assert await repair.stdout.readline() == b"repairs\n"
            await look()
            await repair.wait()


async def test_a_cancelled_take_leaves_nothing_taken(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db") as store:
        await _take(store, "boris")
        for ticks in range(12):
            task = asyncio.create_task(_take(store))
            for _ in range(ticks):
                await asyncio.sleep(0.00005)
            task.cancel()
            try:
                answer = await task
            except asyncio.CancelledError:
                continue
            assert isinstance(answer, Permit)
            await store.release(answer, Completion.NOT_SENT)
        assert [isinstance(await _take(store), Permit) for _ in range(3)] == [True] * 3


async def test_a_call_that_is_cancelled_where_there_is_nothing_leaves_what_others_have(tmp_path: Path) -> None:
    alex, endpoint = Account("alex", "123"), "https://smsc.example/sys/get.php"
    async with _open(tmp_path / "store.db") as here, _open(tmp_path / "store.db") as there:
        lead = await here.lease_or_reply(endpoint, alex, 60.0)
        held = [await _take(here) for _ in range(3)]
        for call in (lambda: _take(there), lambda: there.lease_or_reply(endpoint, alex, 60.0)):
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert isinstance(await _take(there), Refusal)
        assert len(held) == 3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await there.lease_or_reply(endpoint, alex, 60.0)
        assert isinstance(lead, FetchLease)


async def test_a_permit_given_back_after_its_lease_is_away_all_the_same(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db") as store:
        await _take(store, "another")  # so that the file is open
        late = [await _take(store, lease=0.5) for _ in range(3)]
        await asyncio.sleep(0.5 + QUOTA.absence + 0.01)
        taken = await _take(store)
        assert isinstance(taken, Permit)
        for permit in late[:2]:
            assert isinstance(permit, Permit)
            permit.seen = now()
            await store.release(permit, Completion.COMPLETE)
        assert isinstance(await _take(store), Refusal)


async def test_a_permit_that_comes_after_its_lease_is_not_used_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(tmp_path / "s") as store:
        real = store._acquire  # pyright: ignore[reportPrivateUsage]

        async def acquire_slowly(permit: Permit, lease: float) -> Refusal | None:
            refusal = await real(permit, lease)
            await asyncio.sleep(lease + 0.01)
            return refusal

        with monkeypatch.context() as patch:
            patch.setattr(store, "_acquire", acquire_slowly)
            assert await _take(store, lease=0.2) == Refusal(0.0)
        assert [isinstance(await _take(store), Permit) for _ in range(4)] == [True, True, True, False]


async def test_rows_of_logins_that_do_not_come_back_are_cleared_away(tmp_path: Path) -> None:
    brief = Quota(per=0.001, guard=0.0, linger=0.0)
    async with _open(tmp_path / "store.db") as store:
        for i in range(400):
            await store.acquire(Permit(f"login{i}", brief, token=True), lease=0.3)
            if i == 199:
                await asyncio.sleep(0.4)
        other = sqlite3.connect(tmp_path / "store.db")
        assert other.execute("SELECT count(*) FROM permits").fetchone()[0] in range(1, 201)
        other.close()


async def test_the_thread_ends_when_there_is_nothing_to_do_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_IDLE_SECONDS", 0.02)
    store = SQLiteStore(tmp_path / "store.db", pepper="a long random text")
    await _take(store)
    thread = store._worker._thread  # pyright: ignore[reportPrivateUsage]
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()
    assert not (tmp_path / "store.db-wal").exists()
    assert isinstance(await _take(store), Permit)
    await store.aclose()
    await store.aclose()


async def test_a_store_that_is_dropped_in_use_disturbs_nobody(tmp_path: Path) -> None:
    async def use() -> None:
        await _take(SQLiteStore(tmp_path / "store.db", pepper="a long random text"))

    await use()
    gc.collect()


async def test_a_child_process_goes_on_with_a_connection_of_its_own(tmp_path: Path, only_new_stores: None) -> None:
    async with _open(tmp_path / "store.db") as store:
        assert isinstance(await _take(store), Permit)
        assert await asyncio.to_thread(_in_a_child, lambda: asyncio.run(_two_of_four(store))) == 0
        assert isinstance(await _take(store), Refusal)
        # What the child does, where its coverage is seen.
        for each in (worker._before_fork, worker._after_fork, base._after_fork):  # pyright: ignore[reportPrivateUsage]
            each()
        assert isinstance(await _take(store), Refusal)


async def test_a_child_process_shares_the_file_with_those_who_come_when_its_parent_has_closed_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    closed, used = os.pipe(), os.pipe()

    async def in_the_child() -> bool:
        first = await _take(store, quota=Quota())
        os.write(used[1], b".")
        os.read(closed[0], 1)
        return isinstance(first, Permit) and isinstance(await _take(store, quota=Quota()), Refusal)

    async with _open(path) as store:
        assert isinstance(await _take(store, "boris"), Permit)
        child = asyncio.create_task(asyncio.to_thread(_in_a_child, lambda: asyncio.run(in_the_child())))
        await asyncio.to_thread(os.read, used[0], 1)
    # SQLite deletes the log of a file when the last connection to it is closed: not while the child has one.
    kept = (tmp_path / "store.db-wal").exists()
    async with _open(path) as newcomer:
        granted = [isinstance(await _take(newcomer, quota=Quota()), Permit) for _ in range(3)]
    os.write(closed[1], b".")
    assert await child == 0
    assert kept
    assert granted == [True, True, False]
    for end in (*closed, *used):
        os.close(end)


async def test_a_process_is_forked_between_two_jobs(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db") as store:
        assert isinstance(await _take(store), Permit)
        begun = threading.Event()

        def work() -> None:
            with store._file.writing():  # pyright: ignore[reportPrivateUsage]
                begun.set()
                time.sleep(0.2)

        working = asyncio.create_task(store._worker.run(work))  # pyright: ignore[reportPrivateUsage]
        await asyncio.to_thread(begun.wait)
        assert await asyncio.to_thread(_in_a_child, lambda: asyncio.run(_two_of_four(store))) == 0
        await working
        assert isinstance(await _take(store), Refusal)


async def _two_of_four(store: SQLiteStore) -> bool:
    return [isinstance(await _take(store), Permit) for _ in range(3)] == [True, True, False]


def _in_a_child(work: Callable[[], bool]) -> int:
    child = os.fork()
    if not child:
        signal.alarm(20)  # one that waits for good is one that fails
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_a_file_that_another_process_makes_in_the_same_instant_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    real = sqlite_file._place  # pyright: ignore[reportPrivateUsage]
    looked: list[Path] = []

    def made_meanwhile(place: Path) -> str | None:
        looked.append(place)
        if len(looked) == 3:
            path.touch()
        return None if len(looked) < 3 else real(place)

    monkeypatch.setattr(sqlite_file, "_place", made_meanwhile)
    async with _open(path) as store:
        assert isinstance(await _take(store), Permit)


async def test_a_connection_to_a_file_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with _open(path) as store:
        await _take(store)
        path.unlink()
        (tmp_path / "store.db-wal").write_bytes(b"another's")
    assert (tmp_path / "store.db-wal").read_bytes() == b"another's"


async def test_a_change_that_fails_halfway_is_no_change(tmp_path: Path) -> None:
    file = sqlite_file.StoreFile(tmp_path / "store.db", cold=False, pepper=Secret("a long random text"))

    def change() -> None:
        with file.writing() as tables:
            tables.connection.execute("DELETE FROM store")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        change()
    with file.reading() as tables:
        assert tables.connection.execute("SELECT count(*) FROM store").fetchone() == (1,)
    file.close()


async def test_no_permit_has_the_number_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numbers = iter([7, 7, 7, 8])

    def drawn(_bits: int) -> int:
        return next(numbers)

    monkeypatch.setattr("smsc_async.stores.sqlite.tables.random.getrandbits", drawn)
    monkeypatch.setattr(clock, "_read", lambda: 5.0)
    async with _open(tmp_path / "store.db") as store:
        permits = [await _take(store) for _ in range(2)]
    assert all(isinstance(each, Permit) for each in permits)


async def test_what_is_done_when_its_caller_gives_up_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Worker(lambda: None, "test")
    undone: list[int] = []
    go = threading.Event()

    def work() -> int:
        go.wait()
        return 1

    task = asyncio.create_task(thread.run(work, undone.append))
    await asyncio.sleep(0.02)
    # The loop does not get to hear that it is done before it is cancelled.
    go.set()
    time.sleep(0.05)  # noqa: ASYNC251
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    thread.close()
    assert undone == [1]


async def test_the_lead_that_another_process_has_taken_in_between_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tables.look
    first: list[bool] = []

    def look(tables: Tables, key: str) -> tuple[Lookup, bool]:
        first.append(not first)
        return (Lookup(leads=False), False) if first[-1] else real(tables, key)

    alex, endpoint = Account("alex", "123"), "https://smsc.example/sys/get.php"
    async with _open(tmp_path / "store.db") as here, _open(tmp_path / "store.db") as there:
        await here.lease_or_reply(endpoint, alex, 60.0)
        monkeypatch.setattr(Tables, "look", look)
        waiting = asyncio.create_task(there.lease_or_reply(endpoint, alex, 60.0))
        async with asyncio.timeout(60):
            while len(first) <= 2:  # noqa: ASYNC110  # nothing sets an event
                await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_lease_and_its_permit_are_undone_if_the_call_was_cancelled_before(tmp_path: Path) -> None:
    alex, endpoint, login = Account("alex", "123"), "https://smsc.example/sys/get.php", "smsc.example alex"
    permit = Permit(login, Quota(), token=True, credentials=Credentials("smsc.example", alex))
    async with _open(tmp_path / "store.db") as store:
        store.LEASE_SECONDS = 60.0
        await store.usage(login, Quota())  # opens the file
        go = threading.Event()
        blocking = asyncio.create_task(store._worker.run(go.wait))  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        looking = asyncio.create_task(store.lease_or_reply(endpoint, alex, 0.0, permit))
        await asyncio.sleep(0)
        looking.cancel()
        go.set()
        await asyncio.gather(blocking, looking, return_exceptions=True)
        assert looking.cancelled()
        assert (await store.usage(login, Quota())).tokens_in == ()
        async with asyncio.timeout(20.0):
            assert isinstance(await store.lease_or_reply(endpoint, alex, 0.0, permit), FetchLease)


async def test_a_wait_for_a_turn_that_is_too_long_is_told_after_a_job_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError

    async with _open(tmp_path / "store.db") as store:
        with pytest.raises(OSError):  # noqa: PT011  # this one
            await store._worker.run(fail)  # pyright: ignore[reportPrivateUsage]
        with monkeypatch.context() as patch:
            patch.setattr(worker, "PATIENCE", -1.0)
            with pytest.raises(StoreError, match="busy"):
                await _take(store)
        assert isinstance(await _take(store), Permit)


async def test_a_process_that_pauses_before_the_turn_of_a_job_makes_it_no_error(
    tmp_path: Path, usual_patience: Callable[[], None]
) -> None:
    async with _open(tmp_path / "store.db") as store:
        usual_patience()
        go = threading.Event()
        paused = asyncio.create_task(store._worker.run(go.wait))  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        taking = asyncio.create_task(_take(store))
        await asyncio.sleep(0.5)
        go.set()
        assert await paused
        assert isinstance(await taking, Permit)


async def test_a_store_works_again_after_a_moment_in_which_no_thread_could_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with _open(tmp_path / "store.db") as store:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError, match="start new thread"):
                await _take(store)
        async with asyncio.timeout(20):
            assert isinstance(await _take(store), Permit)


async def test_what_cannot_be_undone_is_left_to_its_lease() -> None:
    ended = threading.Event()
    thread = Worker(ended.set, "test")

    def undo(_: None) -> None:
        raise StoreError("broken")

    task = asyncio.create_task(thread.run(lambda: time.sleep(0.05), undo))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    task = asyncio.create_task(thread.run(lambda: time.sleep(0.05)))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(thread.close)
    assert ended.is_set()


async def test_a_disk_that_cannot_be_shared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As SQLite answers on a file system without shared memory.
    real = sqlite_file._Connection.execute  # pyright: ignore[reportPrivateUsage]

    def execute(self: Any, sql: str, *values: Any) -> sqlite3.Cursor:
        return real(self, "SELECT 'delete'" if "journal_mode" in sql else sql, *values)

    monkeypatch.setattr(sqlite_file._Connection, "execute", execute)  # pyright: ignore[reportPrivateUsage]
    async with _open(tmp_path / "store.db") as store:
        with pytest.raises(StoreError, match="local disk"):
            await _take(store)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE permits SET token_free_at = 'soon'",
        "UPDATE store SET closed_at = 'never'",
        "UPDATE lockouts SET state = '{'",
        "UPDATE lockouts SET state = '[]'",
        "UPDATE lockouts SET state = 7",
        "UPDATE store SET lockout_ahead = 'x'",
        "UPDATE store SET boot = NULL",
    ],
)
async def test_a_damaged_row_is_an_error_that_names_the_file(tmp_path: Path, statement: str) -> None:
    path, credentials = tmp_path / "store.db", Credentials("smsc", Account("alex", "123"))
    async with _open(path) as store:
        await _take(store)
        await store.acquire(Permit("x", QUOTA, token=True, credentials=credentials), lease=30.0)
    other = sqlite3.connect(path)
    other.execute(statement)
    other.commit()
    other.close()
    async with _open(path) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="damaged"):
                await store.acquire(Permit("alex", QUOTA, token=True, credentials=credentials), lease=30.0)


async def test_no_login_and_no_password_is_in_the_file(tmp_path: Path) -> None:
    account = Account("somebody@example.com", "correct horse")
    for pepper in ("a long random text", None):
        path = tmp_path / f"{pepper}.db"
        async with _open(path, pepper=pepper) as store:
            await _take(store, account.login)
            await store.acquire(Permit("x", QUOTA, token=True, credentials=Credentials("smsc", account)), lease=30.0)
            await store.lease_or_reply("https://smsc.example/sys/get.php", account, 60.0)
        names = await asyncio.to_thread(os.listdir, tmp_path)
        content = b"".join((tmp_path / name).read_bytes() for name in names)
        assert b"somebody" not in content
        assert b"correct horse" not in content


@pytest.mark.parametrize(
    "wrong", [{"pepper": "short"}, {"keep_bytes": -1}, {"lease": 0.0}, {"lease": float("inf")}, {"cold_start": "no"}]
)
async def test_a_wrong_argument_is_told(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SQLiteStore(tmp_path / "store.db", **wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"MemoryStore\(\)"):
        SQLiteStore(":memory:")
    assert repr(SQLiteStore(tmp_path / "store.db")) == f"SQLiteStore({str(tmp_path / 'store.db')!r})"


async def test_a_store_whose_making_has_failed_can_be_shown(tmp_path: Path) -> None:
    store = SQLiteStore.__new__(SQLiteStore)
    with pytest.raises(ValueError, match="lease"):
        store.__init__(tmp_path / "store.db", lease=0)  # type: ignore[misc]
    assert repr(store) == "SQLiteStore()"


def _usage(path: Path, *, pepper: Secret | None = None) -> list[tuple[object, ...]]:
    """Return the permits that a snapshot of the file has."""
    snapshot = sqlite_file.StoreSnapshot(path, cold=False, pepper=pepper)
    try:
        with snapshot.reading() as tables:
            return tables.connection.execute("SELECT login FROM permits").fetchall()
    finally:
        snapshot.close()


async def test_a_snapshot_is_made_again_if_the_file_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pepper = tmp_path / "store.db", Secret("a long random text")
    async with _open(path) as store:
        await _take(store)
    real, rounds = sqlite_file.StoreSnapshot._check_ours, 0  # pyright: ignore[reportPrivateUsage]

    def changed_meanwhile(snapshot: sqlite_file.StoreSnapshot, connection: sqlite3.Connection) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            other = sqlite3.connect(path)
            with other:
                other.execute("DELETE FROM permits")
            other.close()
        real(snapshot, connection)

    monkeypatch.setattr(sqlite_file.StoreSnapshot, "_check_ours", changed_meanwhile)
    assert _usage(path, pepper=pepper) == []
    assert rounds == 2


async def test_a_snapshot_of_a_file_whose_key_is_lost_is_refused_as_the_file_is(tmp_path: Path) -> None:
    async with _open(tmp_path / "store.db", pepper=None) as store:
        await _take(store)
    (tmp_path / "store.db.key").unlink()
    with pytest.raises(StoreError, match="restore its key file"):
        _usage(tmp_path / "store.db")
    assert os.listdir(tmp_path) == ["store.db"]  # noqa: PTH208  # a list at once
