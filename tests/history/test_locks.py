"""The right to deliver: one holder at a time, in this process and among all of them, until it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smsc_async.history.locks import DeliveryLock

HOLDING = """
import sys, pathlib
from smsc_async.history.locks import DeliveryLock
lock = DeliveryLock(pathlib.Path(sys.argv[1]), sys.argv[2])
print(lock.acquire(), flush=True)
sys.stdin.readline()
"""


def holder(path: Path, name: str) -> tuple[subprocess.Popen[str], str]:
    """Another process, and whether it has the lock; it holds it until its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_one_object_at_a_time_has_a_lock_and_another_name_is_another_lock(tmp_path: Path) -> None:
    one, other, elsewhere = (DeliveryLock(tmp_path / "lock", name) for name in ("a", "a", "b"))
    assert one.acquire()
    assert one.acquire()
    assert not other.acquire()
    assert elsewhere.acquire()
    other.release()  # which has none
    assert not other.acquire()
    one.release()
    assert other.acquire()
    del other
    assert one.acquire()  # an object that is dropped has it no more
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_one_process_at_a_time_has_a_lock_and_a_killed_one_has_none(tmp_path: Path) -> None:
    lock = DeliveryLock(tmp_path / "lock", "a")
    process, held = holder(tmp_path / "lock", "a")
    assert held == "True"
    assert not lock.acquire()
    assert DeliveryLock(tmp_path / "lock", "b").acquire()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert lock.acquire()
    # Another lock of this process that ends must not take this one with it.
    DeliveryLock(tmp_path / "lock", "c").acquire()
    process, held = holder(tmp_path / "lock", "a")
    assert held == "False"
    process.communicate()


def test_a_lock_file_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    assert DeliveryLock(tmp_path / "lock", "a").acquire()
    (tmp_path / "lock").rename(tmp_path / "old")
    (tmp_path / "lock").touch()
    process, held = holder(tmp_path / "lock", "a")
    assert held == "True"
    assert not DeliveryLock(tmp_path / "lock", "a").acquire()
    process.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked there")
def test_a_forked_child_has_no_lock_and_releases_none(tmp_path: Path) -> None:
    lock = DeliveryLock(tmp_path / "lock", "a")
    assert lock.acquire()
    child = os.fork()
    if not child:
        lock.release()  # of its parent
        os._exit(10 + lock.acquire())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
    process, held = holder(tmp_path / "lock", "a")
    assert held == "False"
    process.communicate()
