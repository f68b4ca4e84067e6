"""Files of users: text as editors and shells save it, and files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

from smsc_async import environment
from smsc_async.cli.cli_error import CliError, ExitCode

# A list as indented JSON takes several times the bytes of the reply, of which 4 MiB are read.
_LONGEST: Final = 64 << 20


def decoded_text(body: bytes, where: str) -> str:
    """Return a text in UTF-8, or in UTF-16 with a byte order mark, without the mark and the CR of its line breaks.

    Raises:
        CliError: It is neither; ``where`` names it.
    """
    text = environment.decoded_text(body)
    if isinstance(text, str):
        return text
    raise CliError(f"{where} is not text in UTF-8 or UTF-16 (byte {text})", ExitCode.FILES)


def checked_text(text: str, what: str) -> str:
    """Return an argument that is stored or sent as text.

    Raises:
        CliError: It has bytes that are no text in the encoding of the terminal.
    """
    with contextlib.suppress(UnicodeEncodeError):
        text.encode()
        return text
    raise CliError(f"{what} {text!r} is not text")


def read_bounded(file: BinaryIO, where: str) -> bytes:
    """Return what a file or a pipe contains, which need not be a file that ends.

    Raises:
        CliError: It is longer than any input can be; ``where`` names it.
    """
    body = file.read(_LONGEST + 1)
    if len(body) <= _LONGEST:
        return body
    raise CliError(f"{where} has more than {_LONGEST >> 20} MiB", ExitCode.FILES)


def with_companions(database: Path) -> list[Path]:
    """Return a file of a store or a history, and the files that belong to it."""
    return [Path(f"{database}{suffix}") for suffix in ("", ".key", ".lock", "-wal", "-shm")]


def user_folder(path_of: Callable[[str], Path]) -> Path | None:
    """Return a folder of the user's for this program, by a function of platformdirs; ``None`` if there is no home folder.

    Such as for a user without an entry in passwd, as containers have them.
    """
    try:
        path = path_of("smsc-async")
    except RuntimeError:  # of newer versions; older ones leave the ~
        return None
    return path if path.is_absolute() else None


def expanded(path: str) -> Path:
    """Return a path, with the home folder in place of a ~.

    Raises:
        CliError: There is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise CliError(f"{path}: there is no home folder for ~", ExitCode.FILES) from None


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write a file that is read by the same command.

    Raises:
        CliError: The output is one of the inputs, maybe under another name.
    """
    for path in inputs:
        with contextlib.suppress(OSError):  # one of them does not exist
            if output.samefile(path):
                raise CliError(f"{output} is what this command reads: name another file to write", ExitCode.FILES)


def replace_file(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """Write a file as a whole: a reader sees the old one or the new one. A link stays one; a pipe or a device is written to.

    Args:
        path: The file.
        body: What is to be in it.
        mode: The mode of a new file; a file that is replaced keeps its mode and, if possible, its group.

    Raises:
        OSError: It cannot be written; the old file is as it was.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(body)
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        with contextlib.suppress(FileNotFoundError):
            former = path.stat()
            mode = former.st_mode & 0o7777
            with contextlib.suppress(OSError, AttributeError):  # another's group; a system without groups
                os.chown(beside, -1, former.st_gid)
        beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
