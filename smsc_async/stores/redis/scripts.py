"""What is done on a Redis server, as it is told to it."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

import attrs

__all__ = ["FLIGHT", "MARK", "OPEN", "PERMIT", "Script"]


@attrs.frozen
class Script:
    """A script, and the name that the server knows it by."""

    text: str
    name: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # Redis names scripts by it; nothing is kept safe with it.
        object.__setattr__(self, "name", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    @classmethod
    def of(cls, *files: str) -> Script:
        """Return the script of those files of this package, one after the other."""
        here = resources.files(__package__ or "")
        return cls("\n".join(here.joinpath(file).read_text("utf-8") for file in files))


OPEN: Final = Script.of("open.lua")
PERMIT: Final = Script.of("clock.lua", "permit.lua")
FLIGHT: Final = Script.of("clock.lua", "flight.lua")
MARK: Final = Script.of("mark.lua")
