"""Plain text: rows of ``member = value``, the e-mail price after the zones and the operators.

Nothing is quoted, so a zone is read from its right end: first the members that are not documented, then the prices in
their documented order; all that is left between its number and them is the name, whatever it looks like. Where such a
name has a field of the same name as a price that was not found, the row is refused: it may be that price.

A member beyond the documented ones counts where it follows a price, or an operator's number; it goes into ``extra`` of
the row. A line whose first member is not documented, such as ``currency = RUB``, goes into ``Tariffs.extra`` as it is,
wherever it is, and so does what follows the e-mail price on its line. Zones and operators after the e-mail price
are refused.

What cannot be detected: a cut within the digits of the last line, or within the value of a last line that is not
documented; and a name that ends like a field, such as ``x, api = 5``, where that very price is left out of the row.
"""

from __future__ import annotations

import re
from typing import Final

from smsc_async.decoder.assemble import Columns, assemble
from smsc_async.decoder.members import COST, DOCUMENTED, PRICES, by_member, extra_members
from smsc_async.decoder.refusals import raise_plain_refusal
from smsc_async.decoder.text import Lines
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Tariffs

_SPACES: Final = " \t"
_ZONE_MEMBERS: Final = ("zone", "name", *PRICES)

_ZONE: Final = re.compile(r"\s*zone\s*=")
_FIRST: Final = re.compile(r"\s*([^\W\d]\w*)\s*=")
_NEXT: Final = re.compile(r",\s*([^\W\d]\w*)\s*=")
# A zone as the page has it; the prices have neither comma nor equals sign, so they are those at the right end. Reading
# each zone by its members alone makes the whole three times as long (CPython 3.11).
_USUAL: Final = re.compile(
    r"^zone = ([^,=\n]*+), name = (.*?)" + "".join(rf", {price} = ([^,=\s]*+)" for price in PRICES) + "$", re.MULTILINE
)


def read(text: str) -> Tariffs:
    """Return the list in a plain text answer that is not blank."""
    lines = Lines(text)
    raise_plain_refusal(lines.rows[0])
    zones_at = [index for index, line in enumerate(lines.rows) if _ZONE.match(line)]
    codes, others, mail_at = _rest(lines, sorted(set(range(len(lines.rows))).difference(zones_at)))
    if zones_at and zones_at[-1] > mail_at:
        raise _after_mail(lines, zones_at[-1])
    rows, codes_at = list(codes.values()), list(codes)
    costs = by_member(rows, *COST)
    return assemble(
        zones=_zones(text, lines, zones_at),
        codes=Columns(
            ids=[fields["mccmnc"] for fields in rows],
            prices=costs,
            extras=extra_members(rows, "mccmnc", *COST),
            place=lambda row, member: lines.place(codes_at[row], member),
        ),
        mail=others.pop("mail"),
        extra=others,
    )


def _zones(text: str, lines: Lines, at: list[int]) -> Columns:
    # The text between the rows, and after each the values of a row.
    pieces: list[str | None] = list(_USUAL.split(text))
    width = _USUAL.groups + 1
    ids, names, *prices = [pieces[column::width] for column in range(1, width)]
    extras: dict[int, dict[str, str]] = {}
    if len(pieces) != len(at) * width + 1:
        rows = [_zone(lines, index) for index in at]
        ids, names, *prices = by_member(rows, *_ZONE_MEMBERS)
        extras = extra_members(rows, *_ZONE_MEMBERS)

    def place(row: int, member: str) -> str:
        return lines.place(at[row], member)

    return Columns(ids=ids, names=names, prices=prices, extras=extras, place=place)


def _zone(lines: Lines, index: int) -> dict[str, str]:
    """Return the members of one zone, read from the right end of its line."""
    line = lines.rows[index]
    start = line.index("=") + 1
    marks = list(_NEXT.finditer(line, start))
    ends = [mark.start() for mark in marks] + [len(line)]
    named = bool(marks) and marks[0][1] == "name"
    low, high = _price_block(marks, int(named))
    block = {
        mark[1]: line[mark.end() : end].strip(_SPACES)
        for mark, end in zip(marks[low:high], ends[low + 1 :], strict=False)
    }
    passed = [mark[1] for mark in marks[named:low]]
    if (passed and not named) or any(price in passed and price not in block for price in PRICES):
        raise lines.fault("the prices cannot be separated from the name; request JSON or XML", index)
    row = {"zone": line[start : ends[0]], **block}
    if named:
        row["name"] = line[marks[0].end() : ends[low]]
    for mark, end in zip(marks[high:], ends[high + 1 :], strict=True):
        _put(row, mark[1], line[mark.end() : end].strip(_SPACES), lines, index)
    return row


def _price_block(marks: list[re.Match[str]], stop: int) -> tuple[int, int]:
    """Return where the prices begin and end: the rightmost fields, in the documented order, that are prices.

    Without any, all the fields belong to the name.
    """
    high = len(marks)
    while high > stop and marks[high - 1][1] not in PRICES:
        high -= 1
    low, rank = high, len(PRICES)
    while low > stop and marks[low - 1][1] in PRICES[:rank]:
        low -= 1
        rank = PRICES.index(marks[low][1])
    return (low, high) if low < high else (len(marks), len(marks))


def _rest(lines: Lines, at: list[int]) -> tuple[dict[int, dict[str, str]], dict[str, str], int]:
    """Return the operators by their lines, all other members with the e-mail price, and the line of that price."""
    codes: dict[int, dict[str, str]] = {}
    others: dict[str, str] = {}
    mail_at = -1
    for index in at:
        first = _first_member(lines, index)
        if mail_at >= 0 and first in {"mccmnc", "mail"}:
            raise _after_mail(lines, index)
        if first == "mccmnc":
            codes[index] = _fields(lines, index)
        elif first == "mail":
            mail_at = index
            for member, value in _fields(lines, index).items():
                _put(others, member, value, lines, index)
        else:
            _put(others, first, lines.rows[index].partition("=")[2].strip(_SPACES), lines, index)
    if mail_at < 0 or _is_cut(lines):
        raise IncompleteReply("the e-mail price, the last line of a whole list, is missing")
    return codes, others, mail_at


def _after_mail(lines: Lines, index: int) -> DecodeError:
    return lines.fault("is behind the e-mail price, which ends a list", index)


def _first_member(lines: Lines, index: int) -> str:
    first = _FIRST.match(lines.rows[index])
    if first is not None:
        return first[1]
    if index == len(lines.rows) - 1 and not lines.is_last_ended:
        raise lines.fault("stops within a line", index, kind=IncompleteReply)
    raise lines.fault("not a line of members", index)


def _fields(lines: Lines, index: int) -> dict[str, str]:
    """Return the members of a line in which no value has a text of its own choosing."""
    member, _, rest = lines.rows[index].partition("=")
    parts = _NEXT.split(rest)
    fields = {member.strip(): parts[0].strip(_SPACES)}
    for further, value in zip(parts[1::2], parts[2::2], strict=True):
        _put(fields, further, value.strip(_SPACES), lines, index)
    return fields


def _put(fields: dict[str, str], member: str, value: str, lines: Lines, index: int) -> None:
    repeated = fields.get(member, value) != value and member in DOCUMENTED
    if repeated or member in {"zone", "name", "mccmnc"}:
        raise lines.fault("comes twice, and it is unknown which value is right", index, member)
    fields[member] = value


def _is_cut(lines: Lines) -> bool:
    """Whether the last line shows that more of it has to follow."""
    return not lines.is_last_ended and lines.rows[-1].rstrip().endswith(("=", ".", ","))
