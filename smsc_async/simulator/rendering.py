"""Replies of the service: a tariff list or a refusal in each of the four documented formats (``spec/``).

Pure, and without the packages of the extra: tests of a decoder need nothing else. The formats follow the
specification line by line; this module decides what the specification leaves open:

- the text formats quote nothing and end with a line break; blank lines between their sections are page layout;
- XML has no declaration; only the ``Content-Type`` names the charset;
- the e-mail price is always written, since a reader takes a list without it as truncated.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias, assert_never

import attrs

from smsc_async.records import Extra, Format, OperatorTariff, Service, Tariffs, Zone

Missing: TypeAlias = Literal["empty", "dash", "absent"]
"""How the service writes a missing price."""

_Members: TypeAlias = list[tuple[str, str]]

_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_NAME: Final = re.compile(r"[^\W\d][\w.-]*")
_XML_ESCAPES: Final = str.maketrans(
    # Line breaks too: a parser turns a bare one inside an attribute into a space.
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def render(tariffs: Tariffs, format: Format, *, charset: str = "utf-8", missing: Missing = "empty") -> bytes:  # noqa: A002  # the word of the request
    """Return the reply body for a tariff list.

    Members of ``extra`` follow the documented ones (in plain text those of the list as lines after ``mail``; in XML
    as elements after it); comma-separated text has no place for them. A member with a documented name is left out.
    Characters that the charset does not have become references in XML, escapes in JSON, ``?`` in the text formats.

    Args:
        tariffs: The list.
        format: The format.
        charset: Any text encoding that Python knows.
        missing: How to write a price of ``None``: as an empty value, as ``-``, or not at all. In comma-separated
            text, where a column cannot be left out, ``"absent"`` is an empty column, and a missing e-mail price is
            always ``-``: it is a line of its own, and an empty last line is none.

    Returns:
        The body, never empty.

    Raises:
        ValueError: The charset is unknown, or the format cannot hold the list: a line break in a text format, an
            invalid character or member name in XML.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import Format, Tariffs, Zone
        >>> from smsc_async.simulator.rendering import render
        >>> tariffs = Tariffs((Zone("1", "Russia (MTS, T2)", api=Decimal("2.50")),), mail=Decimal("0.10"))
        >>> print(render(tariffs, Format.CSV).decode(), end="")
        1,Russia (MTS, T2),2.50,,,,
        0.10
    """
    zones = [_members(zone, missing) for zone in tariffs.zones]
    codes = [_members(operator, missing) for operator in tariffs.codes]
    sections = {"zones": zones, "codes": codes} if codes or missing != "absent" else {"zones": zones}
    rest = [("mail", _price(tariffs.mail, missing)), *_undocumented(tariffs.extra, {"zones", "codes", "mail"})]
    match format:
        case Format.PLAIN:
            return _encode(_plain([*zones, *codes, *([member] for member in rest)]), charset)
        case Format.CSV:
            return _encode(_csv(tariffs, "dash" if missing == "dash" else "empty"), charset)
        case Format.XML:
            return _encode(_xml(sections, rest), charset, "xmlcharrefreplace")
        case Format.JSON:
            document = {name: list(map(dict, lines)) for name, lines in sections.items()} | dict(rest)
            return _encode(_json(document), charset, "smsc_async.json")
        case _:
            assert_never(format)


def render_refusal(code: int, description: str, format: Format, *, charset: str = "utf-8") -> bytes:  # noqa: A002  # the word of the request
    """Return the reply body for a refusal.

    Args:
        code: The error code.
        description: Its text; comma-separated text has no place for it.
        format: The format.
        charset: Any text encoding that Python knows.

    Raises:
        ValueError: As in ``render``.

    Example:
        >>> from smsc_async import Format
        >>> from smsc_async.simulator.rendering import render_refusal
        >>> render_refusal(2, "authorise error", Format.PLAIN)
        b'ERROR = 2 (authorise error)'
        >>> render_refusal(2, "authorise error", Format.CSV)
        b'0,-2'
    """
    match format:
        case Format.PLAIN:
            return _encode(f"ERROR = {code} ({_line(description)})", charset)
        case Format.CSV:
            return _encode(f"0,-{code}", charset)
        case Format.XML:
            error = f"<result>\n<error>{_escaped(description)}</error>\n<error_code>{code}</error_code>\n</result>"
            return _encode(error, charset, "xmlcharrefreplace")
        case Format.JSON:
            return _encode(_json({"error": description, "error_code": code}), charset, "smsc_async.json")
        case _:
            assert_never(format)


def _plain(lines: Iterable[_Members]) -> str:
    return "".join(_line(", ".join(f"{name} = {value}" for name, value in members)) + "\n" for members in lines)


def _csv(tariffs: Tariffs, missing: Missing) -> str:
    lines = [_members(zone, missing)[: 2 + len(Service)] for zone in tariffs.zones]
    lines += [_members(operator, missing)[:2] for operator in tariffs.codes]
    lines.append([("mail", _price(tariffs.mail, "dash"))])
    return "".join(_line(",".join(value for _, value in members)) + "\n" for members in lines)


def _xml(sections: Mapping[str, Iterable[_Members]], rest: _Members) -> str:
    lines = ["<price>"]
    for name, elements in sections.items():
        lines += [f"<{name}>", *map(_element, elements), f"</{name}>"]
    lines += [_element([member]) for member in rest]
    return "\n".join([*lines, "</price>"])


def _element(members: _Members) -> str:
    """Return an element: the first member is its name and its text, the others are attributes."""
    (name, text), *attributes = members
    assignments = "".join(f' {_named(key)}="{_escaped(value)}"' for key, value in attributes)
    return f"<{_named(name)}{assignments}>{_escaped(text)}</{name}>"


def _json(document: Mapping[str, object]) -> str:
    # As the page of the service breaks its lines. A text has no line break, which JSON escapes.
    return json.dumps(document, ensure_ascii=False, indent=0).replace("[\n{", "[{").replace("}\n]", "}]")


def _members(line: Zone | OperatorTariff, missing: Missing) -> _Members:
    """Return the members of a line: those of the record in its order, which is the documented one, then the others."""
    documented = attrs.asdict(line, recurse=False, filter=lambda field, _: field.name != "extra")
    shown = ((name, value) for name, value in documented.items() if value is not None or missing != "absent")
    texts = [(name, value if isinstance(value, str) else _price(value, missing)) for name, value in shown]
    return [*texts, *_undocumented(line.extra, documented)]


def _undocumented(extra: Extra, documented: Collection[str]) -> _Members:
    return [(name, value) for name, value in extra.items() if name not in documented]


def _price(price: Decimal | None, missing: Missing) -> str:
    if price is None:
        return "-" if missing == "dash" else ""
    return f"{price:f}"


def _line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"a line break cannot be written in a text format, which quotes nothing: {text!r}")
    return text


def _escaped(text: str) -> str:
    if _NOT_IN_XML.search(text):
        raise ValueError(f"XML cannot hold a character of {text!r}")
    return text.translate(_XML_ESCAPES)


def _named(name: str) -> str:
    if not _XML_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a member in XML")
    return name


def _encode(text: str, charset: str, errors: str = "replace") -> bytes:
    try:
        return codecs.lookup(charset).encode(text, errors)[0]
    except LookupError:
        raise ValueError(f"no such charset: {charset!r}") from None


def _escape_in_json(error: UnicodeError) -> tuple[str, int]:
    # Outside of strings JSON is ASCII, so every escape is inside a string.
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("smsc_async.json", _escape_in_json)
