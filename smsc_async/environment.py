"""The variables of the environment and the files that they name: one reader for ``Account``, ``Client`` and the commands.

Invariant: no frame that holds a credential raises, because error reporters show the locals of every frame.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

BASE_URL: Final = "https://smscentre.com/sys/"

_LONGEST: Final = 4096
# Where container runtimes mount secrets, which no program outside of the container can read.
_MOUNTED: Final = Path("/run/secrets")
_ENCODINGS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def hidden(value: T) -> Callable[[], T]:
    """Return a function that returns the value, and whose repr does not show it."""
    return lambda: value


def credential_source(variable: str, environ: Mapping[str, str]) -> str:
    """Return ``env:NAME`` or ``file:PATH`` for a credential of the environment; empty if there is none.

    Raises:
        ValueError: There are both.
    """
    path, is_set = environ.get(f"{variable}_FILE"), bool(environ.get(variable))
    del environ
    if path and is_set:
        raise ValueError(f"{variable} and {variable}_FILE are both set: set one of them")
    return f"file:{path}" if path else f"env:{variable}" if is_set else ""


def read_credential_file(path: Path, what: str) -> str:
    """Return the text of a file that holds a password or a key alone, without its last line break.

    Raises:
        ValueError: Others may use the file, it is too long, or it is no text.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        others_may = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
        if os.name != "nt" and others_may and _MOUNTED not in path.absolute().parents:
            raise ValueError(f"{path} holds a {what}, and others may use it: chmod 600 {path}")
        body = file.read(_LONGEST + 1)
    is_too_long = len(body) > _LONGEST
    text = 0 if is_too_long else decoded_text(body)
    del body
    if isinstance(text, str):
        return without_line_break(text)
    raise ValueError(
        f"{path} is too long to hold a {what} alone" if is_too_long else f"{path} is not text in UTF-8 or UTF-16"
    )


def decoded_text(body: bytes) -> str | int:
    """Return a text in UTF-8, or in UTF-16 with a byte order mark, without the mark and the CR of its line breaks.

    If it is neither, the result is the number of the first wrong byte.
    """
    encoding = next((name for mark, name in _ENCODINGS.items() if body.startswith(mark)), "utf-8")
    try:
        return body.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        return error.start + 1


def without_line_break(text: str) -> str:
    """Return a text without its last line break, which editors and shells put there."""
    return text.removesuffix("\n").removesuffix("\r")
