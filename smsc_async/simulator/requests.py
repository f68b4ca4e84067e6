"""The parameters of a request, read as PHP reads them into ``$_REQUEST``: query, form and multipart form.

Invariant: a parameter stays bytes until the charset is known. A login that was decoded too early would be a different
login, refused with error 2, and five of those block the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from typing import Final
from urllib.parse import parse_qsl

import attrs

from smsc_async.records import Format

PAGES: Final = frozenset({"get.php", "balance.php", "send.php", "status.php"})
"""The pages that the simulated service has."""

_DEFAULT_CHARSET: Final = "windows-1251"
_CHARSETS: Final = frozenset({"utf-8", _DEFAULT_CHARSET, "koi8-r"})
_FORMATS: Final = {str(each.value): each for each in Format}


@attrs.frozen
class ParsedRequest:
    """The parameters of one request.

    Attributes:
        path: The path, without the query.
        method: The HTTP method.
        address: The address of the client.
        login: The login, or ``None``.
        password: The password, or ``None``.
        api_key: The API key, or ``None``.
        format: The requested format; plain text if the requested one does not exist.
        charset: The charset of the reply; the service's default if the requested one does not exist.
        parameters: All parameters, decoded.
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
    parameters: dict[str, str] = attrs.field(repr=False)
    wants_tariffs: bool
    is_understood: bool

    @property
    def page(self) -> str:
        """The last part of the path, such as ``"get.php"``."""
        return self.path.rpartition("/")[2]


def read_request(
    *, method: str, path: str, address: str, query: bytes, content_type: str, body: bytes
) -> ParsedRequest:
    """Return the parameters of a request: the form takes precedence over the query, a later value over an earlier one."""
    encoded = {**dict(_urlencoded(query)), **dict(_form(content_type, body))}
    format_value = encoded.get("fmt", b"0").decode("latin-1")
    charset = encoded.get("charset", _DEFAULT_CHARSET.encode()).decode("latin-1").lower()
    reply_format = _FORMATS.get(format_value)
    fallback = charset if charset in _CHARSETS - {"utf-8"} else _DEFAULT_CHARSET
    parameters = {name: _decode(value, fallback) for name, value in encoded.items()}
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
        format=reply_format or Format.PLAIN,
        charset=charset if charset in _CHARSETS else _DEFAULT_CHARSET,
        parameters=parameters,
        wants_tariffs=wants_tariffs,
        is_understood=(
            reply_format is not None
            and charset in _CHARSETS
            and (api_key is not None or (login is not None and password is not None))
            and (wants_tariffs or not is_get)
        ),
    )


def _decode(value: bytes, fallback: str) -> str:
    # Text in windows-1251 or koi8-r is almost never valid UTF-8, so the bytes decide, whatever charset the request names.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode(fallback, "replace")


def _form(content_type: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    match content_type.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            yield from _urlencoded(body)
        case "multipart/form-data":
            head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
            for part in message_from_bytes(head + body).walk():
                name = part.get_param("name", header="content-disposition")
                value = part.get_payload(decode=True)
                # A file is no parameter: PHP files it under $_FILES.
                if isinstance(name, str) and isinstance(value, bytes) and part.get_filename() is None:
                    yield name, value
        case _:
            pass


def _urlencoded(encoded: bytes) -> Iterator[tuple[str, bytes]]:
    # latin-1 maps every byte to one character and back: nothing is decoded here.
    for name, value in parse_qsl(encoded.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
        yield name, value.encode("latin-1")
