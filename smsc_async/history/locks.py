"""The right to deliver: one process at a time has it, and loses it when it ends.

A lock is one byte of a file beside the history, locked by the operating system. A lease in the database would have to outlast
the slowest receiver, and after SIGKILL no process could deliver until its end.

Invariant: the lock file is opened once per process and stays open. POSIX drops all locks of a process on a file as soon as
the process closes any descriptor of that file; and it does not distinguish threads, so a set does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows
    fcntl = None  # type: ignore[assignment]

_mutex = threading.Lock()
_descriptors: Final[dict[tuple[int, int], int]] = {}  # by device and inode
_held: Final[set[tuple[int, int]]] = set()  # descriptors and offsets


def _after_fork() -> None:  # pragma: no cover  # runs in a child, where nothing is measured
    """A child inherits no lock of the operating system, and may inherit the mutex in its locked state."""
    global _mutex  # noqa: PLW0603
    _mutex = threading.Lock()
    _held.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_after_fork)


class DeliveryLock:
    """The right to deliver under one name.

    Args:
        path: The lock file.
        name: What is locked: an account and a reader.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        self._offset = int.from_bytes(digest[:7], "big")
        self._descriptor = -1  # while this object has the lock
        self._pid = 0

    def acquire(self) -> bool:
        """Return whether this object has the lock now; never waits.

        Raises:
            OSError: The lock file cannot be used.
        """
        with _mutex:
            if self._descriptor < 0 or self._pid != os.getpid():
                descriptor = _opened(self._path)
                if (descriptor, self._offset) in _held or not _lock(descriptor, self._offset, wanted=True):
                    return False
                _held.add((descriptor, self._offset))
                self._descriptor, self._pid = descriptor, os.getpid()
            return True

    def release(self) -> None:
        """Give the lock back, if this object has it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0 and self._pid == os.getpid():
            with _mutex:
                _lock(descriptor, self._offset, wanted=False)
                _held.discard((descriptor, self._offset))

    def __del__(self) -> None:
        self.release()


def _opened(path: Path) -> int:
    descriptor = -1
    try:
        status = path.stat()
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        status = os.fstat(descriptor)
    place = (status.st_dev, status.st_ino)
    if place not in _descriptors:
        _descriptors[place] = os.open(path, os.O_RDWR) if descriptor < 0 else descriptor
    return _descriptors[place]


def _lock(descriptor: int, offset: int, *, wanted: bool) -> bool:
    try:
        if fcntl is not None:
            fcntl.lockf(descriptor, (fcntl.LOCK_EX | fcntl.LOCK_NB) if wanted else fcntl.LOCK_UN, 1, offset)
        else:  # pragma: no cover  # Windows
            import msvcrt  # noqa: PLC0415

            os.lseek(descriptor, offset, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK if wanted else msvcrt.LK_UNLCK, 1)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]  # there alone
    except OSError:  # EAGAIN or EACCES, as POSIX leaves it: another process has it
        return False
    return True
