"""Lists over time: what is added is there, once, for everybody, and nothing else is touched."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from smsc_async import Account, Extra, History, MemoryStore, Quota, Snapshot, SQLiteStore, StoreError, Tariffs, Zone
from smsc_async.history.file import HistoryFile
from smsc_async.history.packing import packed, text_of
from smsc_async.limiter.bucket import Permit
from smsc_async.simulator import make_tariffs, sample_tariffs
from tests.support.secret_search import found_in
from tests.support.simulated import ALEX, client_of, service

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
YEAR = 365 * 96  # of quarters of an hour


def tariffs_of(api: str | None, **others: str) -> Tariffs:
    return Tariffs(
        (Zone("1", "Россия", None if api is None else Decimal(api), extra=Extra(others)),), (), Decimal("0.10")
    )


def snapshot(minutes: float, api: str | None, account: str = "alex") -> Snapshot:
    return Snapshot(account, START + timedelta(minutes=minutes), tariffs_of(api))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.db")


async def filled(history: History) -> None:
    for minutes, api in ((0, "2.50"), (15, "2.50"), (30, "2.75"), (45, "2.75"), (60, "2.75"), (75, "2.50")):
        await history.add(snapshot(minutes, api))
    await history.add(snapshot(20, "9.99", "boris"))


async def test_a_history_that_nobody_has_written_is_empty_and_is_not_made(history: History, tmp_path: Path) -> None:
    assert await history.accounts() == ()
    assert (await history.snapshots(), await history.periods(), await history.prices("alex", mail=True)) == ((), (), ())
    assert await history.last("alex") is await history.reported("alex") is None
    assert (await history.prune(START), await history.forget("alex")) == (0, 0)
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  # nobody else is in this loop
    assert repr(history) == f"History({str(tmp_path / 'history.db')!r})"


async def test_snapshots_come_back_by_account_time_and_number(history: History) -> None:
    async with history:
        await filled(history)
    assert await history.accounts() == ("alex", "boris")
    whole = await history.snapshots()
    assert [each.account for each in whole] == ["alex", "alex", "boris", *["alex"] * 4]
    assert whole[0] == snapshot(0, "2.50")
    assert whole[0].tariffs.fetched_at == START
    some = await history.snapshots("alex", since=START + QUARTER, until=START + 4 * QUARTER, limit=2)
    assert some == (snapshot(45, "2.75"), snapshot(60, "2.75"))
    assert await history.snapshots("alex", limit=0) == ()
    assert await history.last("alex") == snapshot(75, "2.50")
    assert await history.at("alex", START + timedelta(minutes=44)) == snapshot(30, "2.75")
    assert await history.at("alex", START - QUARTER) is None
    assert await history.last("nobody") is None


async def test_an_instant_counts_whatever_its_time_zone(history: History) -> None:
    almaty = timezone(timedelta(hours=5))
    there = Snapshot("alex", datetime(2026, 11, 1, 17, 0, 0, 1, tzinfo=almaty), tariffs_of("1"))
    await history.add(there)
    assert await history.last("alex") == there
    assert await history.snapshots(since=there.taken_at, until=there.taken_at) == (there,)


async def test_a_snapshot_that_is_there_already_stays(history: History) -> None:
    for api in ("2.50", "2.50", "9.99"):
        await history.add(snapshot(0, api))
    assert await history.snapshots() == (snapshot(0, "2.50"),)


async def test_everything_of_a_list_comes_back(history: History) -> None:
    for place, tariffs in enumerate([sample_tariffs(), make_tariffs(300), tariffs_of(None, vat="20", note="<b>")]):
        await history.add(Snapshot("alex", START + place * QUARTER, tariffs))
        last = await history.last("alex")
        assert last is not None
        assert repr(last.tariffs.zones) == repr(tariffs.zones)
        assert last.tariffs == tariffs


async def test_periods_are_the_times_of_one_list(history: History) -> None:
    await filled(history)
    periods = await history.periods("alex")
    assert [((each.since - START) // QUARTER, (each.until - START) // QUARTER, each.count) for each in periods] == [
        (0, 1, 2),
        (2, 4, 3),
        (5, 5, 1),
    ]
    assert periods[0].tariffs == periods[2].tariffs == tariffs_of("2.50")
    assert [each.account for each in await history.periods()] == ["alex", "boris", "alex", "alex"]
    cut = await history.periods("alex", since=START + 3 * QUARTER, until=START + 4 * QUARTER)
    assert [each.count for each in cut] == [2]


async def test_a_price_over_time_has_a_point_for_each_price(history: History) -> None:
    await filled(history)
    await history.add(Snapshot("alex", START + 6 * QUARTER, Tariffs((Zone("2", "x"),), (), Decimal("0.1"))))
    points = await history.prices("alex", zone="1")
    told = [(None if each.price is None else str(each.price), (each.until - each.since) // QUARTER) for each in points]
    assert told == [("2.50", 1), ("2.75", 2), ("2.50", 0), (None, 0)]
    mail = await history.prices("alex", mail=True)
    assert [each.until - each.since for each in mail] == [6 * QUARTER]  # 0.10 and 0.1 are one price
    assert [each.price for each in await history.prices("alex", zone="1", operator="25001", service="hlr")] == [None]


async def test_an_operators_own_tariff_comes_first_and_goes_on_without_the_zone(history: History) -> None:
    whole = sample_tariffs()
    await history.add(Snapshot("alex", START, whole))
    await history.add(Snapshot("alex", START + QUARTER, attrs.evolve(whole, zones=whole.zones[1:])))
    points = await history.prices("alex", zone="1", operator="25001")
    assert [each.price for each in points] == [whole.operator("25001").cost]


async def test_a_name_that_no_list_could_be_found_under_is_refused(history: History) -> None:
    await history.add(Snapshot("x" * 9_999, START, Tariffs(())))
    assert await history.last("x" * 9_999) is not None
    for add in (history.add, history.record):
        with pytest.raises(ValueError, match=r"begins with 'яяя.+must have less than 10,000 bytes"):
            await add(Snapshot("я" * 5_000, START, Tariffs(())))


async def test_misuse_is_told(history: History) -> None:
    naive = datetime(2026, 11, 1)  # noqa: DTZ001  # what is refused
    for call in (history.snapshots(since=naive), history.periods(until=naive), history.prune(naive)):
        with pytest.raises(ValueError, match="must have a time zone"):
            await call
    wrong: Any = "2026-11-01"
    await history.add(Snapshot("a", START, Tariffs(())))
    nobody: Any = None
    number: Any = 5
    for read in (
        history.forget(nobody),
        history.forget(number),
        history.at(number, START),
        history.at(nobody, START),
        history.last(nobody),
        history.prices(nobody, zone="1"),
        history.reported(nobody),
        history.last("a", credentials=wrong),
    ):
        with pytest.raises(TypeError, match=r"(account|credentials) must be an? "):
            await read
    assert await history.accounts() == ("a",)  # nobody is not everybody
    for write in (history.add(wrong), history.record(wrong), history.mark_reported(wrong)):
        with pytest.raises(TypeError, match="snapshot must be a Snapshot, such as"):
            await write
    for refused in (history.snapshots(since=wrong), history.prune(wrong), history.at("a", wrong)):
        with pytest.raises(TypeError, match=r"instant must be a datetime, such as datetime.now\(UTC\), not str"):
            await refused
    with pytest.raises(ValueError, match="must be a file"):
        History(":memory:")
    with pytest.raises(ValueError, match="limit=-1"):
        await history.snapshots(limit=-1)
    half: Any = 1.5
    with pytest.raises(TypeError, match="limit must be a whole number, not float"):
        await history.snapshots(limit=half)
    for wanted in ({}, {"zone": "1", "mail": True}):
        with pytest.raises(TypeError, match="which price"):
            await history.prices("alex", **wanted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="fax"):
        await history.prices("alex", zone="1", service="fax")
    for line in ({"zone": 1}, {"zone": "1", "operator": 25001}):
        with pytest.raises(TypeError, match=r'(zone|operator) must be text, such as "\d+", not int'):
            await history.prices("alex", **line)  # pyright: ignore[reportArgumentType]


async def test_pruning_drops_repetitions_or_all_but_the_last(history: History) -> None:
    await filled(history)
    prices = await history.prices("alex", zone="1")
    assert await history.prune(START + 6 * QUARTER, account="boris") == 0
    assert await history.prune(START + 6 * QUARTER) == 1  # the one in the middle of the three
    assert await history.prices("alex", zone="1") == prices
    await history.mark_reported(snapshot(30, "2.75"), reader="mine")
    assert await history.prune(START + 2 * QUARTER, keep_changes=False) == 2
    assert await history.prune(START + 99 * QUARTER, keep_changes=False) == 2
    assert await history.snapshots() == (snapshot(20, "9.99", "boris"), snapshot(75, "2.50"))
    assert await history.reported("alex", reader="mine") == snapshot(30, "2.75")


async def test_each_reader_has_a_mark_of_its_own(history: History) -> None:
    await filled(history)
    assert await history.reported("alex") is None
    await history.mark_reported(snapshot(0, "2.50"))
    await history.mark_reported(snapshot(30, "2.75"))
    await history.mark_reported(snapshot(15, "2.50"), reader="bot")
    assert await history.reported("alex") == snapshot(30, "2.75")
    assert await history.reported("alex", reader="bot") == snapshot(15, "2.50")
    assert await history.reported("boris") is None


async def test_the_file_is_its_owners_alone_whatever_the_umask_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "made" / "history.db"
    before = os.umask(0)
    try:
        await History(path).add(snapshot(0, "1"))
    finally:
        os.umask(before)
    assert [each.name for each in path.parent.iterdir()] == ["history.db"]
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


async def test_what_is_committed_is_on_the_disk(history: History, tmp_path: Path) -> None:
    await history.add(snapshot(0, "1"))
    with HistoryFile(tmp_path / "history.db").writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_an_empty_file_will_do(history: History, tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    assert await history.snapshots() == ()
    await history.add(snapshot(0, "1"))
    assert await history.last("alex") == snapshot(0, "1")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_a_file_of_garbage_is_named_and_left_as_it_is(history: History, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    for call in (history.add(snapshot(0, "1")), history.snapshots()):
        with pytest.raises(StoreError, match="left as it is") as caught:
            await call
        assert caught.value.store == str(path)
        assert not caught.value.retryable
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
async def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        history = History(path)
        with anyio.fail_after(60):
            for work in (history.accounts(), history.add(snapshot(0, "1"))):
                with pytest.raises(StoreError, match="this is a folder, a device or a pipe: pass the path of a file"):
                    await work


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SQLiteStore(path, pepper="a long random text")
    await store.acquire(Permit("alex", Quota(), token=True), lease=1.0)
    await store.aclose()
    for call in (History(path).add(snapshot(0, "1")), History(path).accounts()):
        with pytest.raises(StoreError, match="a database of something else"):
            await call


async def test_a_history_of_another_version_is_refused(history: History, tmp_path: Path) -> None:
    await history.add(snapshot(0, "1"))
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(StoreError, match="of version 1, and this is 2"):
        await history.snapshots()


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


DAMAGE = {
    "one byte": "UPDATE lists SET packed = x'00' WHERE id = 2",
    "text": "UPDATE lists SET packed = 'text' WHERE id = 2",
    "a number": "UPDATE lists SET packed = 7 WHERE id = 2",
    "more than any list has": "UPDATE lists SET packed = zeroblob(20000000) WHERE id = 2",
    "another list": "UPDATE lists SET packed = (SELECT packed FROM lists WHERE id = 1) WHERE id = 2",
    "no list": "DELETE FROM lists WHERE id = 2",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_list_counts_as_absent_and_is_logged_once(
    history: History, tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    for minutes, api in ((0, "1"), (15, "2"), (30, "3")):
        await history.add(snapshot(minutes, api))
    await history.mark_reported(snapshot(15, "2"))
    execute(tmp_path / "history.db", statement)
    for _ in range(2):
        assert await history.snapshots() == (snapshot(0, "1"), snapshot(30, "3"))
        assert [each.count for each in await history.periods("alex")] == [1, 1]
        assert await history.at("alex", START + QUARTER) == snapshot(0, "1")  # not nothing: the one before is whole
        assert await history.reported("alex") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "list 2 is damaged" in caplog.text
    await history.add(snapshot(45, "2"))  # the same list again: stored anew
    whole = [0, 30, 45] if "DELETE" in statement else [0, 15, 30, 45]
    assert [(each.taken_at - START).seconds // 60 for each in await history.snapshots()] == whole


ODD_ROWS = {
    "text as instant": "INSERT INTO snapshots VALUES (1, 'yesterday', 1)",
    "bytes as instant": "INSERT INTO snapshots VALUES (1, x'ff', 1)",
    "a fraction as instant": "INSERT INTO snapshots VALUES (1, 1.5, 1)",
    "an instant after the end of time": "INSERT INTO snapshots VALUES (1, 9000000000000000000, 1)",
    "an instant before its beginning": "INSERT INTO snapshots VALUES (1, -9000000000000000000, 1)",
    "text as list": "INSERT INTO snapshots VALUES (1, 5, 'first')",
    "a list that is not there": "INSERT INTO snapshots VALUES (1, 5, 99)",
    "an account that is not there": "INSERT INTO snapshots VALUES (99, 5, 1)",
    "a name of bytes": "INSERT INTO accounts VALUES (2, x'ff', x'')",
    "credentials of text": "INSERT INTO accounts VALUES (2, 'boris', 'x')",
    "a name of 20 MB": "INSERT INTO accounts VALUES (2, CAST(zeroblob(20000000) AS TEXT), x'')",
    "a mark of text": "INSERT INTO marks VALUES (1, 'watch', 'now', 1, NULL)",
    "a mark on a list that is not there": "INSERT INTO marks VALUES (1, 'watch', 5, 99, NULL)",
}


@pytest.mark.parametrize("statement", ODD_ROWS.values(), ids=ODD_ROWS)
async def test_a_row_of_odd_types_counts_as_absent(history: History, tmp_path: Path, statement: str) -> None:
    await history.add(snapshot(0, "1"))
    execute(tmp_path / "history.db", statement, "INSERT OR IGNORE INTO snapshots VALUES (2, 5, 1)")
    assert await history.accounts() == ("alex",)
    assert await history.snapshots() == (snapshot(0, "1"),)
    assert [each.count for each in await history.periods()] == [1]
    assert await history.reported("alex") is None
    assert await history.prune(START) == 0 or "instant" in statement or "list" in statement


async def test_a_name_that_is_no_text_is_readable(history: History, tmp_path: Path) -> None:
    await history.add(snapshot(0, "1"))
    execute(tmp_path / "history.db", "UPDATE accounts SET name = CAST(x'616cff' AS TEXT)")
    assert await history.accounts() == ("al\ufffd",)


ALEX_AGAIN = Account("alex", "another password")
KEY = Account.with_api_key("k-4711", name="alex")


async def test_what_credentials_fetched_is_theirs_alone(history: History) -> None:
    assert await history.snapshots("alex", credentials=ALEX) == ()  # there is no file yet, and no key is made for it
    await history.add(snapshot(0, "1"), credentials=ALEX)
    await history.add(snapshot(0, "2"), credentials=ALEX_AGAIN)
    await history.add(snapshot(0, "3"), credentials=KEY)
    await history.add(snapshot(15, "4"))
    await history.mark_reported(snapshot(0, "1"), credentials=ALEX)
    for account, api in ((ALEX, "1"), (ALEX_AGAIN, "2"), (KEY, "3")):
        for reader in (history, History(history.path)):
            assert await reader.snapshots(credentials=account) == (snapshot(0, api),)
            assert [each.tariffs for each in await reader.periods("alex", credentials=account)] == [tariffs_of(api)]
            assert await reader.last("alex", credentials=account) == snapshot(0, api)
            assert await reader.at("alex", START, credentials=account) == snapshot(0, api)
            prices = await reader.prices("alex", zone="1", credentials=account)
            assert [each.price for each in prices] == [Decimal(api)]
            mark = await reader.reported("alex", credentials=account)
            assert mark == (snapshot(0, "1") if account is ALEX else None)
    assert await history.snapshots("boris", credentials=ALEX) == ()
    # The owner of the file sees all of a name.
    assert len(await history.snapshots("alex")) == 4


async def test_an_account_is_forgotten_by_name_or_by_credentials(history: History, tmp_path: Path) -> None:
    assert await history.forget("alex") == 0
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  # nobody else is in this loop
    for api, account in (("1", ALEX), ("2", ALEX_AGAIN)):
        await history.add(snapshot(0, api), credentials=account)
        await history.add(snapshot(15, "777.123456", "boris"), credentials=Account("boris", "456"))
        await history.mark_reported(snapshot(0, api), credentials=account)
    assert await history.forget(ALEX) == 1
    assert await history.forget(ALEX) == 0
    assert await history.reported("alex", credentials=ALEX) is None
    assert await history.last("alex") == snapshot(0, "2")
    assert await history.forget("boris") == 1
    assert await history.accounts() == ("alex",)
    assert await history.snapshots() == (snapshot(0, "2"),)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: ASYNC240
    assert b"boris" not in content
    assert packed(text_of(tariffs_of("777.123456")))[10:30] not in content


async def test_the_key_is_its_owners_alone_and_a_lost_one_binds_to_nobody(history: History, tmp_path: Path) -> None:
    key = tmp_path / "history.db.key"
    await history.add(snapshot(0, "1"), credentials=ALEX)
    assert (stat.S_IMODE(key.stat().st_mode), len(key.read_bytes())) == (0o600, 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.db", "history.db.key"]  # noqa: ASYNC240
    whole = key.read_bytes()
    assert whole not in (tmp_path / "history.db").read_bytes()
    key.unlink()
    assert await history.last("alex", credentials=ALEX) is None
    assert not key.exists()  # reading makes none
    assert await history.last("alex") == snapshot(0, "1")
    await history.add(snapshot(15, "2"), credentials=ALEX)
    assert key.read_bytes() != whole
    assert await history.snapshots(credentials=ALEX) == (snapshot(15, "2"),)
    key.write_bytes(whole)
    assert await history.snapshots(credentials=ALEX) == (snapshot(0, "1"),)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
async def test_a_key_that_others_can_use_or_that_is_none_is_refused(history: History, tmp_path: Path) -> None:
    key = tmp_path / "history.db.key"
    await history.add(snapshot(0, "1"), credentials=ALEX)
    key.chmod(0o640)
    with pytest.raises(StoreError, match=r"run chmod 600"):
        await history.last("alex", credentials=ALEX)
    key.chmod(0o600)
    for content in (b"", b"x" * 31, b"x" * 33):
        key.write_bytes(content)
        with pytest.raises(StoreError, match=r"no key file of 32 bytes.*begins a new history"):
            await history.add(snapshot(15, "1"), credentials=ALEX)
    key.unlink()
    (tmp_path / "elsewhere").write_bytes(b"x" * 32)
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be used"):
        await history.add(snapshot(15, "1"), credentials=ALEX)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
async def test_a_file_that_others_can_write_is_refused(history: History, tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    (tmp_path / "history.db").chmod(0o666)
    with pytest.raises(StoreError, match="others can write to it: run chmod 600"):
        await history.add(snapshot(0, "1"))


async def test_a_history_in_a_folder_that_cannot_be_written_is_read(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await history.add(snapshot(0, "1"))
    made: list[str] = []
    real: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect(address: str, **settings: Any) -> sqlite3.Connection:
        made.append(address)
        return real(address, **settings)

    def refuse(*_: object) -> bool:
        return False

    monkeypatch.setattr("smsc_async.history.file.sqlite3.connect", connect)
    monkeypatch.setattr("smsc_async.history.file.os.access", refuse)  # the tests may run as root
    before = sorted(tmp_path.iterdir())  # noqa: ASYNC240
    assert await history.last("alex") == snapshot(0, "1")
    assert made[0].endswith("?mode=ro&immutable=1")
    assert sorted(tmp_path.iterdir()) == before  # noqa: ASYNC240


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", "a path")

    monkeypatch.setattr("smsc_async.history.file.os.open", refuse)  # the tests may run as root, who may do anything
    with pytest.raises(StoreError, match=r"history.db: cannot be used \(Permission denied\)"):
        await History(tmp_path / "history.db").add(snapshot(0, "1"))


async def test_what_was_not_committed_is_not_there(history: History, tmp_path: Path) -> None:
    await history.add(snapshot(0, "1"))

    def stop_in_the_middle() -> None:
        with HistoryFile(tmp_path / "history.db").writing() as connection:
            connection.execute("DELETE FROM snapshots")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop_in_the_middle()
    assert await history.snapshots() == (snapshot(0, "1"),)


async def test_nothing_of_the_credentials_is_in_the_file(tmp_path: Path, history: History) -> None:
    async with client_of(service(), store=MemoryStore()) as client:
        tariffs = await client.tariffs()
    assert tariffs.fetched_at is not None
    await history.add(Snapshot("alex", tariffs.fetched_at, tariffs))
    content = (tmp_path / "history.db").read_bytes()
    assert b"alex" in content
    assert not found_in(content, ALEX.secret.reveal() * 2)
    assert ALEX.fingerprint not in content


ADDING = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from smsc_async import History, Snapshot, Tariffs
async def main():
    history = History(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    for place in range(int(sys.argv[2]), 40, 2):
        at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=place)
        await history.add(Snapshot("alex", at, Tariffs((), (), Decimal(place // 7))))
asyncio.run(main())
"""


@pytest.fixture
def adding(tmp_path: Path) -> list[subprocess.Popen[bytes]]:
    """Two processes that add every second snapshot each, once they are told to."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", ADDING, str(tmp_path / "history.db")]
    return [subprocess.Popen([*command, first], stdin=pipe, stdout=pipe) for first in ("0", "1")]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_processes_may_add_at_once(history: History, adding: list[subprocess.Popen[bytes]]) -> None:
    for process in adding:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in adding:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in adding:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert [each.tariffs.mail for each in await history.snapshots()] == [Decimal(place // 7) for place in range(40)]
    assert [each.count for each in await history.periods()] == [7, 7, 7, 7, 7, 5]


READING = """
import asyncio, sys
from smsc_async import History
asyncio.run(History(sys.argv[1]).accounts())
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_is_usable_though_all_threads_of_the_application_wait_for_it(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    monkeypatch.setattr(limiter, "total_tokens", 1)

    async def write_and_read() -> None:
        assert limiter.available_tokens == 0
        with anyio.fail_after(20):
            await history.add(snapshot(0, "2.50"))
            assert await history.accounts() == ("alex",)

    await anyio.to_thread.run_sync(anyio.from_thread.run, write_and_read)


async def test_a_thread_that_begins_to_write_takes_no_lock_from_another(history: History, tmp_path: Path) -> None:
    await history.add(snapshot(0, "1"))
    with HistoryFile(history.path).writing():
        # What another watch in this process does first: it waits for this one then.
        HistoryFile(history.path)._make()  # pyright: ignore[reportPrivateUsage]
        await anyio.run_process([sys.executable, "-c", READING, str(history.path)])
        # Whoever closes the file as the last deletes its log: with what is being written, were it not locked.
        assert (tmp_path / "history.db-wal").exists()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_year_of_snapshots_every_quarter_of_an_hour_is_small(history: History, tmp_path: Path) -> None:
    months = [Snapshot("alex", START, sample_tariffs(Decimal(month))) for month in range(1, 13)]
    for month in months:
        await history.mark_reported(month, reader=str(month))
    with HistoryFile(tmp_path / "history.db").writing() as connection:
        first = int(START.timestamp() * 1e6) + 4711
        rows = [(1, first + place * 900_000_000, place * 12 // YEAR + 1) for place in range(YEAR)]
        connection.executemany("INSERT INTO snapshots VALUES (?, ?, ?)", rows)
    assert (tmp_path / "history.db").stat().st_size < 2**20
    periods = await history.periods("alex")
    assert [each.tariffs for each in periods] == [month.tariffs for month in months]
