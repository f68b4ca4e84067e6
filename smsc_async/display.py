"""Text of others, made safe to show on a terminal, in an error or in a report."""

from __future__ import annotations

import unicodedata


def escape_for_display(text: str) -> str:
    r"""Return the text on one line, with every character that is invisible or has an effect of its own escaped.

    Control characters (C1 included), format characters (those that change the direction of text included), line and
    paragraph separators, lone surrogates, and private or unassigned characters become ``\n``, ``\x9b``, ``\u202e`` or
    ``\U000e0001``. Spaces of any width become a space. A backslash stays as it is, so the result is for reading and
    cannot be turned back.

    Args:
        text: Any text.

    Returns:
        The text, printable by the rule of ``str.isprintable``; an empty text stays empty.

    Example:
        >>> print(escape_for_display("Rus\x1b[2Jsia\u202e"))
        Rus\x1b[2Jsia\u202e
    """
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")
