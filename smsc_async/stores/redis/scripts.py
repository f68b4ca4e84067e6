"""The scripts that run on a Redis server."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final


class StoreLostError(Exception):
    """A script found that the server was restarted or emptied since the store was opened."""


class Script:
    """A script, and its name on the server."""

    def __init__(self, text: str) -> None:
        self.text: str = text
        # The name of a script in Redis; not used for security.
        self.name: str = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def of(cls, *files: str) -> Script:
        """Return the concatenation of files of this package."""
        here = resources.files(__package__ or "")
        return cls("\n".join(here.joinpath(file).read_text("utf-8") for file in files))


OPEN: Final = Script.of("open.lua")
CALL: Final = Script.of("clock.lua", "flight.lua", "lockout.lua", "permit.lua", "call.lua")
