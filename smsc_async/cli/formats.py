"""Data to standard output: JSON, CSV and TSV as bytes in UTF-8, whatever the terminal's encoding.

Invariants: a spreadsheet runs no text as a formula, whichever delimiter it takes. A text has no effect on a terminal: CSV
and TSV show control characters escaped, JSON escapes them as JSON does, so that a reader of it has the text as it was.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import attrs

from smsc_async.cli.selection import Plain
from smsc_async.display import escape_for_display
from smsc_async.records import Row

__all__ = ["Direction", "Output", "Shape", "json_line", "write_json", "write_line", "write_rows", "write_text"]


class Output(StrEnum):
    """The shapes of data."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"


class Direction(StrEnum):
    """The ways that a price can go."""

    INCREASES = "increases"
    DECREASES = "decreases"


@attrs.frozen(kw_only=True)
class Shape:
    """How data is written.

    Attributes:
        output: The shape.
        columns: The columns to write, in this order; none for all.
        bom: Whether CSV and TSV begin with the mark by which spreadsheets know UTF-8.
        decimal_comma: Whether prices in CSV and TSV have a comma; semicolons then separate the columns of CSV.
    """

    output: Output = Output.TABLE
    columns: tuple[str, ...] = ()
    bom: bool = False
    decimal_comma: bool = False


# What begins a formula in a spreadsheet (some take the wide signs of East Asia for the others: OWASP, "CSV Injection"). A cell
# begins with the text, and behind each delimiter of another country's spreadsheet.
_FORMULA: Final = re.compile(r"""((?:^|[,;\t|])[\s"']*)(?=[-=+@\uff1d\uff0b\uff0d\uff20])""")
_PIECE: Final = 65_536


def write_json(document: Plain) -> None:
    """Write a document, piece by piece."""
    for piece in _joined(json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(document)):
        write_text(_json_escaped(piece))
    write_text("\n")


def json_line(document: Plain) -> bytes:
    """Return a document as a line of JSON."""
    return _json_escaped(json.dumps(document, ensure_ascii=False)).encode() + b"\n"


def write_line(line: bytes) -> None:
    """Write a line that is ready, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def write_rows(rows: Sequence[Row], shape: Shape) -> None:
    """Write rows that have the same columns as CSV or TSV, with a line of their names, piece by piece."""
    write_text("\ufeff" if shape.bom else "")
    for piece in _joined(_csv_lines(rows, shape)):
        write_text(piece)


def _csv_lines(rows: Sequence[Row], shape: Shape) -> Iterator[str]:
    line = io.StringIO()
    delimiter = "\t" if shape.output is Output.TSV else (";" if shape.decimal_comma else ",")
    writer = csv.writer(line, delimiter=delimiter, lineterminator="\n")
    # The name of a column comes from outside too: an account, or a member of the reply.
    writer.writerow([_safe(name) for name in (rows[0] if rows else shape.columns)])
    for row in rows:
        yield line.getvalue()
        line.seek(0)
        line.truncate()
        writer.writerow([_cell(value, shape) for value in row.values()])
    yield line.getvalue()


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """Join small pieces into larger ones."""
    joined: list[str] = []
    size = 0
    for piece in pieces:
        joined.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield "".join(joined)
            joined.clear()
            size = 0
    yield "".join(joined)


def _cell(value: str | Decimal | None, shape: Shape) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        # Never a formula: whatever the sign, it is a number.
        return f"{value:f}".replace(".", ",") if shape.decimal_comma else f"{value:f}"
    return _safe(value)


def _safe(text: str) -> str:
    return _FORMULA.sub(r"\1'", escape_for_display(text))


def _json_escaped(text: str) -> str:
    """Return JSON with the characters escaped that would have an effect on a terminal."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def write_text(text: str) -> None:
    """Write a text as UTF-8."""
    write_line(text.encode())
