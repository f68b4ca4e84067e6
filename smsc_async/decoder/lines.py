"""The lines of the two text formats, where blank ones mean nothing and only the last one shows that a list is whole."""

from __future__ import annotations

__all__ = ["Lines"]


class Lines:
    """The lines of a text that are not blank.

    Attributes:
        kept: The lines, without their line feeds.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.kept: list[str] = list(filter(str.strip, text.split("\n")))

    @property
    def is_last_ended(self) -> bool:
        """Whether a line feed follows the last line, so that nothing of it can have been cut off."""
        return self._text.rstrip(" \t").endswith("\n")

    def number(self, index: int) -> int:
        """Return the number, from 1, that an editor shows for the line."""
        return [number for number, line in enumerate(self._text.split("\n"), 1) if line.strip()][index]

    def place(self, index: int, member: str = "") -> str:
        """Return the name of the line, or of a member in it."""
        return f"line {self.number(index)}, {member}" if member else f"line {self.number(index)}"
