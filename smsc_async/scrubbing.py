"""A secret struck out of what others say: servers and their software like to quote what they were sent."""

from __future__ import annotations

import html
import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

from smsc_async.accounts import Secret
from smsc_async.errors import SmscError

__all__ = ["Scrubber"]

_SAID: Final = ("message", "description", "excerpt", "reason", "position")


class Scrubber:
    """Strikes one secret out, in the spellings in which it comes back: as it is, and escaped for a URL, JSON or HTML.

    What it is built from is not kept: it makes the spellings anew each time, so that no frame or object shows them.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def text(self, said: str) -> str:
        """Return the text with the secret struck out."""
        return _pattern(self._secret).sub("…", said)

    def body(self, body: bytes) -> bytes:
        """Return the bytes with the secret struck out, in the charsets that answers have."""
        for charset in ("utf-8", "windows-1251", "koi8-r"):
            body = _bytes_pattern(self._secret, charset).sub(b"...", body)
        return body

    def error(self, error: SmscError) -> SmscError:
        """Return the error with the secret struck out of what it says."""
        for name in _SAID:
            said: object = getattr(error, name, None)
            if isinstance(said, str):
                setattr(error, name, self.text(said))
        return error


def _spellings(secret: Secret) -> tuple[str, ...]:
    value = secret.reveal()
    escaped = (json.dumps(value)[1:-1], ascii(value)[1:-1], html.escape(value))
    return tuple(
        sorted({value, quote(value), quote(value, safe=""), quote_plus(value), *escaped}, key=len, reverse=True)
    )


def _pattern(secret: Secret) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, _spellings(secret))), re.IGNORECASE)


def _bytes_pattern(secret: Secret, charset: str) -> re.Pattern[bytes]:
    # What a charset does not have, software writes as a question mark or a number.
    spellings = {
        each.encode(charset, how) for each in _spellings(secret) for how in ("replace", "xmlcharrefreplace", "ignore")
    }
    told = sorted((each for each in spellings if each.strip(b"?")), key=len, reverse=True)
    return re.compile(b"|".join(map(re.escape, told)) or b"(?!)", re.IGNORECASE)
