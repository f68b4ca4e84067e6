"""Comma-separated text: ``zone,name,api,mass,mms,hlr,call``, then ``mccmnc,cost``, then ``mail``.

Nothing is quoted, so the number of fields shows what a row is, and a zone is read from its right end: the text between its
number and its five prices is the name, commas included. Three things follow.

A decimal comma is refused, and so is a column beyond the documented ones: either would pass for a part of the name and
shift the prices. Both show as a name that ends in a comma and something like a price; see ``_refuse_shifted``.

The last line is the e-mail price, and a row that was cut off within its first field looks like one. So a last line of
bare digits counts only if a line feed follows it; ``0.10`` counts without.

An e-mail price cannot be empty, for an empty line is nothing: an account without one needs ``-`` here.

What cannot be detected: a cut within the decimals of the last line.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import Final

from smsc_async.decoder.assemble import Columns, assemble
from smsc_async.decoder.members import PRICES
from smsc_async.decoder.refusals import raise_comma_refusal
from smsc_async.decoder.text import COMMAS_OF_A_ZONE, Lines, excerpt
from smsc_async.errors import IncompleteReply
from smsc_async.records import Tariffs

_SPACES: Final = " \t"
# A name that ends in a comma and something like a price.
_SHIFTED: Final = re.compile(r",([0-9]+(?:\.[0-9]+)?|-|)$", re.MULTILINE)
_DECIMAL_COMMA: Final = re.compile(r"(?:^|,)\s*[0-9]+,[0-9]+\s*(?:,|$)")
_ADVICE: Final = "request JSON or XML"


def read(text: str) -> Tariffs:
    """Return the list in a comma-separated answer that is not blank."""
    lines = Lines(text)
    raise_comma_refusal(lines.rows[0])
    commas = list(map(str.count, lines.rows, repeat(",")))
    zones = next((row for row, count in enumerate(commas) if count < COMMAS_OF_A_ZONE), len(commas))
    end = next((row for row, count in enumerate(commas[zones:], zones) if count != 1), len(commas))
    mail = _mail(lines, end, commas[end:])
    fields = list(map(str.rsplit, lines.rows[:zones], repeat(","), repeat(len(PRICES))))
    heads = [row[0].partition(",") for row in fields]
    prices = [[row[column].strip(_SPACES) for row in fields] for column in range(1, 1 + len(PRICES))]
    names = [head[2] for head in heads]
    if _SHIFTED.search("\n".join(names)):
        _refuse_shifted(lines, names, prices)
    codes = [row.partition(",") for row in lines.rows[zones:end]]
    return assemble(
        zones=Columns(ids=[head[0] for head in heads], names=names, prices=prices, place=lines.place),
        codes=Columns(
            ids=[code[0] for code in codes],
            prices=[[code[2].strip(_SPACES) for code in codes]],
            place=lambda row, member: lines.place(zones + row, member),
        ),
        mail=mail,
        extra={},
    )


def _mail(lines: Lines, start: int, commas: list[int]) -> str:
    """Return the e-mail price, which is all that may be left after the zones and the operators."""
    ended = lines.is_last_ended
    if not commas or (len(commas) == 1 and not ended and commas[0] > 0):
        raise IncompleteReply("the e-mail price, the last line of a whole list, is missing")
    if commas[0] > 0:
        raise lines.fault(
            f"a row of {commas[0] + 1} fields, but zones have 7 and come first, operators 2, and the e-mail price 1; "
            f"if it is a decimal comma, {_ADVICE}",
            start,
        )
    if len(commas) > 1:
        raise lines.fault("is behind the e-mail price, which ends a list", start + 1)
    mail = lines.rows[start].strip(_SPACES)
    if not ended and (mail.isdigit() or mail.endswith(".")):
        raise lines.fault(
            "the last line may be an e-mail price or the beginning of a row that was cut off, "
            f"for no line feed follows it; {_ADVICE}",
            start,
            kind=IncompleteReply,
        )
    return mail


def _refuse_shifted(lines: Lines, names: list[str], prices: list[list[str]]) -> None:
    """Refuse prices that may be shifted by a decimal comma or by a further column.

    If every zone has something like a price before its prices, it may be a column of its own. If one has, and two
    fields from there on make a number when a comma is put between them, that comma may be a decimal one.
    """
    suspects = {row: match[1] for row, name in enumerate(names) if (match := _SHIFTED.search(name))}
    for row, shifted in suspects.items():
        fields = [shifted, *(column[row] for column in prices)]
        if len(suspects) == len(names) or _DECIMAL_COMMA.search(",".join(fields)):
            raise lines.fault(
                f"it is ambiguous whether {excerpt(shifted)} belongs to the name, to a decimal comma or to a column "
                f"beyond the documented ones; {_ADVICE}",
                row,
                "name",
            )
