"""Data to standard output: JSON, CSV and TSV as bytes in UTF-8, whatever the terminal's encoding."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import attrs

from smsc_async.cli.selection import Plain
from smsc_async.records import Row

__all__ = ["Output", "Shape", "write_json", "write_line", "write_rows", "write_text"]


class Output(StrEnum):
    """In which shape data is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"


@attrs.frozen(kw_only=True)
class Shape:
    """How data is written.

    Attributes:
        output: The shape.
        columns: The columns to write, in this order; none for all.
        bom: Whether CSV and TSV begin with the mark by which spreadsheets know UTF-8.
        decimal_comma: Whether prices in CSV and TSV have a comma; the columns of CSV are then told apart by semicolons.
    """

    output: Output = Output.TABLE
    columns: tuple[str, ...] = ()
    bom: bool = False
    decimal_comma: bool = False


# What makes a spreadsheet take a cell for a formula. Some take the wide signs of East Asia for the others, and some strip
# the last three before they look: OWASP, "CSV Injection".
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")


def write_json(document: Plain) -> None:
    """Write a document."""
    write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def write_line(line: bytes) -> None:
    """Write what is ready to be written, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def write_rows(rows: Sequence[Row], shape: Shape) -> None:
    """Write rows that have the same columns as CSV or TSV, with a line of their names."""
    delimiter = "\t" if shape.output is Output.TSV else (";" if shape.decimal_comma else ",")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    # A column can be called as somebody else likes, too: after an account, or after a member of the answer.
    writer.writerow([_text(name) for name in (rows[0] if rows else shape.columns)])
    for row in rows:
        writer.writerow([_cell(value, shape) for value in row.values()])
    write_text(("\ufeff" if shape.bom else "") + text.getvalue())


def _cell(value: str | Decimal | None, shape: Shape) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        # Never a formula: whatever the sign, it is a number.
        return f"{value:f}".replace(".", ",") if shape.decimal_comma else f"{value:f}"
    return _text(value)


def _text(text: str) -> str:
    # It comes from elsewhere: an apostrophe makes a text of what would be run.
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_text(text: str) -> None:
    """Write a text as UTF-8."""
    write_line(text.encode())
