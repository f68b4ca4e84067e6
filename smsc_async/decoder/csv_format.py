"""Comma-separated text: ``zone,name,api,mass,mms,hlr,call``, then ``mccmnc,cost``, then ``mail``.

Nothing is quoted, so a row is told by its number of fields and a zone is read from its right end: what stands between
its number and its five prices is the name, commas included. Three things follow.

A decimal comma is refused, and so is a column beyond the documented ones: either would pass for a part of the name and
shift the prices. Both show as a name that ends in a comma and something like a price; see ``_refuse_shifted``.

The last line is the e-mail price, and a row that was cut off within its first field looks like one. So a last line of
bare digits counts only where a line feed follows it; ``0.10`` counts without.

An e-mail price cannot be empty, for an empty line is nothing: an account without one needs ``-`` here.

What cannot be told: a cut within the decimals of the last line.
"""

from __future__ import annotations

import re
from itertools import chain, repeat
from typing import Final

from smsc_async.decoder.assemble import PRICES, Columns, ParsedReply, assemble
from smsc_async.decoder.prices import Notation
from smsc_async.decoder.refusals import comma_refusal
from smsc_async.decoder.text import NAMES, Lines, excerpt
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format, Tariffs

__all__ = ["read"]

_FORMAT_NAME: Final = NAMES[Format.CSV]
_NOTATION: Final = Notation(comma=False, spaces=True)
_ZONE_FIELDS: Final = 2 + len(PRICES)
# A name that ends in a comma and something like a price.
_SHIFTED: Final = re.compile(r",([0-9]+(?:\.[0-9]+)?|-|)$", re.MULTILINE)
_DECIMAL_COMMA: Final = re.compile(r"(?:^|,)\s*[0-9]+,[0-9]+\s*(?:,|$)")
_ADVICE: Final = "ask for JSON or XML"


def read(text: str) -> Tariffs:
    """Return the list in a comma-separated answer that is not blank."""
    lines = Lines(text)
    refusal = comma_refusal(lines.rows[0])
    if refusal is not None:
        raise refusal
    numbers, names, *prices = _zones(lines.rows)
    zones = len(numbers)
    end = next((row for row, line in enumerate(lines.rows[zones:], zones) if line.count(",") != 1), len(lines.rows))
    mail = _mail(lines, end)
    if _SHIFTED.search("\n".join(names)):
        _refuse_shifted(lines, names, prices)
    codes = ",".join(lines.rows[zones:end]).split(",") if zones < end else []
    reply = ParsedReply(
        format_name=_FORMAT_NAME,
        notation=_NOTATION,
        zones=Columns(ids=numbers, prices=prices, extras={}, place=lines.place),
        names=names,
        codes=Columns(
            ids=codes[::2],
            prices=[codes[1::2]],
            extras={},
            place=lambda row, member: lines.place(zones + row, member),
        ),
        mail=mail,
        extra={},
    )
    return assemble(reply)


def _zones(rows: list[str]) -> list[list[str]]:
    """Return the columns of the zones, which are the rows up to the first that has too few fields."""
    count = len(rows)
    while count and rows[count - 1].count(",") < _ZONE_FIELDS - 1:
        count -= 1
    width = 1 + len(PRICES)
    # Chained, so that no list of a row outlives it: thousands of them are work for the garbage collector.
    fields = list(chain.from_iterable(map(str.rsplit, rows[:count], repeat(","), repeat(len(PRICES)))))
    heads = list(chain.from_iterable(map(str.split, fields[::width], repeat(","), repeat(1))))
    if len(heads) != 2 * count:
        # The first row with too few has no comma in its first field, so it shows here. It is rare: count them all.
        return _zones(rows[: next(row for row, line in enumerate(rows) if line.count(",") < _ZONE_FIELDS - 1)])
    return [heads[::2], heads[1::2], *(fields[column::width] for column in range(1, width))]


def _mail(lines: Lines, start: int) -> str:
    """Return the e-mail price, which is all that may be left after the zones and the operators."""
    ended, left = lines.is_last_ended, [line.count(",") + 1 for line in lines.rows[start:]]
    if not left or (len(left) == 1 and not ended and left[0] > 1):
        raise IncompleteReply("the e-mail price, the last line of a whole list, is missing", _FORMAT_NAME)
    if left[0] > 1:
        raise DecodeError(
            f"a row of {left[0]} fields, where zones have 7 and come first, operators 2, and the e-mail "
            f"price 1; where it is a decimal comma, {_ADVICE}",
            _FORMAT_NAME,
            lines.place(start),
            excerpt(lines.rows[start]),
        )
    if len(left) > 1:
        raise DecodeError(
            "stands after the e-mail price, which ends a list",
            _FORMAT_NAME,
            lines.place(start + 1),
            excerpt(lines.rows[start + 1]),
        )
    mail = lines.rows[start].strip(" \t")
    if not ended and (mail.isdigit() or mail.endswith(".")):
        raise IncompleteReply(
            "the last line may be an e-mail price or the beginning of a row that was cut off, "
            f"for no line feed follows it; {_ADVICE}",
            _FORMAT_NAME,
            lines.place(start),
            excerpt(mail),
        )
    return mail


def _refuse_shifted(lines: Lines, names: list[str], prices: list[list[str]]) -> None:
    """Refuse prices that may be shifted by a decimal comma or by a further column.

    Where every zone has something like a price before its prices, it may be a column of its own. Where one has, and two
    fields from there on make a number when a comma is put between them, that comma may be a decimal one.
    """
    suspects = {row: found[1] for row, name in enumerate(names) if (found := _SHIFTED.search(name))}
    for row, shifted in suspects.items():
        fields = [shifted, *(column[row] for column in prices)]
        if len(suspects) == len(names) or _DECIMAL_COMMA.search(",".join(fields)):
            raise DecodeError(
                f"nobody can tell whether {excerpt(shifted)} belongs to the name, to a decimal comma or to a column "
                f"beyond the documented ones; {_ADVICE}",
                _FORMAT_NAME,
                lines.place(row, "name"),
                excerpt(lines.rows[row]),
            )
