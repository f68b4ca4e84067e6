"""How many parts a text is sent in: arithmetic after 3GPP TS 23.038 (alphabets) and TS 23.040 (parts).

The service's own count is the one that is billed; this is what the standards say of a text with nothing added to it.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

__all__ = ["Parts", "parts_of"]

# TS 23.038, 6.2.1 without the escape, and 6.2.1.1, whose letters take two septets each.
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
_ALPHABET: Final = _BASIC | _EXTENSION

# TS 23.040: 140 octets to a message, 6 of which say where a part belongs once there are several.
_SEPTETS: Final = (160, 153)
_CODE_UNITS: Final = (70, 67)


@attrs.frozen
class Parts:
    """How a text is sent.

    Attributes:
        encoding: ``"GSM-7"`` where its alphabet has every letter of the text, else ``"UCS-2"``.
        units: What the text takes: septets, or UTF-16 code units.
        parts: How many messages it is; 1 for an empty text.
        left: Units that are free in the last part.
        outside: The letters, in order and each once, for which GSM-7 will not do.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    parts: int
    left: int
    outside: str


def parts_of(text: str) -> Parts:
    """Return how a text is sent. A letter of two units is never torn apart by the end of a part."""
    outside = "".join(dict.fromkeys(letter for letter in text if letter not in _ALPHABET))
    if outside:
        widths = [2 if ord(letter) > 0xFFFF else 1 for letter in text]
        parts, left = _filled(widths, *_CODE_UNITS)
        return Parts("UCS-2", sum(widths), parts, left, outside)
    widths = [2 if letter in _EXTENSION else 1 for letter in text]
    parts, left = _filled(widths, *_SEPTETS)
    return Parts("GSM-7", sum(widths), parts, left, "")


def _filled(widths: list[int], alone: int, among_several: int) -> tuple[int, int]:
    total = sum(widths)
    if total <= alone:
        return 1, alone - total
    parts, left = 1, among_several
    for width in widths:
        if width > left:
            parts, left = parts + 1, among_several
        left -= width
    return parts, left
