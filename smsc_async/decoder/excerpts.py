"""A piece of an answer, made fit for an error: short, printable ASCII, on one line."""

from __future__ import annotations

__all__ = ["excerpt"]

# Enough to recognise the place by, and too little to fill a log.
_LONGEST = 60


def excerpt(text: str) -> str:
    """Return the beginning of the text, quoted and escaped, in at most 60 characters."""
    shown = ascii(text[:_LONGEST])
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
