"""Data to standard output: a table, or JSON, CSV and TSV as bytes in UTF-8, whatever the terminal's encoding.

Invariants: a spreadsheet runs no text as a formula, whichever delimiter it takes. A text has no effect on a terminal: CSV
and TSV show control characters escaped, JSON escapes them as JSON does, so that a reader of it has the text as it was.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import BinaryIO, Final, TextIO, cast

import attrs
from rich.console import Console

from smsc_async.cli.cli_error import CliError
from smsc_async.cli.console import output
from smsc_async.cli.tables import Record, row_table, show
from smsc_async.display import escape_for_display


class Output(StrEnum):
    """The shapes of data."""

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
        decimal_comma: Whether prices in CSV and TSV have a comma; semicolons then separate the columns of CSV.
    """

    output: Output = Output.TABLE
    columns: tuple[str, ...] = ()
    bom: bool = False
    decimal_comma: bool = False


# What begins a formula in a spreadsheet (some take the wide signs of East Asia for the others: OWASP, "CSV Injection"). A cell
# begins with the text, and behind each delimiter of another country's spreadsheet.
_FORMULA: Final = re.compile(r"""((?:^|[,;\t|])[\s"']*)(?=[-=+@\uff1d\uff0b\uff0d\uff20])""")


def write(
    rows: Sequence[Record],
    shape: Shape,
    *,
    document: Callable[[list[Record]], object],
    table: Callable[[Console, list[Record]], None],
) -> None:
    """Write rows that have the same columns.

    Args:
        rows: The rows.
        shape: How to write them.
        document: Returns the document for JSON.
        table: Writes the rows as a table if no columns were chosen. Without rows, nothing is written.

    Raises:
        CliError: There is no such column.
    """
    rows = with_columns(rows, shape.columns)
    if shape.output is Output.JSON:
        write_json(document(rows))
    elif shape.output is not Output.TABLE:
        write_rows(rows, shape)
    elif rows and shape.columns:
        show(out := output(), row_table(rows, out))
    elif rows:
        table(output(), rows)


def with_columns(rows: Sequence[Record], columns: Sequence[str]) -> list[Record]:
    """Return the rows with these columns alone, in this order; with none named, as they are.

    Raises:
        CliError: There is no such column.
    """
    there = list(rows[0]) if rows else list(columns)
    check_columns(columns, there)
    return [{name: row[name] for name in columns or there} for row in rows]


def check_columns(columns: Sequence[str], there: Sequence[str]) -> None:
    """Refuse columns that do not exist, if possible before anything is fetched.

    Raises:
        CliError: There is no such column.
    """
    for name in columns:
        if name not in there:
            raise CliError(f"no column {name!r}; there are {', '.join(there)}")


def write_json(document: object) -> None:
    """Write a document with prices as text, so that no reader makes a float of one; piece by piece."""
    stream = _utf8_stdout()
    for piece in json.JSONEncoder(ensure_ascii=False, indent=2, default=_text_of).iterencode(document):
        stream.write(_json_escaped(piece))
    stream.write("\n")


def json_line(document: object) -> bytes:
    """Return a document as a line of JSON, prices as text."""
    return _json_escaped(json.dumps(document, ensure_ascii=False, default=_text_of)).encode() + b"\n"


def _text_of(price: Decimal) -> str:
    return f"{price:f}"


def write_rows(rows: Sequence[Record], shape: Shape) -> None:
    """Write rows that have the same columns as CSV or TSV, with a line of their names."""
    stream = _utf8_stdout()
    stream.write("\ufeff" if shape.bom else "")
    delimiter = "\t" if shape.output is Output.TSV else (";" if shape.decimal_comma else ",")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    # The name of a column comes from outside too: an account, or a member of the reply.
    writer.writerow([_safe(name) for name in (rows[0] if rows else shape.columns)])
    writer.writerows([_cell(value, shape) for value in row.values()] for row in rows)


def _cell(value: str | Decimal | int | None, shape: Shape) -> str:
    if isinstance(value, Decimal):
        # Never a formula: whatever the sign, it is a number.
        return f"{value:f}".replace(".", ",") if shape.decimal_comma else f"{value:f}"
    return "" if value is None else _safe(str(value))


def _safe(text: str) -> str:
    return _FORMULA.sub(r"\1'", escape_for_display(text))


def _json_escaped(text: str) -> str:
    """Return JSON with the characters escaped that would have an effect on a terminal."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def write_text(text: str) -> None:
    """Write a text as UTF-8, at once."""
    _utf8_stdout().write(text)
    sys.stdout.flush()


def _utf8_stdout() -> TextIO:
    """Return standard output, which is in UTF-8 from now on."""
    stream = cast("io.TextIOWrapper[BinaryIO]", sys.stdout)
    stream.reconfigure(encoding="utf-8", newline="\n")
    return stream
