"""Files that belong to one user alone: the checks before their use, and the key file beside a database.

Invariants:

- A database is checked by its path. A descriptor of its own must not be opened and closed: that drops the POSIX locks
  which SQLite holds on the file in this process.
- The folder is checked too, and nobody else can write to it. So the file is still the same one when SQLite opens it.
- A key file appears under its name with its whole content, however many processes create it at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

from smsc_async.accounts import Secret
from smsc_async.errors import StoreError

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPES: Final = str.maketrans({each: f"\\{ord(each):03o}" for each in "\\ \t\n"})
_KEY_BYTES: Final = 32
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)  # Windows has none

# Faults of a file that stay until somebody repairs them.
_LASTING: Final = {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EROFS}
_LASTING_IN_SQLITE: Final = {8, 11, 26}  # SQLITE_READONLY, SQLITE_CORRUPT and SQLITE_NOTADB


def misconfigured(message: str, store: object) -> StoreError:
    """Return the error for a store that waiting cannot repair."""
    return StoreError(message, str(store), retryable=False)


def file_error(message: str, path: Path, cause: Exception) -> StoreError:
    """Return the error for a file that cannot be used; waiting helps a full disk or a lock, not a file of garbage."""
    lasts = getattr(cause, "errno", None) in _LASTING or getattr(cause, "sqlite_errorcode", None) in _LASTING_IN_SQLITE
    return StoreError(message, str(path), retryable=not lasts)


def check_database(path: Path) -> None:
    """Check a database that may be missing yet, and its folder.

    Raises:
        StoreError: Another user can read or change the file, or it has a second name.
        OSError: The folder is missing.
    """
    _check_folder(path)
    with contextlib.suppress(FileNotFoundError):
        _check_file(path, path.lstat())
    if _is_mount_point(path):
        raise misconfigured(
            "the file is a mount of its own, so SQLite's files beside it are not shared: mount its folder instead", path
        )


def read_or_create_key(path: Path, way_out: str = "delete it together with the database") -> Secret:
    """Return the content of a key file, which is created with 32 random bytes if it is missing.

    Args:
        path: The file.
        way_out: What a user can do if the key is lost.

    Raises:
        StoreError: Another user can read or change the file, or it is no key file.
        OSError: The file cannot be read or written.
    """
    if not os.path.lexists(path):
        _create_key(path)
    with open(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:  # noqa: PTH123  # a descriptor
        _check_file(path, os.fstat(file.fileno()))
        key = file.read(_KEY_BYTES + 1)
    if len(key) != _KEY_BYTES:
        raise misconfigured(f"this is no key file of {_KEY_BYTES} bytes: restore it, or {way_out}", path)
    return Secret(key.hex())


def _create_key(path: Path) -> None:
    draft = Path(f"{path}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(handle)  # a database without its key is lost
        # Unlike a rename, a link does not replace the key of a process that was faster.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise misconfigured("this is a symbolic link, a folder or a device: pass the path of the file itself", path)
    if not hasattr(os, "geteuid"):  # pragma: no cover  # Windows has other rights
        return
    if status.st_uid != os.geteuid():
        raise misconfigured(f"the file belongs to another user (uid {status.st_uid}): pass a path of your own", path)
    if status.st_mode & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):03o}"
        raise misconfigured(f"other users can open the file (mode {mode}): run chmod 600 on it", path)


def _check_folder(path: Path) -> None:
    if not hasattr(os, "geteuid"):  # pragma: no cover  # Windows has other rights
        return
    status = path.parent.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise misconfigured(
            f"the folder belongs to another user (uid {status.st_uid}): pass a path in a folder of your own", path
        )
    # Nobody replaces a file of another user in a folder with the sticky bit. Many systems give every user a group of the
    # same name, and create folders that this group can write to.
    open_bits = status.st_mode & (0o002 if status.st_gid == os.getegid() else 0o022)
    if open_bits and not status.st_mode & stat.S_ISVTX:
        mode = f"{stat.S_IMODE(status.st_mode):03o}"
        raise misconfigured(f"other users can write to the folder (mode {mode}): run chmod go-w on it", path)


def _is_mount_point(path: Path) -> bool:
    try:
        mounts = _MOUNTS.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return False  # no Linux
    escaped = os.path.realpath(path).translate(_ESCAPES)
    return any(line.split(" ")[4] == escaped for line in mounts.splitlines())
