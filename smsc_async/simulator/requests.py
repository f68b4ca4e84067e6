"""What a request asks for: the parameters of its query and of its form, read the way the service reads them."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

import attrs

from smsc_async.records import Format

__all__ = ["ParsedRequest", "read_request"]

_CHARSETS: Final = frozenset({"utf-8", "windows-1251", "koi8-r"})
_FORMATS: Final = {str(each.value): each for each in Format}


@attrs.frozen
class ParsedRequest:
    """One request, read.

    Attributes:
        path: The path, without the query.
        method: The HTTP method.
        address: Where it came from.
        login: The login that it names, or ``None``.
        password: What it gives as password, or ``None``.
        api_key: The key that it gives in place of both, or ``None``.
        format: The shape for the answer; plain text where what it asks for is none.
        charset: The charset for the answer; the service's default where what it asks for is none.
        wants_tariffs: Whether it asks for the tariff list.
        is_understood: Whether its parameters are complete and valid.
    """

    path: str
    method: str
    address: str
    login: str | None
    password: str | None = attrs.field(repr=False)
    api_key: str | None = attrs.field(repr=False)
    format: Format
    charset: str
    wants_tariffs: bool
    is_understood: bool


def read_request(
    *, method: str, path: str, address: str, query: bytes, content_type: str, body: bytes
) -> ParsedRequest:
    """Return what a request asks for; the form wins over the query, and the last of two over the first."""
    parameters = _parameters(query)
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        parameters |= _parameters(body)
    shape = _FORMATS.get(parameters.get("fmt", "0"))
    charset = parameters.get("charset", "windows-1251").lower()
    login, password, api_key = (parameters.get(name) or None for name in ("login", "psw", "apikey"))
    is_get = path.endswith("/get.php")
    wants_tariffs = is_get and parameters.get("get_price") == "1"
    return ParsedRequest(
        path,
        method,
        address,
        login,
        password,
        api_key,
        format=shape or Format.PLAIN,
        charset=charset if charset in _CHARSETS else "windows-1251",
        wants_tariffs=wants_tariffs,
        is_understood=(
            shape is not None
            and charset in _CHARSETS
            and (api_key is not None or (login is not None and password is not None))
            and (wants_tariffs or not is_get)
        ),
    )


def _parameters(encoded: bytes) -> dict[str, str]:
    return dict(parse_qsl(encoded.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"))
