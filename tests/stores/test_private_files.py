"""What a store must find before it trusts a file: one name, one owner, and a key that nobody else can read."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import anyio
import pytest

from smsc_async import Account, Quota, SQLiteStore, StoreError
from smsc_async.limiter.bucket import Permit
from smsc_async.stores import private_files

pytestmark = pytest.mark.asyncio

ALEX = Account("alex", "123")


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def _acquire(path: Path, pepper: str | None = None) -> bool:
    async with SQLiteStore(path, pepper=pepper) as store:
        return isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)


async def _refused(path: Path, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as caught:
        await _acquire(path)
    assert not caught.value.retryable
    assert str(path.parent) in caught.value.store


async def test_a_key_file_is_created_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    assert [await _acquire(path) for _ in range(4)] == [True, True, True, False]
    key = tmp_path / "store.db.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.stat().st_size == 32
    assert _names(tmp_path) == ["store.db", "store.db.key"]


def _digest(path: Path, digests: multiprocessing.Queue[str]) -> None:
    import asyncio

    async def digest() -> str:
        async with SQLiteStore(path) as store:
            return (await store._keys()).credentials(ALEX)  # pyright: ignore[reportPrivateUsage]

    digests.put(asyncio.run(digest()))


async def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    digests: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_digest, args=(tmp_path / "store.db", digests)) for _ in range(6)]
    for process in processes:
        process.start()
    assert len({digests.get(timeout=20) for _ in processes}) == 1
    for process in processes:
        process.join()
    assert not [each for each in _names(tmp_path) if each.count(".") > 2]


async def test_a_key_that_another_process_creates_in_the_same_instant_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    theirs = private_files.read_or_create_key(path)

    def is_missing(_: Path) -> bool:
        return False

    monkeypatch.setattr(os.path, "lexists", is_missing)
    assert private_files.read_or_create_key(path) == theirs
    assert _names(tmp_path) == [path.name]


async def test_a_lost_key_file_is_no_second_quota(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    assert await _acquire(path)
    (tmp_path / "store.db.key").unlink()
    await _refused(path, "restore its key file")


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
async def test_a_key_file_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.db.key").write_bytes(content)
    (tmp_path / "store.db.key").chmod(0o600)
    await _refused(tmp_path / "store.db", "no key file of 32 bytes")


@pytest.mark.parametrize("name", ["store.db", "store.db.key"])
async def test_a_symbolic_link_is_not_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.touch(mode=0o600)
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(StoreError, match="symbolic link"):
        await _acquire(tmp_path / "store.db")
    assert victim.read_bytes() == b""


@pytest.mark.parametrize("name", ["store.db", "store.db.key"])
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
async def test_a_file_that_others_can_open_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    await _acquire(tmp_path / "store.db")
    (tmp_path / name).chmod(mode)
    await _refused(tmp_path / "store.db", f"mode {mode:o}.*chmod 600")


@pytest.mark.parametrize(("mode", "is_refused"), [(0o777, True), (0o757, True), (0o1777, False), (0o755, False)])
async def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, *, is_refused: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    if is_refused:
        await _refused(folder / "store.db", "chmod go-w")
    else:
        assert await _acquire(folder / "store.db")


async def test_a_folder_that_another_group_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anyio.Path(tmp_path).chmod(0o770)
    assert await _acquire(tmp_path / "store.db")
    monkeypatch.setattr(os, "getegid", lambda: 4711)
    await _refused(tmp_path / "store.db", "chmod go-w")


async def test_a_file_or_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    await _acquire(path)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if os.getuid():
        await _refused(path, "the folder belongs to another user")  # pragma: no cover
    else:
        await _refused(path, "the file belongs to another user")
        os.chown(tmp_path, 4712, -1)
        await _refused(path, "the folder belongs to another user")


async def test_a_file_with_a_second_name_is_refused_also_during_its_use(tmp_path: Path) -> None:
    path, second = tmp_path / "store.db", tmp_path / "second.db"
    async with SQLiteStore(path) as store:
        assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)
        second.hardlink_to(path)
        for each in (store, SQLiteStore(second)):
            with pytest.raises(StoreError, match="hard link"):
                await each.acquire(Permit("alex", Quota(), token=True), lease=30.0)
        second.unlink()
        assert isinstance(await store.acquire(Permit("alex", Quota(), token=True), lease=30.0), Permit)


@pytest.mark.parametrize("name", ["store.db", "a b\\c.db"])
async def test_a_file_that_is_a_mount_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # As Docker mounts a single file into a container.
    path, mounts = tmp_path / name, tmp_path / "mountinfo"
    escaped = str(path).replace("\\", r"\134").replace(" ", r"\040")
    mounts.write_text(f"22 28 0:20 / /proc rw - proc proc rw\n35 28 8:1 /x {escaped} rw - ext4 /dev/sda1 rw\n")
    assert await _acquire(path)
    monkeypatch.setattr(private_files, "_MOUNTS", mounts)
    await _refused(path, "mount its folder")
    monkeypatch.setattr(private_files, "_MOUNTS", tmp_path / "none")
    assert await _acquire(path)
