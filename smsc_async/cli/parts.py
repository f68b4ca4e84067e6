"""``parts``: how many parts a text is sent in, by 3GPP TS 23.038 (alphabets) and TS 23.040 (parts).

The service's own count is the one that is billed; this is what the standards say of a text with nothing added to it.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import Annotated, Final, Literal

import attrs
import typer

from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError
from smsc_async.cli.files import decoded_text, read_bounded
from smsc_async.cli.formats import Output, write
from smsc_async.cli.tables import Record, pair_table, show
from smsc_async.environment import without_line_break

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


@o.command("parts", 'parts "Hello!"', "parts - < message.txt")
def parts(
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    *,
    data: o.Rows,
) -> None:
    """Count the SMS parts that a text takes, and show its alphabet.

    Options:
        text: The text, or - for standard input without its last line break.
    """
    shape = data.shape([field.name for field in attrs.fields(Parts)])
    if text == "-":
        text = without_line_break(decoded_text(read_bounded(sys.stdin.buffer, "standard input"), "standard input"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CliError(f"letter {error.start + 1} is not text in UTF-8") from None
    counted = parts_of(text)
    outside = _visible(counted.outside) if shape.output is Output.TABLE else counted.outside
    row: Record = {**attrs.asdict(counted), "outside": outside or None}
    write([row], shape, document=lambda rows: rows[0], table=lambda out, rows: show(out, pair_table(rows[0], out)))


def _visible(letters: str) -> str:
    """Return letters so that each can be seen: one that leaves no mark by its code and name."""
    seen = "".join(letter for letter in letters if letter.isprintable() and not unicodedata.combining(letter))
    unseen = (
        f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip() for letter in letters if letter not in seen
    )
    return ", ".join([*filter(None, [seen]), *unseen])


@attrs.frozen
class Parts:
    """How a text is sent.

    Attributes:
        parts: How many messages it is; 1 for an empty text.
        encoding: ``"GSM-7"`` where its alphabet has every letter of the text, else ``"UCS-2"``.
        letters: How many letters it has.
        units: What the text takes: septets, or UTF-16 code units.
        left: Units that are free in the last part.
        outside: The letters, in order and each once, for which GSM-7 will not do.
    """

    parts: int
    encoding: Literal["GSM-7", "UCS-2"]
    letters: int
    units: int
    left: int
    outside: str


def parts_of(text: str) -> Parts:
    """Return how a text is sent. A letter of two units is never torn apart by the end of a part."""
    outside = "".join(dict.fromkeys(letter for letter in text if letter not in _ALPHABET))
    sizes = _CODE_UNITS if outside else _SEPTETS
    widths = [2 if (ord(letter) > 0xFFFF if outside else letter in _EXTENSION) else 1 for letter in text]
    parts, left = _filled(widths, *sizes)
    return Parts(parts, "UCS-2" if outside else "GSM-7", len(text), sum(widths), left, outside)


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
