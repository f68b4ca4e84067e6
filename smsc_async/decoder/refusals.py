"""The refusals of the service, which come in the shape of any format, whatever format was requested.

The codes are the provider's and may grow: every whole number makes an ``ApiError``. Siblings of the request append to
the shapes of the page, as in ``ERROR = 8 (text), ID - 275`` and ``0,-8,275`` (spec/README.md, row 5).
"""

from __future__ import annotations

import re
from typing import Final

from smsc_async.decoder.text import COMMAS_OF_A_ZONE, excerpt
from smsc_async.errors import ApiError, DecodeError, api_error

_PLAIN: Final = re.compile(r"\s*ERROR\s*=\s*(-?[0-9]{1,9})(?!\w)(.*)", re.IGNORECASE)
# The appendix has no parentheses, so that the description may.
_DESCRIPTION: Final = re.compile(r"\s*\((.*)\)\s*(?:,[^()]*)?")
_COMMA: Final = re.compile(r"\s*0\s*,\s*-([0-9]{1,9})\s*(?:,.*)?")
_CODE: Final = re.compile(r"-?[0-9]{1,9}")
_LONGEST: Final = 200


def raise_plain_refusal(first_line: str) -> None:
    """Raise the error of a line ``ERROR = N (description)``; do nothing for any other line."""
    if refused := _PLAIN.fullmatch(first_line):
        described = _DESCRIPTION.fullmatch(refused[2])
        raise api_error(int(refused[1]), _tidy(described[1] if described else refused[2].strip(" ()")))


def raise_comma_refusal(first_line: str) -> None:
    """Raise the error of a line ``0,-N``; do nothing for any other line, a row of zone 0 included."""
    refused = _COMMA.fullmatch(first_line)
    if refused and first_line.count(",") < COMMAS_OF_A_ZONE:
        raise api_error(int(refused[1]))


def structured_refusal(code: str, description: str) -> ApiError:
    """Return the error of an XML or JSON refusal.

    Raises:
        DecodeError: The code is not a whole number.
    """
    if not _CODE.fullmatch(code.strip()):
        raise DecodeError("a refusal without a whole number as its code", position="error_code", excerpt=excerpt(code))
    return api_error(int(code), _tidy(description))


def _tidy(description: str) -> str:
    return "".join(each if each.isprintable() else " " for each in description[:_LONGEST]).strip()
